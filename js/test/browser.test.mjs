// The package and the page in headless Chromium, under the strict policy that tools/serve.mjs sends.
import assert from 'node:assert/strict'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openBrowser, whyNoBrowser } from '../../tests/chromium.mjs'
import { serve } from '../../tools/serve.mjs'
import { native, SMOLLM, STORIES, TOP } from './support.mjs'

const skip = whyNoBrowser() || false
const PROMPT = 'Once upon a time'
const QUESTION = 'Write a Python function that returns the n-th Fibonacci number.'
const BUILDS = ['simd', 'simd+threads', 'relaxed', 'relaxed+threads']

let browser, isolated, plain, folder

before(async () => {
  if (skip)
    return
  // The page as it is, and an empty one beside it for scripts of the tests.
  folder = mkdtempSync(join(tmpdir(), 'ingle-page-'))
  cpSync(join(TOP, 'app/dist'), folder, { recursive: true })
  mkdirSync(join(folder, 'deep/er'), { recursive: true })
  writeFileSync(join(folder, 'empty.html'), '<!doctype html><title>empty</title><link rel="icon" href="icon.svg">')
  cpSync(join(TOP, 'app/dist/ingle'), join(folder, 'deep/er/ingle'), { recursive: true })
  const files = SMOLLM ? [STORIES, SMOLLM] : [STORIES]
  isolated = await serve({ page: folder, files })
  plain = await serve({ page: folder, files, isolation: false })
  browser = await openBrowser()
})

after(async () => {
  await browser?.close()
  for (const { server } of [isolated, plain].filter(Boolean)) {
    server.closeAllConnections()
    server.close()
  }
  if (folder)
    rmSync(folder, { recursive: true, force: true })
})

/** Opens an address and hands the page to use; violations, errors and failed requests fail the test,
 * but for those that end when they are no longer wanted. */
async function withPage(address, use) {
  const page = await browser.newPage({ viewport: { width: 900, height: 800 } })
  const faults = []
  page.on('pageerror', error => faults.push(`error: ${error}`))
  page.on('console', message => message.type() === 'error' && faults.push(`console: ${message.text()}`))
  page.on('requestfailed', request => request.failure()?.errorText !== 'net::ERR_ABORTED' && faults.push(`request failed: ${request.url()} ${request.failure()?.errorText}`))
  page.on('request', request => new URL(request.url()).host === new URL(address).host || /^(blob|data):/.test(request.url()) || faults.push(`foreign request: ${request.url()}`))
  try {
    await page.goto(address)
    const value = await use(page)
    assert.deepEqual(faults, [])
    return value
  } finally {
    await page.close()
  }
}

/** Runs in the page: loads a model, answers greedily, disposes. */
async function inPage({ entry, model, build, threads, prompt, chat, maxTokens }) {
  const { load } = await import(entry)
  const warnings = []
  const m = await load(model, { build, threads, contextSize: 512, onWarning: line => warnings.push(line) })
  const options = { temperature: 0, maxTokens }
  const answer = chat ? m.chat([{ role: 'user', content: prompt }], options) : m.generate(prompt, options)
  let parts = 0
  for await (const _ of answer)
    parts++
  const result = await answer.result
  const { device } = m
  await m.dispose()
  return { result, device, warnings, parts, crossOriginIsolated }
}

const stories = { entry: '/ingle/index.js', model: '/models/stories260K.gguf', prompt: PROMPT, maxTokens: 64, threads: 2 }

for (const build of BUILDS)
  test(`Chromium, build ${build}: the native engine's tokens`, { skip }, async () => {
    const wanted = native(STORIES, '-p', PROMPT, '-n', '64')
    const { result, device, parts } = await withPage(`${isolated.address}empty.html`, page => page.evaluate(inPage, { ...stories, build }))
    assert.deepEqual(result.tokens, wanted.tokens)
    assert.equal(result.text, wanted.text)
    assert.equal(device.build, build)
    assert.equal(device.threads, build.includes('threads') ? 2 : 1)
    assert.ok(parts >= 1)
  })

