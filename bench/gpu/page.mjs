// Measures the package on this browser's GPU and posts what it finds to the server that served it.
// The job comes in the address: { model, prompt, generate, depths, context, kernels, repetitions, memory: bytes to measure
// reading over, visits: how often to load; the first time finds out which kernels are fastest, watchMemory: true, while it
// loads, which takes longer then }. share: of that speed, that weights are read with. answers: a
// file of recorded ones, { greedy: [{ prompt_ids, ids, gaps }] }, to be followed.
import { load } from '/ingle/index.js'
import { readBandwidth } from './bandwidth.mjs'

const job = JSON.parse(new URL(location.href).searchParams.get('job'))
const post = row => fetch('/result', { method: 'POST', body: JSON.stringify(row) })

/** Milliseconds from load() to the first token of a short prompt, and of a second prompt. */
async function firstTokens(visit) {
  await post({ what: 'mark', memory: job.watchMemory })
  const start = performance.now()
  const model = await load(new URL(`/model/${job.model}`, location.href), {
    backend: job.backend ?? 'gpu', contextSize: job.context ?? 4608, ...job.kernels === undefined ? {} : { kernels: job.kernels },
  })
  const loaded = performance.now() - start
  const prompt = Array.from({ length: 30 }, (_, i) => 300 + i)
  const first = await model.generate(prompt, { temperature: 0, maxTokens: 1, ignoreEos: true }).result
  const cold = performance.now() - start
  const again = await model.generate(prompt.map(id => id + 1), { temperature: 0, maxTokens: 1, ignoreEos: true }).result
  await post({ what: 'first token', visit, loaded, cold, warm: again.timings.firstTokenMs, promptMs: first.timings.promptMs, device: model.device })
  return model
}

/** Tokens a second of an answer, as a page that shows it has them: text, messages and all. */
async function answer(model, depth, n) {
  const prompt = Array.from({ length: depth }, (_, i) => 300 + i % 100)
  const rates = []
  for (let i = 0; i < (job.repetitions ?? 5); i++) {
    const times = []
    let tokens = 0
    for await (const part of model.generate(prompt.map(id => id + i), { temperature: 0, maxTokens: n + 1, ignoreEos: true })) {
      tokens += part.tokens.length
      times.push({ at: performance.now(), tokens })
    }
    const [first, last] = [times[0], times.at(-1)]
    rates.push((last.tokens - first.tokens) / (last.at - first.at) * 1000)
  }
  await post({ what: 'answer', depth, test: `tg${n}`, clock_per_s_median: rates.sort((a, b) => a - b)[rates.length >> 1] })
}

/** How many of the recorded tokens are chosen after those before them, by a greedy draw; and which of the others had a rival
 * that came near. answers: [{ prompt_ids, ids, gaps: between the two best logits }]. */
async function follow(model, answers) {
  let chosen = 0
  const missed = []
  for (const { prompt_ids, ids, gaps } of answers)
    for (let at = 0; at < ids.length;) {
      const { tokens, stop } = await model.generate([...prompt_ids, ...ids.slice(0, at)], { temperature: 0, maxTokens: ids.length - at }).result
      const all = stop === 'eos' ? [...tokens, model.info.eos] : tokens
      for (let i = 0, right = true; right && at < ids.length && i < all.length; i++, at++) {
        right = all[i] === ids[at]
        chosen += right
        if (!right)
          missed.push(gaps[at])
      }
    }
  await post({ what: 'answers', chosen, of: answers.reduce((n, { ids }) => n + ids.length, 0), missed })
}

/** Half a second of work, so that the clock of the GPU is up. */
async function warmUp(model) {
  const start = performance.now()
  while (performance.now() - start < 500)
    await model.bench({ prompt: [128], generate: [32], repetitions: 1 })
}

try {
  const bandwidth = await readBandwidth(job.memory)
  await post({ what: 'bandwidth', bytesPerSecond: bandwidth })
  let model = await firstTokens(1)
  for (let visit = 2; visit <= (job.visits ?? 1); visit++) {
    await model.dispose()
    model = await firstTokens(visit)
  }
  if (job.answers)
    await follow(model, (await (await fetch(`/model/${job.answers}`)).json()).greedy)
  await warmUp(model)
  for (const depth of job.depths ?? [128]) {
    await post({ what: 'mark' })
    const rows = await model.bench({ prompt: [1], generate: [job.generate ?? 128], depth, repetitions: job.repetitions ?? 5 })
    const row = rows.find(r => r.test.startsWith('tg'))
    await post({ what: 'decode', depth, ...row, share: row.gbps * 1e9 / bandwidth })
    await answer(model, depth, job.generate ?? 128)
  }
  for (const n of job.prompt ?? [128, 512, 2048]) {
    await warmUp(model)
    const [row] = await model.bench({ prompt: [n], generate: [1], repetitions: job.repetitions ?? 5 })
    await post({ what: 'prompt', ...row })
  }
  await model.dispose()
  await post({ what: 'end' })
} catch (error) {
  await post({ what: 'end', error: `${error.code ?? ''} ${error.message}` })
}
