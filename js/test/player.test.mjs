// The tape player on a device of Dawn's: tickets, read-backs, what goes wrong. What each command computes
// is tested in C (tests/test_gpu_player.c, make test-gpu-web).
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { openDawn } from '../../tests/dawn.mjs'
import { source } from './support.mjs'

const OK = 0, ERR_MEMORY = -6, ERR_DEVICE = -11, ERR_DEVICE_LOST = -12, ERR_INTERNAL = -14, WAIT = -15
const [BUFFER, FREE, WRITE, PIPELINE, GROUP, SECTION, DISPATCH, RUN, COPY, READ, READY, STAMP, SUBMIT] = Array.from({ length: 13 }, (_, i) => i + 1)
const N = 64
const DOUBLE = `@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(${N}) fn main(@builtin(local_invocation_index) i: u32) { x[i] *= 2u; }`
const OUT = 4096, WORDS = 1024, TEXTS = 16384, DATA = 65536

const { Gpu } = await source('gpu.ts')
const { gpuWork } = await source('gpu_clock.ts')
const { ObjectMaker } = await source('gpu_objects.ts')
let dawn, skip = false
try {
  dawn = await openDawn()
} catch (error) {
  skip = String(error.message).split('\n')[0]
}

/** A memory with a player: what the core does, by hand. */
class Core {
  constructor(shared = false) {
    this.memory = new WebAssembly.Memory({ initial: 256, maximum: 512, shared })
    this.gpu = new Gpu(this.memory)
    this.top = TEXTS
    this.made = [] // labels of buffers
  }

  static async open({ shared, ...options } = {}) {
    const core = new Core(shared)
    await core.gpu.open(core.watched(), { software: true, ...options })
    opened.push(core)
    return core
  }

  /** The system's GPU, but its device is at hand here. */
  watched() {
    return {
      wgslLanguageFeatures: dawn.wgslLanguageFeatures,
      requestAdapter: async options => {
        const adapter = await dawn.requestAdapter(options)
        const requestDevice = async what => {
          const device = this.device = await adapter.requestDevice(what)
          const { createBuffer } = device
          device.createBuffer = description => {
            this.made.push(description.label)
            return createBuffer.call(device, description)
          }
          return device
        }
        return { info: adapter.info, limits: adapter.limits, features: adapter.features, requestDevice }
      },
    }
  }

  u32(at, n = 1) {
    return new Uint32Array(this.memory.buffer, at, n)
  }

  text(string) {
    const bytes = new TextEncoder().encode(string)
    const at = this.top
    new Uint8Array(this.memory.buffer).set(bytes, at)
    this.top += bytes.length
    return [at, 0, bytes.length]
  }

  play(...words) {
    const tape = words.flat(Infinity)
    this.u32(WORDS, tape.length).set(tape)
    return this.gpu.imports.play(WORDS, tape.length)
  }

  failure() {
    const n = this.gpu.imports.failure(OUT, 240)
    return new TextDecoder().decode(new Uint8Array(this.memory.buffer, OUT, n).slice())
  }

  /** A status, once it is no longer WAIT. */
  async wait(ticket, to = 0) {
    for (;;) {
      const status = this.gpu.imports.wait(ticket, to)
      if (status !== WAIT)
        return status
      await this.gpu.settled()
    }
  }

  buffer(number, bytes, label = `buffer ${number}`) {
    return [BUFFER, number, bytes, 0, this.text(label)]
  }

  /** Buffer 0 holds 1, 2, 3 ...; section 0 doubles them. */
  async prepare() {
    this.u32(DATA, N).set(Array.from({ length: N }, (_, i) => i + 1))
    const status = this.play(this.buffer(0, 4 * N), [WRITE, 0, 0, 0, DATA, 0, 4 * N],
      [PIPELINE, 0, this.text(DOUBLE), 1, 1, this.text('double')], [GROUP, 0, 0, 1, 0, 0, 0, 4 * N, 0],
      [SECTION, 0, 1, 0, 0, 1, 1, 1], [READY, 0])
    assert.equal(status, OK, this.failure())
    assert.equal(await this.wait(0), OK, this.failure())
  }
}

const opened = []
after(() => opened.forEach(core => core.gpu.close()))

const read = (to, ticket, bytes = 4 * N, offset = 0) => [READ, 0, offset, 0, to, 0, bytes, ticket]

