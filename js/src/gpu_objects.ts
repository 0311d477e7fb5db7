// What a tape makes on the GPU: buffers, kernels, groups. WebGPU gives every object at once and says later
// what was wrong with it: `fail` hears of that, the cause before what follows from it; of kernels `failKernel`.
import type { ErrorCode } from './error_codes.ts'
import { IngleError } from './errors.ts'

// WebGPU's constants, which are no globals under Node.
const COPY_SRC = 0x4
const COPY_DST = 0x8
const STORAGE = 0x80
const COMPUTE = 0x4

export interface Kernel {
  label: string
  layout: GPUBindGroupLayout
  /** Missing until it is compiled. */
  pipeline?: GPUComputePipeline
  /** Why it will not be. */
  fault?: string
}

export interface Group {
  buffers: number[]
  /** Missing once one of them was freed. */
  handle?: GPUBindGroup
}

export interface Binding {
  /** Its buffer's number. */
  number: number
  buffer: GPUBuffer
  offset: number
  size: number
}

/** Bytes of a buffer and of a binding, at most. */
export interface Most {
  buffer: number
  binding: number
}

/** What comes of dispatching a kernel without a pipeline. */
export function notCompiled({ label, fault }: Kernel): never {
  throw fault ? new IngleError('ERR_DEVICE', fault) : new RangeError(`${label} is not known to be compiled`)
}

type Fail = (code: ErrorCode, text: string) => void

export class ObjectMaker {
  readonly #device: GPUDevice
  readonly #most: Most
  readonly #fail: Fail
  readonly #failKernel: Fail
  readonly #layouts = new Map<string, GPUBindGroupLayout>()
  /** Resolve when all objects so far are judged, all kernels compiled. */
  #judged: Promise<unknown> = Promise.resolve()
  #compiled: Promise<unknown> = Promise.resolve()

  constructor(device: GPUDevice, most: Most, fail: Fail, failKernel: Fail) {
    this.#device = device
    this.#most = most
    this.#fail = fail
    this.#failKernel = failKernel
    device.onuncapturederror = ({ error }) => void this.#judged.then(() =>
      fail(error.constructor.name === 'GPUOutOfMemoryError' ? 'ERR_MEMORY' : 'ERR_DEVICE', error.message))
  }

  /** Resolves when all kernels of the tape and before it are compiled, and what was wrong has been told. */
  async ready(): Promise<void> {
    await undefined // the tape ends first
    await Promise.all([this.#compiled, this.#judged])
  }

  /** Does something, and hears of what the device has to say against it: the first of it alone. */
  judge<T>(filter: GPUErrorFilter, code: ErrorCode, what: string, act: () => T, fail = this.#fail): T {
    this.#device.pushErrorScope(filter)
    try {
      return act()
    } finally {
      const told = this.#device.popErrorScope().then(error => error && fail(code, what + error.message), () => {})
      const before = this.#judged // not Promise.all: its arrays would hold one another
      this.#judged = told.then(() => before)
    }
  }

  buffer(size: number, label: string): GPUBuffer {
    if (size > this.#most.buffer)
      throw new IngleError('ERR_MEMORY', `${label}, ${size} bytes: this GPU allows ${this.#most.buffer}`)
    const usage = STORAGE | COPY_SRC | COPY_DST
    return this.judge('out-of-memory', 'ERR_MEMORY', `${label}, ${size} bytes: `, () => this.#device.createBuffer({ label, size, usage }))
  }

  /** Bit i of writes: binding i is written. */
  kernel(code: string, n: number, writes: number, label: string): Kernel {
    const device = this.#device
    const kernel: Kernel = { label, layout: this.#layout(n, writes) }
    const fail: Fail = (status, text) => {
      kernel.fault ??= text
      this.#failKernel(status, text)
    }
    const compile = async () => {
      try {
        const module = this.judge('validation', 'ERR_DEVICE', `${label}: `, () => device.createShaderModule({ label, code }), fail)
        const layout = device.createPipelineLayout({ label, bindGroupLayouts: [kernel.layout] })
        kernel.pipeline = await device.createComputePipelineAsync({ label, layout, compute: { module, entryPoint: 'main' } })
      } catch (error) {
        await this.#judged
        fail('ERR_DEVICE', `${label}: ${String(error)}`)
      }
    }
    const before = this.#compiled
    this.#compiled = compile().then(() => before)
    return kernel
  }

  group({ label, layout }: Kernel, bindings: Binding[]): Group {
    const large = bindings.findIndex(({ size }) => size > this.#most.binding)
    if (large >= 0)
      throw new IngleError('ERR_DEVICE', `${label}: ${bindings[large]!.size} bytes in binding ${large}; this GPU allows ${this.#most.binding}`)
    const entries = bindings.map(({ buffer, offset, size }, binding) => ({ binding, resource: { buffer, offset, size } }))
    const handle = this.judge('validation', 'ERR_DEVICE', `${label}: `, () => this.#device.createBindGroup({ label, layout, entries }))
    return { buffers: bindings.map(({ number }) => number), handle }
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
}
