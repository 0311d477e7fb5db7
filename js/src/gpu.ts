// The GPU as the core sees it: the imports of module `gpu` (src/gpu/player_wasm.c) over a device that is
// asked for here. Waiting for a device, or for its answers, is JavaScript's part; the core only asks.
import { statusNames } from './error_codes.ts'
import { IngleError, LOST } from './errors.ts'
import type { Most } from './gpu_objects.ts'
import { Player } from './player.ts'

export interface GpuOptions {
  /** As if the adapter had none. */
  noF16?: boolean
  noSubgroups?: boolean
  /** Bytes: ask for no more than this. */
  maxBuffer?: number
  maxBinding?: number
  /** Take an adapter that computes on the CPU, too: for tests. */
  software?: boolean
  /** Where the core may keep what it finds out about an adapter. */
  store?: Store
}

/** Small notes that outlast the page, or fail to. */
export interface Store {
  /** Rejects, or gives nothing, where there is none. */
  read(name: string): Promise<ArrayBuffer | undefined>
  write(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>
}

/** Asked for as high as the adapter has them: what nobody asks for stays at WebGPU's least. */
const LIMITS = ['maxBufferSize', 'maxStorageBufferBindingSize', 'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX', 'maxComputeWorkgroupsPerDimension', 'maxStorageBuffersPerShaderStage'] as const

const NO_DEVICE = -statusNames.indexOf('ERR_DEVICE')
const PACKED_DOT = 'packed_4x8_integer_dot_product'
const MATRICES = 'chromium-experimental-subgroup-matrix' as GPUFeatureName
/** Bytes of an adapter's name in the core's struct, the closing 0 with them. */
const NAME = 128

interface Opened {
  device: GPUDevice
  info: GPUAdapterInfo
  packedDot: boolean
  /** What is allowed here: a device itself never has less than WebGPU's least. */
  most: Most
}

async function openDevice(gpu: GPU | undefined, options: GpuOptions): Promise<Opened> {
  if (!gpu)
    throw new IngleError('ERR_DEVICE', 'there is no WebGPU here')
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter)
    throw new IngleError('ERR_DEVICE', 'WebGPU finds no adapter')
  const { info } = adapter
  if (info.isFallbackAdapter && !options.software)
    throw new IngleError('ERR_DEVICE', `the adapter ${nameOf(info)} computes on the CPU`)
  const unwanted = [options.noF16 && 'shader-f16', options.noSubgroups && 'subgroups',
    (options.noF16 || options.noSubgroups) && MATRICES] // which comes with both
  const requiredFeatures = (['shader-f16', 'subgroups', 'timestamp-query', MATRICES] as const)
    .filter(name => adapter.features.has(name) && !unwanted.includes(name))
  const requiredLimits: Record<string, number> = Object.fromEntries(LIMITS.map(name => [name, adapter.limits[name]]))
  const lower = (name: typeof LIMITS[number], most = Infinity) => requiredLimits[name] = Math.min(requiredLimits[name]!, most)
  const most = { buffer: lower('maxBufferSize', options.maxBuffer), binding: lower('maxStorageBufferBindingSize', options.maxBinding) }
  const device = await adapter.requestDevice({ label: 'ingle', requiredFeatures, requiredLimits })
  return { device, info, packedDot: gpu.wgslLanguageFeatures.has(PACKED_DOT), most }
}

/** Not in WebGPU yet: sizes and types of the matrices that a subgroup multiplies. */
interface WithMatrices {
  subgroupMatrixConfigs?: Iterable<{ componentType: string, resultComponentType: string, M: number, N: number, K: number }>
}

/** 16 x 16 x 16, factors in f16, sums in f32, by subgroups that all have 32 threads. */
function multipliesMatrices({ subgroupMinSize: least, subgroupMaxSize: most, subgroupMatrixConfigs: configs = [] }: GPUAdapterInfo & WithMatrices): boolean {
  return least === 32 && most === 32 &&
    [...configs].some(c => c.resultComponentType === 'f32' && c.componentType === 'f16' && c.M === 16 && c.N === 16 && c.K === 16)
}

function nameOf({ description, vendor, architecture }: GPUAdapterInfo): string {
  return description || `${vendor} ${architecture}`.trim() || 'unnamed'
}

export class Gpu {
  readonly #memory: WebAssembly.Memory
  #opened: Opened | undefined
  #player: Player | undefined
  /** What the core keeps for this adapter. */
  #kept = new Uint8Array(0)
  #taken = false
  /** How the device was asked for. */
  #asked: { gpu: GPU | undefined, options: GpuOptions } | undefined
  /** The core gave up a device, and has no other that is filled. */
  #lost = false
  /** Why the core gets no player. */
  #why = 'no GPU was asked for'

