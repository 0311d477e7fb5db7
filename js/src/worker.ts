// The engine's worker on the web. Files are named literally, so that bundlers find them.
import { IngleError } from './errors.ts'
import type { Store } from './gpu.ts'
import type { PoolPort, PoolStart, WorkerHost } from './host.ts'
import type { ToPage, ToWorker } from './protocol.ts'
import { serve } from './serve.ts'

/** The worker's global scope, as far as it is used here. */
const scope = globalThis as unknown as {
  postMessage(message: ToPage, transfer: Transferable[]): void
  onmessage: (event: MessageEvent<ToWorker>) => void
  crossOriginIsolated?: boolean
}

const FILES: Record<string, URL> = {
  'simd.wasm': new URL('./simd.wasm', import.meta.url),
  'relaxed.wasm': new URL('./relaxed.wasm', import.meta.url),
  'simd-threads.wasm': new URL('./simd-threads.wasm', import.meta.url),
  'relaxed-threads.wasm': new URL('./relaxed-threads.wasm', import.meta.url),
  'gpu.wasm': new URL('./gpu.wasm', import.meta.url),
}

async function compile(file: string): Promise<WebAssembly.Module> {
  try {
    const response = await fetch(FILES[file]!)
    if (!response.ok)
      throw new Error(`${response.status} ${response.statusText}`)
    // Streaming needs the type application/wasm, which not every server sends.
    return response.headers.get('content-type')?.startsWith('application/wasm')
      ? await WebAssembly.compileStreaming(response)
      : await WebAssembly.compile(await response.arrayBuffer())
  } catch (cause) {
    throw new IngleError('ERR_NETWORK', `the engine's file ${FILES[file]!.href} cannot be loaded: ${String(cause)}`, { cause })
  }
}

function startPoolWorker(): PoolPort {
  const worker = new Worker(new URL('./pool_worker.js', import.meta.url), { type: 'module' })
  return {
    post: (start: PoolStart) => worker.postMessage(start),
    listen(onReady, onFailure) {
      worker.onmessage = onReady
      worker.onerror = event => onFailure(event.message)
    },
    terminate: () => worker.terminate(),
  }
}

/** A message to itself comes back after those that wait already. */
const { port1, port2 } = new MessageChannel()
function breathe(): Promise<void> {
  return new Promise(resolve => {
    port1.onmessage = () => resolve()
    port2.postMessage(0)
  })
}

/** Up to eight, and beyond two cores one is left for the page. */
function usualThreads(): number {
  const cores = navigator.hardwareConcurrency || 1
  return cores <= 2 ? cores : Math.min(8, cores - 1)
}

/** WebGPU and `caches` are there for the same pages; some have no storage all the same. */
const place = (name: string) => `/ingle/gpu/${encodeURIComponent(name)}`
const store: Store = {
  read: async name => (await caches.match(place(name)))?.arrayBuffer(),
  write: async (name, bytes) => (await caches.open('ingle')).put(place(name), new Response(bytes)),
}

const host: WorkerHost = {
  post: (message, transfer = []) => scope.postMessage(message, transfer),
  listen(onMessage) {
    scope.onmessage = event => onMessage(event.data)
  },
  compile,
  startPoolWorker,
  openPath: path => Promise.reject(new IngleError('ERR_USAGE', `${path}: a page has no paths`)),
  gpu: async () => navigator.gpu as GPU | undefined,
  store,
  breathe,
  isolated: scope.crossOriginIsolated === true,
  threads: usualThreads(),
  processors: navigator.hardwareConcurrency || 1,
}

serve(host)
