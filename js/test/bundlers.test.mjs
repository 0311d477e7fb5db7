// The package in users' builds that configure nothing: Vite, its development server, webpack, esbuild.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { build as esbuild } from 'esbuild'
import * as vite from 'vite'
import webpack from 'webpack'
import { openBrowser, whyNoBrowser } from '../../tests/chromium.mjs'
import { serve } from '../../tools/serve.mjs'
import { native, STORIES, storiesBytes, TOP } from './support.mjs'

const skip = whyNoBrowser() || false

const wanted = native(STORIES, '-p', 'Once upon a time', '-n', '64').text
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
  cpSync(join(TOP, 'examples/vite'), folder, { recursive: true })
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

/** What the example's page shows when it is done, and what it complained of. */
async function answerOf(address) {
  const page = await browser.newPage()
  const faults = []
  page.on('pageerror', error => faults.push(String(error)))
  // Vite's development server loads a page again when it had to bundle a dependency first.
  page.on('framenavigated', () => faults.splice(0))
  // The examples' empty icon is no file of the origin: the strict policy refuses it, and nothing else.
  page.on('console', message => message.type() === 'error' && !message.text().includes("'data:,'") && faults.push(message.text()))
  try {
    await page.goto(address)
    await page.waitForFunction(() => document.getElementById('output')?.dataset.done, undefined, { timeout: 60_000 })
      .catch(error => assert.fail(`${error.message} ${faults.join('\n')}`))
    return await page.evaluate(() => ({ text: document.getElementById('output').textContent, build: document.getElementById('output').dataset.build }))
      .then(shown => ({ ...shown, faults }))
  } finally {
    await page.close()
  }
}

test('the example with Vite, a production build, nothing configured', { skip }, async () => {
  await vite.build({ root: folder, configFile: false, logLevel: 'error' })
  const dist = join(folder, 'dist')
  assert.equal(readdirSync(join(dist, 'assets')).filter(n => n.endsWith('.wasm')).length, 5)
  const { text, faults, build } = await answerOf(await serveOnce(dist))
  assert.deepEqual(faults, [])
  assert.equal(text, wanted)
  assert.equal(build, 'relaxed+threads')
})

test("Vite's development server, nothing configured", { skip }, async t => {
  const server = await vite.createServer({ root: folder, configFile: false, logLevel: 'error', server: { port: 0, host: '127.0.0.1' } })
  // The model lies beside the page as a static file would.
  t.after(() => server.close())
  server.middlewares.stack.unshift({ route: '/models', handle: (_request, response) => response.end(storiesBytes) })
  await server.listen()
  const { text, faults } = await answerOf(`http://127.0.0.1:${server.httpServer.address().port}/`)
  assert.deepEqual(faults, [])
  assert.equal(text, wanted)
})

test('a webpack build, nothing configured', { skip }, async () => {
  const out = join(folder, 'packed')
  const stats = await new Promise((resolve, reject) => webpack({
    mode: 'production', context: folder, entry: './main.js', output: { path: out, filename: 'main.js' },
  }, (error, result) => error ? reject(error) : resolve(result)))
  assert.equal(stats.hasErrors(), false, stats.toString())
  cpSync(join(folder, 'index.html'), join(out, 'index.html'))
  const { text, faults } = await answerOf(await serveOnce(out))
  assert.deepEqual(faults, [])
  assert.equal(text, wanted)
})

test('an esbuild bundle, with dist copied beside it', { skip }, async () => {
  const out = join(folder, 'bundled')
  cpSync(join(TOP, 'js/dist'), out, { recursive: true })
  await esbuild({ absWorkingDir: folder, entryPoints: ['main.js'], outdir: out, bundle: true, format: 'esm' })
  cpSync(join(folder, 'index.html'), join(out, 'index.html'))
  const { text, faults } = await answerOf(await serveOnce(out))
  assert.deepEqual(faults, [])
  assert.equal(text, wanted)
})

test('a plain script tag, under the strict policy', { skip }, async () => {
  const site = join(folder, 'site')
  cpSync(join(TOP, 'examples/script-tag'), site, { recursive: true })
  cpSync(join(TOP, 'js/dist'), join(site, 'ingle'), { recursive: true })
  const { text, faults, build } = await answerOf(await serveOnce(site))
  assert.deepEqual(faults, [])
  assert.equal(text, wanted)
  assert.equal(build, 'relaxed+threads')
})
