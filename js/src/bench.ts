// model.bench in the worker: the same tests, tokens and rows as `ingle bench --json`.
import type { Engine, SessionOptions } from './engine.ts'
import { IngleError } from './errors.ts'
import { gpuWork } from './gpu_clock.ts'
import type { Request } from './protocol.ts'
import type { BenchRow } from './types.ts'
import type { Pool } from './cpu.ts'

type BenchRequest = Extract<Request, { op: 'bench' }>

interface Job {
  isCancelled(): boolean
  breathe(): Promise<void>
}

/** Random tokens, the same in every run. */
function tokens(n: number, nVocab: number): Int32Array {
  let x = 1
  return Int32Array.from({ length: n }, () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    return (x >>> 8) % nVocab
  })
}

function refuseCancelled(job: Job): void {
  if (job.isCancelled())
    throw new IngleError('ERR_CANCELLED', 'stopped on request')
}

/** Milliseconds of n tokens after the first, chosen on the GPU, and those within the engine. */
async function measureGeneration(
  engine: Engine, session: number, prompt: Int32Array, n: number, job: Job,
): Promise<{ ms: number, inside: number }> {
  engine.call('wasm_session_truncate', session, 0)
  const settings = [0, ...Array<number>(9).fill(NaN), n + 1, 1] // greedy, so many tokens, end tokens forbidden
  const generation = await engine.openGeneration(session, prompt, settings, [], [])
  try {
    let start = 0, inside = 0
    for (let i = 0; i <= n;) {
      const before = performance.now()
      const step = engine.next(generation)
      const now = performance.now()
      if (i > 0)
        inside += now - before
      if (!step) {
        await engine.again() // messages are taken meanwhile
        refuseCancelled(job)
      } else if (i++ === 0) {
        start = now
      }
    }
    return { ms: performance.now() - start, inside }
  } finally {
    engine.call('wasm_generation_close', generation)
  }
}

/** Microseconds of the GPU for a token among n, by its own clock, passes and dispatches: what more tokens than one take. */
async function measureGpu(engine: Engine, session: number, prompt: Int32Array, n: number, job: Job): Promise<Partial<BenchRow>> {
  const device = engine.core.gpu?.device
  if (!device?.features.has('timestamp-query') || n < 2)
    return {}
  const [some, one] = [
    await gpuWork(device, () => measureGeneration(engine, session, prompt, n, job)),
    await gpuWork(device, () => measureGeneration(engine, session, prompt, 1, job)),
  ]
  const each = (what: 'ns' | 'passes' | 'dispatches') => (some[what] - one[what]) / (n - 1)
  return { gpu_us: each('ns') / 1000, passes: each('passes'), dispatches: each('dispatches') }
}

/** Milliseconds of one run. */
async function measure(engine: Engine, session: number, ids: Int32Array, oneByOne: boolean, job: Job): Promise<number> {
  engine.call('wasm_session_truncate', session, 0)
  let ms = 0
  const append = (part: Int32Array) => engine.lendIds(part, async (at, n) => {
    const start = performance.now()
    await engine.runAnswered('wasm_session_append', session, at, n)
    await engine.runAnswered('wasm_session_finish', session)
    ms += performance.now() - start
  })
  for (let i = 0; i < ids.length; i += oneByOne ? 1 : ids.length) {
    await append(oneByOne ? ids.subarray(i, i + 1) : ids)
    if (i % 16 === 0)
      await job.breathe()
    refuseCancelled(job)
  }
  return ms
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

function row(test: string, threads: number, rates: number[], weights: number | null, backend: string): BenchRow {
  const rate = median(rates)
  return {
    test, threads, per_s_median: rate, per_s_best: Math.max(...rates), gbps: weights === null ? null : weights * rate * 1e-9, backend,
  }
}

export async function bench(
  engine: Engine, pool: Pool | undefined, model: number, nVocab: number, options: SessionOptions, request: BenchRequest, job: Job,
  gpuSession?: number,
): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  const longest = Math.max(1, ...request.prompt, ...request.generate) + request.depth + 1 // a GPU draws one more
  const ids = tokens(longest, nVocab)
  for (const threads of request.threads) {
    const held = await pool?.hold(threads - 1) ?? 0
    const o = { ...options, threads, contextSize: longest }
    let session = 0
    try {
      const { weights } = engine.sessionMemory(model, o)
      session = gpuSession ?? engine.openSession(model, o) // a GPU has one session
      const backend = engine.text('wasm_session_backend', session)
      const tests = [...request.prompt.map(n => ({ n, one: false })), ...request.generate.map(n => ({ n, one: true }))]
      for (const { n, one } of tests) {
        const rates: number[] = [], inside: number[] = []
        const prompt = ids.subarray(0, request.depth || 1)
        const chosenThere = one && backend.startsWith('gpu')
        for (let i = 0; i <= request.repetitions; i++) {
          const run = chosenThere
            ? await measureGeneration(engine, session, prompt, n, job)
            : { ms: await measure(engine, session, ids.subarray(0, n), one, job), inside: 0 }
          if (i > 0) { // the first warms caches and lets the engine compile for speed
            rates.push(n / run.ms * 1000)
            inside.push(run.inside / n * 1000)
          }
        }
        rows.push({
          ...row(`${one ? 'tg' : 'pp'}${n}`, held + 1, rates, one ? weights : null, backend),
          ...chosenThere && { script_us: median(inside), ...await measureGpu(engine, session, prompt, n, job) },
        })
      }
    } finally {
      engine.call(gpuSession ? 'wasm_session_truncate' : 'wasm_session_close', session, 0)
      pool?.release(held)
    }
  }
  return rows
}
