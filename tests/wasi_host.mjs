/* A host for test programs in WebAssembly that ask WASI for no more than arguments, output and a
 * clock. The same file serves Node, a page and its workers; memory may be shared. It owns no files:
 * whatever else a program calls answers "not supported". */
const PAGES_FIRST = 512
const PAGES_MOST = 65536
const NOT_SUPPORTED = 58
const NO_FILE = 8

class Exit {
    constructor(status) {
        this.status = status
    }
}

/* What a program may call; print gets its output in pieces. */
function calls(memory, args, env, print) {
    const bytes = () => new Uint8Array(memory.buffer)
    const words = () => new DataView(memory.buffer)
    const listOf = strings => {
        const texts = strings.map(a => new TextEncoder().encode(`${a}\0`))
        return {
            sizes(count, size) {
                words().setUint32(count, texts.length, true)
                words().setUint32(size, texts.reduce((n, t) => n + t.length, 0), true)
                return 0
            },
            get(list, at) {
                for (const text of texts) {
                    words().setUint32(list, at, true)
                    bytes().set(text, at)
                    list += 4
                    at += text.length
                }
                return 0
            },
        }
    }
    const given = listOf(args)
    const environment = listOf(Object.entries(env).map(([name, value]) => `${name}=${value}`))
    const decoder = new TextDecoder()
    return {
        args_sizes_get: given.sizes,
        args_get: given.get,
        environ_sizes_get: environment.sizes,
        environ_get: environment.get,
        clock_time_get(_clock, _precision, at) {
            words().setBigUint64(at, BigInt(Math.round(performance.now() * 1e6)), true)
            return 0
        },
        fd_fdstat_get(fd, at) {
            bytes().fill(0, at, at + 24)
            bytes()[at] = 2 // a character device: lines are written as they end
            return fd <= 2 ? 0 : NO_FILE
        },
        fd_prestat_get: () => NO_FILE, // no folder is open
        fd_write(_fd, parts, n, written) {
            let all = 0
            for (let i = 0; i < n; i++) {
                const at = words().getUint32(parts + 8 * i, true)
                const size = words().getUint32(parts + 8 * i + 4, true)
                print(decoder.decode(bytes().slice(at, at + size), { stream: true }))
                all += size
            }
            words().setUint32(written, all, true)
            return 0
        },
        proc_exit(status) {
            throw new Exit(status)
        },
    }
}

export function makeMemory(shared) {
    return new WebAssembly.Memory({ initial: PAGES_FIRST, maximum: PAGES_MOST, shared })
}

/* Runs a program that imports its memory to its end; returns its exit status. others: what it imports
 * beside WASI, by module and name. */
export function runProgram(module, { args = ['program'], env = {}, shared = false, memory = makeMemory(shared), others = {}, print }) {
    const known = { ...others, wasi_snapshot_preview1: calls(memory, args, env, print) }
    const imports = { env: { memory } }
    for (const { module: from, name, kind } of WebAssembly.Module.imports(module))
        if (kind === 'function')
            (imports[from] ??= {})[name] = known[from]?.[name] ?? (() => NOT_SUPPORTED)
    try {
        new WebAssembly.Instance(module, imports).exports._start()
        return 0
    } catch (error) {
        if (error instanceof Exit)
            return error.status
        throw error
    }
}

/* As the script of a page's worker: runs the program it is sent, posts its output and its end. */
if (typeof WorkerGlobalScope === 'function' && new URL(import.meta.url).pathname === globalThis.location.pathname)
    globalThis.onmessage = async ({ data: { address, shared } }) => {
        try {
            const module = await WebAssembly.compileStreaming(fetch(address))
            const status = runProgram(module, { shared, print: text => globalThis.postMessage({ text }) })
            globalThis.postMessage({ status })
        } catch (error) {
            globalThis.postMessage({ failure: String(error) })
        }
    }
