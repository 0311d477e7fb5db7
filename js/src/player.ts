// Carries tapes out over WebGPU: src/gpu/tape.h says what the words mean, src/gpu/player.h what the core
// may expect. Words are read where they lie in the core's memory. Refuses tapes that name what is not
// there; what else is wrong the device finds out later, and tickets.ts tells.
import { IngleError } from './errors.ts'
import { notCompiled, ObjectMaker, type Group, type Kernel, type Most } from './gpu_objects.ts'
import { Readback, STAMPS_MOST } from './readback.ts'
import { Tickets } from './tickets.ts'

// The commands, as tape.h numbers them.
const BUFFER = 1
const FREE = 2
const WRITE = 3
const PIPELINE = 4
const GROUP = 5
const SECTION = 6
const DISPATCH = 7
const RUN = 8
const COPY = 9
const READ = 10
const READY = 11
const STAMP = 12
const SUBMIT = 13

/** Bytes that go from shared memory at a time: as a copy, since not every WebGPU takes it as it is. */
const WRITE_PIECE = 1 << 20

interface Step {
  kernel: Kernel
  group: Group
  x: number
  y: number
  z: number
}

export class Player {
  readonly #device: GPUDevice
  readonly #memory: WebAssembly.Memory
  readonly #tickets: Tickets
  readonly #maker: ObjectMaker
  readonly #readback: Readback
  readonly #decoder = new TextDecoder()
  readonly #buffers: (GPUBuffer | undefined)[] = []
  readonly #kernels: Kernel[] = []
  readonly #groups: (Group | undefined)[] = []
  readonly #sections: Step[][] = []
  /** The tape that is being played, and where. */
  #words = new Uint32Array(0)
  #at = 0
  #encoder: GPUCommandEncoder | undefined
  #pass: GPUComputePassEncoder | undefined
  /** Whose pipeline the open pass has. */
  #kernel: Kernel | undefined
  #piece: Uint8Array<ArrayBuffer> | undefined

  constructor(device: GPUDevice, memory: WebAssembly.Memory, most: Most) {
    this.#device = device
    this.#memory = memory
    const tickets = this.#tickets = new Tickets(memory)
    this.#maker = new ObjectMaker(device, most, (code, text) => tickets.fail(code, text), (code, text) => tickets.failKernel(code, text))
    this.#readback = new Readback(device)
    void device.lost.then(({ message }) => tickets.lose(message || 'the browser gives no reason'))
  }

  /** Carries out n words; a status. */
  play(address: number, n: number): number {
    if (!this.#tickets.faulty) {
      try {
        this.#words = new Uint32Array(this.#memory.buffer, address, n)
        this.#at = 0
        this.#maker.judge('validation', 'ERR_DEVICE', '', () => {
          while (this.#at < n)
            this.#command()
          if (this.#readback.reads + this.#readback.stamps > 0)
            this.#submit()
        })
      } catch (error) {
        this.#kernel = undefined // the pass may have another's by now
        const wrong = `the tape is wrong before word ${this.#at}: ${String(error)}`
        this.#tickets.fail(...error instanceof IngleError ? [error.code, error.message] as const : ['ERR_INTERNAL', wrong] as const)
      }
    }
    return this.#tickets.status()
  }

  /** As Tickets has them. */
  wait(ticket: number, to: number): number {
    return this.#tickets.wait(ticket, to)
  }

  settled(): Promise<void> {
    return this.#tickets.settled()
  }

  get lost(): boolean {
    return this.#tickets.lost
  }

  get failure(): string {
    return this.#tickets.failure
  }

  set failure(text: string) {
    this.#tickets.failure = text
  }

  close(): void {
    this.#device.destroy()
  }

