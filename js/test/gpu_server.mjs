// The worker's server in a test's own thread, with a device of Dawn's that the test has in its hands.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { after } from 'node:test'
import { openDawn } from '../../tests/dawn.mjs'
import { source, storiesBytes, TOP } from './support.mjs'

const { serve } = await source('serve.ts')
let dawn
/** Why there are no such tests here, or false. */
export let skip = existsSync(`${TOP}build/wasm/gpu.wasm`) ? false : 'no build/wasm/gpu.wasm: make wasm'
try {
  dawn = await openDawn()
} catch (error) {
  skip ||= String(error.message).split('\n')[0]
}

const PROMPT = 'Once upon a time'
const CONTEXT = 32 // few kernels: software compiles them slowly
const servers = []
after(() => servers.forEach(server => server.device?.destroy()))

/** A server in this thread, its messages, and the device it has. */
export class Server {
  asked = 0
  reads = 0
  /** Reads that were let go of before their end. */
  cancelled = 0
  /** Called whenever bytes are wanted. */
  reading = () => {}
  /** No further device can be had. */
  gone = false
  warnings = []
  #file
  #bytes
  #info
  #last = 0
  #open = new Map()

  /** bytes: as many as the file is said to have; info: what else the adapter says of itself. */
  constructor({ file = storiesBytes, bytes = file.length, info = {} } = {}) {
    servers.push(this)
    this.#file = file
    this.#bytes = bytes
    this.#info = info
    serve({
      post: message => this.#hear(message),
      listen: take => this.#take = take,
      compile: async file => WebAssembly.compile(readFileSync(`${TOP}build/wasm/${file}`)),
      startPoolWorker: () => assert.fail('a pool worker'),
      openPath: async () => this.#read(),
      gpu: async () => this.#gpu(),
      breathe: () => new Promise(resolve => setImmediate(resolve)),
      isolated: false, threads: 1, processors: 1,
    })
  }

  #take

  #read() {
    this.reads++
    const chunks = [this.#file]
    return { total: this.#bytes, remote: false, next: async () => (this.reading(), chunks.shift() ?? null), cancel: () => this.cancelled++ }
  }

  /** Dawn's GPU; its device is at hand. */
  #gpu() {
    return {
      wgslLanguageFeatures: dawn?.wgslLanguageFeatures,
      requestAdapter: async options => {
        this.asked++
        if (this.gone)
          return null
        const adapter = await dawn.requestAdapter(options)
        return {
          info: this.#infoOf(adapter.info), limits: adapter.limits, features: adapter.features,
          requestDevice: async what => this.device = this.watch(await adapter.requestDevice(what)),
        }
      },
    }
  }

  #infoOf({ description, vendor, architecture, subgroupMinSize, subgroupMaxSize, isFallbackAdapter }) {
    return { description, vendor, architecture, subgroupMinSize, subgroupMaxSize, isFallbackAdapter, ...this.#info }
  }

  /** Keeps the buffers at hand. */
  watch(device) {
    const { createBuffer } = device
    this.buffers = new Map()
    device.createBuffer = description => {
      const buffer = createBuffer.call(device, description)
      this.buffers.set(description.label, buffer)
      return buffer
    }
    return device
  }

  #hear(message) {
    if ('warning' in message)
      return this.warnings.push(message.warning)
    const open = this.#open.get(message.id)
    if ('part' in message)
      open.part(message.part)
    else if ('error' in message)
      open.reject(Object.assign(new Error(message.error.message), message.error))
    else if ('done' in message)
      open.resolve(message.done)
  }

  ask(request, part = () => {}) {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject, part })
      this.#take({ id, request })
    })
  }

  /** Stops what was asked for last. */
  cancel() {
    this.#take({ id: this.#last, cancel: true })
  }

  load(backend, source = { kind: 'path', path: 'model.gguf' }) {
    return this.ask({ op: 'load', source, contextSize: CONTEXT, kvType: 'f16', threads: 1, backend })
  }

  /** An answer; `at` is called once so many tokens have come. */
  answer({ session = 0, settings = [0], tokens = 20, at = Infinity, act = () => {} } = {}) {
    let n = 0
    const all = [...settings, ...Array(10 - settings.length).fill(NaN), tokens, 1, 0, 1]
    return this.ask({ op: 'generate', session, prompt: { text: PROMPT }, settings: all, stops: [], bias: [] }, part => {
      const before = n
      n += part.tokens.length
      if (before < at && n >= at)
        act()
    })
  }
}