  /** Module `gpu`, for the core's instance on this memory. */
  readonly imports = {
    open: (limits: number): number => this.#take(limits >>> 0),
    play: (words: number, n: number): number => this.#player?.play(words >>> 0, n >>> 0) ?? NO_DEVICE,
    wait: (ticket: number, to: number): number => this.#player?.wait(ticket >>> 0, to >>> 0) ?? NO_DEVICE,
    /** The last failure's text; its length. */
    failure: (to: number, most: number): number => this.#tell(this.#player?.failure || this.#why, to >>> 0, most >>> 0),
    close: (): void => this.close(),
    /** What is kept for this adapter; its length, 0 if there is no room for it. */
    recall: (to: number, most: number): number => {
      const kept = this.#kept.length <= most >>> 0 ? this.#kept : this.#kept.subarray(0, 0)
      new Uint8Array(this.#memory.buffer, to >>> 0).set(kept)
      return kept.length
    },
    remember: (from: number, n: number): void => {
      this.#kept = new Uint8Array(this.#memory.buffer, from >>> 0, n >>> 0).slice()
      this.#asked?.options.store?.write(nameOf(this.#opened!.info), this.#kept).catch(() => {}) // it is found out again
    },
  }

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory
  }

  get device(): GPUDevice | undefined {
    return this.#opened?.device
  }

  /** Asks for a device, in place of the one there was; throws why there is none. From then on the core may open it,
   * once. */
  async open(gpu: GPU | undefined, options: GpuOptions = {}): Promise<void> {
    this.close()
    this.#asked = { gpu, options }
    try {
      this.#opened = await openDevice(gpu, options)
      const found = await options.store?.read(nameOf(this.#opened.info)).catch(() => undefined)
      if (found) // else another device in place of a lost one has what this page knows
        this.#kept = new Uint8Array(found)
      this.#player = new Player(this.#opened.device, this.#memory, this.#opened.most)
    } catch (cause) {
      this.#why = cause instanceof IngleError ? cause.message : `WebGPU gives no device: ${String(cause)}`
      throw cause instanceof IngleError ? cause : new IngleError('ERR_DEVICE', this.#why, { cause })
    }
  }

  /** Asks for another device where the core gave one up, and has it filled. False: it has not, or there is none. As long
   * as that fails, the core is without, and may ask again. */
  async restore(fill: () => Promise<void>): Promise<boolean> {
    if (!this.#lost || !await this.open(this.#asked!.gpu, this.#asked!.options).then(() => true, () => false))
      return false
    await fill()
    this.#lost = false
    return true
  }

  /** Resolves when the core, told to wait, should ask again. */
  settled(): Promise<void> {
    return this.#player?.settled() ?? Promise.resolve()
  }

  /** Resolves when the GPU has taken what was written to it: until then the browser keeps copies. */
  async caughtUp(): Promise<void> {
    const queue = this.#opened?.device.queue
    queue?.submit([])
    await queue?.onSubmittedWorkDone().catch(() => {}) // a lost device is heard of by the next call
  }

  close(): void {
    this.#lost ||= this.#taken
    this.#why = this.#lost ? 'the GPU went away' : 'the GPU was closed'
    this.#player?.close()
    this.#player = undefined
    this.#taken = false
  }

  #take(limits: number): number {
    if (!this.#player)
      return this.#lost ? LOST : NO_DEVICE
    if (this.#taken) {
      this.#player.failure = 'the GPU is in use'
      return NO_DEVICE
    }
    if (limits) {
      this.#taken = true
      this.#tellLimits(limits)
    }
    return 0
  }

  /** Writes struct gpu_limits of src/gpu/player.h. */
  #tellLimits(at: number): void {
    const { device: { limits, features }, info, packedDot, most } = this.#opened!
    const has = (name: GPUFeatureName) => Number(features.has(name))
    const view = new DataView(this.#memory.buffer, at)
    view.setUint8(this.#tell(nameOf(info), at, NAME - 1), 0)
    view.setBigUint64(NAME, BigInt(most.buffer), true)
    view.setBigUint64(NAME + 8, BigInt(most.binding), true)
    const numbers = [
      limits.maxComputeWorkgroupStorageSize,
      Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
      limits.maxComputeWorkgroupsPerDimension, limits.maxStorageBuffersPerShaderStage,
      has('subgroups') && info.subgroupMinSize, has('subgroups') && info.subgroupMaxSize,
      has('shader-f16'), Number(packedDot), has('timestamp-query'), Number(info.isFallbackAdapter),
      has(MATRICES) && Number(multipliesMatrices(info)),
    ]
    numbers.forEach((n, i) => view.setUint32(NAME + 16 + 4 * i, n, true))
  }

  /** Writes text as UTF-8, whole characters, at most so many bytes; how many. */
  #tell(text: string, to: number, most: number): number {
    const bytes = new Uint8Array(most) // not the memory itself: a shared one may be refused
    const { written } = new TextEncoder().encodeInto(text, bytes)
    new Uint8Array(this.#memory.buffer, to).set(bytes.subarray(0, written))
    return written
  }
}
