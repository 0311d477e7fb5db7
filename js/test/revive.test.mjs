// A GPU that goes away or fails in the middle of an answer: the worker's server with a device of Dawn's that the test
// has in its hands. What the core does then is tested over every call in C (tests/test_revive.c).
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { openDawn } from '../../tests/dawn.mjs'
import { source, storiesBytes, TOP } from './support.mjs'

const MODULE = `${TOP}build/wasm/gpu.wasm`
const { serve } = await source('serve.ts')
let dawn, skip = existsSync(MODULE) ? false : 'no build/wasm/gpu.wasm: make wasm'
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
class Server {
  asked = 0
  /** No further device can be had. */
  gone = false
  warnings = []
  #last = 0
  #open = new Map()

  constructor() {
    servers.push(this)
    serve({
      post: message => this.#hear(message),
      listen: take => this.#take = take,
      compile: async () => WebAssembly.compile(readFileSync(MODULE)),
      startPoolWorker: () => assert.fail('a pool worker'),
      openPath: () => assert.fail('a path'),
      gpu: async () => this.#gpu(),
      breathe: () => new Promise(resolve => setImmediate(resolve)),
      isolated: false, threads: 1, processors: 1,
    })
  }

  #take

  /** Dawn's GPU; its device is at hand. */
  #gpu() {
    return {
      wgslLanguageFeatures: dawn.wgslLanguageFeatures,
      requestAdapter: async options => {
        this.asked++
        if (this.gone)
          return null
        const adapter = await dawn.requestAdapter(options)
        return {
          info: adapter.info, limits: adapter.limits, features: adapter.features,
          requestDevice: async what => this.device = this.watch(await adapter.requestDevice(what)),
        }
      },
    }
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
    else if ('pull' in message)
      setImmediate(() => this.#take({ id: message.id, chunk: open.chunks.shift() ?? null }))
    else if ('error' in message)
      open.reject(Object.assign(new Error(message.error.message), message.error))
    else if ('done' in message)
      open.resolve(message.done)
  }

  ask(request, part = () => {}) {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject, part, chunks: [storiesBytes] })
      this.#take({ id, request })
    })
  }

  load(backend) {
    return this.ask({ op: 'load', source: { kind: 'pull', size: storiesBytes.length }, contextSize: CONTEXT, kvType: 'f16', threads: 1, backend })
  }

  /** An answer; `at` is called once so many tokens have come. */
  answer({ settings = [0], tokens = 20, at = Infinity, act = () => {} } = {}) {
    let n = 0
    const all = [...settings, ...Array(10 - settings.length).fill(NaN), tokens, 1, 0, 1]
    return this.ask({ op: 'generate', session: 0, prompt: { text: PROMPT }, settings: all, stops: [], bias: [] }, part => {
      const before = n
      n += part.tokens.length
      if (before < at && n >= at)
        act()
    })
  }
}

const SAMPLED = [0.9, 40, 0.95, NaN, NaN, 1.2, 64, NaN, NaN, 7]

test('a device that is destroyed in mid-answer: the text is that of an undisturbed run', { skip }, async () => {
  const server = new Server()
  const { device } = await server.load('gpu')
  assert.equal(device.backend, 'gpu')
  for (const settings of [[0], SAMPLED]) {
    const want = await server.answer({ settings })
    const before = server.asked
    let destroyed = 0
    const act = () => {
      destroyed++
      server.device.destroy()
    }
    const got = await server.answer({ settings, at: 4, act })
    assert.equal(destroyed, 1)
    assert.equal(server.asked, before + 1)
    assert.equal(got.text, want.text)
    assert.deepEqual(got.tokens, want.tokens)
  }
  assert.deepEqual(server.warnings, [])
})

test('where no device is left, the answer ends with an error that says why', { skip }, async () => {
  const server = new Server()
  await server.load('gpu')
  server.gone = true
  const answer = server.answer({ at: 4, act: () => server.device.destroy() })
  await assert.rejects(answer, error => error.code === 'ERR_DEVICE_LOST' && /no adapter/.test(error.message))
})

test('what a device refuses in mid-answer is told by name; another load is served', { skip }, async () => {
  const server = new Server()
  await server.load('gpu')
  const broken = server.answer({ at: 4, act: () => server.buffers.get('k cache').destroy() })
  await assert.rejects(broken, error => error.code === 'ERR_DEVICE' && /k cache/.test(error.message))
  await assert.rejects(server.answer(), { code: 'ERR_DEVICE' })
  const other = new Server()
  await other.load('gpu')
  assert.equal((await other.answer({ tokens: 5 })).tokens.length, 5)
})
