// One process that times llama.cpp's native CPU backend, through node-llama-cpp, on one file.
//
//     node bench/llama_native.mjs FILE '{"threads":2,"prompts":[128],"generate":64,"repetitions":2}'
//
// Prints {"rates":{"pp128":[..],..}} in tokens a second, by llama.cpp's own clock: neither JavaScript
// nor sampling counts (15 % of a token here). Generation follows a prompt of 128 tokens ("depth").
// "amx": false hides the build of its backend that uses AMX, so that it takes its next best.
import { cpSync, existsSync } from 'node:fs'
import { register } from 'node:module'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'

const AMX_BUILD = 'libggml-cpu-sapphirerapids.so'
const [file, text] = process.argv.slice(2)
const { threads, prompts, generate, repetitions, amx, depth = 128 } = JSON.parse(text)
if (amx === false)
  await hideAmx()
const { getLlama } = await import('node-llama-cpp')

/** Has node-llama-cpp find a copy of its binaries without one of them. */
async function hideAmx() {
  const copy = fileURLToPath(new URL('../build/bench/llama-without-amx/', import.meta.url))
  const source = fileURLToPath(new URL('node_modules/@node-llama-cpp/linux-x64/bins/', import.meta.url))
  if (!existsSync(copy))
    cpSync(source, copy, { recursive: true, filter: path => basename(path) !== AMX_BUILD })
  const real = await import('@node-llama-cpp/linux-x64')
  const answer = JSON.stringify({ ...real.getBinsDir(), binsDir: copy })
  const stand = `data:text/javascript,${encodeURIComponent(`export const getBinsDir = () => (${answer})`)}`
  const hook = `export const resolve = (name, context, next) => name === '@node-llama-cpp/linux-x64'
    ? { url: ${JSON.stringify(stand)}, shortCircuit: true } : next(name, context)`
  register(`data:text/javascript,${encodeURIComponent(hook)}`)
}

const lines = []
const llama = await getLlama({
  gpu: false, build: 'never', skipDownload: true, maxThreads: 0, logLevel: 'debug', logger: (_level, line) => lines.push(line),
})
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 })
const context = await model.createContext({
  contextSize: 1024, batchSize: 512, sequences: 1, threads: { ideal: threads, min: threads }, flashAttention: 'auto', performanceTracking: true,
})
const sequence = context.getSequence()

/** Tokens a second of what ran since the last call, of prompts or of single tokens. */
async function rate(kind, n) {
  lines.length = 0
  await context.printTimings()
  const [, ms, count] = new RegExp(`print: +${kind} time = +([\\d.]+) ms / +(\\d+) (?:tokens|runs)`).exec(lines.join('\n')) ?? []
  if (Number(count) !== n)
    throw new Error(`${count} tokens timed instead of ${n}`)
  return n / Number(ms) * 1000
}

async function prompt(n) {
  await sequence.clearHistory()
  await sequence.evaluateWithoutGeneratingNewTokens(Array.from({ length: n }, (_, i) => 300 + (i * 7919) % 150))
  return rate('prompt eval', n)
}

async function predict(n) {
  let made = 0
  for await (const _ of sequence.evaluate([300], { temperature: 0, yieldEogToken: true }))
    if (++made >= n)
      break
  return rate('eval', n)
}

const rates = {}
for (let r = 0; r <= repetitions; r++) {
  const add = (test, value) => r > 0 && (rates[test] ??= []).push(value) // the first warms caches and clocks
  for (const n of prompts)
    add(`pp${n}`, await prompt(n))
  if (generate) {
    await prompt(depth)
    add(`tg${generate}`, await predict(generate))
  }
}
console.log(JSON.stringify({ rates, detail: `llama.cpp ${llama.llamaCppRelease?.release ?? ''}`.trim() }))
process.exit(0) // its threads would keep it alive
