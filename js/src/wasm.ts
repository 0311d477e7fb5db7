// Bringing a build of the core up: memory, imports, pool workers.
import { IngleError } from './errors.ts'
import type { Gpu } from './gpu.ts'
import type { PoolPort, PoolStart, WorkerHost } from './host.ts'
import { MEMORY_MOST } from './limits.ts'
import type { Build } from './types.ts'

const PAGE = 65536
const PAGES_FIRST = 64
/** A pool worker that is not up by then is done without. */
const POOL_WAIT_MS = 10_000

export interface Choice {
  build: Build
  /** Why there are no threads; empty if there are, or were not wanted. */
  why: string
}

export function fileOf(build: Build): string {
  return `${build.replace('+', '-')}.wasm`
}

/** A growing memory. Some browsers refuse to reserve a large shared one: less is asked for then. */
function makeMemory(shared: boolean): WebAssembly.Memory {
  const most = MEMORY_MOST / PAGE
  for (const maximum of [most, most / 2, most / 4, most / 8]) {
    try {
      return new WebAssembly.Memory({ initial: PAGES_FIRST, maximum, shared })
    } catch (cause) {
      if (maximum === most / 8)
        throw new IngleError('ERR_MEMORY', `no memory of ${maximum * PAGE} bytes for WebAssembly`, { cause })
    }
  }
  throw new IngleError('ERR_INTERNAL', 'no size of memory was tried')
}

function imports(memory: WebAssembly.Memory, log: (line: string) => void, gpu?: WebAssembly.ModuleImports): WebAssembly.Imports {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const text = (address: number, n: number) =>
    decoder.decode(new Uint8Array(memory.buffer, address >>> 0, n >>> 0).slice())
  return {
    env: { memory },
    host: {
      now: () => performance.now(),
      date: (address: number) => {
        const d = new Date()
        const fields = [d.getFullYear(), d.getMonth() + 1, d.getDate(), d.getHours(), d.getMinutes(), d.getSeconds()]
        new Int32Array(memory.buffer, address >>> 0, 6).set(fields)
      },
      lower: (code: number) => String.fromCodePoint(code).toLowerCase().codePointAt(0)!,
      normalise: (form: number, address: number, n: number, to: number) => {
        const bytes = new TextEncoder().encode(text(address, n).normalize(form ? 'NFD' : 'NFC'))
        new Uint8Array(memory.buffer).set(bytes, to >>> 0)
        return bytes.length
      },
      remainder: (x: number, y: number) => x % y,
      number: (address: number, n: number) => Number(text(address, n)),
      log: (address: number, n: number) => log(text(address, n)),
    },
    ...gpu && { gpu },
    math: Math as unknown as WebAssembly.ModuleImports,
  }
}

export interface Core {
  build: Build
  why: string
  module: WebAssembly.Module
  memory: WebAssembly.Memory
  /** Of the build for GPUs; closed at first. */
  gpu?: Gpu
  exports: Record<string, (...args: number[]) => number>
}

type Exports = Record<string, (...args: number[]) => number>

export async function startCore(host: WorkerHost, { build, why }: Choice, log: (line: string) => void): Promise<Core> {
  const module = await host.compile(fileOf(build))
  const memory = makeMemory(build.includes('threads'))
  // What only this build needs is a file of its own.
  const gpu = build === 'gpu' ? new (await import('./gpu.ts')).Gpu(memory) : undefined
  const instance = await WebAssembly.instantiate(module, imports(memory, log, gpu?.imports))
  const exports = instance.exports as unknown as Exports
  exports._initialize!()
  return { build, why, module, memory, gpu, exports }
}

/** Runs in a pool worker: never returns while the pool lives. */
export function runPoolWorker(start: PoolStart, ready: () => void): void {
  const instance = new WebAssembly.Instance(start.module, imports(start.memory, () => {}))
  const stack = instance.exports.__stack_pointer as WebAssembly.Global
  stack.value = start.stack
  ready()
  ;(instance.exports as unknown as Exports).wasm_worker!(start.slot)
}

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
