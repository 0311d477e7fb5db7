// The engine's worker: takes requests one at a time, in order; cancels and chunks overtake them.
import { bench } from './bench.ts'
import { openBytes } from './bytes.ts'
import { Engine, type SessionOptions } from './engine.ts'
import { IngleError, toWire } from './errors.ts'
import { generate } from './generation.ts'
import type { WorkerHost } from './host.ts'
import { refuseTooLarge } from './limits.ts'
import { loadModel } from './loader.ts'
import type { LoadRequest, Replies, Request, ToWorker } from './protocol.ts'
import type { Device, ModelInfo } from './types.ts'
import { chooseBuild, Pool, startCore, type Core } from './wasm.ts'

interface Loaded {
  engine: Engine
  model: number
  info: ModelInfo
  options: SessionOptions
  /** Does the model's own session run on the GPU? */
  gpu: boolean
  /** Why not. */
  whyNot: string
  pool: Pool
  /** By the page's numbers; 0 is the model's own. */
  sessions: Map<number, { handle: number, workers: number }>
}

class Stopped extends Error {}

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
        return bench(engine, loaded.pool, model, loaded.info.vocabSize, loaded.options, request, this.#job(id),
          loaded.gpu ? sessions.get(0)?.handle : undefined)
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
    const workers = await pool.hold(options.threads - 1)
    try {
      const handle = engine.openSession(model, { ...options, threads: workers + 1 })
      sessions.set(++this.#lastSession, { handle, workers })
      return this.#lastSession
    } catch (error) {
      pool.release(workers)
      throw error
    }
  }

  #closeSession({ engine, pool, sessions }: Loaded, number: number): void {
    const session = sessions.get(number)
    if (!session)
      return
    sessions.delete(number)
    engine.call('wasm_session_close', session.handle)
    pool.release(session.workers)
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
    refuseTooLarge('size' in source ? source.size ?? 0 : 0)
    const choice = chooseBuild(host, request.build, request.threads)
    const starting = startCore(host, choice, line => host.post({ warning: line }))
    starting.catch(() => {}) // heard of below; the source's own failure may come first
    const bytes = await openBytes(source, host, () => this.#pull(id))
    try {
      refuseTooLarge(bytes.total)
      const core = await starting
      const engine = new Engine(core)
      const pool = new Pool(core, host)
      let whyNot = await this.#openGpu(core, request)
      // More workers than processors would only wait for one another, at every step of a token.
      const most = Math.min(request.threads || host.threads, host.processors) - 1
      let holding = pool.hold(whyNot ? most : 0)
      holding.catch(() => {}) // awaited below; a damaged file may be told of first
      const { model, tell } = await loadModel(engine, bytes, progress => host.post({ id, progress }))
      tell('compile')
      const info = engine.modelInfo(model)
      const open = async () => {
        const workers = await holding
        const threads = workers + 1
        engine.call('wasm_set_cores', threads)
        const options = { contextSize: request.contextSize, kvType: request.kvType, threads, kernels: request.kernels }
        return { options, session: { handle: engine.openSession(model, options), workers } }
      }
      const { options, session } = await open().catch(error => {
        if (whyNot || request.backend === 'gpu')
          throw error
        core.gpu.close()
        whyNot = String((error as Error).message)
        holding = pool.hold(most)
        return open()
      })
      this.#loaded = { engine, model, info, options, gpu: !whyNot, whyNot, pool, sessions: new Map([[0, session]]) }
      tell('ready')
      if (core.why && whyNot)
        host.post({ warning: core.why })
      return { info, device: this.#device(this.#loaded, session.handle) }
    } catch (error) {
      bytes.cancel()
      throw error
    }
  }

  /** Opens the GPU that the core may use; why there is none, empty if there is. */
  async #openGpu(core: Core, { backend }: LoadRequest): Promise<string> {
    if (backend === 'cpu')
      return 'the CPU was asked for'
    try {
      const wanted = backend === 'gpu'
      await core.gpu.open(await this.#host.gpu(wanted), { software: wanted })
      return ''
    } catch (error) {
      if (backend === 'gpu')
        throw error
      return (error as Error).message
    }
  }

  #device({ engine, model, options, gpu, whyNot }: Loaded, session: number): Device {
    const need = engine.sessionMemory(model, options)
    const { build, why } = engine.core
    const backend = engine.text('wasm_session_backend', session)
    return {
      backend: gpu ? 'gpu' : 'cpu', build, threads: options.threads, adapter: gpu ? /\((.*)\)$/.exec(backend)?.[1] ?? null : null,
      features: [backend, ...build.split('+')],
      why: [whyNot, gpu ? '' : why].filter(Boolean).join('; '),
      contextSize: engine.call('wasm_session_context', session),
      memory: { weightBytes: need.weights, kvBytes: need.kv, scratchBytes: need.scratch },
    }
  }
}

export function serve(host: WorkerHost): void {
  new Server(host)
}
