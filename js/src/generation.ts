// One answer in the worker: prompt in slices, tokens in batches, a look at messages in between.
import type { Engine } from './engine.ts'
import { IngleError } from './errors.ts'
import type { GenerateRequest } from './protocol.ts'
import type { Part, Result, Stop } from './types.ts'

/** Prompt tokens computed before the first look at messages; then as many as SLICE_MS allows. */
const SLICE_FIRST = 128
const SLICE_LEAST = 32
const SLICE_MS = 300
/** Messages are looked at this often, at most once a token. */
const BREATHE_MS = 4
/** Parts are posted this often: about once a frame. */
const POST_MS = 16

const STOPS: Record<number, Stop> = { 1: 'eos', 2: 'stop', 3: 'length', 4: 'cancel' }

export interface Job {
  isCancelled(): boolean
  breathe(): Promise<void>
  part(part: Part): void
}

function commonLength(a: Int32Array, b: Int32Array): number {
  let n = 0
  while (n < a.length && n < b.length && a[n] === b[n])
    n++
  return n
}

function timeline(engine: Engine, session: number): Int32Array {
  return engine.call('wasm_session_length', session) > 0 ? engine.ids('wasm_session_ids', session) : new Int32Array()
}

/** Computes the last token again, or one that is dropped: a session that was idle finds out that its GPU went away. */
export async function wake(engine: Engine, session: number): Promise<void> {
  const ids = timeline(engine, session)
  const { length } = ids
  engine.call('wasm_session_truncate', session, Math.max(length - 1, 0))
  await engine.lendIds(length ? ids.subarray(-1) : new Int32Array(1), (at, n) => engine.runAnswered('wasm_session_append', session, at, n))
  engine.call('wasm_session_truncate', session, length)
}

/** Brings the prompt onto the timeline; false when it was cancelled. */
async function prefill(engine: Engine, session: number, ids: Int32Array, job: Job): Promise<boolean> {
  let most = SLICE_FIRST
  for (let done = 0; ;) {
    const start = performance.now()
    const now = await engine.lendIds(ids, (at, n) => engine.runAnswered('wasm_session_prefill', session, at, n, most))
    if (now >= ids.length)
      return true
    const ms = performance.now() - start
    if (now > done && ms > 0)
      most = Math.max(SLICE_LEAST, Math.min(most * 2, Math.round(most * SLICE_MS / ms / SLICE_LEAST) * SLICE_LEAST))
    done = now
    await job.breathe()
    if (job.isCancelled())
      return false
  }
}

class Clock {
  readonly start = performance.now()
  first = 0
  last = 0
  drawn = 0
  promptEnd = 0

  token(): void {
    this.last = performance.now()
    if (this.drawn++ === 0)
      this.first = this.last
  }
}

function resultOf(clock: Clock, text: string, tokens: number[], promptTokens: number, reusedTokens: number, stop: Stop): Result {
  const rate = (n: number, ms: number) => n > 0 && ms > 0 ? n / ms * 1000 : 0
  const promptMs = (clock.promptEnd || performance.now()) - clock.start
  const generateMs = clock.last - clock.first
  return {
    text, tokens, promptTokens, reusedTokens, stop,
    timings: {
      promptMs,
      promptPerSecond: rate(promptTokens - reusedTokens, promptMs),
      generateMs,
      generatePerSecond: rate(clock.drawn - 1, generateMs),
      firstTokenMs: clock.drawn > 0 ? clock.first - clock.start : 0,
    },
  }
}

export async function generate(engine: Engine, model: number, session: number, request: GenerateRequest, job: Job): Promise<Result> {
  const { prompt } = request
  const ids = 'chat' in prompt
    ? engine.withText(prompt.chat, (at, n) => engine.ids('wasm_chat_tokenize', model, at, n))
    : 'ids' in prompt ? prompt.ids
      : engine.withText(prompt.text, (at, n) => engine.ids('wasm_tokenize', model, at, n, 1))
  const context = engine.call('wasm_session_context', session)
  if (ids.length > context) // said before any of it is computed
    throw new IngleError('ERR_CONTEXT_FULL', `the prompt has ${ids.length} tokens; the context holds ${context}`)
  const reused = commonLength(ids, timeline(engine, session))
  const clock = new Clock()
  if (ids.length > 0 && !await prefill(engine, session, ids, job))
    return resultOf(clock, '', [], ids.length, reused, 'cancel')
  const generation = await engine.openGeneration(session, ids, request.settings, request.stops, request.bias)
  clock.promptEnd = performance.now()
  let text = ''
  const tokens: number[] = []
  let part: Part = { text: '', tokens: [] }
  let posted = -Infinity
  let breathed = performance.now()
  let stop: Stop | undefined

  function flush(now: number): void {
    if (part.text || part.tokens.length)
      job.part(part)
    part = { text: '', tokens: [] }
    posted = now
  }

  try {
    while (!stop) {
      const step = engine.next(generation)
      if (!step) { // messages are taken meanwhile
        flush(performance.now())
        await engine.again()
        breathed = performance.now()
        if (job.isCancelled())
          stop = 'cancel'
        continue
      }
      stop = STOPS[step.stop]
      if (step.id >= 0)
        clock.token()
      if (step.id >= 0 && stop !== 'eos') {
        tokens.push(step.id)
        part.tokens.push(step.id)
      }
      text += step.text
      part.text += step.text
      const now = performance.now()
      if (now - posted >= POST_MS || stop)
        flush(now)
      if (!stop && now - breathed >= BREATHE_MS) {
        await job.breathe()
        breathed = performance.now()
        if (job.isCancelled())
          stop = 'cancel'
      }
    }
    flush(0)
  } finally {
    engine.call('wasm_generation_close', generation)
  }
  return resultOf(clock, text, tokens, ids.length, reused, stop)
}