for (const build of BUILDS)
  test(`Chromium, build ${build}: SmolLM2 answers a chat as the native engine does`, { skip: skip || !SMOLLM && 'SmolLM2 was not fetched' }, async t => {
    const wanted = native(SMOLLM, '-p', QUESTION, '-n', '40')
    const { result } = await withPage(`${isolated.address}empty.html`, page => page.evaluate(inPage, {
      ...stories, build, model: '/models/SmolLM2-135M-Instruct.Q4_1.gguf', prompt: QUESTION, chat: true, maxTokens: 40,
    }))
    assert.deepEqual(result.tokens, wanted.tokens)
    t.diagnostic(`${result.timings.promptPerSecond.toFixed(0)} / ${result.timings.generatePerSecond.toFixed(1)} tok/s`)
  })

test('Chromium chooses the fastest build', { skip }, async () => {
  const { device, warnings, crossOriginIsolated } = await withPage(`${isolated.address}empty.html`, page => page.evaluate(inPage, stories))
  assert.equal(crossOriginIsolated, true)
  assert.equal(device.build, 'relaxed+threads')
  assert.deepEqual(warnings, [])
})

test('without isolation it runs on one thread and says so once', { skip }, async () => {
  const wanted = native(STORIES, '-p', PROMPT, '-n', '64')
  const { result, device, warnings, crossOriginIsolated } = await withPage(`${plain.address}empty.html`, page => page.evaluate(inPage, stories))
  assert.equal(crossOriginIsolated, false)
  assert.deepEqual(result.tokens, wanted.tokens)
  assert.equal(device.build, 'relaxed')
  assert.equal(device.threads, 1)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0], /cross-origin isolated/)
  assert.match(device.why, /cross-origin isolated/)
})

test('a build with threads is refused without isolation', { skip }, async () => {
  const code = await withPage(`${plain.address}empty.html`, page => page.evaluate(async () => {
    const { load } = await import('/ingle/index.js')
    return load('/models/stories260K.gguf', { build: 'simd+threads' }).then(() => 'loaded', e => e.code)
  }))
  assert.equal(code, 'ERR_DEVICE')
})

test('the package works from any path of the origin', { skip }, async () => {
  const { device } = await withPage(`${isolated.address}empty.html`, page => page.evaluate(inPage, { ...stories, entry: '/deep/er/ingle/index.js' }))
  assert.equal(device.threads, 2)
})

test('a file of the engine that does not come is an error of the network', { skip }, async () => {
  const broken = join(folder, 'broken')
  cpSync(join(TOP, 'app/dist/ingle'), broken, { recursive: true })
  for (const name of readdirSync(broken).filter(name => /^(check|cpu|hub)-/.test(name)))
    rmSync(join(broken, name))
  const page = await browser.newPage()
  await page.goto(`${isolated.address}empty.html`)
  const codes = await page.evaluate(async () => {
    const { check, load } = await import('/broken/index.js')
    const fails = promise => promise.then(() => 'nothing', ({ name, code, message }) => `${name} ${code} ${/cannot be loaded/.test(message)}`)
    const model = '/models/stories260K.gguf'
    return [await fails(check(model)), await fails(load(model, { backend: 'cpu' })), await fails(load('hf:a/b:c'))]
  })
  await page.close()
  assert.deepEqual(codes, Array(3).fill('IngleError ERR_NETWORK true'))
})

test('sources of a page: Blob, File, stream, bytes, a relative address, a private file', { skip }, async () => {
  const texts = await withPage(`${isolated.address}empty.html`, page => page.evaluate(async () => {
    const { load } = await import('/ingle/index.js')
    const bytes = await (await fetch('/models/stories260K.gguf')).arrayBuffer()
    const handle = await (await navigator.storage.getDirectory()).getFileHandle('m.gguf', { create: true })
    const writable = await handle.createWritable()
    await writable.write(bytes)
    await writable.close()
    const sources = [new Blob([bytes]), new File([bytes], 'm.gguf'), new Blob([bytes]).stream(), bytes, 'models/stories260K.gguf',
      new URL('/models/stories260K.gguf', location.href), handle]
    const texts = []
    for (const source of sources) {
      const model = await load(source)
      texts.push(await model.generate('Once upon a time', { temperature: 0, maxTokens: 16 }).text())
      await model.dispose()
    }
    return texts
  }))
  const wanted = native(STORIES, '-p', PROMPT, '-n', '16').text
  assert.deepEqual(texts, texts.map(() => wanted))
  assert.equal(texts.length, 7)
})

