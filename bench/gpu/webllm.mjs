// WebLLM 0.2.79; npm's lib folder is PEERS/webllm, the model's library PEERS/lib/<job.lib>.wasm (the last version whose
// libraries come with the names of their weights: 0.2.80 and later need others). The model is a folder.
import * as webllm from '/peer/webllm/index.js'
import { clockOf, letters, measure } from './peer.mjs'

// Everything straight from the server, as for the other engines: nothing is kept from before.
const uncached = {
  add: async () => {}, keys: async () => [], delete: async () => {},
  async match(request) {
    const get = () => fetch(request.url ?? request) // only once it is read
    return { json: async () => (await get()).json(), arrayBuffer: async () => (await get()).arrayBuffer() }
  },
}
Object.defineProperty(globalThis, 'caches', { configurable: true, value: { open: async () => uncached } })

await measure(async job => {
  const here = path => new URL(path, location.href).href
  const record = {
    model: here(`/model/${job.model}`), model_id: 'model', model_lib: here(`/peer/lib/${job.lib}.wasm`),
    overrides: { context_window_size: job.context ?? 4096 },
  }
  const engine = new webllm.MLCEngine({ logLevel: 'WARN', appConfig: { model_list: [record] } })
  await engine.reload('model')

  async function answer(n, k, s) {
    const times = []
    let usage
    const start = performance.now()
    const parts = await engine.completions.create({
      prompt: letters(n, s), max_tokens: k, ignore_eos: true, stream: true, temperature: 0, stream_options: { include_usage: true },
    })
    for await (const part of parts) {
      if (part.usage)
        usage = part.usage
      else
        times.push(performance.now())
    }
    // completion_tokens leaves out the first, which comes with the prompt.
    const { prompt_tokens: promptTokens, completion_tokens: decoded, extra } = usage
    return {
      promptTokens, tokens: decoded + 1, promptPerSecond: extra.prefill_tokens_per_s, perSecond: extra.decode_tokens_per_s,
      clock: clockOf(start, promptTokens, times, decoded + 1),
    }
  }
  return { answer, about: { version: '0.2.79', lib: job.lib } }
})
