// The package on Chromium's software GPU, in a tab that nobody sees and whose device is destroyed: answers go on.
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { buildSync } from 'esbuild'
import { openTabs, whyNoBrowser } from '../../tests/chromium.mjs'
import { serve } from '../../tools/serve.mjs'
import { native, STORIES, TOP } from './support.mjs'

const MODULE = join(TOP, 'build/wasm/gpu.wasm')
const PROMPT = 'Once upon a time'
const TOKENS = 20
let skip = whyNoBrowser() || (existsSync(MODULE) ? false : 'no build/wasm/gpu.wasm: make wasm')
let folder, served, browser, page

/** Has the worker's device destroyed when the page says so. */
const DESTROY = `
const ask = globalThis.GPUAdapter?.prototype.requestDevice
if (ask)
  GPUAdapter.prototype.requestDevice = async function (what) {
    const device = await ask.call(this, what)
    new BroadcastChannel('devices').postMessage(0)
    globalThis.destroyer?.close()
    globalThis.destroyer = new BroadcastChannel('destroy')
    globalThis.destroyer.onmessage = () => device.destroy()
    return device
  }
`

function bundle(entry, banner = '') {
  buildSync({ entryPoints: [join(TOP, 'js/src', `${entry}.ts`)], bundle: true, format: 'esm', target: 'es2022',
    outfile: join(folder, `${entry}.js`), banner: { js: banner } })
}

/** Runs in the page: an answer; what was seen of the page meanwhile. */
async function answer(prompt, maxTokens, destroyAt) {
  globalThis.devices ??= 0
  if (!globalThis.heard)
    (globalThis.heard = new BroadcastChannel('devices')).onmessage = () => globalThis.devices++
  const options = { backend: 'gpu', contextSize: 32 }
  globalThis.model ??= await (await import('/index.js')).load('/models/stories260K.gguf', options)
  const stream = globalThis.model.generate(prompt, { temperature: 0, maxTokens })
  const seen = new Set([document.visibilityState])
  let n = 0
  for await (const part of stream) {
    const before = n
    n += part.tokens.length
    seen.add(document.visibilityState)
    if (before < destroyAt && n >= destroyAt)
      new BroadcastChannel('destroy').postMessage(0)
  }
  const { text, stop } = await stream.result
  return { text, stop, n, seen: [...seen], backend: globalThis.model.device.backend, devices: globalThis.devices }
}

const run = destroyAt => page.evaluate(`(${answer})(${JSON.stringify(PROMPT)}, ${TOKENS}, ${destroyAt})`)

before(async () => {
  if (skip)
    return
  folder = mkdtempSync(join(tmpdir(), 'ingle-hidden-'))
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>hidden</title><link rel="icon" href="data:,">')
  copyFileSync(MODULE, join(folder, 'gpu.wasm'))
  bundle('index')
  bundle('worker', DESTROY)
  served = await serve({ page: folder, files: [STORIES] })
  browser = openTabs(['--enable-unsafe-webgpu'])
  page = await browser.tab(served.address)
  skip = await page.evaluate('navigator.gpu ? navigator.gpu.requestAdapter().then(a => a ? "" : "no adapter") : "no WebGPU"')
})

after(async () => {
  await browser?.close()
  served?.server.closeAllConnections()
  served?.server.close()
  if (folder)
    rmSync(folder, { recursive: true, force: true })
})

test('answers of a hidden tab, and of one whose device is destroyed meanwhile', async t => {
  if (skip)
    return t.skip(skip)
  const { text } = native(STORIES, '-p', PROMPT, '-n', String(TOKENS))
  const shown = await run(0)
  assert.deepEqual([shown.text, shown.n, shown.seen, shown.backend, shown.devices], [text, TOKENS, ['visible'], 'gpu', 1])
  await browser.tab('about:blank') // in front of it
  const hidden = await run(0)
  assert.deepEqual([hidden.text, hidden.n, hidden.seen], [text, TOKENS, ['hidden']])
  const revived = await run(5)
  assert.deepEqual([revived.text, revived.n, revived.seen, revived.devices], [text, TOKENS, ['hidden'], 2])
})
