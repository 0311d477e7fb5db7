// Carries tapes out over WebGPU: src/gpu/tape.h says what the words mean, src/gpu/player.h what the core
// may expect. Words are read where they lie in the core's memory. It refuses nothing itself: what is
// wrong with a tape shows as an error of WebGPU or of JavaScript, and is told at the next call.
import { statusNames, type ErrorCode } from './error_codes.ts'
import { Readback, STAMPS_MOST } from './readback.ts'

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

// WebGPU's constants, which are no globals under Node.
const COPY_SRC = 0x4
const COPY_DST = 0x8
const STORAGE = 0x80
const COMPUTE = 0x4

export const WAIT = -statusNames.indexOf('WAIT')

/** Bytes that go from shared memory at a time: as a copy, since not every WebGPU takes it as it is. */
const WRITE_PIECE = 1 << 20
/** A read that fails is mostly a lost device's, whose own message may take so long. */
const LOSS_MS = 1000

interface Kernel {
  label: string
  layout: GPUBindGroupLayout
  /** Missing until it is compiled. */
  pipeline?: GPUComputePipeline
}

interface Step {
  kernel: Kernel
  group: GPUBindGroup
  x: number
  y: number
  z: number
}

export class Player {
  readonly #device: GPUDevice
  readonly #memory: WebAssembly.Memory
  readonly #readback: Readback
  readonly #decoder = new TextDecoder()
  readonly #buffers: GPUBuffer[] = []
  readonly #kernels: Kernel[] = []
  readonly #groups: GPUBindGroup[] = []
  readonly #sections: Step[][] = []
  readonly #layouts = new Map<string, GPUBindGroupLayout>()
  /** The tape that is being played, and where. */
  #words = new Uint32Array(0)
  #at = 0
  #encoder: GPUCommandEncoder | undefined
  #pass: GPUComputePassEncoder | undefined
  /** Whose pipeline the open pass has. */
  #kernel: Kernel | undefined
  #piece: Uint8Array<ArrayBuffer> | undefined
  /** By ticket; null = not yet. */
  readonly #answers = new Map<number, { to: number, bytes: Uint8Array } | null>()
  /** Resolve when the device has judged all objects so far. */
  #checked: Promise<unknown> = Promise.resolve()
  #compiled: Promise<unknown> = Promise.resolve()
  #fault: { code: ErrorCode, text: string } | undefined
  #waiting: (() => void)[] = []
  /** What the last failure was about. */
  failure = ''

  constructor(device: GPUDevice, memory: WebAssembly.Memory) {
    this.#device = device
    this.#memory = memory
    this.#readback = new Readback(device)
    // An object that could not be made is told of before its uses, which are errors, too.
    device.onuncapturederror = ({ error }) => void this.#checked.then(() =>
      this.#fail(error.constructor.name === 'GPUOutOfMemoryError' ? 'ERR_MEMORY' : 'ERR_DEVICE', error.message))
    void device.lost.then(({ message }) => {
      this.#fault = undefined
      this.#fail('ERR_DEVICE_LOST', message || 'the browser gives no reason')
    })
  }

