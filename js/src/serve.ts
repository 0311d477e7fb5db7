// The engine's worker: takes requests one at a time, in order; cancels and chunks overtake them.
import { openBytes } from './bytes.ts'
import type { Pool } from './cpu.ts'
import { Engine, type SessionOptions } from './engine.ts'
import { IngleError, late, toWire } from './errors.ts'
import { generate, wake } from './generation.ts'
import type { ByteStream, WorkerHost } from './host.ts'
import { isTooLarge, refusedByBoth, refuseTooLarge } from './limits.ts'
import { loadModel } from './loader.ts'
import type { LoadRequest, Replies, Request, ToWorker } from './protocol.ts'
import type { Device, ModelInfo } from './types.ts'
import { startCore, type Core } from './wasm.ts'

interface Loaded {
  engine: Engine
  model: number
  info: ModelInfo
  options: SessionOptions
  /** Why it does not run on a GPU; empty if it does, or none was asked for. */
  whyCpu: string
  /** Missing on a GPU. */
  pool: Pool | undefined
  /** By the page's numbers; 0 is the model's own. */
  sessions: Map<number, { handle: number, workers: number }>
}

class Stopped extends Error {}

/** After these the CPU may do better. */
const GPU_FAULTS = ['ERR_DEVICE', 'ERR_DEVICE_LOST', 'ERR_MEMORY', 'ERR_UNSUPPORTED']

function textOf(error: unknown): string {
  return error instanceof IngleError ? error.message : String(error)
}

function isLoss(error: unknown): boolean {
  return error instanceof IngleError && error.code === 'ERR_DEVICE_LOST'
}

/** Knows whether anything was read: what was not can be read by someone else. */
function countReads<T extends ByteStream>(bytes: T): T & { reads: number } {
  const next = bytes.next
  const counted = Object.assign(bytes, {
    reads: 0,
    next() {
      counted.reads++
      return next.call(bytes)
    },
  })
  return counted
}

class Server {
  readonly #host: WorkerHost
  readonly #cancelled = new Set<number>()
  readonly #waiting = new Set<number>()
  #turn: Promise<void> = Promise.resolve()
  #loaded: Loaded | undefined
  #lastSession = 0
  /** Gives the page's next chunk to the loader that waits for it. */
  #takeChunk: ((chunk: Uint8Array | null | string) => void) | undefined

  constructor(host: WorkerHost) {
    this.#host = host
    host.listen(message => this.#take(message))
  }

  #take(message: ToWorker): void {
    if ('chunk' in message) {
      this.#takeChunk?.(message.chunk)
    } else if ('cancel' in message) {
      if (this.#waiting.has(message.id))
        this.#cancelled.add(message.id)
    } else {
      const { id, request } = message
      this.#waiting.add(id)
      this.#turn = this.#turn.then(() => this.#answer(id, request))
    }
  }

  async #answer(id: number, request: Request): Promise<void> {
    try {
      if (this.#cancelled.has(id))
        throw new Stopped()
      const done = request.op === 'load' ? await this.#load(id, request) : await this.#run(id, request)
      this.#host.post({ id, done })
    } catch (error) {
      this.#host.post(error instanceof Stopped ? { id, cancelled: true } : { id, error: toWire(error) })
    } finally {
      this.#waiting.delete(id)
      this.#cancelled.delete(id)
    }
  }

  #job(id: number) {
    return {
      isCancelled: () => this.#cancelled.has(id),
      breathe: () => this.#host.breathe(),
    }
  }