test('a ticket waits, settles and is answered once', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  assert.equal(core.play(RUN, 0, 3, read(DATA, 7)), OK)
  assert.equal(core.gpu.imports.wait(7, 0), WAIT)
  assert.equal(await core.wait(7), OK)
  assert.deepEqual([...core.u32(DATA, 3)], [8, 16, 24])
  assert.equal(await core.wait(7), ERR_INTERNAL)
  assert.match(core.failure(), /ticket 7/)
})

test('a ticket that nobody waits for writes nowhere, and memory may grow meanwhile', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  core.u32(DATA)[0] = 99
  assert.equal(core.play(read(DATA, 1), SUBMIT, read(DATA + 4096, 2)), OK)
  core.memory.grow(1)
  assert.equal(await core.wait(2), OK)
  assert.equal(core.u32(DATA)[0], 99)
  assert.equal(core.u32(DATA + 4096)[0], 1)
})

for (const shared of [false, true]) {
  test(`bytes arrive as they were, ${shared ? 'shared' : 'plain'} memory`, { skip }, async () => {
    const core = await Core.open({ shared })
    const bytes = (3 << 20) + 8
    const sent = new Uint8Array(core.memory.buffer, DATA, bytes).map((_, i) => i * 7 + (i >> 12))
    new Uint8Array(core.memory.buffer).set(sent, DATA)
    const to = DATA + (4 << 20)
    assert.equal(core.play(core.buffer(0, bytes + 256), [WRITE, 0, 4, 0, DATA, 0, bytes], read(to, 0, bytes, 4)), OK, core.failure())
    assert.equal(await core.wait(0), OK, core.failure())
    assert.deepEqual(new Uint8Array(core.memory.buffer, to, bytes).slice(), sent.slice())
  })
}

test('a section that is given again takes the place of the old one', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  assert.equal(core.play(RUN, 0, 1, [SECTION, 0, 2, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1], RUN, 0, 2, read(DATA, 1)), OK, core.failure())
  assert.equal(await core.wait(1), OK)
  assert.equal(core.u32(DATA)[0], 32)
})

test('reads of one submit share a staging buffer, which is used again unless it is large', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  const staged = () => core.made.filter(label => label === 'staging').length
  for (let round = 0; round < 3; round++) {
    assert.equal(core.play(RUN, 0, 1, read(DATA, 1), read(DATA + 1024, 2, 8, 16), read(DATA + 2048, 3, 4, 4)), OK)
    for (const ticket of [3, 1, 2])
      assert.equal(await core.wait(ticket), OK)
    const factor = 2 ** (round + 1)
    assert.deepEqual([core.u32(DATA)[0], ...core.u32(DATA + 1024, 2), core.u32(DATA + 2048)[0]].map(x => x / factor), [1, 5, 6, 2])
    assert.equal(staged(), 1)
  }
  assert.equal(core.play(core.buffer(1, 2 << 20), [READ, 1, 0, 0, DATA, 0, 2 << 20, 1]), OK)
  assert.equal(await core.wait(1), OK)
  assert.equal(core.play(READ, 1, 0, 0, DATA, 0, 2 << 20, 1), OK)
  assert.equal(await core.wait(1), OK)
  assert.equal(staged(), 3)
  // Two under way at once need two.
  assert.equal(core.play(read(DATA, 1), RUN, 0, 1, read(DATA, 2)), OK)
  assert.deepEqual([await core.wait(1), await core.wait(2)], [OK, OK])
  assert.equal(staged(), 4)
})

test('stamps are answered without a submit, in order', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  assert.equal(core.play(Array.from({ length: 40 }, (_, i) => [STAMP, i + 1, RUN, 0, 5])), OK, core.failure())
  const times = []
  for (let i = 1; i <= 40; i++) {
    assert.equal(await core.wait(i, DATA), OK, core.failure())
    times.push(new BigUint64Array(core.memory.buffer, DATA, 1)[0])
  }
  if (core.device.features.has('timestamp-query'))
    assert.ok(times.every((t, i) => t > 0n && (i === 0 || t >= times[i - 1])) && times[39] > times[0], times.join(' '))
  else
    assert.ok(times.every(t => t === 0n))
})