test('an abort in the page: its reason, and a right answer after it', { skip }, async () => {
  for (const { address } of [isolated, plain]) {
    const got = await withPage(`${address}empty.html`, page => page.evaluate(async () => {
      const { load } = await import('/ingle/index.js')
      const model = await load('/models/stories260K.gguf', { onWarning() {} })
      const controller = new AbortController()
      const ids = [...await model.tokenize('Once upon a time')]
      const forced = ids.at(-1) // always the same token: so it is known what lies on the timeline
      const answer = model.generate(ids, { temperature: 0, maxTokens: 1900, ignoreEos: true, logitBias: { [forced]: 1e9 }, signal: controller.signal })
      let error
      try {
        for await (const part of answer)
          controller.abort('reason')
      } catch (e) {
        error = e
      }
      const counted = await model.generate([...ids, ...Array(1900).fill(forced)], { temperature: 0, maxTokens: 1 }).result
      const text = await model.generate('Once upon a time', { temperature: 0, maxTokens: 16 }).text()
      await model.dispose()
      return { error, text, made: counted.reusedTokens - ids.length }
    }))
    assert.equal(got.error, 'reason')
    assert.equal(got.text, native(STORIES, '-p', PROMPT, '-n', '16').text)
    assert.ok(got.made > 0 && got.made < 1500, `stopped after ${got.made} tokens`)
  }
})

test('an abort stops within one token, with threads and without', { skip: skip || !SMOLLM && 'SmolLM2 was not fetched' }, async t => {
  // A call that computes next to nothing waits its turn: it comes back when the answer has stopped.
  const measure = address => withPage(`${address}empty.html`, page => page.evaluate(async () => {
    const { load } = await import('/ingle/index.js')
    const model = await load('/models/SmolLM2-135M-Instruct.Q4_1.gguf', { contextSize: 512, onWarning() {} })
    const greedy = { temperature: 0, ignoreEos: true }
    const { generatePerSecond } = (await model.generate('Once upon a time', { ...greedy, maxTokens: 24 }).result).timings
    let waited = Infinity
    for (let i = 0; i < 5; i++) { // the best of five: others' work on the machine adds, never takes away
      const controller = new AbortController()
      const answer = model.generate('Once upon a time', { ...greedy, maxTokens: 400, signal: controller.signal })
      await answer[Symbol.asyncIterator]().next()
      await new Promise(resolve => setTimeout(resolve, 40 + 17 * i))
      const start = performance.now()
      controller.abort()
      await model.tokenize('x')
      waited = Math.min(waited, performance.now() - start)
      await answer.result.catch(() => {})
    }
    const next = await model.generate('Once upon a time', { ...greedy, maxTokens: 24 }).result
    await model.dispose()
    return { waited, tokenMs: 1000 / generatePerSecond, tokens: next.tokens }
  }))
  const wanted = native(SMOLLM, '--raw', '-p', 'Once upon a time', '-n', '24', '--ignore-eos').tokens
  for (const { address } of [isolated, plain]) {
    const { waited, tokenMs, tokens } = await measure(address)
    t.diagnostic(`stopped ${waited.toFixed(1)} ms after the abort; a token takes ${tokenMs.toFixed(1)} ms`)
    // The token under way, and messages there and back.
    assert.ok(waited < tokenMs + 10, `${waited} ms; a token takes ${tokenMs} ms`)
    assert.deepEqual(tokens, wanted)
  }
})

