// Runs bench/gpu/page.html in a browser, a fresh one for each job, and prints what the page posts.
//
//     node bench/gpu/drive.mjs [--out FILE] [--seconds N] JOBS.json [NAME ...]
//
// JOBS.json: [{ name, model: path of a GGUF file, f16: 1 to show shader-f16 where it is hidden, prompt, generate,
// depths, context, kernels, memory, visits, watchMemory, answers: path, timeout: seconds }]. CHROME: an executable that
// starts a headless Chromium with WebGPU and passes its arguments on; CHROME_FLAGS: more of them. What costs processor time is told by process
// and thread (Linux): shares of one processor between a mark and the next result. So is memory beyond what there was at a
// mark that asks for it: the page's is the role renderer, the copies on their way to the GPU are gpu-process's.
//
// Jobs with page: 'wllama', 'webllm' or 'transformers' measure another engine (peer.mjs), from the folder that PEERS
// names; a model may be a folder there. --out: a line of JSON for each job is added to FILE. --seconds: no job goes on
// after these; what is left out is said.
import { spawn } from 'node:child_process'
import { appendFileSync, createReadStream, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const PORT = 8124
const folder = path => fileURLToPath(new URL(path, import.meta.url))
const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html' }
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cache-Control': 'no-store',
}
const { values: options, positionals: [jobsFile, ...wanted] } = parseArgs({
  options: { out: { type: 'string' }, seconds: { type: 'string', default: '86400' } }, allowPositionals: true,
})
const deadline = performance.now() + Number(options.seconds) * 1000
const jobs = JSON.parse(readFileSync(jobsFile, 'utf8')).filter(job => !wanted.length || wanted.some(name => job.name.startsWith(name)))
const models = new Map(jobs.flatMap(({ model, answers }) => [model, answers ?? model]).map(path => [basename(path), path]))
let current
let mark
let watched

/** A process and its children: { pid, role }. */
function processes(root) {
  const children = new Map()
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      const parent = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[1]
      children.set(parent, [...children.get(parent) ?? [], pid])
    } catch {} // gone meanwhile
  }
  const all = []
  for (const queue = [String(root)]; queue.length;) {
    const pid = queue.pop()
    queue.push(...children.get(pid) ?? [])
    try {
      all.push({ pid, role: /--type=(\S+)/.exec(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '))?.[1] ?? 'browser' })
    } catch {}
  }
  return all
}

/** Seconds of processor time, by role and thread. */
function cpuTimes(root) {
  const times = {}
  for (const { pid, role } of processes(root)) {
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const [head, tail] = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').split(') ')
        const fields = tail.split(' ')
        const name = `${role}/${thread === pid ? 'main' : head.split('(')[1]}`
        times[name] = (times[name] ?? 0) + (Number(fields[11]) + Number(fields[12])) / 100
      }
    } catch {}
  }
  return { at: performance.now() / 1000, times }
}

/** Bytes of memory, shared pages by parts, by role and in all. */
function memory(list) {
  const bytes = { all: 0 }
  for (const { pid, role } of list) {
    try {
      const pss = 1024 * Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1])
      bytes[role] = (bytes[role] ?? 0) + pss
      bytes.all += pss
    } catch {}
  }
  return bytes
}

/** Watches memory until it is told to end; by how much it was more than at first, at most. */
function watchMemory(root) {
  const first = memory(processes(root))
  const most = {}
  const timer = setInterval(() => {
    for (const [role, bytes] of Object.entries(memory(processes(root))))
      most[role] = Math.max(most[role] ?? 0, bytes - (first[role] ?? 0))
  }, 50)
  return () => {
    clearInterval(timer)
    return Object.fromEntries(Object.entries(most).filter(([, bytes]) => bytes >= 1 << 20))
  }
}

function shares(before, after) {
  const seconds = after.at - before.at
  const all = Object.entries(after.times).map(([name, t]) => [name, +((t - (before.times[name] ?? 0)) / seconds).toFixed(2)])
  return Object.fromEntries(all.filter(([, share]) => share >= 0.03))
}

