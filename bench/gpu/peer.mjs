// Measures another engine as page.mjs does ingle, and posts rows with the same names. An engine's module (wllama.mjs,
// webllm.mjs, transformers.mjs) opens the model and says how one answer went:
//
//     answer(n, k, s): greedily k tokens after a prompt of n, which begins otherwise for another s
//         -> { promptTokens, tokens, promptPerSecond, perSecond, clock: { promptPerSecond, perSecond } }
//
// The rates are the engine's own where it has any: those leave out what the page and its messages cost. clock: by the
// page's clock from the call to the first token, and from the first token to the last.
const job = JSON.parse(new URL(location.href).searchParams.get('job'))
const post = row => fetch('/result', { method: 'POST', body: JSON.stringify(row) })
const sorted = rates => rates.sort((a, b) => a - b)
const medianOf = rates => sorted(rates)[rates.length >> 1]

/** Letters, a token each in the vocabularies used here. */
export function letters(n, s = 0) {
  return Array.from({ length: n }, (_, i) => 'bcdefghjkl'[(i * 7 + s) % 10]).join(' ')
}

/** How an answer went by its pieces' times; start: when it was asked for. */
export function clockOf(start, promptTokens, times, tokens) {
  const [first, last] = [times[0], times.at(-1)]
  return { promptPerSecond: promptTokens / (first - start) * 1000, perSecond: (tokens - 1) / (last - first) * 1000 }
}

/** Half a second of work, so that the clock of the GPU is up. */
async function warmUp(answer, n) {
  const start = performance.now()
  for (let s = 0; s === 0 || performance.now() - start < 500; s++)
    await answer(n, Math.min(job.generate ?? 128, 16), s)
}

/** A row of the median and best of some answers; rate: which rate of theirs. */
async function repeat(answer, n, k, rate) {
  const runs = []
  for (let i = 0; i < (job.repetitions ?? 3); i++)
    runs.push(await answer(n, k, i + 1))
  const odd = runs.find(r => r.promptTokens !== n || r.tokens !== k)
  if (odd)
    throw new Error(`${odd.promptTokens} + ${odd.tokens} tokens instead of ${n} + ${k}`)
  const rates = runs.map(r => r[rate])
  const clock = runs[0].clock ? { clock_per_s_median: medianOf(runs.map(r => r.clock[rate])) } : {}
  return { per_s_median: medianOf(rates), per_s_best: rates.at(-1), ...clock }
}

/** open(job) -> { answer, about: what is worth knowing of it }. */
export async function measure(open) {
  try {
    const start = performance.now()
    const { answer: answerLetters, about } = await open(job)
    const loaded = performance.now() - start
    // The vocabulary may add a token or two to the letters.
    const extra = (await answerLetters(30, 1, 0)).promptTokens - 30
    const cold = performance.now() - start
    await post({ what: 'first token', loaded, cold, ...about })
    const answer = (n, k, s) => answerLetters(n - extra, k, s)
    const generate = job.generate ?? 128
    for (const depth of job.depths ?? [128]) {
      await warmUp(answer, depth)
      await post({ what: 'mark' })
      const row = await repeat(answer, depth, generate + 1, 'perSecond') // the first comes with the prompt
      await post({ what: 'decode', depth, test: `tg${generate}`, ...row })
    }
    for (const n of job.prompt ?? [512]) {
      await warmUp(answer, n)
      await post({ what: 'prompt', test: `pp${n}`, ...await repeat(answer, n, 2, 'promptPerSecond') })
    }
    await post({ what: 'end' })
  } catch (error) {
    await post({ what: 'end', error: String(error?.stack ?? error).slice(0, 1000) })
  }
}
