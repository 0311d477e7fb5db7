// A worker that computes beside the engine's, on the same memory. Its one message starts it.
import { parentPort } from 'node:worker_threads'
import type { PoolStart } from './host.ts'
import { runPoolWorker } from './wasm.ts'

parentPort!.once('message', (start: PoolStart) => {
  runPoolWorker(start, () => parentPort!.postMessage('ready'))
})
