// ingle in a page, through the npm package: text in, text out, times as the package reports them.
import { load } from '/ingle/index.js'
import { letters } from '/page/letters.mjs'

function open({ url, threads, simd }) {
  const build = simd ? { build: threads > 1 ? 'simd+threads' : 'simd' } : {}
  return load(url, { threads, contextSize: 1024, ...build })
}

/** A text of exactly n tokens. */
async function textOf(model, n, s) {
  let count = n
  while ((await model.tokenize(letters(count, s))).length > n)
    count--
  return letters(count, s)
}

let answers = 0

async function answer(model, n, maxTokens) {
  const prompt = await textOf(model, n, answers++)
  const { tokens, promptTokens, reusedTokens, timings } = await model.generate(prompt, { maxTokens, temperature: 0, ignoreEos: true }).result
  if (promptTokens !== n || reusedTokens > 1 || tokens.length !== maxTokens) // 1: a beginning token
    throw new Error(`prompt of ${promptTokens} (${reusedTokens} reused) and ${tokens.length} tokens instead of ${n} and ${maxTokens}`)
  return timings
}

/** { threads, rates: { pp128: [..], .. } } in tokens a second. */
export async function speed(job) {
  const model = await open(job)
  if (model.device.threads !== job.threads)
    throw new Error(`${model.device.threads} threads instead of ${job.threads}: ${model.device.why}`)
  const rates = {}
  const add = (test, rate) => (rates[test] ??= []).push(rate)
  await answer(model, 128, 16)
  for (let r = 0; r < job.repetitions; r++) {
    const { promptPerSecond, generatePerSecond } = await answer(model, 128, job.generate + 1)
    add('pp128', promptPerSecond)
    add(`tg${job.generate}`, generatePerSecond)
    for (const n of job.prompts.filter(n => n !== 128))
      add(`pp${n}`, (await answer(model, n, 1)).promptPerSecond)
  }
  const detail = model.device.build
  await model.dispose()
  return { rates, detail }
}

/** Milliseconds from the call of load() to the first token of a prompt of about 30 tokens. */
export async function first(job) {
  const start = performance.now()
  const model = await open(job)
  const loaded = performance.now()
  const { promptTokens } = await model.generate(letters(30), { maxTokens: 1, temperature: 0, ignoreEos: true }).result
  const end = performance.now()
  await model.dispose()
  return { ms: end - start, loadMs: loaded - start, promptTokens }
}
