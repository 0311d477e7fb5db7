// The web's host on the page's side. `new Worker(new URL(...))` stands literally, so that bundlers
// find the worker's file.
import type { Host, WorkerPort } from './host.ts'
import type { ToPage } from './protocol.ts'

function startWorker(): WorkerPort {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    listen(onMessage, onFailure) {
      worker.onmessage = (event: MessageEvent<ToPage>) => onMessage(event.data)
      worker.onerror = event => onFailure(event.message || 'its script could not be loaded')
      worker.onmessageerror = () => onFailure('a message could not be read')
    },
    keepAlive() {},
    async terminate() {
      worker.terminate()
    },
  }
}

export const webHost: Host = {
  startWorker,
  resolve(name) {
    const text = String(name)
    const base = typeof document === 'object' ? document.baseURI : globalThis.location.href
    return { kind: 'url', url: new URL(text, base).href }
  },
  blobsTravel: true,
  readHead: () => Promise.reject(new TypeError('a page has no paths')),
  machineMemory: () => ((navigator as { deviceMemory?: number }).deviceMemory ?? 0) * 2 ** 30,
  gpu: async () => navigator.gpu as GPU | undefined,
}
