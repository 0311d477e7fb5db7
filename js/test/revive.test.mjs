// A GPU that goes away or fails in the middle of an answer. What the core does then is tested over every call in C
// (tests/test_revive.c).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Server, skip } from './gpu_server.mjs'
import { serveBytes, storiesBytes } from './support.mjs'

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
    assert.equal(server.reads, server.asked) // weights went away with the device
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
  await assert.rejects(answer, error => error.code === 'ERR_DEVICE_LOST' && /went away|destroyed/.test(error.message))
})

test('the next answer asks again for a device, when there was none', { skip }, async () => {
  const server = new Server()
  await server.load('gpu')
  const want = await server.answer()
  server.gone = true
  const lose = { at: 4, act: () => server.device.destroy() }
  await assert.rejects(server.answer(lose), { code: 'ERR_DEVICE_LOST' })
  await assert.rejects(server.answer(), { code: 'ERR_DEVICE_LOST' })
  assert.equal(server.asked, 3)
  server.gone = false
  assert.equal((await server.answer()).text, want.text)
})

test('weights that cannot be read again end the answer; the next one reads them', { skip }, async t => {
  const server = new Server()
  const http = await serveBytes(storiesBytes, (_, response, n) => {
    if (n === 2)
      response.writeHead(503).end()
    if (n === 3) // breaks off, without a tag: not to be resumed
      response.writeHead(200, { 'Content-Length': storiesBytes.length }).write(storiesBytes.subarray(0, 1 << 19), () => response.destroy())
    return n === 2 || n === 3
  })
  t.after(() => http.close())
  await server.load('gpu', { kind: 'url', url: http.url })
  const want = await server.answer()
  await assert.rejects(server.answer({ at: 4, act: () => server.device.destroy() }), { code: 'ERR_NETWORK', message: /503/ })
  await assert.rejects(server.answer(), { code: 'ERR_NETWORK', message: /broke off/ })
  assert.equal((await server.answer()).text, want.text)
  assert.deepEqual([http.seen.length, server.asked], [4, 4])
})

for (const answered of [false, true]) {
  test(`a session that is opened after the device went away, ${answered ? 'and an answer' : 'before any answer'}`, { skip }, async () => {
    const server = new Server()
    await server.load('gpu')
    const other = new Server()
    await other.load('gpu')
    const want = await other.answer()
    if (answered)
      await server.answer()
    server.device.destroy()
    await server.device.lost
    const session = await server.ask({ op: 'openSession' })
    assert.deepEqual([server.reads, server.asked], [2, 2])
    for (const from of [session, 0]) {
      const { text, reusedTokens } = await server.answer({ session: from })
      assert.equal(text, want.text)
      assert.equal(reusedTokens > 0, answered && from === 0)
    }
    await server.ask({ op: 'closeSession', session })
    assert.equal((await server.answer({ at: 4, act: () => server.device.destroy() })).text, want.text)
  })
}

test('a session that finds no memory does not end another one', { skip }, async () => {
  const server = new Server()
  await server.load('gpu')
  const want = await server.answer()
  const { popErrorScope, createBuffer } = server.device
  let short = false
  server.device.createBuffer = description => {
    short = description.label === 'k cache'
    return createBuffer.call(server.device, description)
  }
  server.device.popErrorScope = async () => {
    const message = short ? 'no room' : ''
    short = false
    const error = await popErrorScope.call(server.device)
    return message ? { message } : error
  }
  const session = await server.ask({ op: 'openSession' })
  await assert.rejects(server.answer({ session }), { code: 'ERR_MEMORY', message: /^k cache, \d+ bytes: no room$/ })
  assert.equal((await server.answer()).text, want.text)
  assert.deepEqual([server.reads, server.asked], [2, 2])
  await server.ask({ op: 'closeSession', session })
  assert.equal((await server.answer()).text, want.text)
})

test('after the third loss within a minute nothing is read again', { skip }, async () => {
  const server = new Server()
  await server.load('gpu')
  const lose = { at: 4, act: () => server.device.destroy() }
  for (let i = 0; i < 2; i++)
    await server.answer(lose)
  for (const how of [lose, {}])
    await assert.rejects(server.answer(how), { code: 'ERR_DEVICE_LOST', message: /3 times within a minute/ })
  assert.deepEqual([server.reads, server.asked], [3, 3])
})

for (const losses of [2, 3]) {
  test(`a device that goes away while weights are read again: ${losses} losses`, { skip }, async () => {
    const server = new Server()
    await server.load('gpu')
    const want = await server.answer()
    server.reading = () => server.reads > 1 && server.reads <= losses && server.device.destroy()
    const answer = server.answer({ at: 4, act: () => server.device.destroy() })
    if (losses < 3)
      assert.equal((await answer).text, want.text)
    else
      await assert.rejects(answer, { code: 'ERR_DEVICE_LOST' })
    assert.deepEqual([server.reads, server.cancelled, server.asked], [3, losses - 1, 3])
    server.reading = () => {}
    assert.equal((await server.answer()).text, want.text)
  })
}

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
