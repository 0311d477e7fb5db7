// Every message between the page and its engine worker, and nothing else. A request carries an id
// that its replies repeat; requests run one at a time, in order. 'cancel' and 'chunk' overtake.
import type { WireError } from './errors.ts'
import type { BenchRow, Build, Device, KvType, ModelInfo, Part, Progress, Result } from './types.ts'

/** A source as it travels. */
export type WireSource =
  | { kind: 'url', url: string, sha256?: string, size?: number }
  | { kind: 'blob', blob: Blob }
  | { kind: 'path', path: string }
  /** The page holds the bytes: the worker asks for each chunk. */
  | { kind: 'pull', size?: number }

export interface LoadRequest {
  op: 'load'
  source: WireSource
  contextSize: number
  kvType: KvType
  /** 0 = choose. */
  threads: number
  build?: Build
  backend: 'auto' | 'gpu' | 'cpu'
  kernels?: string
}

export type WirePrompt =
  | { text: string }
  | { ids: Int32Array }
  /** What the chat template reads, as JSON. */
  | { chat: string }

export interface GenerateRequest {
  op: 'generate'
  session: number
  prompt: WirePrompt
  /** In the core's order; NaN = default. */
  settings: number[]
  stops: string[]
  /** Pairs of token id and bias. */
  bias: number[]
}

export type Request =
  | LoadRequest
  | GenerateRequest
  | { op: 'tokenize', text: string, flags: number }
  | { op: 'detokenize', ids: Int32Array, flags: number }
  | { op: 'template', context: string }
  | { op: 'bench', prompt: number[], generate: number[], depth: number, threads: number[], repetitions: number }
  | { op: 'openSession' }
  | { op: 'closeSession', session: number }

/** What a request's last reply holds. */
export interface Replies {
  load: { info: ModelInfo, device: Device }
  generate: Result
  tokenize: Uint32Array
  detokenize: string
  template: string
  bench: BenchRow[]
  openSession: number
  closeSession: null
}

export type ToWorker =
  | { id: number, request: Request }
  | { id: number, cancel: true }
  /** null = the end; text = why there is no more. */
  | { id: number, chunk: Uint8Array | null | string }

export type ToPage =
  | { id: number, done: Replies[keyof Replies] }
  | { id: number, error: WireError }
  | { id: number, cancelled: true }
  | { id: number, part: Part }
  /** whyCpu: there if the weights go into the core's memory; why not to a GPU, empty if none was asked for. */
  | { id: number, progress: Progress, whyCpu: string | undefined }
  | { id: number, pull: true }
  | { warning: string }

/** Flags of tokenize and detokenize, as in include/ingle.h. */
export const ADD_SPECIAL = 1
export const PARSE_SPECIAL = 2
