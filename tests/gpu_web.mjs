/* The GPU's test programs (tests/test_gpu_*.c) on WebGPU through the package's player: in Node over Dawn
 * (npm package webgpu; a Vulkan driver, if only Mesa's for the CPU) and in headless Chromium on its
 * software adapter.
 *
 *     node tests/gpu_web.mjs [node] [chromium] [--no-f16] [--no-subgroups] [NAME[:TEST] ...] [-- ARG ...]
 *
 * default: both, all programs. NAME: part of a program's name; TEST: part of a test's, in place of all of
 * the program; ARGs go to the programs. Adds up what they say; what is missing is skipped aloud. */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { serve } from '../tools/serve.mjs'
import { openBrowser, whyNoBrowser } from './chromium.mjs'
import { openDawn } from './dawn.mjs'
import { serveProgram } from './gpu_program.mjs'

const TOP = fileURLToPath(new URL('../', import.meta.url))
const PROGRAMS = join(TOP, 'build/wasm/simd-threads/tests')
const PLAYER = join(TOP, 'build/wasm/gpu.mjs')
const MOST_MS = 1_200_000

const split = process.argv.indexOf('--')
const words = process.argv.slice(2, split < 0 ? undefined : split)
const args = split < 0 ? [] : process.argv.slice(split + 1)
const options = { noF16: words.includes('--no-f16'), noSubgroups: words.includes('--no-subgroups') }
const hosts = ['node', 'chromium'].filter(host => words.includes(host))
const parts = words.filter(word => !hosts.includes(word) && !word.startsWith('--'))
const programs = readdirSync(PROGRAMS).filter(name => /^test_gpu_.*\.wasm$/.test(name)).map(name => name.slice(0, -5)).sort()
/* What is run: a program, with arguments. */
const runs = (parts.length ? parts : ['']).flatMap(part => {
    const [name, test] = part.split(':')
    return programs.filter(program => program.includes(name))
        .map(program => ({ program, name: test ? `${program} ${test}` : program, args: test ? [test] : args }))
})
const total = { passed: 0, failed: 0, skipped: 0 }

function count(where, started, status, text) {
    const said = /(\d+) passed, (\d+) failed, (\d+) skipped\s*$/.exec(text)
    const [passed, failed, skipped] = said ? said.slice(1).map(Number) : [0, 1, 0]
    const nothing = passed + failed + skipped === 0 // no such test
    total.passed += passed
    total.failed += !nothing && (failed || status === 0) ? failed : 1
    total.skipped += skipped
    if (failed || status !== 0 || !said || nothing)
        console.log(`FAIL ${where}, exit status ${status}:\n${text}`)
    else
        console.log(`${text.replace(/^.*passed, .*\n?$/m, '')}ok: ${where}: ${said[0].trim()} (${Math.round((Date.now() - started) / 1000)} s)`)
}

function skip(where, why) {
    total.skipped++
    console.log(`skipped: ${where}: ${why}`)
}

/* ---- Node ------------------------------------------------------------------------------------- */

function portOf(worker) {
    return {
        post: message => worker.postMessage(message),
        listen(onMessage) {
            worker.on('message', onMessage)
            worker.on('error', error => onMessage({ failure: String(error.stack ?? error) }))
        },
    }
}

async function runInNode(Gpu, dawn, { program, args }) {
    const worker = new Worker(new URL('gpu_program.mjs', import.meta.url))
    const module = new WebAssembly.Module(readFileSync(join(PROGRAMS, `${program}.wasm`)))
    let text = '', timer
    const late = new Promise(resolve => {
        timer = setTimeout(resolve, MOST_MS, `no end after ${MOST_MS} ms`)
    })
    const ended = serveProgram(portOf(worker), { module, args: [program, ...args], env: {} }, Gpu, dawn, options, piece => {
        text += piece
    })
    const status = await Promise.race([ended, late])
    clearTimeout(timer)
    await worker.terminate()
    return { status, text }
}

async function inNode() {
    const { Gpu } = await import(PLAYER)
    let dawn
    try {
        dawn = await openDawn()
    } catch (error) {
        return skip('GPU tests in Node', String(error.message).split('\n')[0])
    }
    for (const run of runs) {
        const started = Date.now()
        const { status, text } = await runInNode(Gpu, dawn, run)
        count(`${run.name}, Node`, started, status, text)
    }
}

/* ---- Chromium --------------------------------------------------------------------------------- */

/* Runs in the page. */
async function runInPage({ program, args, options, most }) {
    const [{ Gpu }, { serveProgram }] = await Promise.all([import('/gpu.mjs'), import('/gpu_program.mjs')])
    const worker = new Worker('/gpu_program.mjs', { type: 'module' })
    const port = {
        post: message => worker.postMessage(message),
        listen(onMessage) {
            worker.onmessage = ({ data }) => onMessage(data)
            worker.onerror = event => onMessage({ failure: event.message })
        },
    }
    let text = ''
    const module = await WebAssembly.compileStreaming(fetch(`/${program}.wasm`))
    const ended = serveProgram(port, { module, args: [program, ...args], env: {} }, Gpu, navigator.gpu, options, piece => {
        text += piece
    })
    const status = await Promise.race([ended, new Promise(resolve => setTimeout(resolve, most, `no end after ${most} ms`))])
    worker.terminate()
    return { status, text }
}

/* Runs in the page. */
async function whyNoAdapter() {
    const { Gpu } = await import('/gpu.mjs')
    return new Gpu(new WebAssembly.Memory({ initial: 1 })).open(navigator.gpu, { software: true }).then(() => '', error => error.message)
}

async function inChromium() {
    if (whyNoBrowser())
        return skip('GPU tests in Chromium', whyNoBrowser())
    const folder = mkdtempSync(join(tmpdir(), 'ingle-gpu-'))
    writeFileSync(join(folder, 'index.html'), '<!doctype html><title>GPU tests</title>')
    for (const name of ['gpu_program.mjs', 'wasi_host.mjs'])
        copyFileSync(new URL(name, import.meta.url), join(folder, name))
    copyFileSync(PLAYER, join(folder, 'gpu.mjs'))
    for (const program of programs)
        copyFileSync(join(PROGRAMS, `${program}.wasm`), join(folder, `${program}.wasm`))
    const { server, address } = await serve({ page: folder })
    const browser = await openBrowser(['--enable-unsafe-webgpu'])
    try {
        const page = await browser.newPage()
        await page.goto(address)
        const why = await page.evaluate(whyNoAdapter)
        if (why)
            return skip('GPU tests in Chromium', why)
        for (const { program, name, args } of runs) {
            const started = Date.now()
            const { status, text } = await page.evaluate(runInPage, { program, args, options, most: MOST_MS })
            count(`${name}, Chromium`, started, status, text)
        }
    } finally {
        await browser.close()
        server.closeAllConnections()
        server.close()
        rmSync(folder, { recursive: true, force: true })
    }
}

if (!existsSync(PLAYER) || runs.length === 0)
    throw new Error(`${PLAYER} or such programs in ${PROGRAMS}: not built (make gpu-web-tests)`)
if (hosts.length === 0 || hosts.includes('node'))
    await inNode()
if (hosts.length === 0 || hosts.includes('chromium'))
    await inChromium()
console.log(`tests/gpu_web.mjs: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exit(total.failed || !(total.passed + total.skipped) ? 1 : 0) // Dawn would keep Node alive
