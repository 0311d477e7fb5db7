// A GPU that fails while a model is loaded: the CPU takes over, and where it cannot, both are told.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Server, skip } from './gpu_server.mjs'
import { source, storiesBytes, TOP } from './support.mjs'

const { load } = await source('load.ts')

const TOO_LARGE = 5e9
/** As if it did not compute on the CPU: then nobody has to ask for it. */
const info = { isFallbackAdapter: false }

/** A buffer with this label finds no memory. */
class Short extends Server {
  label = 'k cache'

  watch(device) {
    super.watch(device)
    const { createBuffer, popErrorScope } = device
    let short = false
    device.createBuffer = description => {
      short = description.label === this.label
      return createBuffer.call(device, description)
    }
    device.popErrorScope = async () => {
      const message = short ? 'no room' : ''
      short = false
      const error = await popErrorScope.call(device)
      return message ? { message } : error
    }
    return device
  }
}

/** Kernels that `wrong` finds do not compile. */
class Broken extends Server {
  broken = 0
  /** That one did not has been heard of. */
  failed = false

  constructor(wrong, options = {}) {
    super(options)
    this.wrong = wrong
  }

  watch(device) {
    super.watch(device)
    const { createShaderModule, createComputePipelineAsync } = device
    device.createShaderModule = ({ label, code }) => {
      const wrong = this.wrong(label, code)
      this.broken += wrong
      return createShaderModule.call(device, { label, code: wrong ? 'broken' : code })
    }
    device.createComputePipelineAsync = description => createComputePipelineAsync.call(device, description).catch(error => {
      this.failed = true
      throw error
    })
    return device
  }
}

/** Pipelines with this label are refused, at once or later. */
class Refusing extends Server {
  label = 'attend'
  atOnce = false

  watch(device) {
    super.watch(device)
    const { createComputePipelineAsync } = device
    device.createComputePipelineAsync = description => {
      if (description.label !== this.label)
        return createComputePipelineAsync.call(device, description)
      if (this.atOnce)
        throw new TypeError('not this one')
      return Promise.reject(new Error('not this one'))
    }
    return device
  }
}

test('a model that is too large for the CPU, and no GPU: both are told', async () => {
  const server = new Server({ bytes: TOO_LARGE })
  server.gone = true
  const both = { code: 'ERR_MEMORY', message: /5000000000 bytes; WebAssembly can hold .*; on the GPU: WebGPU finds no adapter$/, cause: 'WebGPU finds no adapter' }
  await assert.rejects(server.load('auto'), both)
  const nowhere = { kind: 'url', url: 'http://127.0.0.1:9/', size: TOO_LARGE } // not fetched: it would be ERR_NETWORK
  await assert.rejects(server.load('auto', nowhere), both)
  await assert.rejects(server.load('cpu'), ({ code, message, cause }) => code === 'ERR_MEMORY' && !message.includes('GPU') && cause === '')
  await assert.rejects(server.load('gpu'), { code: 'ERR_DEVICE', message: 'WebGPU finds no adapter' })
})

test('a GPU without enough memory: the CPU takes over, or both are told', { skip }, async () => {
  const short = new Short({ info })
  const { device } = await short.load('auto')
  assert.equal(device.backend, 'cpu')
  assert.deepEqual([short.reads, short.cancelled], [2, 1]) // a download would go on
  assert.match(device.why, /^k cache, \d+ bytes: no room/)
  const large = new Short({ info, bytes: TOO_LARGE })
  await assert.rejects(large.load('auto'), error => {
    assert.equal(error.code, 'ERR_MEMORY')
    assert.match(error.message, /5000000000 bytes; WebAssembly can hold .*; on the GPU: k cache, \d+ bytes: no room$/)
    assert.match(error.cause, /^k cache, \d+ bytes: no room$/)
    return true
  })
  assert.equal(large.asked, 1)
  await assert.rejects(new Short().load('gpu'), { code: 'ERR_MEMORY', message: /^k cache, \d+ bytes: no room$/ })
})

test('a large model that fits the CPU without its cache, after a GPU that failed: both are told', async () => {
  const wire = []
  const host = {
    startWorker: () => ({
      post: message => wire.push(message),
      listen: hear => queueMicrotask(() => wire.length && hear({ id: wire[0].id, progress: { total: 4e9 }, whyCpu: 'it was too hot' })),
      keepAlive() {}, terminate: async () => {},
    }),
    resolve: path => ({ kind: 'path', path }),
    readHead: async (_, n) => ({ bytes: storiesBytes.subarray(0, n), size: 4e9 }),
  }
  await assert.rejects(load('large.gguf', { contextSize: 1 << 20 }, host),
    { code: 'ERR_MEMORY', message: /4000000000 bytes and its KV cache 671088640; .*; on the GPU: it was too hot$/, cause: 'it was too hot' })
})

for (const label of ['embed', 'qkv', 'norm', 'sample_pick']) {
  test(`a kernel that does not compile in any mode is told by its name: ${label}`, { skip }, async () => {
    const server = new Broken(name => name === label)
    await assert.rejects(server.load('gpu'), error => error.code === 'ERR_DEVICE' && error.message.startsWith(`${label}: `))
    assert.ok(server.broken > 0)
  })
}

test('kernels that two modes share and that do not compile are done without in a third', { skip }, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'ingle-q4-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'q4.gguf') // the kernels of F32 are the same with int8
  execFileSync('python3', [join(TOP, 'bench/make_gguf.py'), '--preset', 'tiny-narrow', '--type', 'q4_0', path], { stdio: 'ignore' })
  // Those of the first mode that stay when subgroups are given up: they must be told of a second time.
  const server = new Broken((_, code) => !server.failed && code.includes('dot4I8Packed') && !code.includes('subgroup'), { file: readFileSync(path) })
  const { device } = await server.load('gpu')
  if (server.broken === 0)
    return t.skip('the adapter has no packed dot products')
  assert.match(device.features[0], /^gpu\/f32 /)
  assert.match(device.why, /int8 off: /)
})

for (const atOnce of [false, true]) {
  test(`a pipeline that is refused ${atOnce ? 'at once' : 'later'} is told by its name, and the CPU takes over`, { skip }, async () => {
    const asked = Object.assign(new Refusing(), { atOnce })
    await assert.rejects(asked.load('gpu'), { code: 'ERR_DEVICE', message: /^attend: \w*Error: not this one$/ })
    const { device } = await Object.assign(new Refusing({ info }), { atOnce }).load('auto')
    assert.equal(device.backend, 'cpu')
    assert.match(device.why, /^attend: /)
  })
}
