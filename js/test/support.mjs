// What the tests share: models, the native engine as the judge, a server that misbehaves on request.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

export const TOP = fileURLToPath(new URL('../../', import.meta.url))
export const STORIES = join(TOP, 'models/stories260K.gguf')
export const storiesBytes = readFileSync(STORIES)
export const storiesSum = createHash('sha256').update(storiesBytes).digest('hex')

const NAME = 'SmolLM2-135M-Instruct.Q4_1.gguf'
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ingle')
/** SmolLM2's path, or undefined where it was not fetched. */
export const SMOLLM = [process.env.INGLE_MODELS, join(TOP, 'models'), cache].filter(Boolean).map(f => join(f, NAME)).find(existsSync)

/** The answer of the native command line: {text, tokens, stop}. */
export function native(model, ...args) {
  const run = spawnSync(join(TOP, 'ingle'), ['run', '-m', model, '--json', '-q', '--temp', '0', ...args], { encoding: 'utf8' })
  if (run.status !== 0)
    throw new Error(`the native ingle failed (make builds it): ${run.stderr || run.error}`)
  return JSON.parse(run.stdout)
}

/** A module of js/src that stands alone or with others of its folder, as it is. */
export async function source(name) {
  const { outputFiles } = buildSync({
    entryPoints: [join(TOP, 'js/src', name)], bundle: true, write: false, format: 'esm', target: 'es2022', platform: 'node',
  })
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`)
}

/** Serves bytes at every address; answer(request, response) may take a request over by returning true. */
export async function serveBytes(bytes, answer = () => false) {
  const seen = []
  const server = createServer((request, response) => {
    seen.push(request)
    if (answer(request, response, seen.length))
      return
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
    const first = range ? Number(range[1]) : 0
    const last = range?.[2] ? Math.min(Number(range[2]), bytes.length - 1) : bytes.length - 1
    response.writeHead(range ? 206 : 200, {
      'Content-Length': last - first + 1, ETag: '"one"', ...range ? { 'Content-Range': `bytes ${first}-${last}/${bytes.length}` } : {},
    })
    response.end(bytes.subarray(first, last + 1))
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  server.unref() // a test that fails before it closes it must not wait for it
  return {
    url: `http://127.0.0.1:${server.address().port}/model.gguf`, seen,
    close: () => new Promise(resolve => {
      server.closeAllConnections()
      server.close(resolve)
    }),
  }
}
