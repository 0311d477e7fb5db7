// Node's host on the caller's side: a worker thread, paths, file: addresses.
import { open } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { openDawn } from './dawn.ts'
import type { Host, WorkerPort } from './host.ts'
import { IngleError } from './errors.ts'
import type { ToPage, WireSource } from './protocol.ts'

function startWorker(): WorkerPort {
  const worker = new Worker(new URL('./worker_node.js', import.meta.url), { execArgv: [] })
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    listen(onMessage, onFailure) {
      worker.on('message', (message: ToPage) => onMessage(message))
      worker.on('error', error => onFailure(String(error)))
      worker.on('messageerror', error => onFailure(String(error)))
    },
    keepAlive(on) {
      if (on)
        worker.ref()
      else
        worker.unref()
    },
    async terminate() {
      await worker.terminate()
    },
  }
}

function resolve(name: string | URL): WireSource {
  const text = String(name)
  if (text.startsWith('file:'))
    return { kind: 'path', path: fileURLToPath(text) }
  // Two letters at least: "C:\models" is a path.
  return /^[a-z][a-z0-9+.-]+:/i.test(text) ? { kind: 'url', url: text } : { kind: 'path', path: text }
}

async function readHead(path: string, n: number): Promise<{ bytes: Uint8Array, size: number }> {
  try {
    await using file = await open(path)
    const { size } = await file.stat()
    const bytes = new Uint8Array(Math.min(n, size))
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
    return { bytes: bytes.subarray(0, bytesRead), size }
  } catch (cause) {
    throw new IngleError('ERR_IO', `${path} cannot be read: ${String(cause)}`, { cause })
  }
}

export const nodeHost: Host = { startWorker, resolve, blobsTravel: false, readHead, machineMemory: totalmem, gpu: openDawn }
