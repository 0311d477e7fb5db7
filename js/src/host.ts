// What the package needs of its platform: one implementation for the web, one for Node.
import type { Store } from './gpu.ts'
import type { ToPage, ToWorker, WireSource } from './protocol.ts'

/** The page's end of a worker. */
export interface WorkerPort {
  post(message: ToWorker, transfer?: ArrayBuffer[]): void
  /** Once, right after the start. onFailure: the worker itself broke. */
  listen(onMessage: (message: ToPage) => void, onFailure: (why: string) => void): void
  /** While true, the worker keeps the process alive. */
  keepAlive(on: boolean): void
  terminate(): Promise<void>
}

export interface Host {
  startWorker(): WorkerPort
  /** What a path or an address means here. */
  resolve(name: string | URL): WireSource
  /** Can a Blob be posted to a worker? */
  blobsTravel: boolean
  /** The first n bytes of a file and its size. */
  readHead(path: string, n: number): Promise<{ bytes: Uint8Array, size: number }>
  /** Bytes of memory that this machine has, as far as it tells; 0 = it does not. */
  machineMemory(): number
  /** The platform's WebGPU, as WorkerHost has it. */
  gpu(wanted: boolean): Promise<GPU | undefined>
}

/** A started pool worker, seen from the engine's worker. */
export interface PoolPort {
  post(message: PoolStart): void
  listen(onReady: () => void, onFailure: (why: string) => void): void
  terminate(): void
}

export interface PoolStart {
  module: WebAssembly.Module
  memory: WebAssembly.Memory
  /** Top of this worker's stack. */
  stack: number
  slot: number
}

/** What the engine's worker needs of its platform. */
export interface WorkerHost {
  post(message: ToPage, transfer?: ArrayBuffer[]): void
  listen(onMessage: (message: ToWorker) => void): void
  /** Compiles a build's file, which lies beside the worker's. */
  compile(file: string): Promise<WebAssembly.Module>
  startPoolWorker(): PoolPort
  openPath(path: string): Promise<ByteStream>
  /** The platform's WebGPU, if there is one; wanted: it was asked for by name. */
  gpu(wanted: boolean): Promise<GPU | undefined>
  store: Store
  /** Lets messages that wait be taken. */
  breathe(): Promise<void>
  /** May memory be shared between workers? */
  isolated: boolean
  /** Workers that make sense when nobody says how many. */
  threads: number
  /** Hardware threads, as far as the system tells. */
  processors: number
}

export interface ByteStream {
  /** Bytes in all; 0 = not known. */
  total: number
  /** Does reading it take the network? */
  remote: boolean
  /** The next bytes, of any length, there until the next call; null at the end. */
  next(): Promise<Uint8Array | null>
  cancel(): void
}