test('a model too large is refused with byte counts before it is downloaded', { skip }, async t => {
  const SIZE = 5_000_000_000
  const huge = join(folder, 'huge.gguf') // a whole header, and a hole of the file system behind it
  const large = join(folder, 'large.gguf') // would fit, but for its KV cache
  for (const [path, size] of [[huge, SIZE], [large, 4_000_000_000]]) {
    copyFileSync(STORIES, path)
    truncateSync(path, size)
  }
  const { server, address } = await serve({ page: folder, files: [huge, large] })
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const requests = []
  // Of a model the server sends its first 2 MiB and then nothing, so what needs more never ends.
  server.prependListener('request', ({ url, headers }, response) => {
    requests.push({ url, range: headers.range })
    const write = response.write
    let left = url.endsWith('.gguf') ? 2 ** 21 : Infinity
    response.write = (chunk, ...more) => {
      left -= chunk.length
      return left >= 0 && write.call(response, chunk, ...more)
    }
  })
  const ask = call => withPage(`${address}empty.html`, page => page.evaluate(call))
  const verdict = await ask(async () => (await import('/ingle/index.js')).check('/models/huge.gguf'))
  assert.equal(verdict.fits, 'no')
  assert.match(verdict.why, /\(50\d{8} bytes\).*\(4294967296 bytes\)/)
  const asked = requests.filter(r => r.url.endsWith('.gguf'))
  assert.ok(asked.length > 0)
  for (const { range } of asked)
    assert.match(range, /^bytes=0-\d{1,7}$/)
  requests.length = 0
  const error = await ask(async () => (await import('/ingle/index.js')).load('/models/huge.gguf').then(() => null, e => ({ code: e.code, message: e.message })))
  assert.equal(error.code, 'ERR_MEMORY')
  assert.match(error.message, /5000000000 bytes.*4294967296 bytes/)
  assert.equal(requests.filter(r => r.url.endsWith('.gguf')).length, 1)
  const withCache = await ask(async () => (await import('/ingle/index.js')).load('/models/large.gguf', { contextSize: 2 ** 20 })
    .then(() => null, e => ({ code: e.code, message: e.message })))
  assert.equal(withCache.code, 'ERR_MEMORY')
  assert.match(withCache.message, /4000000000 bytes and its KV cache 671088640; .* 4294967296 bytes/)
})

test('the main thread has no task over 50 ms while a model loads and answers', { skip: skip || !SMOLLM && 'SmolLM2 was not fetched' }, async t => {
  const once = () => withPage(`${isolated.address}empty.html`, page => page.evaluate(async () => {
    const { load } = await import('/ingle/index.js')
    const bytes = await (await fetch('/models/SmolLM2-135M-Instruct.Q4_1.gguf')).blob()
    const tasks = []
    new PerformanceObserver(list => tasks.push(...list.getEntries().map(e => e.duration))).observe({ entryTypes: ['longtask'] })
    let last = performance.now(), gap = 0
    const timer = setInterval(() => {
      const now = performance.now()
      gap = Math.max(gap, now - last)
      last = now
    }, 5)
    for (const source of ['/models/SmolLM2-135M-Instruct.Q4_1.gguf', bytes.stream()]) {
      const model = await load(source, { contextSize: 512 })
      for await (const part of model.chat([{ role: 'user', content: 'Hello' }], { maxTokens: 24, temperature: 0 }))
        document.body.append(part.text)
      await model.dispose()
    }
    await new Promise(resolve => setTimeout(resolve, 100))
    clearInterval(timer)
    return { tasks, gap }
  }))
  // Durations are by the clock: on a machine with other work a short task can look long, but not
  // each time; one of ours would.
  let { tasks, gap } = await once()
  for (let i = 0; i < 4 && (tasks.length || gap > 50); i++)
    ({ tasks, gap } = await once())
  t.diagnostic(`a timer of 5 ms was never later than ${gap.toFixed(0)} ms`)
  assert.deepEqual(tasks, [])
  assert.ok(gap <= 50, `a timer waited ${gap} ms`)
})

