// The package in Node: every source, every build, aborts, errors, memory.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { Blob } from 'node:buffer'
import { cpSync, mkdirSync, mkdtempSync, openAsBlob, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { load, check, models, IngleError } from 'ingle'
import { native, serveBytes, SMOLLM, source, STORIES, storiesBytes, storiesSum, TOP } from './support.mjs'

const PROMPT = 'Once upon a time'
// Its answer has no near ties, so that the last bits of floats decide nothing.
const QUESTION = 'Write a Python function that returns the n-th Fibonacci number.'
const GREEDY = { temperature: 0, maxTokens: 64 }
const expected = native(STORIES, '-p', PROMPT, '-n', '64')
const hasRelaxed = (await source('cpu.ts')).features({ isolated: true }).relaxed
const BUILDS = ['simd', 'simd+threads', 'relaxed', 'relaxed+threads']

const withCode = code => error => error instanceof IngleError && error.code === code && error.message.length > 10

async function collect(answer) {
  let text = ''
  const tokens = []
  for await (const part of answer) {
    text += part.text
    tokens.push(...part.tokens)
  }
  return { text, tokens }
}

async function assertGreedy(from, options) {
  const model = await load(from, options)
  const answer = model.generate(PROMPT, GREEDY)
  const parts = await collect(answer)
  const result = await answer.result
  assert.equal(parts.text, expected.text)
  assert.deepEqual(parts.tokens, expected.tokens)
  assert.equal(result.text, expected.text)
  assert.deepEqual(result.tokens, expected.tokens)
  assert.equal(result.stop, 'length')
  assert.equal(result.promptTokens, expected.prompt_tokens)
  assert.ok(result.timings.promptMs > 0 && result.timings.generateMs > 0 && result.timings.generatePerSecond > 0)
  const { device, info } = model
  await model.dispose()
  return { device, info }
}

// ---- sources

const ownBuffer = () => storiesBytes.buffer.slice(storiesBytes.byteOffset, storiesBytes.byteOffset + storiesBytes.length)
const sources = {
  'a path': () => STORIES,
  'a file: address': () => pathToFileURL(STORIES),
  'an ArrayBuffer': ownBuffer,
  'a view of bytes': () => new Uint8Array(storiesBytes),
  'a Blob': () => new Blob([storiesBytes]),
  'a Blob of a file': () => openAsBlob(STORIES),
  'a file handle': () => ({ kind: 'file', getFile: async () => new Blob([storiesBytes]) }),
  'a stream': () => new Blob([storiesBytes]).stream(),
  'a stream of odd chunks': () => new ReadableStream({
    at: 0,
    pull(controller) {
      const n = 1 + this.at * 7 % 60_000
      if (this.at < storiesBytes.length)
        controller.enqueue(new Uint8Array(storiesBytes.subarray(this.at, this.at += n)))
      else
        controller.close()
    },
  }),
}
for (const [name, make] of Object.entries(sources))
  test(`load from ${name}: the native engine's tokens`, async () => {
    await assertGreedy(await make())
  })

test('the caller keeps the bytes handed over', async () => {
  const buffer = ownBuffer()
  await assertGreedy(buffer)
  assert.equal(buffer.byteLength, storiesBytes.length)
})

test('load from an address, with size and checksum', async () => {
  const server = await serveBytes(storiesBytes)
  try {
    const phases = []
    await assertGreedy({ url: server.url, sha256: storiesSum, size: storiesBytes.length }, { onProgress: p => phases.push(p) })
    assert.equal(phases[0].phase, 'download')
    assert.equal(phases.at(-1).phase, 'ready')
    assert.equal(phases.at(-1).loaded, storiesBytes.length)
    assert.equal(phases.at(-1).total, storiesBytes.length)
    assert.ok(phases.every((p, i) => i === 0 || p.loaded >= phases[i - 1].loaded))
  } finally {
    await server.close()
  }
})

test('a download that breaks off goes on where it stopped', async () => {
  const server = await serveBytes(storiesBytes, (request, response, n) => {
    if (n > 2)
      return false
    const first = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.writeHead(first ? 206 : 200, { 'Content-Length': storiesBytes.length - first, ETag: '"one"' })
    response.write(storiesBytes.subarray(first, first + 300_000), () => setTimeout(() => response.destroy(), 50))
    return true
  })
  try {
    await assertGreedy({ url: server.url, sha256: storiesSum })
    assert.equal(server.seen.length, 3)
    assert.match(server.seen[2].headers.range, /^bytes=[1-9]\d*-$/)
    assert.equal(server.seen[2].headers['if-range'], '"one"')
  } finally {
    await server.close()
  }
})

// ---- builds

for (const build of BUILDS)
  test(`build ${build}: the native engine's tokens`, { skip: build.includes('relaxed') && !hasRelaxed && 'this Node has no relaxed SIMD' }, async () => {
    const { device } = await assertGreedy(STORIES, { build, threads: 2 })
    assert.equal(device.build, build)
    assert.equal(device.threads, build.includes('threads') ? 2 : 1)
    assert.equal(device.backend, 'cpu')
    assert.ok(device.why.length > 0)
  })

for (const build of BUILDS)
  test(`build ${build}: SmolLM2 answers a chat as the native engine does`, {
    skip: !SMOLLM ? 'SmolLM2 was not fetched (tools/get_model.py)' : build.includes('relaxed') && !hasRelaxed && 'this Node has no relaxed SIMD',
  }, async () => {
    const wanted = native(SMOLLM, '-p', QUESTION, '-n', '40')
    const model = await load(SMOLLM, { build, threads: 2, contextSize: 512 })
    const answer = model.chat([{ role: 'user', content: QUESTION }], { temperature: 0, maxTokens: 40 })
    assert.deepEqual((await answer.result).tokens, wanted.tokens)
    assert.equal(await answer.text(), wanted.text)
    await model.dispose()
  })

test('a build that cannot run is refused, and another one chosen', t => {
  const code = `import { load } from 'ingle'
    const refused = await load(${JSON.stringify(STORIES)}, { build: 'relaxed' }).then(() => 'loaded', e => e.code)
    const model = await load(${JSON.stringify(STORIES)})
    console.log(refused, model.device.build)`
  // Node 20 has no relaxed SIMD of its own; later ones have.
  const run = spawnSync(process.execPath, ['--no-warnings', '--input-type=module', '-e', code], {
    cwd: new URL('..', import.meta.url), encoding: 'utf8', timeout: 20_000, env: { ...process.env, NODE_OPTIONS: '' },
  })
  if (run.stdout === 'loaded relaxed+threads\n')
    return t.skip('this Node runs every build')
  assert.equal(run.stdout, 'ERR_DEVICE simd+threads\n', run.stderr)
})

// ---- what a model does

test('token ids as a prompt: the same answer as their text', async () => {
  const model = await load(STORIES)
  const ids = await model.tokenize(PROMPT)
  for (const prompt of [ids, [...ids]])
    assert.deepEqual((await model.generate(prompt, GREEDY).result).tokens, expected.tokens)
  for (const bad of [[], [-1], [1.5], ['x'], 7, null, undefined, {}])
    await assert.rejects(model.generate(bad, GREEDY).result, withCode('ERR_USAGE'), JSON.stringify(bad))
  await assert.rejects(model.generate([1, 512], GREEDY).result, withCode('ERR_USAGE'))
  await model.dispose()
})

test('info, tokens, templates, bench, sessions', async () => {
  const model = await load(STORIES)
  const { info } = model
  assert.equal(info.architecture, 'llama')
  assert.equal(info.vocabSize, 512)
  assert.ok(info.parameters > 200_000 && info.sizeBytes > 1_000_000 && info.contextLength > 0)

  const ids = await model.tokenize('The cat sat — ça va 🐈')
  assert.ok(ids instanceof Uint32Array && ids[0] === info.bos)
  assert.equal((await model.detokenize(ids)).trim(), 'The cat sat — ça va 🐈')
  assert.equal((await model.tokenize('', { special: false })).length, 0)
  await assert.rejects(model.detokenize([1e6]), withCode('ERR_USAGE'))
  await assert.rejects(model.tokenize(7), withCode('ERR_USAGE'))
  await assert.rejects(model.applyTemplate([{ role: 'user', content: 'x' }]), withCode('ERR_UNSUPPORTED'))
  await assert.rejects(model.chat('hello').result, withCode('ERR_USAGE'))
  await assert.rejects(model.embed(['x']), withCode('ERR_UNSUPPORTED'))

  const rows = await model.bench({ prompt: [16], generate: [4], threads: [1, 3], repetitions: 2 })
  assert.deepEqual(rows.map(r => [r.test, r.threads, r.gbps === null]),
    [['pp16', 1, true], ['tg4', 1, false], ['pp16', 3, true], ['tg4', 3, false]])
  assert.ok(rows.every(r => r.per_s_best >= r.per_s_median && r.per_s_median > 0))
  await assert.rejects(model.bench({ prompt: [0] }), withCode('ERR_USAGE'))

  const session = await model.session()
  const other = session.generate(PROMPT, GREEDY)
  const own = model.generate(PROMPT, GREEDY)
  assert.equal(await own.text(), expected.text)
  assert.equal(await other.text(), expected.text)
  await assert.rejects(session.save(), withCode('ERR_UNSUPPORTED'))
  await session.dispose()
  await assert.rejects(session.generate(PROMPT).result, withCode('ERR_USAGE'))
  assert.equal(await model.generate(PROMPT, GREEDY).text(), expected.text)
  await model.dispose()
})

test('templates: a chat is rendered and a forged turn stays text', { skip: !SMOLLM && 'SmolLM2 was not fetched' }, async () => {
  const model = await load(SMOLLM, { contextSize: 256 })
  const text = await model.applyTemplate([{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hi' }])
  assert.equal(text, '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n')
  const plain = await model.tokenize('<|im_end|>', { special: false })
  const parsed = await model.tokenize('<|im_end|>', { special: false, parseSpecial: true })
  assert.equal(parsed.length, 1)
  assert.ok(plain.length > 1)
  await model.dispose()
})

test('sampling, stop texts and limits', async () => {
  const model = await load(STORIES)
  const hot = { temperature: 1.2, topK: 0, topP: 1, maxTokens: 40 }
  const [a, b, c] = await Promise.all([{ seed: 1 }, { seed: 1 }, { seed: 2 }].map(s => model.generate(PROMPT, { ...hot, ...s }).text()))
  assert.equal(a, b)
  assert.notEqual(a, c)
  const cut = await model.generate(PROMPT, { ...GREEDY, stop: ['Lily', 'zzz'] }).result
  assert.equal(cut.stop, 'stop')
  assert.equal(cut.text, expected.text.slice(0, expected.text.indexOf('Lily')))
  const three = await model.generate(PROMPT, { temperature: 0, maxTokens: 3 }).result
  assert.deepEqual(three.tokens, expected.tokens.slice(0, 3))
  const first = expected.tokens[0]
  const biased = await model.generate(PROMPT, { ...GREEDY, maxTokens: 1, logitBias: { [first]: -Infinity } }).result
  assert.notEqual(biased.tokens[0], first)
  for (const bad of [{ temperature: 'hot' }, { temperature: -1 }, { topK: 1.5 }, { maxTokens: 0 }, { stop: [''] }, { stop: 3 }, { logitBias: { x: 1 } }])
    await assert.rejects(model.generate(PROMPT, bad).result, withCode('ERR_USAGE'), JSON.stringify(bad))
  await assert.rejects(model.generate(PROMPT.repeat(2000), GREEDY).result, withCode('ERR_CONTEXT_FULL'))
  assert.equal(await model.generate(PROMPT, GREEDY).text(), expected.text)
  await model.dispose()
})

test('a prompt already on the timeline is not computed again', async () => {
  const model = await load(STORIES)
  const first = await model.generate(PROMPT, GREEDY).result
  assert.equal(first.reusedTokens, 0)
  const next = await model.generate(PROMPT + first.text, { temperature: 0, maxTokens: 8 }).result
  assert.ok(next.reusedTokens >= first.promptTokens)
  await model.dispose()
})

test('calls wait their turn', async () => {
  const model = await load(STORIES)
  const order = []
  const read = async name => {
    for await (const part of model.generate(PROMPT, { ...GREEDY, maxTokens: 200, ignoreEos: true }))
      order.push([name, part.tokens.length])
  }
  await Promise.all([read('a'), read('b')])
  const names = order.map(([name]) => name).join('')
  assert.match(names, /^a+b+$/)
  assert.equal(order.reduce((n, [, tokens]) => n + tokens, 0), 400)
  await model.dispose()
})

// ---- aborts

test('an abort rejects with its reason, soon; the next answer is right', async () => {
  const model = await load(STORIES)
  const ids = [...await model.tokenize(PROMPT)]
  const forced = ids.at(-1) // always the same token: so it is known what lies on the timeline
  const long = { temperature: 0, maxTokens: 1900, ignoreEos: true, logitBias: { [forced]: 1e9 } }
  const reason = new Error('enough')
  const controller = new AbortController()
  const answer = model.generate(PROMPT, { ...long, signal: controller.signal })
  const error = await (async () => {
    for await (const part of answer)
      if (part.text.length)
        controller.abort(reason)
  })().catch(e => e)
  assert.equal(error, reason)
  await assert.rejects(answer.result, e => e === reason)
  const counted = await model.generate([...ids, ...Array(1900).fill(forced)], { temperature: 0, maxTokens: 1 }).result
  assert.ok(counted.reusedTokens > ids.length && counted.reusedTokens < 1500, `stopped after ${counted.reusedTokens - ids.length} tokens`)
  assert.equal(await model.generate(PROMPT, GREEDY).text(), expected.text)

  const early = AbortSignal.abort(reason)
  await assert.rejects(model.generate(PROMPT, { signal: early }).result, e => e === reason)

  const waiting = new AbortController()
  const running = model.generate(PROMPT, GREEDY)
  const queued = model.generate(PROMPT, { ...long, signal: waiting.signal })
  waiting.abort(reason)
  await assert.rejects(queued.result, e => e === reason)
  assert.equal(await running.text(), expected.text)
  await model.dispose()
})

test('a long prompt is aborted too', async () => {
  const model = await load(STORIES)
  const ids = Array(2000).fill((await model.tokenize(PROMPT)).at(-1))
  const controller = new AbortController()
  const answer = model.generate(ids, { maxTokens: 4, signal: controller.signal })
  controller.abort() // it has been sent
  await assert.rejects(answer.result, { name: 'AbortError' })
  const { reusedTokens } = await model.generate(ids, { temperature: 0, maxTokens: 1 }).result
  assert.ok(reusedTokens > 0 && reusedTokens < 1500, `${reusedTokens} of 2000 tokens were computed`)
  await model.dispose()
})

test('cancelling an answer that never began leaves others alone', async () => {
  const model = await load(STORIES)
  const running = model.generate(PROMPT, { temperature: 0, maxTokens: 400, ignoreEos: true })
  for (const options of [{ signal: AbortSignal.abort(new Error('no')) }, { temperature: 'hot' }, { logitBias: { 1: 1 }, stop: 3 }]) {
    const refused = model.generate(PROMPT, options)
    refused.cancel()
    await assert.rejects(refused.result)
    refused.cancel()
  }
  const { stop, tokens } = await running.result
  assert.equal(stop, 'length')
  assert.equal(tokens.length, 400)
  await model.dispose()
})

test('leaving the loop ends the answer with what it has', async () => {
  const model = await load(STORIES)
  const answer = model.generate(PROMPT, { temperature: 0, maxTokens: 1900, ignoreEos: true })
  for await (const part of answer)
    if (part.tokens.length)
      break
  const result = await answer.result
  assert.equal(result.stop, 'cancel')
  assert.ok(result.tokens.length > 0 && result.tokens.length < 1900)
  assert.equal(await model.generate(PROMPT, GREEDY).text(), expected.text)
  await model.dispose()
})

test('load is aborted with the reason, before and during a download', async () => {
  const reason = new Error('no')
  await assert.rejects(load(STORIES, { signal: AbortSignal.abort(reason) }), e => e === reason)
  const server = await serveBytes(storiesBytes, (request, response) => {
    response.writeHead(200, { 'Content-Length': storiesBytes.length })
    response.write(storiesBytes.subarray(0, 1000))
    return true
  })
  try {
    const controller = new AbortController()
    setTimeout(() => controller.abort(reason), 300)
    await assert.rejects(load(server.url, { signal: controller.signal }), e => e === reason)
  } finally {
    await server.close()
  }
})

// ---- errors

test('errors have codes and say what is wrong', async () => {
  const garbage = new Uint8Array(5000).fill(65)
  await assert.rejects(load('/nowhere/at/all.gguf'), withCode('ERR_IO'))
  await assert.rejects(load(TOP), withCode('ERR_IO'))
  await assert.rejects(load(garbage), withCode('ERR_FORMAT'))
  await assert.rejects(load(new Uint8Array()), withCode('ERR_FORMAT'))
  await assert.rejects(load(storiesBytes.subarray(0, 900_000)), withCode('ERR_FORMAT'))
  await assert.rejects(load(new ReadableStream({ pull(c) { c.error(new Error('cable')) } })), withCode('ERR_IO'))
  await assert.rejects(load(new ReadableStream({ pull(c) { c.enqueue('text') } })), withCode('ERR_IO'))
  for (const bad of [{ backend: 'tpu' }, { kvType: 'f64' }, { threads: 0 }, { threads: 2.5 }, { contextSize: -1 }, { build: 'mmx' }])
    await assert.rejects(load(STORIES, bad), withCode('ERR_USAGE'), JSON.stringify(bad))
  for (const bad of [undefined, null, 7, {}, { url: 'http://x/', sha256: 'abc' }, { url: 'http://x/', size: -1 }])
    await assert.rejects(load(bad), withCode('ERR_USAGE'), String(bad))
  await assert.rejects(load('hf:nothing'), withCode('ERR_USAGE'))
  await assert.rejects(models.list(), withCode('ERR_UNSUPPORTED'))
})

test('the network: no server, no file, a wrong checksum, a model too large', async () => {
  const server = await serveBytes(storiesBytes, (request, response) => request.url === '/none' && !!response.writeHead(404).end())
  const at = path => new URL(path, server.url).href
  await assert.rejects(load(at('/none')), e => withCode('ERR_NETWORK')(e) && e.message.includes('404'))
  await assert.rejects(load({ url: server.url, sha256: '0'.repeat(64) }), e => withCode('ERR_INTEGRITY')(e) && e.message.includes(storiesSum))
  const before = server.seen.length
  await assert.rejects(load({ url: server.url, size: 5e9 }), e => withCode('ERR_MEMORY')(e) && e.message.includes('5000000000'))
  assert.equal(server.seen.length, before, 'something was fetched')
  await server.close()
  await assert.rejects(load(server.url), withCode('ERR_NETWORK'))

  const huge = await serveBytes(storiesBytes, (request, response) => {
    response.writeHead(200, { 'Content-Length': 6e9 }).write(storiesBytes.subarray(0, 1000))
    return true
  })
  await assert.rejects(load(huge.url), e => withCode('ERR_MEMORY')(e) && e.message.includes('6000000000'))
  await huge.close()
})

test('check tells by code what it cannot read', async t => {
  const server = await serveBytes(storiesBytes, (_, response) => {
    response.writeHead(200, { 'Content-Length': storiesBytes.length })
    response.write(storiesBytes.subarray(0, 1000), () => setTimeout(() => response.destroy(), 50))
    return true
  })
  t.after(() => server.close())
  await assert.rejects(check(server.url), withCode('ERR_NETWORK'))
  await assert.rejects(check('http://127.0.0.1:9/model.gguf'), withCode('ERR_NETWORK'))
  const gone = Object.assign(new Blob([storiesBytes]), { slice: () => ({ arrayBuffer: () => Promise.reject(new DOMException('gone', 'NotReadableError')) }) })
  await assert.rejects(check(gone), withCode('ERR_IO'))
  const reason = new Error('enough')
  await assert.rejects(check(server.url, { signal: AbortSignal.abort(reason) }), e => e === reason)
})

test('check says what a model needs from its first bytes', async () => {
  const server = await serveBytes(storiesBytes)
  const wanted = { fits: 'yes', why: '', weightBytes: storiesBytes.length, kvBytes: 1310720, storageBytes: storiesBytes.length, architecture: 'llama', device: 'cpu' }
  assert.deepEqual(await check(server.url), wanted)
  assert.ok(server.seen.every(r => /^bytes=0-\d+$/.test(r.headers.range)))
  await server.close()
  assert.deepEqual(await check(STORIES), wanted)
  assert.deepEqual(await check(new Blob([storiesBytes])), wanted)
  assert.equal((await check(ownBuffer(), { contextSize: 100, kvType: 'q8_0' })).kvBytes, Math.ceil(1310720 / 2048 * 100 / 2 * 34 / 32))
  const large = await serveBytes(storiesBytes, (request, response) => {
    response.writeHead(206, { 'Content-Range': `bytes 0-65535/9000000000` }).end(storiesBytes.subarray(0, 65536))
    return true
  })
  const verdict = await check(large.url)
  await large.close()
  assert.equal(verdict.fits, 'no')
  assert.match(verdict.why, /\(\d{10} bytes\)/)
  await assert.rejects(check(new Uint8Array(9000)), withCode('ERR_FORMAT'))
  await assert.rejects(check(storiesBytes.subarray(0, 300)), withCode('ERR_FORMAT'))
  await assert.rejects(check(new Blob([]).stream()), withCode('ERR_USAGE'))
})

// ---- examples

test('the example for Node', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ingle-example-'))
  try {
    cpSync(join(TOP, 'examples/node'), folder, { recursive: true })
    mkdirSync(join(folder, 'node_modules/ingle'), { recursive: true })
    cpSync(join(TOP, 'js/package.json'), join(folder, 'node_modules/ingle/package.json'))
    cpSync(join(TOP, 'js/dist'), join(folder, 'node_modules/ingle/dist'), { recursive: true })
    const run = spawnSync(process.execPath, ['answer.mjs', STORIES, PROMPT], { cwd: folder, encoding: 'utf8', timeout: 20_000 })
    assert.equal(run.stdout, `${expected.text}\n`, run.stderr)
    assert.match(run.stderr, /^[\d.]+ tokens a second, /)
    assert.equal(run.status, 0)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

// ---- ends

test('dispose fails what is under way and everything after', async () => {
  const model = await load(STORIES)
  const answer = model.generate(PROMPT, { temperature: 0, maxTokens: 1900, ignoreEos: true })
  await answer[Symbol.asyncIterator]().next()
  await model.dispose()
  await assert.rejects(answer.result, withCode('ERR_CANCELLED'))
  await assert.rejects(model.tokenize('x'), withCode('ERR_CANCELLED'))
  await model.dispose()
})

test('loading and disposing ten times leaves memory where it was', async () => {
  const once = async () => {
    const model = await load(STORIES, { threads: 2 })
    await model.generate(PROMPT, { ...GREEDY, maxTokens: 4 }).result
    await model.dispose()
  }
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  const least = async () => { // what was let go of is given back a while later
    let rss = Infinity
    for (let i = 0; i < 5; i++) {
      collect()
      await new Promise(resolve => setTimeout(resolve, 50))
      rss = Math.min(rss, process.memoryUsage.rss())
    }
    return rss
  }
  await once()
  await once()
  const before = await least()
  for (let i = 0; i < 10; i++)
    await once()
  const more = await least() - before
  // Each load has a memory of 4 MiB at least and two threads of some MiB: ten leaks would show.
  assert.ok(more < 30 << 20, `${more >> 20} MiB more`)
})

test('a process with an idle model ends by itself', () => {
  const code = `import { load } from 'ingle'
    const model = await load(${JSON.stringify(STORIES)})
    console.log((await model.generate('Once', { temperature: 0, maxTokens: 4 }).result).tokens.length)`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', code], { cwd: new URL('..', import.meta.url), encoding: 'utf8', timeout: 20_000 })
  assert.equal(run.stdout, '4\n', run.stderr)
  assert.equal(run.status, 0)
})

test('the list of error codes is that of the C header', () => {
  const run = spawnSync(process.execPath, [`${TOP}tools/gen_errors.mjs`, '--check'], { encoding: 'utf8' })
  assert.equal(run.status, 0, run.stderr)
})
