// wllama 2.3.1 in a page. Its token-level calls are measured: text, sampling and answers cost it
// nothing here.
import { Wllama } from '/wllama2/index.js'
import { letters } from '/page/letters.mjs'

const quiet = { debug() {}, log() {}, warn: console.warn, error: console.error }

async function open({ url, threads }) {
  const wllama = new Wllama({
    'single-thread/wllama.wasm': '/wllama2/single-thread/wllama.wasm',
    'multi-thread/wllama.wasm': '/wllama2/multi-thread/wllama.wasm',
  }, { logger: quiet, suppressNativeLog: true })
  const blob = await (await fetch(url)).blob() // its own storage of models would only cost it time
  await wllama.loadModel([blob], { n_threads: threads, n_ctx: 1024, n_batch: 512 })
  if (threads > 1 && !wllama.isMultithread())
    throw new Error('wllama runs on one thread')
  return wllama
}

export async function speed(job) {
  const wllama = await open(job)
  const rates = {}
  const add = (test, n, start) => (rates[test] ??= []).push(n / (performance.now() - start) * 1000)
  const ids = n => Array.from({ length: n }, (_, i) => 300 + (i * 7919) % 150)
  const prompt = async n => {
    await wllama.kvClear()
    const start = performance.now()
    await wllama.decode(ids(n), {})
    return start
  }
  const generate = async n => {
    for (let i = 0; i < n; i++)
      await wllama.decode([300 + i], {})
  }
  await prompt(128)
  await generate(16)
  for (let r = 0; r < job.repetitions; r++) {
    add('pp128', 128, await prompt(128))
    const start = performance.now()
    await generate(job.generate)
    add(`tg${job.generate}`, job.generate, start)
    for (const n of job.prompts.filter(n => n !== 128))
      add(`pp${n}`, n, await prompt(n))
  }
  await wllama.exit()
  return { rates, detail: 'simd' }
}

export async function first(job) {
  const start = performance.now()
  const wllama = await open(job)
  const loaded = performance.now()
  let end = 0
  await wllama.createCompletion(letters(30), { nPredict: 1, sampling: { temp: 0 }, onNewToken: () => end ||= performance.now() })
  const promptTokens = (await wllama.tokenize(letters(30))).length
  await wllama.exit()
  return { ms: end - start, loadMs: loaded - start, promptTokens }
}
