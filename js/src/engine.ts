// The core's exports as typed calls: text in and out, errors as IngleError. src/wasm/exports.c says
// what each export promises. Addresses are unsigned 32-bit numbers; 0 = none.
import { codeOfStatus, IngleError, LOST, WAIT } from './errors.ts'
import type { KvType, ModelInfo } from './types.ts'
import type { Core } from './wasm.ts'

const KV_NUMBERS: Record<KvType, number> = { f16: 0, q8_0: 1, q4_0: 2 }

export interface SessionOptions {
  contextSize: number
  kvType: KvType
  threads: number
  /** What GPU kernels may use; absent = all there is. */
  kernels?: string
}

export interface MemoryNeed {
  weights: number
  kv: number
  scratch: number
  tables: number
  contextSize: number
  threads: number
  cpu: string
}

/** A step of an answer. stop: 0 = not yet, 1 end token, 2 stop text, 3 length, 4 cancelled. */
export interface Step {
  text: string
  id: number
  stop: number
}

export class Engine {
  readonly core: Core
  /** After the loss of the GPU: true = there is another that has the weights. */
  revive: () => Promise<boolean> = async () => false
  readonly #encoder = new TextEncoder()
  readonly #decoder = new TextDecoder()

  constructor(core: Core) {
    this.core = core
  }

  /** Calls an export that gives an address or a handle; 0 is a failure. */
  get(name: string, ...args: number[]): number {
    const address = this.core.exports[name]!(...args) >>> 0
    if (address === 0)
      this.#fail()
    return address
  }

  /** Calls an export that gives a status or a count; negative is a failure. */
  run(name: string, ...args: number[]): number {
    const status = this.core.exports[name]!(...args)
    if (status < 0)
      this.#fail()
    return status
  }

  /** The same as get or run, of an export that may say that the GPU has not answered yet, or went away: then it is
   * called again, once that has or there is another. A failure is thrown. */
  async answered(call: () => number): Promise<number> {
    for (;;) {
      const result = call()
      const status = result === 0 ? this.call('wasm_status') : result
      if (status !== WAIT && status !== LOST)
        return result
      await this.again()
    }
  }

  /** After a call that failed: resolves when it is to be made again, else throws. */
  async again(): Promise<void> {
    const status = this.call('wasm_status')
    if (status === WAIT)
      return this.core.gpu?.settled()
    const failure = this.#failure()
    // After too many losses (src/session/revive.c) no device is asked for: the weights would be read for nothing.
    if (status !== LOST || / times within a minute/.test(failure.message) || !await this.revive())
      throw failure
  }

  /** An export that gives a status or a count, once the GPU has answered. */
  async runAnswered(name: string, ...args: number[]): Promise<number> {
    const status = await this.answered(() => this.core.exports[name]!(...args))
    if (status < 0)
      this.#fail()
    return status
  }

  /** Calls an export that cannot fail. */
  call(name: string, ...args: number[]): number {
    return this.core.exports[name]!(...args)
  }

