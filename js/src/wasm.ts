// Bringing a build of the core up: memory, imports; what a pool worker runs.
import { IngleError, late } from './errors.ts'
import type { Gpu } from './gpu.ts'
import type { PoolStart, WorkerHost } from './host.ts'
import { MEMORY_MOST } from './limits.ts'
import type { Build } from './types.ts'

const PAGE = 65536
const PAGES_FIRST = 64

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
  const gpu = build === 'gpu' ? new (await late(import('./gpu.ts'))).Gpu(memory) : undefined
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
