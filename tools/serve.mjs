// Serves the page of app/dist to this machine, with the headers that shared memory needs.
//
//     node tools/serve.mjs [--port 8080] [--host 127.0.0.1] [--no-isolation] [FILE.gguf ...]
//
// Models: those of models/ and of the cache folder, and the files named, under /models/NAME.
import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { homedir } from 'node:os'
import { basename, extname, join, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const TOP = fileURLToPath(new URL('../', import.meta.url))
const TYPES = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.wasm': 'application/wasm', '.json': 'application/json',
}
export const CSP = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self' https:; " +
  "style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

function headersFor(isolation) {
  return {
    'Content-Security-Policy': CSP,
    'Cross-Origin-Resource-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-cache',
    ...isolation ? { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' } : {},
  }
}

/** Where an address's file lies; undefined if there is none. */
function locate(path, roots, files) {
  const model = /^\/models\/([^/]+)$/.exec(path)?.[1]
  if (model)
    return files.get(model) ?? roots.models.map(folder => join(folder, model)).find(existsSync)
  const file = resolve(roots.page, `.${path.endsWith('/') ? `${path}index.html` : path}`)
  return file.startsWith(roots.page + sep) && existsSync(file) && statSync(file).isFile() ? file : undefined
}

/** First and last byte of a Range header; undefined = all, null = cannot be met. */
function rangeOf(header, size) {
  const m = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (!m || (!m[1] && !m[2]))
    return undefined
  const first = m[1] ? Number(m[1]) : Math.max(0, size - Number(m[2]))
  const last = m[1] && m[2] ? Math.min(Number(m[2]), size - 1) : size - 1
  return first <= last ? [first, last] : null
}

function send(request, response, file, headers) {
  const { size, mtimeMs } = statSync(file)
  const tag = `"${size.toString(16)}-${Math.round(mtimeMs).toString(16)}"`
  const wanted = request.headers['if-range'] && request.headers['if-range'] !== tag ? undefined : request.headers.range
  const range = rangeOf(wanted, size)
  const all = { ...headers, 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream', 'Accept-Ranges': 'bytes', ETag: tag }
  if (range === null) {
    response.writeHead(416, { ...all, 'Content-Range': `bytes */${size}` }).end()
    return
  }
  const [first, last] = range ?? [0, size - 1]
  response.writeHead(range ? 206 : 200, {
    ...all, 'Content-Length': last - first + 1, ...range ? { 'Content-Range': `bytes ${first}-${last}/${size}` } : {},
  })
  if (request.method === 'HEAD' || size === 0)
    response.end()
  else
    createReadStream(file, { start: first, end: last }).on('error', () => response.destroy()).pipe(response)
}

/** A server, listening; port 0 = any. */
export async function serve({ port = 0, host = '127.0.0.1', isolation = true, page = join(TOP, 'app/dist'), files = [] } = {}) {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ingle')
  const roots = { page: resolve(page), models: [process.env.INGLE_MODELS, join(TOP, 'models'), cache].filter(Boolean) }
  const named = new Map(files.map(f => [basename(f), resolve(f)]))
  const headers = headersFor(isolation)
  const server = createServer((request, response) => {
    let file
    try {
      const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname)
      file = ['GET', 'HEAD'].includes(request.method) && !path.includes('\0') ? locate(path, roots, named) : undefined
    } catch {
      file = undefined
    }
    if (file)
      send(request, response, file, headers)
    else
      response.writeHead(404, headers).end('not found\n')
  })
  await new Promise((done, failed) => server.once('error', failed).listen(port, host, done))
  return { server, address: `http://${host.includes(':') ? `[${host}]` : host}:${server.address().port}/` }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const options = { port: 8080, files: [] }
  for (const args = process.argv.slice(2); args.length;) {
    const arg = args.shift()
    if (arg === '--port') options.port = Number(args.shift())
    else if (arg === '--host') options.host = args.shift()
    else if (arg === '--no-isolation') options.isolation = false
    else options.files.push(arg)
  }
  const { address } = await serve(options).catch(error => {
    console.error(error.code === 'EADDRINUSE' ? `port ${options.port} is taken: make web PORT=N` : String(error))
    process.exit(1)
  })
  console.log(`the page is at ${address} (Ctrl-C ends it)`)
}
