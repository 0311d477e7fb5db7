// wllama 3.8.1 in a page. It takes text only and reports llama.cpp's own times.
import { Wllama } from '/wllama3/index.js'
import { letters } from '/page/letters.mjs'

const quiet = { debug() {}, log() {}, warn: console.warn, error: console.error }

async function open({ url, threads }) {
  const wllama = new Wllama({ default: '/wllama3/wasm/wllama.wasm' }, { logger: quiet, suppressNativeLog: true })
  wllama.setCompat(null) // else its other build comes from another server
  const blob = await (await fetch(url)).blob()
  await wllama.loadModel([blob], { n_threads: threads, n_gpu_layers: 0, n_ctx: 1024, n_batch: 512, n_parallel: 1, warmup: false })
  if (wllama.getNumThreads() !== threads)
    throw new Error(`wllama runs on ${wllama.getNumThreads()} threads instead of ${threads}`)
  return wllama
}

async function complete(wllama, prompt, n) {
  const { timings } = await wllama.createCompletion({ prompt, max_tokens: n, temperature: 0, ignore_eos: true, cache_prompt: false })
  return timings
}

export async function speed(job) {
  const wllama = await open(job)
  // The vocabulary may add a token or two to the letters.
  const extra = (await complete(wllama, letters(120), 1)).prompt_n - 120
  const textOf = n => letters(n - extra)
  const rates = {}
  const add = (test, rate) => (rates[test] ??= []).push(rate)
  await complete(wllama, textOf(128), 16)
  for (let r = 0; r < job.repetitions; r++) {
    const t = await complete(wllama, textOf(128), job.generate + 1)
    add('pp128', 128 / t.prompt_ms * 1000)
    add(`tg${job.generate}`, (t.predicted_n - 1) / t.predicted_ms * 1000) // the first comes with the prompt
    for (const n of job.prompts.filter(n => n !== 128)) {
      const { prompt_n, prompt_ms } = await complete(wllama, textOf(n), 1)
      if (prompt_n !== n)
        throw new Error(`a prompt of ${prompt_n} tokens instead of ${n}`)
      add(`pp${n}`, n / prompt_ms * 1000)
    }
  }
  await wllama.exit()
  return { rates, detail: Wllama.getLibllamaVersion() }
}
