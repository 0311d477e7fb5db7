// The package in users' builds that configure nothing: Vite, its development server, webpack.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as vite from 'vite'
import webpack from 'webpack'
import { openBrowser, whyNoBrowser } from '../../tests/chromium.mjs'
import { serve } from '../../tools/serve.mjs'
import { native, STORIES, storiesBytes, TOP } from './support.mjs'

const skip = whyNoBrowser() || false

const MAIN = `import { load } from 'ingle'
const model = await load(new URL('/models/stories260K.gguf', location.href))
const text = await model.generate('Once upon a time', { temperature: 0, maxTokens: 16 }).text()
document.body.dataset.build = model.device.build
document.body.dataset.threads = model.device.threads
await model.dispose()
document.body.textContent = text
`
const wanted = native(STORIES, '-p', 'Once upon a time', '-n', '16').text
const servers = []
let browser, folder

before(async () => {
  if (skip)
    return
  folder = mkdtempSync(join(tmpdir(), 'ingle-user-'))
  mkdirSync(join(folder, 'node_modules'))
  // As npm lays it out: the package's folder, without its own development tools.
  mkdirSync(join(folder, 'node_modules/ingle'))
  // Copies, no links: Vite bundles a dependency ahead only when it really lies there.
  cpSync(join(TOP, 'js/package.json'), join(folder, 'node_modules/ingle/package.json'))
  cpSync(join(TOP, 'js/dist'), join(folder, 'node_modules/ingle/dist'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"type": "module", "dependencies": {"ingle": "*"}}')
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>t</title><link rel="icon" href="data:,"><body><script type="module" src="/main.js"></script>')
  writeFileSync(join(folder, 'main.js'), MAIN)
  browser = await openBrowser()
})

after(async () => {
  await browser?.close()
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  if (folder)
    rmSync(folder, { recursive: true, force: true })
})

/** Serves a built page until the tests end; its address. */
async function serveOnce(page) {
  const { server, address } = await serve({ page, files: [STORIES] })
  servers.push(server)
  return address
}

async function answerOf(address) {
  const page = await browser.newPage()
  const faults = []
  page.on('pageerror', error => faults.push(String(error)))
  page.on('console', message => message.type() === 'error' && faults.push(message.text()))
  try {
    await page.goto(address)
    await page.waitForFunction(() => document.body.textContent.trim().length > 5, undefined, { timeout: 30_000 }).catch(() => {})
    const text = await page.evaluate(() => document.body.textContent)
    return { text, faults, data: await page.evaluate(() => ({ ...document.body.dataset })) }
  } finally {
    await page.close()
  }
}

test('a Vite production build, nothing configured', { skip }, async () => {
  await vite.build({ root: folder, configFile: false, logLevel: 'error' })
  const dist = join(folder, 'dist')
  assert.equal(readdirSync(join(dist, 'assets')).filter(n => n.endsWith('.wasm')).length, 4)
  const { text, faults, data } = await answerOf(await serveOnce(dist))
  assert.deepEqual(faults.filter(f => !f.includes("'data:,'")), [])
  assert.equal(text, wanted)
  assert.equal(data.build, 'relaxed+threads')
})

test("Vite's development server, nothing configured", { skip }, async () => {
  const server = await vite.createServer({ root: folder, configFile: false, logLevel: 'error', server: { port: 0, host: '127.0.0.1', hmr: false } })
  // The model lies beside the page as a static file would.
  server.middlewares.stack.unshift({ route: '/models', handle: (_request, response) => response.end(storiesBytes) })
  await server.listen()
  const { text, faults } = await answerOf(`http://127.0.0.1:${server.httpServer.address().port}/`)
  await server.close()
  assert.deepEqual(faults, [])
  assert.equal(text, wanted)
})

test('a webpack build, nothing configured', { skip }, async () => {
  const out = join(folder, 'packed')
  const stats = await new Promise((resolve, reject) => webpack({
    mode: 'production', context: folder, entry: './main.js', output: { path: out, filename: 'main.js' },
  }, (error, result) => error ? reject(error) : resolve(result)))
  assert.equal(stats.hasErrors(), false, stats.toString())
  writeFileSync(join(out, 'index.html'), '<!doctype html><title>t</title><link rel="icon" href="data:,"><body><script type="module" src="/main.js"></script>')
  const { text, faults } = await answerOf(await serveOnce(out))
  assert.deepEqual(faults.filter(f => !f.includes("'data:,'")), [])
  assert.equal(text, wanted)
})
