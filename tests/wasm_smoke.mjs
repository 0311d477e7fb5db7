/* The WebAssembly modules by their exports: each build answers greedily and must choose the tokens
 * that the native build chooses; the answers of SmolLM2 are js/test/accept.mjs's.
 *
 *     node tests/wasm_smoke.mjs           the tests; needs models/stories260K.gguf and ./ingle
 *     node tests/wasm_smoke.mjs bench     tokens a second of each build, 1 and 2 threads */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Engine } from './wasm_engine.mjs'

const BUILDS = ['simd', 'relaxed', 'simd-threads', 'relaxed-threads']
const STORIES = 'models/stories260K.gguf'
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ingle')
const SMOL = [process.env.INGLE_MODELS, 'models', CACHE].filter(Boolean)
    .map(folder => join(folder, 'SmolLM2-135M-Instruct.Q4_1.gguf')).find(existsSync)
const counts = { passed: 0, failed: 0, skipped: 0 }

async function test(name, run) {
    try {
        const why = await run()
        counts[why ? 'skipped' : 'passed']++
        if (why)
            console.log(`skipped: ${name}: ${why}`)
    } catch (e) {
        counts.failed++
        console.log(`FAIL ${name}: ${e.message}`)
    }
}

function check(condition, text) {
    if (!condition)
        throw new Error(text)
}

function modulePath(build) {
    const path = `build/wasm/${build}.wasm`
    return existsSync(path) && WebAssembly.validate(readFileSync(path)) ? path : null
}

const native = {}
function nativeAnswer(text, predict) {
    native[text] ??= JSON.parse(execFileSync('./ingle', ['run', '-m', STORIES, '--raw', '-p', text, '--temp', '0',
        '-n', String(predict), '--json', '-q', '-t', '1'], { encoding: 'utf8' }))
    return native[text]
}

async function stories(path, threads) {
    const e = await Engine.open(path, threads)
    const model = e.load(STORIES, 10007) // odd chunks
    const info = JSON.parse(e.text(e.x.wasm_model_info(model)))
    check(info.architecture === 'llama' && info.runnable === 'OK' && info.vocabSize === 512, JSON.stringify(info))
    for (const text of ['Once upon a time', 'The dog']) {
        const session = e.session(model, { threads })
        const want = nativeAnswer(text, 64)
        const ids = e.tokenize(model, text)
        check(ids.length === want.prompt_tokens, `${ids.length} prompt tokens`)
        const got = e.generate(session, ids, 64)
        check(got.text === want.text && got.ids.join() === want.tokens.join(),
            `${text}: "${got.text}" instead of "${want.text}"`)
        // A timeline reused, computed in pieces, and stopped by the flag: the answer stays the same.
        e.x.wasm_session_truncate(session, 1)
        e.lend(ids, p => {
            for (let done = 1; done < ids.length; ) {
                const now = e.checkStatus(e.x.wasm_session_prefill(session, p, ids.length, 2))
                check(now > done || now === ids.length, `prefill went from ${done} to ${now}`)
                check(now === e.x.wasm_session_length(session), 'prefill says another length')
                done = now
            }
        })
        const flag = new Int32Array(e.memory.buffer, e.x.wasm_session_flag(session) >>> 0, 1)
        flag[0] = 1
        const stopped = e.generate(session, ids, 64)
        check(stopped.stop === 4 && stopped.ids.length === 0, `cancelled: ${JSON.stringify(stopped)}`)
        flag[0] = 0
        check(e.generate(session, ids, 64).text === want.text, 'another answer after a cancelled one')
        e.x.wasm_session_close(session)
    }
    e.x.wasm_model_close(model)
    await e.close()
}

/* Opening and closing again and again leaves the memory as it was. */
async function memory(path) {
    const e = await Engine.open(path, 1)
    let after = 0
    for (let i = 0; i < 12; i++) {
        const model = e.load(STORIES)
        const session = e.session(model)
        e.generate(session, e.tokenize(model, 'A cat'), 4)
        e.x.wasm_session_close(session)
        e.x.wasm_model_close(model)
        after = i === 2 ? e.memory.buffer.byteLength : after
    }
    check(e.memory.buffer.byteLength === after, `memory grew from ${after} to ${e.memory.buffer.byteLength} bytes`)
    await e.close()
}

/* WebAssembly memory never shrinks, so that what it holds after loading is the most that loading took.
 * A session adds its own needs and what packing the weights in place borrows. */
async function loading(path) {
    if (!SMOL)
        return 'SmolLM2 was not fetched (tools/get_model.py)'
    const most = 64 << 20, e = await Engine.open(path, 1), used = () => e.memory.buffer.byteLength
    const model = e.load(SMOL)
    const { sizeBytes } = JSON.parse(e.text(e.x.wasm_model_info(model)))
    const loaded = used() - sizeBytes
    const need = JSON.parse(e.text(e.x.wasm_session_memory(model, 512, 0, 1, 0, 0)))
    e.session(model, { context: 512 })
    const packed = used() - sizeBytes - need.kv - need.scratch
    const mib = n => `${(n / 1048576).toFixed(1)} MiB`
    console.log(`    ${mib(sizeBytes)} of weights; beyond them ${mib(loaded)} loaded, ${mib(packed)} with a session besides its own ${mib(need.kv + need.scratch)}`)
    check(loaded > 0 && loaded <= most, `loading took ${loaded} bytes beyond the weights`)
    check(packed <= most, `a session took ${packed} bytes beyond the weights, its cache and its scratch`)
    await e.close()
}

