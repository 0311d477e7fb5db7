// The engine's worker in Node.
import { mkdir, open, readFile, rename, writeFile } from 'node:fs/promises'
import { availableParallelism, homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { parentPort, Worker } from 'node:worker_threads'
import { openDawn } from './dawn.ts'
import { IngleError } from './errors.ts'
import type { Store } from './gpu.ts'
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

const place = (name: string) =>
  join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'ingle', `gpu-node-${encodeURIComponent(name)}`)
const store: Store = {
  read: async name => new Uint8Array(await readFile(place(name))).buffer,
  async write(name, bytes) {
    await mkdir(dirname(place(name)), { recursive: true })
    await writeFile(`${place(name)}.${process.pid}`, bytes)
    await rename(`${place(name)}.${process.pid}`, place(name))
  },
}

serve({
  post: (message, transfer = []) => parentPort!.postMessage(message, transfer),
  listen: onMessage => void parentPort!.on('message', (message: ToWorker) => onMessage(message)),
  compile: async file => WebAssembly.compile(await readFile(new URL(`./${file}`, import.meta.url))),
  startPoolWorker,
  openPath,
  gpu: openDawn,
  store,
  breathe: () => new Promise(resolve => setImmediate(resolve)),
  isolated: true,
  threads: Math.min(16, availableParallelism()),
  processors: availableParallelism(),
})