  /** Carries out n words; a status. */
  play(address: number, n: number): number {
    if (!this.#fault) {
      try {
        this.#words = new Uint32Array(this.#memory.buffer, address, n)
        for (this.#at = 0; this.#at < n;)
          this.#command()
        if (this.#readback.reads + this.#readback.stamps > 0)
          this.#submit()
      } catch (error) {
        this.#fail('ERR_INTERNAL', `the tape is wrong before word ${this.#at}: ${String(error)}`)
      }
    }
    return this.#status()
  }

  /** Answers a ticket, once: bytes go where READ wanted them, a STAMP's nanoseconds to address `to` unless it
   * is 0. A status; WAIT = not yet. */
  wait(ticket: number, to: number): number {
    const answer = this.#answers.get(ticket)
    if (answer === undefined)
      this.#fail('ERR_INTERNAL', `nothing is asked for under ticket ${ticket}`)
    if (answer === null || this.#fault)
      return this.#fault ? this.#status() : WAIT
    this.#answers.delete(ticket)
    if (answer!.to || to)
      new Uint8Array(this.#memory.buffer).set(answer!.bytes, answer!.to || to)
    return 0
  }

  /** Resolves when another ticket can be answered, or something has failed. */
  settled(): Promise<void> {
    return new Promise(resolve => this.#fault ? resolve() : this.#waiting.push(resolve))
  }

  close(): void {
    this.#device.destroy()
  }

  #u32(): number {
    return this.#words[this.#at++]!
  }

  #u64(): number {
    return this.#u32() + this.#u32() * 2 ** 32
  }

  #string(): string {
    // A copy: shared memory is not decoded.
    return this.#decoder.decode(new Uint8Array(this.#memory.buffer, this.#u64(), this.#u32()).slice())
  }

  #command(): void {
    const command = this.#u32()
    // A READ submits at once, unless more follow it.
    if (this.#readback.reads > 0 && command !== READ)
      this.#submit()
    switch (command) {
      case BUFFER:
        this.#buffers[this.#u32()] = this.#buffer(this.#u64(), this.#string())
        break
      case FREE:
        this.#submit() // what is destroyed cannot be submitted
        this.#buffers[this.#u32()]!.destroy()
        break
      case WRITE:
        this.#write(this.#buffers[this.#u32()]!, this.#u64(), this.#u64(), this.#u32())
        break
      case PIPELINE:
        this.#kernels[this.#u32()] = this.#compile(this.#string(), this.#u32(), this.#u32(), this.#string())
        break
      case GROUP:
        this.#groups[this.#u32()] = this.#group(this.#kernels[this.#u32()]!, this.#u32())
        break
      case SECTION:
        this.#sections[this.#u32()] = Array.from({ length: this.#u32() }, () => this.#step())
        break
      case DISPATCH:
        this.#run([this.#step()], 1)
        break
      case RUN:
        this.#run(this.#sections[this.#u32()]!, this.#u32())
        break
      case COPY:
        this.#outsidePass().copyBufferToBuffer(this.#buffers[this.#u32()]!, this.#u64(), this.#buffers[this.#u32()]!, this.#u64(), this.#u64())
        break
      case READ:
        this.#read(this.#buffers[this.#u32()]!, this.#u64(), this.#u64(), this.#u32(), this.#u32())
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

  /** Makes an object of which the device may say later that it is none. */
  #check<T>(filter: GPUErrorFilter, code: ErrorCode, what: string, make: () => T): T {
    this.#device.pushErrorScope(filter)
    const made = make()
    const told = this.#device.popErrorScope().then(error => error && this.#fail(code, `${what}: ${error.message}`), () => {})
    this.#checked = Promise.all([this.#checked, told])
    return made
  }

  #buffer(size: number, label: string): GPUBuffer {
    const usage = STORAGE | COPY_SRC | COPY_DST
    return this.#check('out-of-memory', 'ERR_MEMORY', `${label}, ${size} bytes`, () => this.#device.createBuffer({ label, size, usage }))
  }

  #write(to: GPUBuffer, offset: number, address: number, bytes: number): void {
    const { queue } = this.#device
    const { buffer } = this.#memory
    if (buffer instanceof ArrayBuffer)
      return queue.writeBuffer(to, offset, buffer, address, bytes)
    this.#piece ??= new Uint8Array(WRITE_PIECE)
    for (let done = 0; done < bytes; done += WRITE_PIECE) {
      const n = Math.min(WRITE_PIECE, bytes - done)
      this.#piece.set(new Uint8Array(buffer, address + done, n))
      queue.writeBuffer(to, offset + done, this.#piece, 0, n)
    }
  }

  /** One for each number of bindings and choice of those that are written. */
  #layout(n: number, writes: number): GPUBindGroupLayout {
    const label = `${n} ${writes}`
    let layout = this.#layouts.get(label)
    if (!layout) {
      const entries = Array.from({ length: n }, (_, binding): GPUBindGroupLayoutEntry =>
        ({ binding, visibility: COMPUTE, buffer: { type: writes >> binding & 1 ? 'storage' : 'read-only-storage' } }))
      this.#layouts.set(label, layout = this.#device.createBindGroupLayout({ label, entries }))
    }
    return layout
  }

  #compile(code: string, n: number, writes: number, label: string): Kernel {
    const device = this.#device
    const kernel: Kernel = { label, layout: this.#layout(n, writes) }
    const module = this.#check('validation', 'ERR_DEVICE', label, () => device.createShaderModule({ label, code }))
    const layout = device.createPipelineLayout({ label, bindGroupLayouts: [kernel.layout] })
    const made = device.createComputePipelineAsync({ label, layout, compute: { module, entryPoint: 'main' } }).then(pipeline => {
      kernel.pipeline = pipeline
    }, error => this.#checked.then(() => this.#fail('ERR_DEVICE', `${label}: ${String(error)}`)))
    this.#compiled = Promise.all([this.#compiled, made])
    return kernel
  }

  #group({ label, layout }: Kernel, n: number): GPUBindGroup {
    const entries = Array.from({ length: n }, (_, binding) =>
      ({ binding, resource: { buffer: this.#buffers[this.#u32()]!, offset: this.#u64(), size: this.#u64() } }))
    return this.#device.createBindGroup({ label, layout, entries })
  }

  #step(): Step {
    return { kernel: this.#kernels[this.#u32()]!, group: this.#groups[this.#u32()]!, x: this.#u32(), y: this.#u32(), z: this.#u32() }
  }

  /** The inner loop of everything: nothing is looked up or made in it. */
  #run(steps: Step[], times: number): void {
    const pass = this.#pass ??= this.#commands().beginComputePass({ label: 'tape' })
    let last = this.#kernel
    for (; times > 0; times--) {
      for (const { kernel, group, x, y, z } of steps) {
        if (kernel !== last)
          pass.setPipeline((last = kernel).pipeline!)
        pass.setBindGroup(0, group)
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
    this.#readback.read(from, offset, bytes, this.#asked(ticket, to))
  }

  #ready(ticket: number): void {
    const answer = this.#asked(ticket, 0)
    this.#check('validation', 'ERR_DEVICE', '', () => {}) // judged after all that was made before
    void Promise.all([this.#compiled, this.#checked]).then(() => answer(new Uint8Array(0)))
  }

  #stamp(ticket: number): void {
    const answer = this.#asked(ticket, 0)
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
    collect?.().catch(error => setTimeout(() => this.#fail('ERR_DEVICE', `reading failed: ${String(error)}`), LOSS_MS))
  }

  /** A ticket's answer. The core's memory gets the bytes when the core asks, so that a ticket that nobody waits for
   * any more writes nowhere. */
  #asked(ticket: number, to: number): (bytes: Uint8Array) => void {
    this.#answers.set(ticket, null)
    return bytes => {
      this.#answers.set(ticket, { to, bytes })
      this.#settle()
    }
  }

  #settle(): void {
    for (const resolve of this.#waiting.splice(0))
      resolve()
  }

  /** The first fault is the cause of those that follow: they are dropped until it has been told. */
  #fail(code: ErrorCode, text: string): void {
    this.#fault ??= { code, text }
    this.#settle()
  }

  /** Tells the fault, if there is one: once, but that of a lost device for ever. */
  #status(): number {
    if (!this.#fault)
      return 0
    const { code, text } = this.#fault
    this.failure = text.replace(/\s+/g, ' ')
    if (code !== 'ERR_DEVICE_LOST')
      this.#fault = undefined
    return -statusNames.indexOf(code)
  }
}
