// An answer under way: an async iterable of parts, and a promise of the whole.
import type { Channel } from './channel.ts'
import { IngleError } from './errors.ts'
import type { GenerateRequest, WirePrompt } from './protocol.ts'
import type { GenerateOptions, Part, Result } from './types.ts'

/** What `chat` and `generate` return. It runs whether or not somebody reads; it can be read again. */
export class Answer implements AsyncIterable<Part> {
  /** The whole, when it is complete. Rejects with the signal's reason after an abort. */
  readonly result: Promise<Result>
  readonly #parts: Part[] = []
  #finished = false
  #failure: { reason: unknown } | undefined
  #wake: (() => void)[] = []
  readonly #stop: () => void

  /** start sends the request and is handed where parts go; stop ends it with what it has.
   * @internal */
  constructor(start: (onPart: (part: Part) => void) => Promise<Result>, stop: () => void) {
    this.#stop = stop
    this.result = start(part => {
      this.#parts.push(part)
      this.#notify()
    })
    // Who reads the parts hears of a failure there: an unread result must not count as unhandled.
    this.result.then(() => this.#end(), reason => this.#end({ reason }))
  }

  /** Ends the answer after the token that is being made; the result says stop: 'cancel'. */
  cancel(): void {
    this.#stop()
  }

  /** The whole text. */
  async text(): Promise<string> {
    return (await this.result).text
  }

  async * [Symbol.asyncIterator](): AsyncGenerator<Part, void, undefined> {
    let whole = false
    try {
      for (let i = 0; ; i++) {
        while (i >= this.#parts.length && !this.#finished)
          await new Promise<void>(resolve => this.#wake.push(resolve))
        const part = this.#parts[i]
        if (!part)
          break
        yield part
      }
      whole = true
      if (this.#failure)
        throw this.#failure.reason
    } finally {
      if (!whole) // the reader left the loop: nobody wants the rest
        this.cancel()
    }
  }

  #end(failure?: { reason: unknown }): void {
    this.#finished = true
    this.#failure = failure
    this.#notify()
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = []
    for (const resolve of wake)
      resolve()
  }
}

function numberOf(name: string, value: unknown, least: number, whole: boolean): number {
  if (value === undefined)
    return NaN
  if (typeof value !== 'number' || !(value >= least) || (whole && !Number.isSafeInteger(value)))
    throw new IngleError('ERR_USAGE', `${name}: ${whole ? 'a whole number' : 'a number'}${least > -Infinity ? `, at least ${least}` : ''}, is expected, not ${String(value)}`)
  return value
}

/** The options as the core takes them: numbers in its order, NaN for what is left out. */
function settingsOf(o: GenerateOptions): number[] {
  const any = -Infinity
  return [
    numberOf('temperature', o.temperature, 0, false),
    numberOf('topK', o.topK, 0, true),
    numberOf('topP', o.topP, 0, false),
    numberOf('minP', o.minP, 0, false),
    numberOf('typicalP', o.typicalP, 0, false),
    numberOf('repeatPenalty', o.repeatPenalty, 0, false),
    numberOf('repeatLastN', o.repeatLastN, -1, true),
    numberOf('presencePenalty', o.presencePenalty, any, false),
    numberOf('frequencyPenalty', o.frequencyPenalty, any, false),
    o.seed === undefined ? crypto.getRandomValues(new Uint32Array(1))[0]! : numberOf('seed', o.seed, 0, true),
    numberOf('maxTokens', o.maxTokens, 1, true),
    o.ignoreEos ? 1 : 0,
    o.special ? 1 : 0,
  ]
}

function stopsOf(stop: string | string[] | undefined): string[] {
  const stops = stop === undefined ? [] : typeof stop === 'string' ? [stop] : stop
  if (!Array.isArray(stops) || stops.some(s => typeof s !== 'string' || s === '' || s.includes('\0')))
    throw new IngleError('ERR_USAGE', 'stop: a text or a list of texts, none of them empty or with a NUL, is expected')
  return stops
}

function biasOf(bias: Record<number, number> | undefined): number[] {
  return Object.entries(bias ?? {}).flatMap(([id, value]) => {
    if (!/^\d+$/.test(id) || typeof value !== 'number' || Number.isNaN(value))
      throw new IngleError('ERR_USAGE', `logitBias: token ids with numbers are expected, not ${id}: ${String(value)}`)
    return [Number(id), value]
  })
}

/** Starts an answer on a session. prompt is called within, so that what it throws becomes the failure.
 * @internal */
export function answer(channel: Channel, session: number, options: GenerateOptions, prompt: () => WirePrompt): Answer {
  let id = 0
  return new Answer(async onPart => {
    const request: GenerateRequest = {
      op: 'generate', session, prompt: prompt(),
      settings: settingsOf(options), stops: stopsOf(options.stop), bias: biasOf(options.logitBias),
    }
    return channel.request<'generate'>(request, { signal: options.signal, onPart, onId: given => id = given })
  }, () => channel.cancel(id))
}