function take(row) {
  const now = cpuTimes(current.pid)
  if (row.what === 'mark') {
    mark = now
    watched = row.memory && watchMemory(current.pid)
    return
  }
  const cpu = { ...mark ? { cpu: shares(mark, now) } : {}, ...watched ? { memory: watched() } : {} }
  mark = watched = undefined
  console.log(JSON.stringify({ job: current.name, ...row, ...cpu }))
  current.rows.push({ ...row, ...cpu })
  if (row.what === 'end')
    current.done(row.error ?? '')
}

function fileOf(path) {
  const [, root, rest] = /^\/(?:(model|ingle|peer)\/)?(.+)$/.exec(path) ?? ['', '', '']
  if (root === 'model') { // a file, or a file in a folder
    const [name, ...inside] = rest.replace('/resolve/main/', '/').split('/')
    return models.has(name) ? join(models.get(name), ...inside) : undefined
  }
  return join({ ingle: folder('../../js/dist/'), peer: process.env.PEERS ?? 'peers' }[root] ?? folder('./'), rest)
}

const server = createServer((request, response) => {
  if (request.method === 'POST') {
    let body = ''
    request.on('data', piece => {
      body += piece
    }).on('end', () => {
      response.writeHead(200, HEADERS).end()
      take(JSON.parse(body))
    })
    return
  }
  const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname)
  const file = path.includes('..') ? undefined : fileOf(path)
  if (!file || !statSync(file, { throwIfNoEntry: false })?.isFile()) {
    if (path !== '/favicon.ico')
      console.log(JSON.stringify({ job: current?.name, missing: path }))
    response.writeHead(404, HEADERS).end()
    return
  }
  response.writeHead(200, { ...HEADERS, 'Content-Length': statSync(file).size, 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream' })
  createReadStream(file, { highWaterMark: 1 << 20 }).pipe(response)
})

function endBrowser() {
  try {
    process.kill(-current.pid, 'SIGKILL')
  } catch {} // it has ended, or there was none
}

async function run({ name, model, f16, timeout = 120, ...job }) {
  const seconds = Math.min(timeout, (deadline - performance.now()) / 1000)
  if (seconds < 5)
    return finish({ job: name, error: 'left out: no time was left' })
  const rest = { ...job, ...job.answers ? { answers: basename(job.answers) } : {} }
  const query = encodeURIComponent(JSON.stringify({ model: basename(model), ...rest }))
  const flags = (process.env.CHROME_FLAGS ?? '').split(' ').filter(Boolean)
  const profile = mkdtempSync(join(tmpdir(), 'ingle-gpu-'))
  const rows = []
  const browser = spawn(process.env.CHROME ?? 'chromium', [
    ...flags, `--user-data-dir=${profile}`, '--remote-debugging-port=0', `http://localhost:${PORT}/page.html?job=${query}`,
  ], { env: { ...process.env, ...f16 ? { F16: '1' } : {} }, stdio: 'ignore', detached: true })
  const end = await new Promise(resolve => {
    current = { name, rows, pid: browser.pid, done: resolve }
    browser.on('exit', () => resolve('the browser ended'))
    setTimeout(resolve, seconds * 1000, `no end after ${Math.round(seconds)} s`).unref()
  })
  endBrowser()
  rmSync(profile, { recursive: true, force: true, maxRetries: 3 })
  finish({ job: name, model: basename(model), ...rest, rows, ...end ? { error: end } : {} })
}

function finish(line) {
  if (line.error)
    console.log(JSON.stringify({ job: line.job, error: line.error }))
  if (options.out)
    appendFileSync(options.out, `${JSON.stringify(line)}\n`)
}

process.on('exit', endBrowser) // a browser left behind would keep the GPU busy
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => process.exit(1))

server.listen(PORT, '127.0.0.1', async () => {
  for (const job of jobs)
    await run(job)
  process.exit(0)
})
