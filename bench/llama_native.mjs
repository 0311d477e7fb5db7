// One process that times llama.cpp's native CPU backend, through node-llama-cpp, on one file.
//
//     node bench/llama_native.mjs FILE '{"threads":2,"prompts":[128],"generate":64,"repetitions":2}'
//
// Prints {"rates":{"pp128":[..],..}} in tokens a second. Generation follows a prompt of 128 tokens.
import { performance } from 'node:perf_hooks'
import { getLlama } from 'node-llama-cpp'

const [file, text] = process.argv.slice(2)
const { threads, prompts, generate, repetitions } = JSON.parse(text)
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: 0, logLevel: 'error' })
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 })
const context = await model.createContext({
  contextSize: 1024, batchSize: 512, sequences: 1, threads: { ideal: threads, min: threads }, flashAttention: 'auto',
})
const sequence = context.getSequence()
const rates = {}

async function prompt(n) {
  await sequence.clearHistory()
  const start = performance.now()
  await sequence.evaluateWithoutGeneratingNewTokens(Array.from({ length: n }, (_, i) => 300 + (i * 7919) % 150))
  return n / (performance.now() - start) * 1000
}

async function predict(n) {
  let made = 0
  const start = performance.now()
  for await (const _ of sequence.evaluate([300], { temperature: 0, yieldEogToken: true }))
    if (++made >= n)
      break
  if (made !== n)
    throw new Error(`${made} tokens instead of ${n}`)
  return n / (performance.now() - start) * 1000
}

for (let r = 0; r <= repetitions; r++) {
  const add = (test, rate) => r > 0 && (rates[test] ??= []).push(rate) // the first warms caches and clocks
  for (const n of prompts)
    add(`pp${n}`, await prompt(n))
  if (generate) {
    await prompt(128)
    add(`tg${generate}`, await predict(generate))
  }
}
console.log(JSON.stringify({ rates, detail: llama.llamaCppRelease?.release ?? '' }))
process.exit(0) // its threads would keep it alive
