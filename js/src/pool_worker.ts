// A worker that computes beside the engine's, on the same memory. Its one message starts it.
import type { PoolStart } from './host.ts'
import { runPoolWorker } from './wasm.ts'

globalThis.onmessage = (event: MessageEvent<PoolStart>) => {
  runPoolWorker(event.data, () => (globalThis.postMessage as (message: unknown) => void)('ready'))
}