  #failure(): IngleError {
    const status = this.call('wasm_status')
    return new IngleError(codeOfStatus(status), this.textAt(this.call('wasm_error') >>> 0, this.call('wasm_size')))
  }

  #fail(): never {
    throw this.#failure()
  }

  bytesAt(address: number, n: number): Uint8Array<ArrayBuffer> {
    // A copy: shared memory is not decoded or posted, and any call may move what lies there.
    return new Uint8Array(this.core.memory.buffer, address, n).slice() as Uint8Array<ArrayBuffer>
  }

  textAt(address: number, n: number): string {
    return this.#decoder.decode(this.bytesAt(address, n))
  }

  /** The text that an export gives. */
  text(name: string, ...args: number[]): string {
    const address = this.get(name, ...args)
    return this.textAt(address, this.call('wasm_size') >>> 0)
  }

  /** The token ids that an export gives. */
  ids(name: string, ...args: number[]): Int32Array<ArrayBuffer> {
    const address = this.get(name, ...args)
    return new Int32Array(this.bytesAt(address, (this.call('wasm_size') >>> 0) * 4).buffer)
  }

  alloc(n: number): number {
    const address = this.call('wasm_alloc', Math.max(n, 1)) >>> 0
    if (address === 0)
      throw new IngleError('ERR_MEMORY', `WebAssembly has no ${n} bytes left (${this.core.memory.buffer.byteLength} in use)`)
    return address
  }

  /** Lends bytes to the core while use runs. */
  withBytes<T>(bytes: Uint8Array, use: (address: number, n: number) => T): T {
    const address = this.alloc(bytes.length)
    try {
      new Uint8Array(this.core.memory.buffer, address, bytes.length).set(bytes)
      return use(address, bytes.length)
    } finally {
      this.call('wasm_free', address)
    }
  }

  withText<T>(text: string, use: (address: number, n: number) => T): T {
    return this.withBytes(this.#encoder.encode(text), use)
  }

  withIds<T>(ids: Int32Array, use: (address: number, n: number) => T): T {
    return this.withBytes(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength), address => use(address, ids.length))
  }

  /** Lends ids to the core until use is done. */
  async lendIds<T>(ids: Int32Array, use: (address: number, n: number) => Promise<T>): Promise<T> {
    const address = this.alloc(ids.byteLength)
    try {
      new Int32Array(this.core.memory.buffer, address, ids.length).set(ids)
      return await use(address, ids.length)
    } finally {
      this.call('wasm_free', address)
    }
  }

  withNumbers<T>(numbers: number[], use: (address: number, n: number) => T): T {
    return this.withBytes(new Uint8Array(Float64Array.from(numbers).buffer), address => use(address, numbers.length))
  }

  modelInfo(model: number): ModelInfo {
    const { runnable: _, whyNot: __, ...info } = JSON.parse(this.text('wasm_model_info', model)) as ModelInfo & Record<string, unknown>
    return info as unknown as ModelInfo
  }

  sessionMemory(model: number, o: SessionOptions): MemoryNeed {
    const kv = KV_NUMBERS[o.kvType]
    return JSON.parse(this.text('wasm_session_memory', model, o.contextSize, 0, o.threads, kv, kv)) as MemoryNeed
  }

  /** Has a loader's weights go to the GPU, for a session with these options; again: for this model, whose weights were
   * lost. */
  useGpu(loader: number, o: SessionOptions, again: number): void {
    const kv = KV_NUMBERS[o.kvType]
    this.withText(`${o.kernels ?? ''}\0`, kernels =>
      this.run('wasm_loader_use_gpu', loader, o.contextSize, 0, kv, kv, o.kernels ? kernels : 0, again))
  }

  openSession(model: number, o: SessionOptions): number {
    const kv = KV_NUMBERS[o.kvType]
    return this.withText(`${o.kernels ?? ''}\0`, kernels =>
      this.get('wasm_session_open', model, o.contextSize, 0, o.threads, kv, kv, 0, o.kernels ? kernels : 0))
  }

  async openGeneration(session: number, ids: Int32Array, settings: number[], stops: string[], bias: number[]): Promise<number> {
    const generation = await this.answered(() => this.withIds(ids, (at, n) =>
      this.withNumbers(settings, (settingsAt, nSettings) =>
        this.withText(stops.map(s => `${s}\0`).join(''), stopsAt =>
          this.withNumbers(bias, (biasAt, nBias) => this.core.exports.wasm_generation_open!(session, at, n,
            settingsAt, nSettings, stopsAt, stops.length, biasAt, nBias / 2))))))
    if (generation === 0)
      this.#fail()
    return generation >>> 0
  }

  /** The next step; undefined where it failed: `again` says when to ask again, if ever. */
  next(generation: number): Step | undefined {
    const step = this.core.exports.wasm_generation_next!(generation) >>> 0
    if (step === 0)
      return undefined
    const [text, n, id, stop] = new Int32Array(this.core.memory.buffer, step, 4) as unknown as [number, number, number, number]
    return { text: n > 0 ? this.textAt(text >>> 0, n) : '', id, stop }
  }
}
