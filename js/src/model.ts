// A loaded model and its sessions, as the page sees them. All work is the worker's.
import { answer, type Answer } from './answer.ts'
import type { Channel } from './channel.ts'
import { IngleError } from './errors.ts'
import { ADD_SPECIAL, PARSE_SPECIAL, type WirePrompt } from './protocol.ts'
import type {
  Answering, BenchOptions, BenchRow, ChatOptions, Device, GenerateOptions, Message, ModelInfo, TemplateOptions,
} from './types.ts'

/** What the chat template reads, as JSON. */
function templateContext(messages: Message[], options: TemplateOptions): string {
  if (!Array.isArray(messages) || messages.some(m => typeof m !== 'object' || m === null || typeof m.role !== 'string'))
    throw new IngleError('ERR_USAGE', 'messages: a list of { role, content } is expected')
  try {
    return JSON.stringify({
      ...options.variables,
      messages,
      ...options.tools ? { tools: options.tools } : {},
      add_generation_prompt: options.addGenerationPrompt ?? true,
    })
  } catch (cause) {
    throw new IngleError('ERR_USAGE', `messages cannot be written as JSON: ${String(cause)}`, { cause })
  }
}

function textOf(name: string, value: unknown): string {
  if (typeof value !== 'string')
    throw new IngleError('ERR_USAGE', `${name}: a text is expected, not ${value === null ? 'null' : typeof value}`)
  return value
}

function promptOf(prompt: unknown): WirePrompt {
  if (typeof prompt === 'string')
    return { text: prompt }
  const ids = typeof prompt === 'object' && prompt !== null && 'length' in prompt ? Array.from(prompt as ArrayLike<unknown>) : []
  if (!ids.length || ids.some(id => !Number.isInteger(id) || (id as number) < 0 || (id as number) >= 2 ** 31))
    throw new IngleError('ERR_USAGE', 'prompt: a text or a list of token ids is expected')
  return { ids: Int32Array.from(ids as number[]) }
}

/** One timeline of tokens over a model. Answers reuse what their prompt has in common with it. */
export class Session implements Answering, AsyncDisposable {
  readonly #channel: Channel
  readonly #id: number

  /** @internal */
  constructor(channel: Channel, id: number) {
    this.#channel = channel
    this.#id = id
  }

  /** Answers a conversation: the messages are the whole timeline. */
  chat(messages: Message[], options: ChatOptions = {}): Answer {
    return answer(this.#channel, this.#id, options, () => ({ chat: templateContext(messages, options) }))
  }

  /** Goes on from a plain text, or from token ids as they are. */
  generate(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): Answer {
    return answer(this.#channel, this.#id, options, () => promptOf(prompt))
  }

  /** Not in this version. */
  async save(): Promise<Uint8Array> {
    throw new IngleError('ERR_UNSUPPORTED', 'sessions cannot be saved yet')
  }

  async dispose(): Promise<void> {
    await this.#channel.request<'closeSession'>({ op: 'closeSession', session: this.#id })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }
}

/** A loaded model. Calls that compute wait for each other; none of them blocks the page. */
export class Model implements Answering, AsyncDisposable {
  readonly info: ModelInfo
  readonly device: Device
  readonly #channel: Channel
  readonly #own: Session

  /** @internal */
  constructor(channel: Channel, info: ModelInfo, device: Device) {
    this.#channel = channel
    this.#own = new Session(channel, 0)
    this.info = info
    this.device = device
  }

  /** Answers a conversation through the model's chat template. */
  chat(messages: Message[], options?: ChatOptions): Answer {
    return this.#own.chat(messages, options)
  }

  /** Goes on from a plain text, or from token ids as they are. */
  generate(prompt: string | ArrayLike<number>, options?: GenerateOptions): Answer {
    return this.#own.generate(prompt, options)
  }

  /** special: add the beginning and end tokens the vocabulary asks for (default true);
   * parseSpecial: text such as <|im_end|> becomes its control token (default false). */
  async tokenize(text: string, options: { special?: boolean, parseSpecial?: boolean } = {}): Promise<Uint32Array> {
    const flags = (options.special ?? true ? ADD_SPECIAL : 0) | (options.parseSpecial ? PARSE_SPECIAL : 0)
    return this.#channel.request<'tokenize'>({ op: 'tokenize', text: textOf('text', text), flags })
  }

  /** special: control tokens are written out (default false). */
  async detokenize(ids: ArrayLike<number>, options: { special?: boolean } = {}): Promise<string> {
    const flags = options.special ? PARSE_SPECIAL : 0
    return this.#channel.request<'detokenize'>({ op: 'detokenize', ids: Int32Array.from(ids), flags })
  }

  /** The prompt that the model's chat template makes of messages. */
  async applyTemplate(messages: Message[], options: TemplateOptions = {}): Promise<string> {
    return this.#channel.request<'template'>({ op: 'template', context: templateContext(messages, options) })
  }

  /** Not in this version. */
  async embed(_texts: string[]): Promise<Float32Array[]> {
    throw new IngleError('ERR_UNSUPPORTED', 'embedding models are not supported yet')
  }

  /** Measures speed: each test runs once unmeasured, then `repetitions` times. */
  async bench(options: BenchOptions = {}): Promise<BenchRow[]> {
    const counts = (name: string, list: number[]) => {
      if (!Array.isArray(list) || list.some(n => !Number.isSafeInteger(n) || n < 1 || n > 1 << 20))
        throw new IngleError('ERR_USAGE', `${name}: whole numbers from 1 are expected`)
      return list
    }
    return this.#channel.request<'bench'>({
      op: 'bench',
      prompt: counts('prompt', options.prompt ?? [128]),
      generate: counts('generate', options.generate ?? [64]),
      depth: options.depth ?? 0,
      threads: counts('threads', options.threads ?? [this.device.threads]),
      repetitions: counts('repetitions', [options.repetitions ?? 5])[0]!,
    }, { signal: options.signal })
  }

  /** A timeline of its own, with its own KV cache. */
  async session(saved?: Uint8Array): Promise<Session> {
    if (saved !== undefined)
      throw new IngleError('ERR_UNSUPPORTED', 'sessions cannot be restored yet')
    return new Session(this.#channel, await this.#channel.request<'openSession'>({ op: 'openSession' }))
  }

  /** Ends everything and gives all memory back. What is under way fails with ERR_CANCELLED. */
  async dispose(): Promise<void> {
    await this.#channel.close(new IngleError('ERR_CANCELLED', 'the model was disposed'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }
}