test('wrong code is told with its name, once; the rest works', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  const code = DOUBLE.replace('x[i] *=', 'y[i] *=')
  assert.equal(core.play([PIPELINE, 1, core.text(code), 1, 1, core.text('misspelt')],
    [PIPELINE, 2, core.text('nonsense'), 0, 0, core.text('worse')], [READY, 1]), OK)
  assert.equal(await core.wait(1), ERR_DEVICE)
  assert.match(core.failure(), /^misspelt: .*unresolved value 'y'/)
  assert.equal(core.play(DISPATCH, 1, 0, 1, 1, 1), ERR_DEVICE)
  assert.match(core.failure(), /^misspelt: .*unresolved value 'y'/)
  assert.equal(core.play(DISPATCH, 0, 0, 1, 1, 1, read(DATA, 1)), OK, core.failure())
  assert.equal(await core.wait(1), OK)
  assert.equal(core.u32(DATA)[0], 2)
})

test('a kernel that does not compile is told by READY alone: the core goes on without it', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  assert.equal(core.play([PIPELINE, 1, core.text('nonsense'), 0, 0, core.text('worse')], [PIPELINE, 2, core.text('more'), 0, 0, core.text('worst')]), OK)
  for (let i = 0; i < 20; i++) { // while it is found out
    await new Promise(resolve => setTimeout(resolve, 10))
    assert.equal(core.play(DISPATCH, 0, 0, 1, 1, 1, SUBMIT), OK, core.failure())
  }
  assert.equal(core.play([READY, 1]), OK)
  assert.equal(await core.wait(1), ERR_DEVICE)
  assert.match(core.failure(), /^worse: /)
  assert.equal(core.play([READY, 1]), OK)
  assert.equal(await core.wait(1), OK, core.failure())
  // Named by a section, it is of use to nobody still.
  assert.equal(core.play([SECTION, 1, 2, 0, 0, 1, 1, 1, 2, 0, 1, 1, 1], [READY, 1]), OK)
  assert.equal(await core.wait(1), ERR_DEVICE)
  assert.match(core.failure(), /^worst: /)
  assert.equal(core.play(DISPATCH, 0, 0, 1, 1, 1, SUBMIT), OK, core.failure())
})

test('a kernel that is dispatched before READY is the tape\'s fault', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  const tape = [[PIPELINE, 1, core.text(`${DOUBLE} // again`), 1, 1, core.text('hasty')], [GROUP, 1, 1, 1, 0, 0, 0, 4 * N, 0], [DISPATCH, 1, 1, 1, 1, 1]]
  assert.equal(core.play(tape), ERR_INTERNAL)
  assert.match(core.failure(), /^the tape is wrong before word \d+: .*hasty is not known to be compiled/)
})

test('what the device refuses is told by READY at the latest', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  core.play(core.buffer(1, 256), [COPY, 0, 0, 0, 1, 0, 0, 512, 0], SUBMIT, [READY, 1])
  assert.equal(await core.wait(1), ERR_DEVICE)
  assert.match(core.failure(), /buffer 1/)
  assert.equal(core.play(read(DATA, 2)), OK, core.failure())
  assert.equal(await core.wait(2), OK)
})

test('tapes that name what is not there are refused', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  const wrong = [[0], [SUBMIT + 1], [FREE, 3], [RUN, 1, 1], [DISPATCH, 0, 4, 1, 1, 1], [READ, 9, 0, 0, 0, 0, 4, 9], [BUFFER, 5, 4, 0, 0, 0, 0], [GROUP, 0, 0, 0], [WRITE, 0, 0]]
  for (const words of wrong) {
    assert.equal(core.play(words), ERR_INTERNAL, words.join(' '))
    assert.match(core.failure(), /^the tape is wrong before word \d/)
  }
  assert.equal(core.play(RUN, 0, 1, [FREE, 0], [RUN, 0, 1]), ERR_INTERNAL)
  assert.match(core.failure(), /freed/)
})

test('memory that cannot be had is told with its name, before what follows from it', { skip }, async () => {
  const core = await Core.open({ maxBuffer: 1 << 20 })
  assert.equal(core.play(core.buffer(0, (1 << 20) + 4, 'heavy')), ERR_MEMORY)
  assert.match(core.failure(), /^heavy, 1048580 bytes: this GPU allows 1048576/)
  // A device that has no room for the second of three.
  const { popErrorScope } = core.device
  let scopes = 0
  core.device.popErrorScope = async () => (await popErrorScope.call(core.device), ++scopes === 2 ? { message: 'no room' } : null)
  core.play(core.buffer(0, 256, 'first'), core.buffer(1, 512, 'second'), core.buffer(2, 256, 'third'), [COPY, 0, 0, 0, 1, 0, 0, 4096, 0], SUBMIT, [READY, 0])
  assert.equal(await core.wait(0), ERR_MEMORY)
  assert.equal(core.failure(), 'second, 512 bytes: no room')
})

