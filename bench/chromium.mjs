// The engines measured in headless Chromium: a server for pages, packages and files, and a fresh page
// in a fresh profile for each measurement, so that no cache of HTTP, code or models helps anyone.
import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const folder = path => fileURLToPath(new URL(path, import.meta.url))
const ROOTS = {
  page: folder('page/'),
  ingle: folder('../js/dist/'),
  wllama2: folder('node_modules/wllama-2/esm/'),
  wllama3: folder('node_modules/@wllama/wllama/esm/'),
}
const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' }
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
}

/** name -> its module in page/ and what it is told. */
export const WEB = {
  'ingle': { module: 'ingle', job: {} },
  'ingle, plain SIMD': { module: 'ingle', job: { simd: true } },
  'wllama 2.3.1': { module: 'wllama2', job: {} },
  'wllama 3.8.1': { module: 'wllama3', job: {} },
}

function serve(files) {
  const models = new Map(files.map(file => [basename(file), file]))
  return createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname)
    const [, root, rest] = /^\/(\w+)\/(.+)$/.exec(path) ?? []
    const file = root === 'model' ? models.get(rest) : root in ROOTS && !rest.includes('..') ? join(ROOTS[root], rest) : undefined
    if (path === '/')
      response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/html' }).end('<!doctype html><title>bench</title>')
    else if (!file || !existsSync(file))
      response.writeHead(404, HEADERS).end()
    else {
      const { size } = statSync(file)
      response.writeHead(200, { ...HEADERS, 'Content-Length': size, 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream' })
      createReadStream(file, { highWaterMark: 1 << 20 }).pipe(response)
    }
  })
}

/** A browser with measure(name, call, file, job); call is 'speed' or 'first'. */
export async function openBrowser(files) {
  const server = serve(files)
  await new Promise(done => server.listen(0, '127.0.0.1', done))
  const origin = `http://127.0.0.1:${server.address().port}/`
  const executablePath = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })

  async function measure(name, call, file, job) {
    const context = await browser.newContext()
    try {
      const page = await context.newPage()
      page.setDefaultTimeout(0)
      page.on('pageerror', error => console.error(`${name}: ${error.message}`))
      await page.goto(origin)
      return await page.evaluate(async ({ module, call, job }) => (await import(`/page/${module}.mjs`))[call](job),
        { module: WEB[name].module, call, job: { ...WEB[name].job, ...job, url: `/model/${basename(file)}` } })
    } finally {
      await context.close()
    }
  }

  async function close() {
    await browser.close()
    server.closeAllConnections()
    server.close()
  }
  return { measure, close, version: browser.version() }
}
