// What users of the package see. Names follow the platform and, for sampling, the OpenAI API.
import type { Answer } from './answer.ts'

/** Where a model comes from. A string is an address, `hf:user/repo[:file-or-quant]` or, in Node, a path. */
export type Source =
  | string | URL | Blob | ArrayBuffer | ArrayBufferView | ReadableStream<Uint8Array>
  | FileSystemFileHandle | RemoteFile

export interface RemoteFile {
  url: string | URL
  /** 64 hex digits; the bytes are checked against it while they arrive. */
  sha256?: string
  /** Bytes; lets a model that cannot fit be refused before anything is fetched. */
  size?: number
}

/** How the WebAssembly core was built. */
export type Build = 'simd' | 'relaxed' | 'simd+threads' | 'relaxed+threads' | 'gpu'

export type KvType = 'f16' | 'q8_0' | 'q4_0'

export interface LoadOptions {
  /** 'gpu' fails with ERR_DEVICE where there is no GPU backend. Default 'auto'. */
  backend?: 'auto' | 'gpu' | 'cpu'
  /** Tokens; default the model's trained length, at most 4096. */
  contextSize?: number
  /** How the KV cache is stored. Default 'f16'. */
  kvType?: KvType
  /** Workers that compute, the leading one included. Default 'auto'. */
  threads?: number | 'auto'
  /** Forces a build of the core; ERR_DEVICE where it cannot run. Default the fastest that runs. */
  build?: Build
  /** What GPU kernels may use, of "int8,subgroups,f16", or "f32": for tests. Default all there is. */
  kernels?: string
  signal?: AbortSignal
  onProgress?: (progress: Progress) => void
  /** Warnings, a line each. Default `console.warn`. */
  onWarning?: (line: string) => void
}

export interface Progress {
  phase: 'download' | 'verify' | 'load' | 'compile' | 'ready'
  /** Bytes so far. */
  loaded: number
  /** Bytes in all; 0 = not known yet. */
  total: number
  bytesPerSecond: number
  /** 0 = not known. */
  secondsLeft: number
}

/** What a model is. `null` = the file does not say. */
export interface ModelInfo {
  name: string | null
  architecture: string | null
  licence: string | null
  /** Format of most weights, "Q4_K_M". */
  fileType: string | null
  tokenizer: string | null
  /** Jinja source. */
  chatTemplate: string | null
  /** Values in all tensors. */
  parameters: number
  /** Bytes of all tensors. */
  sizeBytes: number
  /** Tokens it was trained for. */
  contextLength: number
  vocabSize: number
  nLayers: number
  nHeads: number
  nKvHeads: number
  dModel: number
  dHead: number
  dFf: number
  /** Token ids; -1 = none. */
  bos: number
  eos: number
}

/** What a model runs on. */
export interface Device {
  backend: 'gpu' | 'cpu'
  build: Build
  threads: number
  /** Name of the GPU adapter. */
  adapter: string | null
  features: string[]
  /** Why it is not something faster; empty if it is the fastest there is. */
  why: string
  /** Tokens that the context holds. */
  contextSize: number
  /** Bytes: weights, KV cache at the full context, activations. */
  memory: { weightBytes: number, kvBytes: number, scratchBytes: number }
}

export interface Message {
  role: string
  content: unknown
  [key: string]: unknown
}

/** How tokens are chosen. What is left out has llama.cpp's default. */
export interface Sampling {
  /** 0 = always the most probable token. Default 0.8. */
  temperature?: number
  topK?: number
  topP?: number
  minP?: number
  typicalP?: number
  repeatPenalty?: number
  /** Tokens looked back on; -1 = all. */
  repeatLastN?: number
  presencePenalty?: number
  frequencyPenalty?: number
  /** Same seed, same text. Default another one each time. */
  seed?: number
  /** Added to a token's logit; -Infinity forbids it. */
  logitBias?: Record<number, number>
}

export interface GenerateOptions extends Sampling {
  /** Tokens; default until the context is full. */
  maxTokens?: number
  /** The answer ends before the first of these. */
  stop?: string | string[]
  /** End tokens are forbidden. */
  ignoreEos?: boolean
  /** Control tokens appear in the text. */
  special?: boolean
  signal?: AbortSignal
}

export interface TemplateOptions {
  tools?: unknown[]
  /** Default true. */
  addGenerationPrompt?: boolean
  /** Further variables for the template. */
  variables?: Record<string, unknown>
}

export interface ChatOptions extends GenerateOptions, TemplateOptions {}

/** A piece of an answer. */
export interface Part {
  text: string
  /** Ids of the tokens chosen since the part before. */
  tokens: number[]
}

export type Stop = 'eos' | 'stop' | 'length' | 'cancel'

export interface Timings {
  promptMs: number
  /** Tokens a second. */
  promptPerSecond: number
  /** From the first token to the last. */
  generateMs: number
  generatePerSecond: number
  /** From the start of the work to the first token. */
  firstTokenMs: number
}

export interface Result {
  text: string
  /** Ids of the tokens chosen, the end token left out. */
  tokens: number[]
  /** How many tokens the prompt has. */
  promptTokens: number
  /** How many of these were on the timeline already. */
  reusedTokens: number
  stop: Stop
  timings: Timings
}

export interface BenchOptions {
  /** Lengths of prompts, in tokens. */
  prompt?: number[]
  /** Numbers of tokens to generate. */
  generate?: number[]
  /** Tokens on the timeline before those that are generated. Default 1; on a GPU only. */
  depth?: number
  threads?: number[]
  repetitions?: number
  signal?: AbortSignal
}

export interface BenchRow {
  /** "pp128": a prompt of 128 tokens; "tg64": 64 tokens generated. */
  test: string
  threads: number
  per_s_median: number
  per_s_best: number
  /** GB of weights read a second; null for prompts. */
  gbps: number | null
  backend: string
  /** Of a token that is generated on a GPU: microseconds of script and of the GPU, by its own clock, compute passes and
   * dispatches; the last three where it has a clock. */
  script_us?: number
  gpu_us?: number
  passes?: number
  dispatches?: number
}

export interface CheckOptions {
  backend?: 'auto' | 'gpu' | 'cpu'
  contextSize?: number
  kvType?: KvType
  signal?: AbortSignal
}

export interface Check {
  fits: 'yes' | 'slow' | 'no'
  why: string
  /** Bytes. */
  weightBytes: number
  kvBytes: number
  /** Bytes that a stored copy would take. */
  storageBytes: number
  architecture: string | null
  device: 'gpu' | 'cpu'
}

/** What a model and a session have in common: they answer. */
export interface Answering {
  chat(messages: Message[], options?: ChatOptions): Answer
  generate(prompt: string | ArrayLike<number>, options?: GenerateOptions): Answer
}
