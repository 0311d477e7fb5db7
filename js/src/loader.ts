// Feeds a source to the core, chunk by chunk, and says how far it is.
import { IngleError } from './errors.ts'
import type { Engine, SessionOptions } from './engine.ts'
import type { ByteStream } from './host.ts'
import { refuseTooLarge } from './limits.ts'
import type { Progress } from './types.ts'

/** Bytes handed to the core at a time. */
const FEED = 1 << 20
/** Bytes that the GPU may be behind: copies of them are kept by the browser. */
const BEHIND = 16 << 20
/** Progress is told this often. */
const TELL_MS = 100

class Teller {
  readonly #tell: (progress: Progress) => void
  readonly #start = performance.now()
  #last = -Infinity
  total: number

  constructor(total: number, tell: (progress: Progress) => void) {
    this.total = total
    this.#tell = tell
  }

  say(phase: Progress['phase'], loaded: number, always = false): void {
    const now = performance.now()
    if (!always && now - this.#last < TELL_MS)
      return
    this.#last = now
    const seconds = (now - this.#start) / 1000
    const bytesPerSecond = seconds > 0 ? loaded / seconds : 0
    const secondsLeft = bytesPerSecond > 0 ? Math.max(0, this.total - loaded) / bytesPerSecond : 0
    this.#tell({ phase, loaded, total: this.total, bytesPerSecond, secondsLeft })
  }
}

/** Reads bytes to their end into a model; returns its handle. gpu: weights go to the GPU as they come, for a session
 * with these options; again: they are those of this model, which lost them. */
export async function loadModel(
  engine: Engine, bytes: ByteStream & { sha256?: string }, tell: (progress: Progress) => void,
  gpu?: SessionOptions, again = 0,
): Promise<{ model: number, tell: (phase: Progress['phase']) => void }> {
  const loader = engine.get('wasm_loader_open')
  const buffer = engine.alloc(FEED)
  const hash = bytes.sha256 ? engine.get('wasm_sha256_open') : 0
  const teller = new Teller(bytes.total, tell)
  const phase = bytes.remote ? 'download' : 'load'
  let loaded = 0
  let ahead = 0

  async function feed(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; at += FEED) {
      const piece = chunk.subarray(at, at + FEED)
      new Uint8Array(engine.core.memory.buffer, buffer, piece.length).set(piece)
      if (hash)
        engine.call('wasm_sha256_add', hash, buffer, piece.length)
      engine.run('wasm_loader_feed', loader, buffer, piece.length)
      const whole = engine.call('wasm_loader_total', loader)
      if (!teller.total && whole > 0) {
        if (!gpu)
          refuseTooLarge(whole)
        teller.total = whole
      }
      loaded += piece.length
      ahead += gpu ? piece.length : 0
      if (ahead >= BEHIND) {
        await engine.core.gpu?.caughtUp()
        ahead = 0
      }
    }
  }

  try {
    if (gpu)
      engine.useGpu(loader, gpu, again)
    teller.say(phase, 0, true)
    for (let chunk = await bytes.next(); chunk; chunk = await bytes.next()) {
      await feed(chunk)
      teller.say(phase, loaded)
    }
    teller.total ||= loaded
    if (hash)
      verify(engine, hash, bytes.sha256!)
    if (gpu)
      await engine.core.gpu?.caughtUp() // what went wrong so far is told now
    const model = engine.get('wasm_loader_take', loader)
    return { model, tell: later => teller.say(later, loaded, true) }
  } finally {
    engine.call('wasm_loader_close', loader)
    engine.call('wasm_free', buffer)
  }
}

function verify(engine: Engine, hash: number, wanted: string): void {
  const sum = engine.text('wasm_sha256_end', hash)
  if (sum !== wanted)
    throw new IngleError('ERR_INTEGRITY', `the bytes have the SHA-256 ${sum}, not ${wanted}`)
}