/** Bytes resident in the largest page process that this one has started: that of the test's page. */
function residentBytes() {
  const parents = new Map()
  for (const name of readdirSync('/proc'))
    if (/^\d+$/.test(name))
      try {
        const fields = readFileSync(`/proc/${name}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')
        parents.set(Number(name), { parent: Number(fields[1]), bytes: Number(fields[21]) * 4096 })
      } catch { /* it has ended */ }
  const isOurs = pid => pid === process.pid || (parents.has(pid) && isOurs(parents.get(pid).parent))
  const isPage = pid => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer')
  return Math.max(...[...parents].filter(([pid]) => pid !== process.pid && isOurs(pid) && isPage(pid)).map(([, { bytes }]) => bytes))
}

test('loading and disposing ten times leaves memory where it was', { skip: skip || process.platform !== 'linux' && 'reads /proc' || !SMOLLM && 'SmolLM2 was not fetched' }, async t => {
  const load = (page, count, keep) => page.evaluate(async ({ count, keep }) => {
    const { load } = await import('/ingle/index.js')
    for (let i = 0; i < count; i++) {
      const model = await load('/models/SmolLM2-135M-Instruct.Q4_1.gguf', { threads: 2, contextSize: 512 })
      await model.generate('Once upon a time', { temperature: 0, maxTokens: 4 }).result
      if (keep)
        (globalThis.kept ??= []).push(model)
      else
        await model.dispose()
    }
  }, { count, keep })
  /** The least of some seconds: the browser is slow to give memory back. */
  const settled = async page => {
    let least = Infinity
    for (let i = 0; i < 8; i++) {
      await page.requestGC()
      await new Promise(resolve => setTimeout(resolve, 500))
      least = Math.min(least, residentBytes())
    }
    return least
  }
  const { before, after, loaded } = await withPage(`${isolated.address}empty.html`, async page => {
    await load(page, 2, false)
    const before = await settled(page)
    await load(page, 10, false)
    const after = await settled(page)
    await load(page, 1, true)
    return { before, after, loaded: await settled(page) }
  })
  const { size } = statSync(SMOLLM)
  const mib = n => `${(n / 2 ** 20).toFixed(0)} MiB`
  t.diagnostic(`resident: ${mib(before)} after two, ${mib(after)} after ten more, ${mib(loaded)} with one loaded`)
  assert.ok(loaded - after > size, `a model shows as ${loaded - after} bytes`)
  assert.ok(after - before < size / 2, `${after - before} bytes more after ten models of ${size}`)
})

// ---- the page

test('the page: load a file, generate, stop, start again', { skip }, async () => {
  await withPage(isolated.address, async page => {
    assert.equal(await page.getByRole('button', { name: 'Send' }).isDisabled(), true)
    await page.locator('#file').setInputFiles(STORIES)
    await page.getByPlaceholder(/Begin a text/).waitFor()
    await page.getByLabel('Your text').fill('Once upon a time')
    await page.keyboard.press('Enter')
    await page.getByText(/tokens, [\d.]+ tok\/s, first after/).waitFor()
    assert.match(await page.locator('article').nth(1).textContent(), /Once upon a time.{20,}/s)
    assert.equal(await page.getByRole('status').textContent(), 'The answer is complete')
    assert.equal(await page.getByRole('alert').textContent(), '')
    await page.getByRole('button', { name: 'New conversation' }).click()
    assert.equal(await page.locator('article').count(), 0)
  })
})

test('the page: what is no model is said in words', { skip }, async () => {
  await withPage(isolated.address, async page => {
    await page.locator('#file').setInputFiles({ name: 'x.gguf', mimeType: '', buffer: Buffer.alloc(1000, 'A') })
    await page.getByRole('alert').filter({ hasText: 'ERR_FORMAT' }).waitFor()
    assert.equal(await page.getByRole('button', { name: 'Send' }).isDisabled(), true)
  })
})

test('the page: SmolLM2 answers, Stop stops it; pictures for the documents', { skip: skip || !SMOLLM && 'SmolLM2 was not fetched' }, async () => {
  await withPage(isolated.address, async page => {
    await page.getByRole('button', { name: /^Load SmolLM2/ }).click()
    await page.getByPlaceholder(/Ask something/).waitFor({ timeout: 60_000 })
    // An answer is drawn, and one in 25 ends by itself before it is long enough to be stopped.
    for (let tries = 0, stopped = false; !stopped; tries++) {
      assert.ok(tries < 6, 'six answers ended by themselves')
      await page.getByRole('button', { name: 'New conversation' }).click()
      await page.getByLabel('Your text').fill('Why is the sky blue?')
      await page.keyboard.press('Enter')
      await page.locator('article').nth(1).waitFor()
      stopped = await page.waitForFunction(() => {
        const stop = document.getElementById('stop')
        const answering = !stop.hidden
        if (answering && document.querySelectorAll('article')[1].textContent.length < 350)
          return
        stop.click()
        return { answering }
      }, undefined, { timeout: 60_000 }).then(async handle => (await handle.jsonValue()).answering)
      assert.equal(await page.getByRole('alert').textContent(), '')
    }
    await page.getByText(/first after/).waitFor()
    assert.match(await page.locator('article').nth(1).textContent(), /\bthe\b/i) // what it says is drawn, that it is English is not
    if (process.env.INGLE_PICTURES) {
      await page.screenshot({ path: join(process.env.INGLE_PICTURES, 'page.png') })
      await page.emulateMedia({ colorScheme: 'dark' })
      await page.screenshot({ path: join(process.env.INGLE_PICTURES, 'page-dark.png') })
    }
  })
})