  #u32(): number {
    const word = this.#words[this.#at++]
    if (word === undefined)
      throw new RangeError('it is cut short')
    return word
  }

  #u64(): number {
    return this.#u32() + this.#u32() * 2 ** 32
  }

  #string(): string {
    // A copy: shared memory is not decoded.
    return this.#decoder.decode(new Uint8Array(this.#memory.buffer, this.#u64(), this.#u32()).slice())
  }

  /** The object whose number comes next. */
  #get<T>(list: (T | undefined)[]): T {
    const number = this.#u32()
    const object = list[number]
    if (!object)
      throw new RangeError(`there is no object ${number}`)
    return object
  }

  /** The number that comes next, of an object that there is or of the first there is not. */
  #next(list: unknown[]): number {
    const number = this.#u32()
    if (number > list.length)
      throw new RangeError(`an object ${number} after ${list.length}`)
    return number
  }

  /** Makes the object whose number comes next. */
  #add<T>(list: (T | undefined)[], make: () => T): void {
    const number = this.#next(list)
    if (list[number])
      throw new RangeError(`another object ${number}`)
    list[number] = make()
  }

  #command(): void {
    const command = this.#u32()
    // A READ submits at once, unless more follow it.
    if (this.#readback.reads > 0 && command !== READ)
      this.#submit()
    switch (command) {
      case BUFFER:
        this.#add(this.#buffers, () => this.#maker.buffer(this.#u64(), this.#string()))
        break
      case FREE:
        this.#free()
        break
      case WRITE:
        this.#write(this.#get(this.#buffers), this.#u64(), this.#u64(), this.#u32())
        break
      case PIPELINE:
        this.#add(this.#kernels, () => this.#maker.kernel(this.#string(), this.#u32(), this.#u32(), this.#string()))
        break
      case GROUP:
        this.#add(this.#groups, () => this.#group(this.#get(this.#kernels), this.#u32()))
        break
      case SECTION:
        this.#section()
        break
      case DISPATCH:
        this.#run(this.#steps(1), 1)
        break
      case RUN:
        this.#run(this.#get(this.#sections), this.#u32())
        break
      case COPY:
        this.#outsidePass().copyBufferToBuffer(this.#get(this.#buffers), this.#u64(), this.#get(this.#buffers), this.#u64(), this.#u64())
        break
      case READ:
        this.#read(this.#get(this.#buffers), this.#u64(), this.#u64(), this.#u32(), this.#u32())
        break
      case READY:
        this.#ready(this.#u32())
        break
      case STAMP:
        this.#stamp(this.#u32())
        break
      case SUBMIT:
        this.#submit()
        break
      default:
        throw new RangeError('no command')
    }
  }

  #free(): void {
    this.#submit() // what is destroyed cannot be submitted
    const number = this.#words[this.#at]!
    this.#get(this.#buffers).destroy()
    this.#buffers[number] = undefined
    this.#groups.forEach((group, i) => {
      if (group?.buffers.includes(number))
        this.#groups[i] = group.handle = undefined // sections may have it still
    })
  }

  #write(to: GPUBuffer, offset: number, address: number, bytes: number): void {
    const { queue } = this.#device
    const { buffer } = this.#memory
    if (buffer instanceof ArrayBuffer)
      return queue.writeBuffer(to, offset, new Uint8Array(buffer, address, bytes))
    this.#piece ??= new Uint8Array(WRITE_PIECE)
    for (let done = 0; done < bytes; done += WRITE_PIECE) {
      const n = Math.min(WRITE_PIECE, bytes - done)
      this.#piece.set(new Uint8Array(buffer, address + done, n))
      queue.writeBuffer(to, offset + done, this.#piece, 0, n)
    }
  }

  #group(kernel: Kernel, n: number): Group {
    return this.#maker.group(kernel, Array.from({ length: n }, () => {
      const number = this.#words[this.#at]!
      return { number, buffer: this.#get(this.#buffers), offset: this.#u64(), size: this.#u64() }
    }))
  }

  /** Other modes of the core's may need a kernel again that does not compile: it has been told of, and is told of again. */
  #section(): void {
    const number = this.#next(this.#sections)
    const steps = this.#sections[number] = this.#steps(this.#u32())
    for (const { kernel: { fault } } of steps)
      if (fault)
        this.#tickets.failKernel('ERR_DEVICE', fault)
  }

  #steps(n: number): Step[] {
    return Array.from({ length: n }, () =>
      ({ kernel: this.#get(this.#kernels), group: this.#get(this.#groups), x: this.#u32(), y: this.#u32(), z: this.#u32() }))
  }

  /** The inner loop of everything: nothing is looked up or made in it. */
  #run(steps: Step[], times: number): void {
    const pass = this.#pass ??= this.#commands().beginComputePass({ label: 'tape' })
    let last = this.#kernel
    for (; times > 0; times--) {
      for (const { kernel, group: { handle }, x, y, z } of steps) {
        if (!handle)
          throw new RangeError('a group of a buffer that was freed')
        if (kernel !== last)
          pass.setPipeline((last = kernel).pipeline ?? notCompiled(kernel))
        pass.setBindGroup(0, handle)
        pass.dispatchWorkgroups(x, y, z)
      }
    }
    this.#kernel = last
  }

  #commands(): GPUCommandEncoder {
    return this.#encoder ??= this.#device.createCommandEncoder({ label: 'tape' })
  }

  #outsidePass(): GPUCommandEncoder {
    this.#pass?.end()
    this.#pass = this.#kernel = undefined
    return this.#commands()
  }

  #read(from: GPUBuffer, offset: number, to: number, bytes: number, ticket: number): void {
    this.#readback.read(from, offset, bytes, this.#tickets.ask(ticket, to))
  }

  #ready(ticket: number): void {
    const answer = this.#tickets.ask(ticket, 0, true)
    void this.#maker.ready().then(() => answer(new Uint8Array(0)))
  }

  #stamp(ticket: number): void {
    const answer = this.#tickets.ask(ticket, 0)
    if (!this.#device.features.has('timestamp-query'))
      return answer(new Uint8Array(8))
    if (this.#readback.stamps === STAMPS_MOST)
      this.#submit()
    this.#readback.stamp(this.#outsidePass(), answer)
  }

  #submit(): void {
    const { reads, stamps } = this.#readback
    const collect = reads + stamps > 0 ? this.#readback.copy(this.#outsidePass()) : undefined
    if (this.#encoder)
      this.#device.queue.submit([this.#outsidePass().finish()])
    this.#encoder = undefined
    void collect?.()
  }
}
