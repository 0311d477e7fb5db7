// The engine's worker in Node.
import { open, readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { parentPort, Worker } from 'node:worker_threads'
import { IngleError } from './errors.ts'
import type { ByteStream, PoolPort, PoolStart } from './host.ts'
import type { ToWorker } from './protocol.ts'
import { serve } from './serve.ts'

const CHUNK = 4 << 20

async function openPath(path: string): Promise<ByteStream> {
  const failed = (cause: unknown) => new IngleError('ERR_IO', `${path} cannot be read: ${String(cause)}`, { cause })
  const file = await open(path).catch(cause => {
    throw failed(cause)
  })
  const stat = await file.stat()
  if (!stat.isFile()) {
    await file.close()
    throw new IngleError('ERR_IO', `${path} is not a file`)
  }
  const buffer = new Uint8Array(CHUNK)
  return {
    total: stat.size,
    remote: false,
    async next() {
      const { bytesRead } = await file.read(buffer, 0, CHUNK).catch(cause => {
        throw failed(cause)
      })
      if (bytesRead > 0)
        return buffer.subarray(0, bytesRead)
      await file.close()
      return null
    },
    cancel: () => void file.close().catch(() => {}),
  }
}

function startPoolWorker(): PoolPort {
  const worker = new Worker(new URL('./pool_worker_node.js', import.meta.url), { execArgv: [] })
  return {
    post: (start: PoolStart) => worker.postMessage(start),
    listen(onReady, onFailure) {
      worker.on('message', onReady)
      worker.on('error', error => onFailure(String(error)))
    },
    terminate: () => void worker.terminate(),
  }
}

/** Dawn, if the npm package webgpu is installed; it is not looked for unasked. */
async function openDawn(wanted: boolean): Promise<GPU | undefined> {
  if (!wanted)
    return undefined
  const name = 'webgpu' // not a literal, so that no bundler wants it
  const { create, globals } = await import(name).catch(cause => {
    throw new IngleError('ERR_DEVICE', 'a GPU in Node takes the npm package webgpu', { cause })
  }) as { create(options: string[]): GPU, globals: object }
  Object.assign(globalThis, globals)
  dawn = create([])
  return dawn
}

/** Must not be collected while a device lives. */
let dawn: GPU | undefined

serve({
  post: (message, transfer = []) => parentPort!.postMessage(message, transfer),
  listen: onMessage => void parentPort!.on('message', (message: ToWorker) => onMessage(message)),
  compile: async file => WebAssembly.compile(await readFile(new URL(`./${file}`, import.meta.url))),
  startPoolWorker,
  openPath,
  gpu: openDawn,
  breathe: () => new Promise(resolve => setImmediate(resolve)),
  isolated: true,
  threads: Math.min(16, availableParallelism()),
  processors: availableParallelism(),
})
