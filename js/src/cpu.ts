// What only builds for CPUs need: which of them runs here, and the pool of workers. A file of its own, that a page with a
// GPU does not download.
import { IngleError } from './errors.ts'
import type { PoolPort, PoolStart, WorkerHost } from './host.ts'
import type { Build } from './types.ts'
import type { Choice, Core } from './wasm.ts'

/** A module that exports one function `f` of this code, without parameters. */
function moduleOf(result: number, code: number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    1, 5, 1, 0x60, 0, 1, result, // type 0: () -> result
    3, 2, 1, 0,
    7, 5, 1, 1, 0x66, 0, 0, // exported as "f"
    10, code.length + 4, 1, code.length + 2, 0, ...code, 0x0b,
  ])
}

const I32 = 0x7f
const V128 = 0x7b

/** Has this engine relaxed SIMD, and does its dot product of bytes by seven bits give the sum it must? V8 11,
 * which Node 20 has behind a flag, gives another. */
function hasRelaxedDot(): boolean {
  const module = moduleOf(I32, [
    0x41, 0x80, 0x7f, 0xfd, 0x0f, // sixteen times -128
    0x41, 0xff, 0, 0xfd, 0x0f, // sixteen times 127
    0x41, 5, 0xfd, 0x11, 0xfd, 0x93, 0x02, // i32x4.relaxed_dot_i8x16_i7x16_add_s onto 5
    0xfd, 0x1b, 0, // the first lane
  ])
  if (!WebAssembly.validate(module))
    return false
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(module)).exports as { f: () => number }
  return f() === 5 - 4 * 128 * 127
}

/** Features of this engine that choose a build. */
export function features(host: Pick<WorkerHost, 'isolated'>): { simd: boolean, relaxed: boolean, threads: boolean } {
  return {
    simd: WebAssembly.validate(moduleOf(V128, [0x41, 0, 0xfd, 0x0f])), // i8x16.splat
    relaxed: hasRelaxedDot(),
    threads: host.isolated && typeof SharedArrayBuffer === 'function',
  }
}

/** The build to use: the one wanted if it runs here, else the fastest that does. */
export function chooseBuild(host: Pick<WorkerHost, 'isolated'>, wanted: Build | undefined, threads: number): Choice {
  const f = features(host)
  if (!f.simd)
    throw new IngleError('ERR_DEVICE', 'this browser has no WebAssembly SIMD')
  const noThreads = 'one thread: the page is not cross-origin isolated (headers COOP and COEP)'
  if (wanted?.includes('relaxed') && !f.relaxed)
    throw new IngleError('ERR_DEVICE', `${wanted}: this engine has no relaxed SIMD`)
  if (wanted?.includes('threads') && !f.threads)
    throw new IngleError('ERR_DEVICE', `${wanted}: no shared memory here; the page is not cross-origin isolated (headers COOP and COEP)`)
  const build = wanted ?? `${f.relaxed ? 'relaxed' : 'simd'}${f.threads && threads !== 1 ? '+threads' : ''}` as Build
  return { build, why: build.includes('threads') || f.threads ? '' : noThreads }
}

/** A pool worker that is not up by then is done without. */
const POOL_WAIT_MS = 10_000

/** Slots that the core has for workers. */
const SLOTS_MOST = 63

/** The workers beside the leader. A session holds some from its opening to its end, asleep while it
 * is idle, so that each session needs workers of its own. */
export class Pool {
  readonly #core: Core
  readonly #host: WorkerHost
  #slots = 0
  #up = 0
  #held = 0

  constructor(core: Core, host: WorkerHost) {
    this.#core = core
    this.#host = host
  }

  /** Holds n workers, started where there are too few; resolves to how many there are. */
  async hold(n: number): Promise<number> {
    const free = this.#up - this.#held
    if (free < n && this.#core.build.includes('threads'))
      await this.#start(n - free)
    const got = Math.min(n, this.#up - this.#held)
    this.#held += got
    return got
  }

  /** Gives n workers back, once the session that had them is closed. */
  release(n: number): void {
    this.#held -= n
  }

  async #start(n: number): Promise<void> {
    const { exports, module, memory } = this.#core
    const starting: Promise<number | null>[] = []
    for (; starting.length < n && this.#slots < SLOTS_MOST; this.#slots++) {
      const stack = exports.wasm_worker_stack!() >>> 0
      if (stack === 0)
        break
      starting.push(startOne(this.#host.startPoolWorker(), { module, memory, stack, slot: this.#slots }))
    }
    for (const slot of await Promise.all(starting)) {
      if (slot === null)
        continue
      exports.wasm_worker_add!(slot)
      this.#up++
    }
  }
}

function startOne(port: PoolPort, start: PoolStart): Promise<number | null> {
  return new Promise(resolve => {
    const giveUp = () => {
      port.terminate()
      resolve(null)
    }
    const timer = setTimeout(giveUp, POOL_WAIT_MS)
    port.listen(() => {
      clearTimeout(timer)
      resolve(start.slot)
    }, () => {
      clearTimeout(timer)
      giveUp()
    })
    port.post(start)
  })
}
