// wllama 3.8.1 (llama.cpp's WebGPU backend) on a GGUF file; npm's esm folder is PEERS/wllama. It takes text only and
// reports llama.cpp's own times, which are what is measured: its answers come whole.
import { Wllama } from '/peer/wllama/index.js'
import { letters, measure } from './peer.mjs'

await measure(async job => {
  const told = []
  const note = (...words) => told.push(words.join(' '))
  const wllama = new Wllama({ default: '/peer/wllama/wasm/wllama.wasm' }, { logger: { debug: note, log: note, warn: note, error: note } })
  wllama.setCompat(null) // else its other build comes from another server
  const blob = await (await fetch(`/model/${job.model}`)).blob()
  await wllama.loadModel([blob], {
    n_ctx: job.context ?? 2048, n_batch: 2048, n_parallel: 1, warmup: false,
    ...job.layers === undefined ? {} : { n_gpu_layers: job.layers }, ...job.threads === undefined ? {} : { n_threads: job.threads },
  })

  async function answer(n, k, s) {
    const { timings: t } = await wllama.createCompletion({
      prompt: letters(n, s), max_tokens: k, temperature: 0, ignore_eos: true, cache_prompt: false,
    })
    return {
      promptTokens: t.prompt_n, tokens: t.predicted_n, promptPerSecond: t.prompt_n / t.prompt_ms * 1000,
      perSecond: (t.predicted_n - 1) / t.predicted_ms * 1000,
    }
  }
  // Where the weights are: without shader-f16 it runs on the CPU and gives no error.
  const weights = told.filter(line => line.includes('model buffer size')).map(line => line.trim())
  return { answer, about: { version: Wllama.getLibllamaVersion(), threads: wllama.getNumThreads(), weights } }
})