/* Numbers read, computed with and written: the modules have their own ways of all three. */
async function numbers(path) {
    const x = [0, -0.5, 1, 0.1, 1 / 3, 2.5, 1e15, 123456789.125, 1e22, 1.5e-7, 5e-324, 1.7976931348623157e308, 255, -41]
    const source = '{% for v in x %}{{ v }} {{ v | tojson }} {{ "%.3f %e %g %.12g" % (v, v, v, v) }} {{ v | round(2) }} ' +
        '{{ v | string | float }} {{ (v * 1.0 * v + 2) ** 0.5 }} {{ "%5d|%-8s|%x" % (v | round | string | length, v > 0, 255) }}\n{% endfor %}' +
        '{{ 10.0 ** 20 }} {{ 2 ** -3 }} {{ 7.5 % 2 }} {{ 1234567 | filesizeformat }}'
    const context = JSON.stringify({ x })
    const folder = mkdtempSync(join(tmpdir(), 'ingle-numbers-'))
    writeFileSync(join(folder, 't'), source)
    writeFileSync(join(folder, 'c'), context)
    const want = execFileSync('./ingle', ['template', '--template', join(folder, 't'), '--context', join(folder, 'c')], { encoding: 'utf8' })
    rmSync(folder, { recursive: true })
    const e = await Engine.open(path, 1)
    const got = e.lend(source, (s, n) => e.lend(context, (c, m) => e.text(e.check(e.x.wasm_template_render(s, n, c, m)))))
    check(want.length > 1000 && got === want, `${got}\ninstead of\n${want}`)
    await e.close()
}

async function refusals(path) {
    const e = await Engine.open(path, 1)
    const fails = (name, call) => {
        try {
            call()
        } catch (error) {
            check(error.message.startsWith(name), error.message)
            return
        }
        throw new Error(`no ${name}`)
    }
    const loader = e.check(e.x.wasm_loader_open())
    fails('ERR_FORMAT', () => e.lend('no model at all', (p, n) => e.checkStatus(e.x.wasm_loader_feed(loader, p, n))))
    fails('ERR_FORMAT', () => e.check(e.x.wasm_loader_take(loader)))
    e.x.wasm_loader_close(loader)
    const model = e.load(STORIES)
    fails('ERR_USAGE', () => e.session(model, { cpu: 'abacus' }))
    fails('ERR_USAGE', () => e.generate(e.session(model), new Int32Array([1, 512]), 1))
    fails('ERR_CONTEXT_FULL', () => e.generate(e.session(model, { context: 8 }), new Int32Array(9).fill(5), 1))
    fails('ERR_MEMORY', () => e.session(model, { context: 1 << 22 }))
    await e.close()
}

async function bench() {
    const model = SMOL ?? STORIES
    console.log(`${model.split('/').pop()}, tokens a second, median of 5`)
    for (const build of BUILDS)
        for (const threads of build.includes('threads') ? [1, 2] : [1]) {
            const path = modulePath(build)
            if (!path)
                continue
            const e = await Engine.open(path, threads)
            const m = e.load(model), s = e.session(m, { threads, context: 256 })
            const prompt = Int32Array.from({ length: 128 }, (_, i) => 100 + i), rows = [[], []]
            const append = ids => e.lend(ids, p => e.checkStatus(e.x.wasm_session_append(s, p, ids.length)))
            for (let round = 0; round < 6; round++) {
                e.x.wasm_session_truncate(s, 0)
                const start = performance.now()
                append(prompt)
                const middle = performance.now()
                for (let i = 0; i < 32; i++)
                    append(prompt.subarray(i, i + 1))
                if (round) { // the first one warms up
                    rows[0].push(128e3 / (middle - start))
                    rows[1].push(32e3 / (performance.now() - middle))
                }
            }
            const [prefill, decode] = rows.map(r => r.sort((a, b) => a - b)[2].toFixed(1).padStart(8))
            console.log(`${build.padEnd(16)} ${threads} thread${threads > 1 ? 's' : ' '}  prefill 128 ${prefill}  ` +
                `decode ${decode}  memory ${(e.memory.buffer.byteLength / 1048576).toFixed(0)} MiB`)
            await e.close()
        }
}

if (process.argv[2] === 'bench') {
    await bench()
} else {
    for (const build of BUILDS) {
        const path = modulePath(build)
        const threads = build.includes('threads') ? [1, 3] : [1]
        for (const n of threads)
            await test(`stories, ${build}, ${n} thread${n > 1 ? 's' : ''}`, () => path ? stories(path, n) : 'not built, or this Node cannot run it')
        await test(`memory, ${build}`, () => path ? memory(path) : 'not built, or this Node cannot run it')
        await test(`memory while loading, ${build}`, () => path ? loading(path) : 'not built, or this Node cannot run it')
        await test(`numbers, ${build}`, () => path ? numbers(path) : 'not built, or this Node cannot run it')
        await test(`refusals, ${build}`, () => path ? refusals(path) : 'not built, or this Node cannot run it')
    }
    console.log(`tests/wasm_smoke.mjs: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
    process.exitCode = counts.failed ? 1 : 0
}
