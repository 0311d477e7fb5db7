// Weights that stream to the GPU: the core's memory stays small, and a GPU that fails leaves the CPU to take over.
// On a device that only counts, so that no adapter is needed; the core and the worker are the package's.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { source, STORIES, storiesBytes, TOP } from './support.mjs'

const MIB = 1 << 20
const MOST = 64 * MIB
const folder = mkdtempSync(join(tmpdir(), 'ingle-stream-'))
const large = join(folder, 'large.gguf')
after(() => rmSync(folder, { recursive: true, force: true }))

const [{ startCore }, { Engine }, { loadModel }, { serve }] =
  await Promise.all(['wasm.ts', 'engine.ts', 'loader.ts', 'serve.ts'].map(source))
const compile = async file => WebAssembly.compile(readFileSync(join(TOP, 'build/wasm', file)))

/** A GPU that takes everything and computes nothing. failAt: the write of this number loses the device. */
function counter({ failAt = Infinity } = {}) {
  const counts = { written: 0, writes: 0, most: 0, behind: 0, buffers: 0, devices: 0 }
  const buffer = ({ size }) => {
    counts.buffers++
    return { size, destroy: () => counts.buffers--, mapAsync: async () => {}, getMappedRange: () => new ArrayBuffer(size), unmap() {} }
  }
  const limits = {
    maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: 2 ** 30, maxComputeWorkgroupStorageSize: 32768,
    maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256, maxComputeWorkgroupsPerDimension: 65535,
    maxStorageBuffersPerShaderStage: 10,
  }
  const requestDevice = async () => {
    counts.devices++
    let lose
    const made = () => ({})
    return {
      limits, features: new Set(), lost: new Promise(resolve => lose = resolve), destroy() {},
      queue: {
        writeBuffer(_to, _offset, from, _at = 0, n = from.byteLength) {
          if (++counts.writes === failAt)
            lose({ message: 'unplugged' })
          counts.written += n
          counts.behind += n
          counts.most = Math.max(counts.most, counts.behind)
        },
        submit() {},
        onSubmittedWorkDone: async () => {
          counts.behind = 0
        },
      },
      pushErrorScope() {}, popErrorScope: async () => null, createBuffer: buffer, createShaderModule: made,
      createBindGroupLayout: made, createPipelineLayout: made, createBindGroup: made, createQuerySet: made,
      createComputePipelineAsync: async () => ({}),
      createCommandEncoder: () => ({
        beginComputePass: () => ({ setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} }),
        copyBufferToBuffer() {}, finish: made,
      }),
    }
  }
  const info = { description: 'a counter', isFallbackAdapter: false }
  const gpu = { wgslLanguageFeatures: new Set(), requestAdapter: async () => ({ info, limits, features: new Set(), requestDevice }) }
  return { gpu, counts }
}

function openFile(path) {
  const file = openSync(path), buffer = new Uint8Array(4 * MIB)
  return {
    total: statSync(path).size, remote: false, cancel() {},
    async next() {
      const n = readSync(file, buffer)
      return n > 0 ? buffer.subarray(0, n) : null
    },
  }
}

async function loadLarge(device) {
  const core = await startCore({ compile }, { build: device ? 'gpu' : 'simd', why: '' }, () => {})
  const engine = new Engine(core)
  const options = { contextSize: 512, kvType: 'f16', threads: 1 }
  if (device)
    await core.gpu.open(device.gpu)
  const { model } = await loadModel(engine, openFile(large), () => {}, device && options)
  const loaded = core.memory.buffer.byteLength
  return { engine, loaded, session: device && engine.openSession(model, options), core }
}

test('weights on the GPU are not kept in memory', async t => {
  execFileSync('python3', [join(TOP, 'bench/make_gguf.py'), '--preset', 'smollm2-135m', '--type', 'q8_0', large], { stdio: 'ignore' })
  const { size } = statSync(large)
  assert.ok(size > 2 * MOST)
  const device = counter()
  const { engine, loaded, session, core } = await loadLarge(device)
  t.diagnostic(`${(size / MIB).toFixed(0)} MiB: ${(loaded / MIB).toFixed(1)} MiB of WebAssembly memory, ` +
    `${(device.counts.most / MIB).toFixed(1)} MiB that the GPU was behind, ${device.counts.writes} writes`)
  assert.ok(device.counts.written > size * 0.95, `${device.counts.written} bytes written`)
  assert.ok(loaded + device.counts.most < MOST, `${loaded} + ${device.counts.most} bytes outside the GPU`)
  assert.match(engine.text('wasm_session_backend', session), /^gpu\/.*a counter/)
  assert.ok(core.memory.buffer.byteLength < MOST)
})

test('on the CPU they are: the measure above can fail', async () => {
  const { loaded } = await loadLarge(undefined)
  assert.ok(loaded > statSync(large).size)
})

/** The package's worker, with this GPU; resolves to what a load is answered with. */
async function answerOf(gpu, request, chunks = []) {
  const messages = []
  let hear, opened = 0
  const ended = new Promise(resolve => {
    serve({
      post(message) {
        messages.push(message)
        if (message.pull)
          queueMicrotask(() => hear({ id: 1, chunk: chunks.shift() ?? null }))
        else if (message.done || message.error)
          resolve(message)
      },
      listen: take => hear = take,
      compile, gpu: async () => gpu, breathe: async () => {}, isolated: false, threads: 1, processors: 1,
      openPath: async path => {
        opened++
        return openFile(path)
      },
    })
  })
  hear({ id: 1, request: { op: 'load', backend: 'auto', contextSize: 64, kvType: 'f16', threads: 1, ...request } })
  return { ...await ended, opened }
}

const path = { source: { kind: 'path', path: STORIES } }

test('a GPU that computes wrongly: it fails its self-test, and the weights are read again for the CPU', async () => {
  const { gpu, counts } = counter()
  const { done, error, opened } = await answerOf(gpu, path)
  assert.equal(error, undefined)
  assert.equal(done.device.backend, 'cpu')
  assert.match(done.device.why, /self-test/)
  assert.deepEqual([opened, counts.devices], [2, 1])
})

test('a GPU that fails while the weights come: they are read again for the CPU', async () => {
  const { gpu } = counter({ failAt: 20 })
  const { done, error, opened } = await answerOf(gpu, path)
  assert.equal(error, undefined)
  assert.equal(done.device.backend, 'cpu')
  assert.match(done.device.why, /unplugged/)
  assert.equal(opened, 2)
})

test('where the GPU was asked for, its failure is told', async () => {
  const { error, opened } = await answerOf(counter({ failAt: 20 }).gpu, { ...path, backend: 'gpu' })
  assert.equal(error.code, 'ERR_DEVICE_LOST')
  assert.equal(opened, 1)
})

test('a source that can be read only once is not read again', async () => {
  const chunks = [new Uint8Array(storiesBytes.subarray(0, 900_000)), new Uint8Array(storiesBytes.subarray(900_000))]
  const { error } = await answerOf(counter({ failAt: 5 }).gpu, { source: { kind: 'pull' } }, chunks)
  assert.equal(error?.code, 'ERR_DEVICE_LOST')
  assert.match(error.message, /read only once/)
})