test('what cannot be read is told, for each of its tickets', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  const { createBuffer } = core.device
  core.device.createBuffer = description => {
    const buffer = createBuffer.call(core.device, description)
    buffer.mapAsync = () => Promise.reject(new Error('not today'))
    return buffer
  }
  core.u32(DATA)[0] = 99
  assert.equal(core.play(read(DATA, 1), read(DATA, 2)), OK)
  assert.deepEqual([await core.wait(1), await core.wait(2)], [ERR_DEVICE, ERR_DEVICE])
  assert.match(core.failure(), /read/)
  assert.equal(core.u32(DATA)[0], 99)
})

test('a lost device is told for ever, and another one works', { skip }, async () => {
  const core = await Core.open()
  await core.prepare()
  assert.equal(core.play(RUN, 0, 1, read(DATA, 1), [STAMP, 2]), OK)
  core.device.destroy()
  for (const ticket of [1, 2, 77])
    assert.equal(await core.wait(ticket), ERR_DEVICE_LOST)
  await core.gpu.settled()
  assert.equal(core.play(SUBMIT), ERR_DEVICE_LOST)
  assert.notEqual(core.failure(), '')
  core.gpu.imports.close()
  assert.equal(core.play(SUBMIT), ERR_DEVICE)
  await core.gpu.open(core.watched(), { software: true })
  await core.prepare()
  assert.equal(core.play(RUN, 0, 1, read(DATA, 1)), OK)
  assert.equal(await core.wait(1), OK)
  assert.equal(core.u32(DATA)[0], 2)
})

test('the core is told what the device has, or why there is none', { skip }, async () => {
  const core = await Core.open({ noF16: true, maxBinding: 1 << 16 })
  assert.equal(core.gpu.imports.open(0), OK) // it only asks
  assert.equal(core.gpu.imports.open(DATA), OK)
  assert.deepEqual([core.gpu.imports.open(0), core.gpu.imports.open(OUT)], [ERR_DEVICE, ERR_DEVICE])
  assert.equal(core.failure(), 'the GPU is in use')
  const view = new DataView(core.memory.buffer, DATA, 184)
  const { limits, features } = core.device
  const name = new TextDecoder().decode(new Uint8Array(core.memory.buffer, DATA, 128)).replace(/\0.*/, '')
  assert.ok(name.length > 2)
  assert.equal(view.getBigUint64(128, true), BigInt(limits.maxBufferSize))
  assert.equal(view.getBigUint64(136, true), 65536n)
  const numbers = Array.from({ length: 9 }, (_, i) => view.getUint32(144 + 4 * i, true))
  assert.deepEqual(numbers.slice(0, 4), [limits.maxComputeWorkgroupStorageSize, limits.maxComputeInvocationsPerWorkgroup,
    limits.maxComputeWorkgroupsPerDimension, limits.maxStorageBuffersPerShaderStage])
  assert.equal(numbers[4] > 0 && numbers[5] >= numbers[4], features.has('subgroups'))
  assert.equal(numbers[6], 0)
  assert.ok(!features.has('shader-f16'))
  assert.equal(numbers[8], Number(features.has('timestamp-query')))
})

test('no GPU is an answer, too', async () => {
  const core = new Core()
  assert.equal(core.gpu.imports.open(DATA), ERR_DEVICE)
  await assert.rejects(core.gpu.open(undefined), { code: 'ERR_DEVICE' })
  assert.equal(core.gpu.imports.open(DATA), ERR_DEVICE)
  assert.match(core.failure(), /no WebGPU/)
  const none = { requestAdapter: async () => null }
  await assert.rejects(core.gpu.open(none), { code: 'ERR_DEVICE', message: 'WebGPU finds no adapter' })
  const software = { requestAdapter: async () => ({ info: { description: 'é'.repeat(200), isFallbackAdapter: true } }) }
  await assert.rejects(core.gpu.open(software), { code: 'ERR_DEVICE', message: /computes on the CPU/ })
  const n = core.gpu.imports.failure(OUT, 24) // whole characters only
  assert.ok(n === 23 || n === 24)
  assert.doesNotMatch(new TextDecoder().decode(new Uint8Array(core.memory.buffer, OUT, n)), /\ufffd/)
})