  async #run(id: number, request: Exclude<Request, LoadRequest>): Promise<Replies[keyof Replies]> {
    const loaded = this.#loaded
    if (!loaded)
      throw new IngleError('ERR_USAGE', 'no model is loaded')
    const { engine, model, sessions } = loaded
    switch (request.op) {
      case 'tokenize':
        return new Uint32Array(engine.withText(request.text, (at, n) => engine.ids('wasm_tokenize', model, at, n, request.flags)).buffer)
      case 'detokenize':
        return engine.withIds(request.ids, (at, n) => engine.text('wasm_detokenize', model, at, n, request.flags))
      case 'template':
        return engine.withText(request.context, (at, n) => engine.text('wasm_chat_render', model, at, n))
      case 'bench':
        return (await late(import('./bench.ts'))).bench(engine, loaded.pool, model, loaded.info.vocabSize, loaded.options, request, this.#job(id),
          engine.core.gpu ? sessions.get(0)?.handle : undefined)
      case 'openSession':
        return this.#openSession(loaded)
      case 'closeSession':
        this.#closeSession(loaded, request.session)
        return null
      case 'generate': {
        const session = sessions.get(request.session)
        if (session === undefined)
          throw new IngleError('ERR_USAGE', 'the session was disposed')
        return generate(engine, model, session.handle, request, { ...this.#job(id), part: part => this.#host.post({ id, part }) })
      }
    }
  }

  async #openSession({ engine, model, pool, options, sessions }: Loaded): Promise<number> {
    const workers = await pool?.hold(options.threads - 1) ?? 0
    const open = () => engine.openSession(model, { ...options, threads: workers + 1 })
    try {
      let handle
      try {
        handle = open()
      } catch (error) {
        if (!isLoss(error))
          throw error
        await wake(engine, sessions.get(0)!.handle) // the core takes another GPU for a session that it has
        handle = open()
      }
      sessions.set(++this.#lastSession, { handle, workers })
      return this.#lastSession
    } catch (error) {
      pool?.release(workers)
      throw error
    }
  }

  #closeSession({ engine, pool, sessions }: Loaded, number: number): void {
    const session = sessions.get(number)
    if (!session)
      return
    sessions.delete(number)
    engine.call('wasm_session_close', session.handle)
    pool?.release(session.workers)
  }

