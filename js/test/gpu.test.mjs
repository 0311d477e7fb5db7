// The package on a GPU: in Node over Dawn where npm's webgpu finds an adapter, and in headless Chromium on
// the one that computes on the CPU. Texts are those of the CPU.
import assert from 'node:assert/strict'
import { copyFileSync, cpSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { check, load } from '../dist/node.js'
import { openBrowser, whyNoBrowser } from '../../tests/chromium.mjs'
import { openDawn } from '../../tests/dawn.mjs'
import { serve } from '../../tools/serve.mjs'
import { Server, skip } from './gpu_server.mjs'
import { native, STORIES, TOP } from './support.mjs'

const PROMPT = 'Once upon a time'
const noBrowser = whyNoBrowser() || false
let noDawn = false
let folder, server, browser

before(async () => {
  await openDawn().catch(error => {
    noDawn = `no GPU in Node: ${error.message}`
  })
  if (noBrowser)
    return
  folder = mkdtempSync(join(tmpdir(), 'ingle-gpu-'))
  cpSync(join(TOP, 'js/dist'), join(folder, 'ingle'), { recursive: true })
  writeFileSync(join(folder, 'empty.html'), '<!doctype html><title>empty</title><link rel="icon" href="data:,">')
  server = await serve({ page: folder, files: [STORIES] })
  browser = await openBrowser(['--enable-unsafe-webgpu'])
})

after(async () => {
  await browser?.close()
  server?.server.closeAllConnections()
  server?.server.close()
  if (folder)
    rmSync(folder, { recursive: true, force: true })
})

/** The same on every host: greedy and sampled answers, a stop text and a cancelled answer on one model. */
async function answers({ load, model, prompt }) {
  const m = await load(model, { backend: 'gpu', contextSize: 256, onWarning() {} })
  const run = async options => {
    const { text, tokens, stop } = await m.generate(prompt, { maxTokens: 48, ...options }).result
    return { text, tokens, stop }
  }
  const greedy = await run({ temperature: 0 })
  const sampled = await run({ seed: 7 })
  const again = await run({ seed: 7 })
  const stopped = await run({ temperature: 0, stop: 'girl' })
  const answer = m.generate(prompt, { temperature: 0, maxTokens: 200 })
  let parts = 0
  for await (const _ of answer)
    if (++parts === 2)
      answer.cancel?.()
  const cancelled = await answer.result
  const after = await run({ temperature: 0 })
  const { device } = m
  await m.dispose()
  return { greedy, sampled, again, stopped, cancelled: cancelled.stop, after, device }
}

function judge({ greedy, sampled, again, stopped, after, device }) {
  const cpu = native(STORIES, '-p', PROMPT, '-n', '48', '--cpu')
  assert.equal(device.backend, 'gpu')
  assert.equal(greedy.text, cpu.text)
  assert.equal(stopped.text, cpu.text.slice(0, cpu.text.indexOf('girl')))
  assert.equal(stopped.stop, 'stop')
  assert.deepEqual(again, sampled)
  assert.notEqual(sampled.text, greedy.text)
  assert.deepEqual(after, greedy)
}

test('answers on a GPU in Node are those of the CPU', async t => {
  if (noDawn)
    return t.skip(noDawn)
  judge(await answers({ load, model: STORIES, prompt: PROMPT }))
})

test('answers on a GPU in Chromium are those of the CPU', { skip: noBrowser }, async t => {
  const page = await browser.newPage()
  await page.goto(`${server.address}empty.html`)
  if (!await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter())))
    return t.skip('this Chromium finds no adapter')
  const found = await page.evaluate(`(async () => {
    const { load } = await import('/ingle/index.js')
    return (${answers})({ load, model: '/models/stories260K.gguf', prompt: ${JSON.stringify(PROMPT)} })
  })()`)
  await page.close()
  judge(found)
})

test('a GPU tells what a token takes of its time', async t => {
  if (noDawn)
    return t.skip(noDawn)
  const m = await load(STORIES, { backend: 'gpu', contextSize: 256 })
  const rows = await m.bench({ prompt: [16], generate: [16], depth: 16, repetitions: 1 })
  await m.dispose()
  const [prompt, tokens] = rows
  assert.equal(prompt.gpu_us, undefined)
  assert.ok(Number.isFinite(tokens.gpu_us)) // of a GPU that is a busy CPU no more can be said
  assert.ok(tokens.script_us > 0 && tokens.script_us < 1e6 / tokens.per_s_median)
  assert.equal(tokens.dispatches % 1, 0) // the same for every token: the embedding, five layers of it, the choice
  assert.ok(tokens.dispatches >= 5 * m.info.nLayers + 4 && tokens.dispatches < 8 * m.info.nLayers + 4, `${tokens.dispatches}`)
  assert.ok(tokens.passes <= 1)
})

test('a benchmark on a GPU stops when it is cancelled, and answers are right after it', { skip }, async () => {
  const server = new Server()
  await server.load('gpu')
  const want = await server.answer()
  const bench = server.ask({ op: 'bench', prompt: [], generate: [24], depth: 4, threads: [1], repetitions: 40 })
  setTimeout(() => server.cancel(), 20)
  await assert.rejects(bench, { code: 'ERR_CANCELLED' })
  assert.equal((await server.answer()).text, want.text)
})

test('what WebAssembly cannot hold, a GPU may', async t => {
  if (noDawn)
    return t.skip(noDawn)
  const own = mkdtempSync(join(tmpdir(), 'ingle-large-'))
  t.after(() => rmSync(own, { recursive: true, force: true }))
  const large = join(own, 'large.gguf') // a whole header, and a hole of the file system behind it
  copyFileSync(STORIES, large)
  truncateSync(large, 5_000_000_000)
  const onGpu = await check(large, { backend: 'gpu' })
  assert.equal(onGpu.device, 'gpu')
  assert.notEqual(onGpu.fits, 'no')
  const onCpu = await check(large, { backend: 'cpu' })
  assert.equal(onCpu.device, 'cpu')
  assert.equal(onCpu.fits, 'no')
})

test('without a GPU the CPU answers, and the device says why', { skip: noBrowser }, async () => {
  const page = await browser.newPage()
  await page.goto(`${server.address}empty.html`)
  const device = await page.evaluate(async () => {
    const { load } = await import('/ingle/index.js')
    const m = await load('/models/stories260K.gguf', { contextSize: 64, onWarning() {} })
    const { device } = m
    await m.dispose()
    return device
  })
  await page.close()
  assert.equal(device.backend, 'cpu') // the only adapter computes on the CPU, which our own kernels do faster
  assert.match(device.why, /computes on the CPU|no WebGPU|no adapter/)
})
