/* A small driver of the WebAssembly module for its tests and benchmarks under Node: what a page's
 * worker does, without promises. The exports are described in src/wasm/exports.c. */
import { readFileSync } from 'node:fs'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'

const PAGES = 64
const MOST_PAGES = 65536
const NO_DEVICE = -11

function imports(memory, logs) {
    return {
        env: { memory },
        host: {
            now: () => performance.now(),
            date: at => {
                const d = new Date()
                new Int32Array(memory.buffer, at, 6).set([d.getFullYear(), d.getMonth() + 1, d.getDate(),
                    d.getHours(), d.getMinutes(), d.getSeconds()])
            },
            lower: code => String.fromCodePoint(code).toLowerCase().codePointAt(0),
            normalise: (form, at, n, to) => Buffer.from(memory.buffer).write(
                Buffer.from(memory.buffer, at >>> 0, n).toString().normalize(form ? 'NFD' : 'NFC'), to >>> 0),
            remainder: (x, y) => x % y,
            number: (text, n) => Number(Buffer.from(memory.buffer, text >>> 0, n).toString()),
            log: (text, n) => logs.push(Buffer.from(memory.buffer, text, n).toString()),
        },
        gpu: Object.fromEntries(['open', 'play', 'wait', 'failure', 'close'].map(name => [name, () => NO_DEVICE])),
        math: Math,
    }
}

if (!isMainThread && workerData?.wasmWorker) {
    const { module, memory, stack, slot } = workerData
    const { exports } = new WebAssembly.Instance(module, imports(memory, []))
    exports.__stack_pointer.value = stack
    parentPort.postMessage('ready')
    exports.wasm_worker(slot)
}

export class Engine {
    /* threads counts this one; workers are started for the others. */
    static async open(path, threads = 1) {
        const engine = new Engine()
        const shared = path.includes('threads')
        const module = new WebAssembly.Module(readFileSync(path))
        engine.memory = new WebAssembly.Memory({ initial: PAGES, maximum: MOST_PAGES, shared })
        engine.logs = []
        engine.x = new WebAssembly.Instance(module, imports(engine.memory, engine.logs)).exports
        engine.x._initialize()
        engine.workers = []
        for (let slot = 0; slot < threads - 1; slot++) {
            const stack = engine.x.wasm_worker_stack()
            const worker = new Worker(fileURLToPath(import.meta.url),
                { workerData: { wasmWorker: true, module, memory: engine.memory, stack, slot } })
            await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
            engine.x.wasm_worker_add(slot)
            engine.workers.push(worker)
        }
        return engine
    }

    async close() {
        this.x.wasm_workers_stop()
        await Promise.all(this.workers.map(w => w.terminate()))
    }

    bytes(at, n) {
        return new Uint8Array(this.memory.buffer, at >>> 0, n)
    }

    /* Copies what is given into the module's memory for the length of a call of use(address, bytes). */
    lend(data, use) {
        const bytes = typeof data === 'string' ? Buffer.from(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
        const at = this.x.wasm_alloc(bytes.length) >>> 0
        if (!at)
            throw new Error('no memory')
        this.bytes(at, bytes.length).set(bytes)
        try {
            return use(at, bytes.length)
        } finally {
            this.x.wasm_free(at)
        }
    }

    text(at, n = this.x.wasm_size()) {
        return Buffer.from(this.bytes(at, n)).toString()
    }

    ids(at) {
        return new Int32Array(this.bytes(this.check(at), 4 * this.x.wasm_size()).slice().buffer)
    }

    /* An address, or the error that 0 stands for; a status, or the error that it is. */
    check(result) {
        if (result > 0 || result < -1000)
            return result >>> 0
        const status = this.x.wasm_status()
        throw new Error(`${this.text(this.x.wasm_status_name(status))}: ${this.text(this.x.wasm_error())}`)
    }

    checkStatus(status) {
        return status < 0 ? this.check(0) : status
    }

    load(path, chunk = 4 << 20) {
        const file = readFileSync(path), x = this.x
        const loader = this.check(x.wasm_loader_open())
        try {
            for (let at = 0; at < file.length; at += chunk)
                this.lend(file.subarray(at, at + chunk), (p, n) => this.checkStatus(x.wasm_loader_feed(loader, p, n)))
            return this.check(x.wasm_loader_take(loader))
        } finally {
            x.wasm_loader_close(loader)
        }
    }

    session(model, { context = 0, batch = 0, threads = 0, cpu = '' } = {}) {
        return this.lend(cpu + '\0', name =>
            this.check(this.x.wasm_session_open(model, context, batch, threads, 0, 0, cpu ? name : 0, 0)))
    }

    tokenize(model, text, flags = 1) {
        return this.lend(text, (p, n) => this.ids(this.x.wasm_tokenize(model, p, n, flags)))
    }

    /* The greedy answer to ids: { ids, text, stop }. */
    generate(session, ids, predict, settings = [0]) {
        const all = new Float64Array(11).fill(NaN)
        all.set(settings)
        all[10] = predict
        const g = this.lend(ids, p => this.lend(all, s =>
            this.check(this.x.wasm_generation_open(session, p, ids.length, s, all.length, 0, 0, 0, 0))))
        const answer = { ids: [], text: '', stop: 0 }
        const pieces = []
        while (!answer.stop) {
            const part = new Int32Array(this.bytes(this.check(this.x.wasm_generation_next(g)), 16).slice().buffer)
            pieces.push(Buffer.from(this.bytes(part[0], part[1])))
            if (part[2] >= 0)
                answer.ids.push(part[2])
            answer.stop = part[3]
        }
        this.x.wasm_generation_close(g)
        answer.text = Buffer.concat(pieces).toString()
        return answer
    }
}