  /** The page's next chunk. */
  #pull(id: number): Promise<Uint8Array | null> {
    return new Promise((resolve, reject) => {
      this.#takeChunk = chunk => typeof chunk === 'string'
        ? reject(new IngleError('ERR_IO', `the source failed: ${chunk}`))
        : resolve(chunk)
      this.#host.post({ id, pull: true })
    })
  }

  async #load(id: number, request: LoadRequest): Promise<Replies['load']> {
    const host = this.#host
    if (this.#loaded)
      throw new IngleError('ERR_USAGE', 'this worker has a model already')
    const source = request.source
    const open = () => {
      const opening = openBytes(source, host, () => this.#pull(id)).then(countReads)
      opening.catch(() => {}) // heard of by whoever reads
      return opening
    }
    const starting = request.backend !== 'cpu' && !request.build ? this.#startGpu(request) : undefined
    starting?.catch(() => {}) // heard of below
    let opening: ReturnType<typeof open> | undefined
    let whyCpu = '' // why it is not the GPU's
    try {
      // Of what is said to be too large for a CPU, nothing is fetched before there is a GPU.
      const stated = 'size' in source ? source.size ?? 0 : 0
      if (isTooLarge(stated) && request.backend !== 'gpu') {
        whyCpu = await starting?.then(() => '', textOf) ?? ''
        if (whyCpu || !starting)
          refuseTooLarge(stated)
      }
      opening = open()
      if (starting) {
        try {
          return await this.#loadFrom(opening, await starting, id, request, '')
        } catch (error) {
          whyCpu = await this.#whyCpu(error, request, opening)
          const bytes = await opening
          if (bytes.reads > 0) {
            bytes.cancel()
            opening = open()
          }
        }
      }
      const { chooseBuild, Pool } = await late(import('./cpu.ts'))
      const core = await startCore(host, chooseBuild(host, request.build, request.threads), line => host.post({ warning: line }))
      return await this.#loadFrom(opening, core, id, request, whyCpu, new Pool(core, host))
    } catch (error) {
      await opening?.then(bytes => bytes.cancel(), () => {})
      throw whyCpu && error instanceof IngleError && error.code === 'ERR_MEMORY' ? refusedByBoth(error, whyCpu) : error
    }
  }

  /** What kept the model off the GPU, if the CPU may have it now; else throws it. */
  async #whyCpu(error: unknown, { backend, source }: LoadRequest, opening: Promise<{ reads: number }>): Promise<string> {
    const gpusFault = error instanceof IngleError && GPU_FAULTS.includes(error.code)
    if (backend === 'gpu' || !gpusFault)
      throw error
    if (source.kind === 'pull' && (await opening).reads > 0) { // what has gone to the GPU cannot be had again
      const why = 'the source can be read only once, so the CPU cannot take over: backend \'cpu\' loads it there'
      throw new IngleError(error.code, `${error.message}; ${why}`, { cause: error })
    }
    return error.message
  }

  /** The core for GPUs with a device, or why there is none. */
  async #startGpu({ backend }: LoadRequest): Promise<Core> {
    const wanted = backend === 'gpu'
    const gpu = await this.#host.gpu(wanted)
    if (!gpu)
      throw new IngleError('ERR_DEVICE', 'there is no WebGPU here')
    const core = await startCore(this.#host, { build: 'gpu', why: '' }, line => this.#host.post({ warning: line }))
    await core.gpu!.open(gpu, { software: wanted, store: this.#host.store })
    return core
  }

  async #loadFrom(opening: Promise<ByteStream & { sha256?: string }>, core: Core, id: number, request: LoadRequest, whyCpu: string, pool?: Pool):
  Promise<Replies['load']> {
    const host = this.#host
    const bytes = await opening
    if (!core.gpu)
      refuseTooLarge(bytes.total)
    const engine = new Engine(core)
    // More workers than processors would only wait for one another, at every step of a token.
    const holding = pool?.hold(Math.min(request.threads || host.threads, host.processors) - 1)
    holding?.catch(() => {}) // awaited below; a damaged file may be told of first
    try {
      const { contextSize, kvType, kernels } = request
      const options = { contextSize, kvType, kernels, threads: 1 }
      const { model, tell } = await loadModel(engine, bytes, progress => host.post({ id, progress, whyCpu: core.gpu ? undefined : whyCpu }), core.gpu && options)
      const workers = await holding ?? 0
      options.threads = workers + 1
      engine.call('wasm_set_cores', options.threads)
      tell('compile')
      const info = engine.modelInfo(model)
      const session = engine.openSession(model, options)
      engine.revive = () => this.#revive(engine, model, id, request, options)
      if (core.gpu)
        await engine.runAnswered('wasm_session_ready', session)
      this.#loaded = { engine, model, info, options, whyCpu, pool, sessions: new Map([[0, { handle: session, workers }]]) }
      tell('ready')
      if (core.why)
        host.post({ warning: core.why })
      return { info, device: this.#device(this.#loaded, session) }
    } catch (error) {
      core.gpu?.close()
      throw error
    }
  }

  /** Another device in place of one that went away, and the weights, read again where that is possible. */
  async #revive(engine: Engine, model: number, id: number, { source }: LoadRequest, options: SessionOptions): Promise<boolean> {
    const { gpu } = engine.core
    if (source.kind === 'pull' || !gpu)
      return false
    const fill = async () => {
      const bytes = await openBytes(source, this.#host, () => this.#pull(id))
      try {
        const again = await loadModel(engine, bytes, () => {}, options, model)
        engine.call('wasm_model_close', again.model)
      } catch (error) {
        bytes.cancel()
        throw error
      }
    }
    return gpu.restore(fill).catch((error: unknown) => {
      if (isLoss(error)) // the second loss; the core knows of one
        return gpu.restore(fill)
      throw error
    })
  }

  #device({ engine, model, options, whyCpu }: Loaded, session: number): Device {
    const gpu = engine.core.gpu !== undefined
    const need = engine.sessionMemory(model, options)
    const { build, why } = engine.core
    const backend = engine.text('wasm_session_backend', session)
    return {
      backend: gpu ? 'gpu' : 'cpu', build, threads: options.threads, adapter: gpu ? /\((.*)\)$/.exec(backend)?.[1] ?? null : null,
      features: [backend, ...build.split('+')],
      why: gpu ? engine.text('wasm_session_notes', session).replaceAll('\n', '; ') : [whyCpu || 'the CPU was asked for', why].filter(Boolean).join('; '),
      contextSize: engine.call('wasm_session_context', session),
      memory: { weightBytes: need.weights, kvBytes: need.kv, scratchBytes: need.scratch },
    }
  }
}

export function serve(host: WorkerHost): void {
  new Server(host)
}
