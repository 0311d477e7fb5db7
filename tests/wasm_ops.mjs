/* The op suite (test_cpu.c, test_cpu_ops.c) over the four WebAssembly builds, each in Node and in headless Chromium.
 *
 *     node tests/wasm_ops.mjs [node] [chromium]     default: both
 *
 * The builds with threads run on shared memory. Adds up what the programs say; a build that this
 * Node cannot run, or a missing Chromium, is skipped aloud. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { serve } from '../tools/serve.mjs'
import { openBrowser, whyNoBrowser } from './chromium.mjs'
import { runProgram } from './wasi_host.mjs'

const TOP = fileURLToPath(new URL('../', import.meta.url))
const BUILDS = ['simd', 'relaxed', 'simd-threads', 'relaxed-threads']
const total = { passed: 0, failed: 0, skipped: 0 }
const PROGRAMS = ['test_cpu', 'test_cpu_ops'].flatMap(name => BUILDS.map(build => ({ name, build, path: join(TOP, 'build/wasm', build, 'tests', `${name}.wasm`) })))

function count(where, status, text) {
    const said = /(\d+) passed, (\d+) failed, (\d+) skipped\s*$/.exec(text)
    const [passed, failed, skipped] = said ? said.slice(1).map(Number) : [0, 1, 0]
    total.passed += passed
    total.failed += failed || status === 0 ? failed : 1
    total.skipped += skipped
    if (failed || status !== 0 || !said)
        console.log(`FAIL ${where}, exit status ${status}:\n${text}`)
    else
        console.log(`ok: ${where}: ${said[0].trim()}`)
}

function skip(where, why) {
    total.skipped++
    console.log(`skipped: ${where}: ${why}`)
}

function inNode({ name, build, path }) {
    const where = `${name}, ${build}, Node`
    const bytes = readFileSync(path)
    if (!WebAssembly.validate(bytes))
        return skip(where, 'this Node has no relaxed SIMD')
    let text = ''
    const status = runProgram(new WebAssembly.Module(bytes), {
        shared: build.includes('threads'),
        print: piece => {
            text += piece
        },
    })
    count(where, status, text)
}

/* Runs in the page. */
function runWorker({ address, shared }) {
    return new Promise(resolve => {
        let text = ''
        const worker = new Worker('/wasi_host.mjs', { type: 'module' })
        const end = status => {
            worker.terminate()
            resolve({ status, text })
        }
        worker.onerror = event => end(event.message)
        worker.onmessage = ({ data }) => {
            text += data.text ?? ''
            if ('status' in data || 'failure' in data)
                end(data.status ?? data.failure)
        }
        worker.postMessage({ address, shared })
    })
}

async function inChromium() {
    const folder = mkdtempSync(join(tmpdir(), 'ingle-ops-'))
    writeFileSync(join(folder, 'index.html'), '<!doctype html><title>ops</title>')
    copyFileSync(new URL('wasi_host.mjs', import.meta.url), join(folder, 'wasi_host.mjs'))
    for (const { name, build, path } of PROGRAMS)
        copyFileSync(path, join(folder, `${name}-${build}.wasm`))
    const { server, address } = await serve({ page: folder })
    const browser = await openBrowser()
    try {
        const page = await browser.newPage()
        await page.goto(address)
        for (const { name, build } of PROGRAMS) {
            const { status, text } = await page.evaluate(runWorker, { address: `/${name}-${build}.wasm`, shared: build.includes('threads') })
            count(`${name}, ${build}, Chromium`, status, text)
        }
    } finally {
        await browser.close()
        server.closeAllConnections()
        server.close()
        rmSync(folder, { recursive: true, force: true })
    }
}

/* The part under Node in a process of its own, beside the browser: one thread each. */
async function inAnotherProcess() {
    const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), 'node'], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', piece => {
        text += piece
    })
    const [status] = await once(child, 'close')
    process.stdout.write(text.replace(/^.*wasm_ops\.mjs: .*\n/m, ''))
    const said = /wasm_ops\.mjs: (\d+) passed, (\d+) failed, (\d+) skipped\s*$/.exec(text)
    const [passed, failed, skipped] = said ? said.slice(1).map(Number) : [0, 1, 0]
    total.passed += passed
    total.failed += failed || status === 0 ? failed : 1
    total.skipped += skipped
}

const hosts = process.argv.length > 2 ? process.argv.slice(2) : ['node', 'chromium']
const missing = PROGRAMS.map(({ path }) => path).filter(path => !existsSync(path))
if (missing.length)
    throw new Error(`${missing.join(', ')}: not built (make wasm-tests)`)
const browser = async () => whyNoBrowser() ? skip('ops in Chromium', whyNoBrowser()) : inChromium()
if (hosts.length > 1)
    await Promise.all([inAnotherProcess(), browser()])
else if (hosts.includes('node'))
    PROGRAMS.forEach(inNode)
else
    await browser()
console.log(`tests/wasm_ops.mjs: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed || !(total.passed + total.skipped) ? 1 : 0