test('what the core keeps for an adapter is there again, if the store has it', { skip }, async () => {
  const kept = new Map()
  const store = { read: async name => kept.get(name)?.slice().buffer, write: async (name, bytes) => void kept.set(name, bytes) }
  const first = await Core.open({ store })
  assert.equal(first.gpu.imports.recall(OUT, 64), 0)
  first.u32(DATA, 3).set([7, 8, 9])
  first.gpu.imports.remember(DATA, 12)
  first.gpu.close()
  const [[name, bytes]] = kept
  assert.ok(name.length > 0 && bytes.length === 12)
  const second = await Core.open({ store })
  assert.equal(second.gpu.imports.recall(OUT, 8), 0, 'no room')
  assert.equal(second.gpu.imports.recall(OUT, 64), 12)
  assert.deepEqual([...second.u32(OUT, 3)], [7, 8, 9])
  const broken = { read: () => Promise.reject(new Error('no storage')), write: () => Promise.reject(new Error('full')) }
  const third = await Core.open({ store: broken })
  assert.equal(third.gpu.imports.recall(OUT, 64), 0)
  third.gpu.imports.remember(DATA, 12)
})

test('what was judged and compiled leaves nothing behind', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  const device = {
    pushErrorScope() {}, popErrorScope: async () => null, createBindGroupLayout: () => null, createShaderModule: () => null,
    createPipelineLayout: () => null, createComputePipelineAsync: async () => null,
  }
  const maker = new ObjectMaker(device, { buffer: 1, binding: 1 }, assert.fail, assert.fail)
  const each = { judge: () => maker.judge('validation', 'ERR_DEVICE', '', () => {}), kernel: () => maker.kernel('', 1, 1, 'x') }
  const inUse = async () => {
    await maker.ready()
    for (let i = 0; i < 3; i++) { // what the test runner keeps for each promise goes later
      await new Promise(setImmediate)
      collect()
    }
    return process.memoryUsage().heapUsed
  }
  for (const [name, act] of Object.entries(each)) {
    let least = Infinity // other things may grow while one round runs, not in each
    for (let round = 0; round < 4; round++) {
      const before = await inUse()
      for (let i = 0; i < 20000; i++) {
        act()
        if (i % 1000 === 0)
          await maker.ready()
      }
      least = Math.min(least, (await inUse() - before) / 20000)
    }
    assert.ok(least < 16, `${name}: ${least} bytes`) // a promise's array alone has more
  }
})

test('the time of passes is the sum of theirs, and the device is as before', async () => {
  const begun = [], sizes = [], destroyed = []
  const object = (name, more) => ({ ...more, destroy: () => destroyed.push(name) })
  const device = {
    createQuerySet: ({ count }) => object('queries', { count }),
    createBuffer: ({ size }) => object('buffer', {
      size, mapAsync: async () => {}, getMappedRange: () => BigUint64Array.from({ length: size / 8 }, (_, i) => BigInt(1000 + i * i)).buffer,
    }),
    createCommandEncoder: () => ({
      beginComputePass: pass => {
        begun.push(pass)
        return { dispatchWorkgroups: (...size) => sizes.push(size) }
      }, resolveQuerySet() {}, copyBufferToBuffer() {}, finish: () => 'commands',
    }),
    queue: { submit() {} },
  }
  const before = device.createCommandEncoder
  const own = { querySet: 'another', endOfPassWriteIndex: 0 }
  const { ns, passes, dispatches } = await gpuWork(device, async () => {
    for (const pass of [{ label: 'a' }, undefined, { label: 'stamp', timestampWrites: own }, {}])
      device.createCommandEncoder().beginComputePass(pass).dispatchWorkgroups(7, 8, 9)
  })
  assert.deepEqual([passes, dispatches], [4, 4])
  assert.deepEqual(sizes, Array(4).fill([7, 8, 9]))
  assert.equal(ns, (1 - 0) + (9 - 4) + (25 - 16)) // three pairs of squares
  assert.deepEqual(begun.map(pass => pass.timestampWrites.beginningOfPassWriteIndex), [0, 2, undefined, 4])
  assert.equal(begun[0].label, 'a')
  assert.equal(begun[2].timestampWrites, own)
  assert.equal(device.createCommandEncoder, before)
  assert.deepEqual(destroyed.sort(), ['buffer', 'buffer', 'queries'])
  await assert.rejects(gpuWork(device, () => Promise.reject(new Error('stopped'))), /stopped/)
  assert.equal(device.createCommandEncoder, before)
})
