/* A test program in WebAssembly beside a WebGPU device. Test programs wait for the GPU by blocking, and
 * WebGPU answers only those who do not: so the program runs in a worker, on shared memory, and the player
 * (js/src/gpu.ts) in whoever started it, a page or Node's main thread. Each call of module `gpu` is a
 * message, and the worker sleeps until it is answered. This file is both ends. */
import { makeMemory, runProgram } from './wasi_host.mjs'

const WAIT = -15

/* ---- the starter's end ------------------------------------------------------------------------ */

/* The system's GPU; its devices are handed over as they are made. */
function watched(webgpu, onDevice) {
    return {
        wgslLanguageFeatures: webgpu.wgslLanguageFeatures,
        async requestAdapter(wanted) {
            const adapter = await webgpu.requestAdapter(wanted)
            const requestDevice = async what => {
                const device = await adapter.requestDevice(what)
                onDevice(device)
                return device
            }
            return adapter && { info: adapter.info, limits: adapter.limits, features: adapter.features, requestDevice }
        },
    }
}

/* What programs ask of `gpu_test`: options of the next device. */
function optionsOf(base, [noF16, noSubgroups, maxBuffer, maxBinding]) {
    return {
        ...base, noF16: base.noF16 || noF16 !== 0, noSubgroups: base.noSubgroups || noSubgroups !== 0,
        maxBuffer: maxBuffer || undefined, maxBinding: maxBinding || undefined,
    }
}

async function answer(player, gpu, options, [name, ...args]) {
    if (name === 'open')
        await player.open(gpu, options).catch(() => {}) // the program is told, and asks why
    let result = player.imports[name](...args) ?? 0
    while (name === 'wait' && result === WAIT) {
        await player.settled()
        result = player.imports.wait(...args)
    }
    return result
}

/* Runs a program in a worker that has this file's other end. port: { post, listen(onMessage) }; start: what
 * the worker is told; Gpu, webgpu: the class of js/src/gpu.ts and the system's GPU. Resolves to the exit
 * status, or to a text that says what broke. */
export function serveProgram(port, start, Gpu, webgpu, base, print) {
    const control = new Int32Array(new SharedArrayBuffer(8)) // answered?, result
    let player, device, lost, options = { ...base, software: true }
    const gpu = watched(webgpu, made => {
        device = made
    })
    return new Promise(resolve => {
        port.listen(async message => {
            if (message.memory) {
                player = new Gpu(message.memory)
            } else if (message.options) {
                options = { ...optionsOf(base, message.options), software: true }
            } else if (message.lose) {
                device.destroy()
                lost = device.lost // the player hears of it first
            } else if (message.call) {
                try {
                    await lost
                    control[1] = await answer(player, gpu, options, message.call)
                } catch (error) {
                    resolve(`${message.call[0]}: ${error.stack ?? error}`)
                }
                Atomics.store(control, 0, 1)
                Atomics.notify(control, 0)
            } else if ('text' in message) {
                print(message.text)
            } else {
                player?.close()
                resolve(message.status ?? message.failure)
            }
        })
        port.post({ ...start, control })
    })
}

/* ---- the worker's end ------------------------------------------------------------------------- */

function importsOf(post, control) {
    const ask = name => (...args) => {
        Atomics.store(control, 0, 0)
        post({ call: [name, ...args] })
        while (Atomics.load(control, 0) === 0) // what woke it may be the answer before, told late
            Atomics.wait(control, 0, 0)
        return control[1]
    }
    const none = () => { throw new Error('no program here asks about text') }
    const names = ['open', 'play', 'wait', 'failure', 'close']
    return {
        gpu: Object.fromEntries(names.map(name => [name, ask(name)])),
        gpu_test: { options: (...options) => post({ options }), lose: () => post({ lose: true }) },
        host: { now: () => performance.now(), remainder: (x, y) => x % y, lower: none, normalise: none },
        math: Math,
    }
}

function runWorker(post, { module, args, env, control }) {
    try {
        const memory = makeMemory(true)
        post({ memory })
        post({ status: runProgram(module, { args, env, memory, others: importsOf(post, control), print: text => post({ text }) }) })
    } catch (error) {
        post({ failure: String(error.stack ?? error) })
    }
}

if (typeof WorkerGlobalScope === 'function') {
    globalThis.onmessage = ({ data }) => runWorker(message => globalThis.postMessage(message), data)
} else if (typeof process === 'object') {
    const { isMainThread, parentPort } = await import('node:worker_threads')
    if (!isMainThread)
        parentPort.once('message', data => runWorker(message => parentPort.postMessage(message), data))
}
