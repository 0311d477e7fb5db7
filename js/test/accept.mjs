// The acceptance checks of ../shared through the package: the recorded greedy tokens of stories260K and
// of SmolLM2, on each build, in Node or in headless Chromium.
//
//     node js/test/accept.mjs [--hosts node,chromium] [--builds simd,relaxed+threads,...] [--quick] [--cases gravity,...]
//
// SmolLM2 is judged token by token along the recorded text, as the native engine is: 97 % of the
// recorded tokens must be chosen, none missed where the choice was clear. --quick keeps it to some
// cases, --cases to those named. Build gpu, which has to be asked for, runs on the GPU: Dawn's in Node, in
// Chromium the one that computes on the CPU. What is missing is skipped aloud; the last line is the total.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openBrowser, whyNoBrowser } from '../../tests/chromium.mjs'
import { openDawn } from '../../tests/dawn.mjs'
import { serve } from '../../tools/serve.mjs'
import { SMOLLM, source, STORIES, TOP } from './support.mjs'

const GOLDEN = join(TOP, '../shared/accept/golden')
const BUILDS = ['simd', 'relaxed', 'simd+threads', 'relaxed+threads']
/** Share of the recorded tokens that must be chosen, and the gap between the two best logits from
 * which on a choice is clear. */
const AGREE = 0.97
const CLEAR = 0.5
/** Cases of --quick: 167 of 567 tokens, with a system text, other scripts and plain text. */
const QUICK = ['gravity', 'capital', 'pirate', 'raw-list']

/** Runs where the package runs, in Node or in a page, so it is closed over nothing. For each case:
 * the prompt's ids as the package makes them, and for each recorded token whether it is the choice
 * after those before it. An answer that goes astray is taken up again behind the recorded token. */
async function follow({ entry, model, options, cases }) {
  const { load } = await import(entry)
  const m = await load(model, options)
  const rows = []
  for (const { messages, text, promptIds, ids } of cases) {
    const prompt = messages ? await m.applyTemplate(messages) : text
    const made = await m.tokenize(prompt, messages ? { special: false, parseSpecial: true } : {})
    const start = promptIds ?? [...made]
    const hits = []
    while (hits.length < ids.length) {
      const answer = m.generate([...start, ...ids.slice(0, hits.length)], { temperature: 0, maxTokens: ids.length - hits.length })
      let astray = false
      for await (const { tokens } of answer) {
        for (const id of tokens) {
          if (astray)
            break
          astray = id !== ids[hits.length]
          hits.push(!astray)
        }
        if (astray)
          break
      }
      const { stop } = await answer.result
      if (!astray && hits.length < ids.length && stop === 'eos')
        hits.push(ids[hits.length] === m.info.eos)
    }
    rows.push({ made: [...made], hits })
  }
  const { device } = m
  await m.dispose()
  return { rows, build: device.build, backend: device.features[0] }
}

function smolCases(names) {
  const { greedy } = JSON.parse(readFileSync(join(GOLDEN, 'smollm2-q4_1.json'), 'utf8'))
  const value = (argv, name) => argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined
  return greedy.filter(c => !names || names.includes(c.name)).map(({ name, argv, prompt_ids, ids, gaps }) => {
    const text = value(argv, '-p')
    const system = value(argv, '-sys')
    const messages = argv.includes('--raw') ? undefined
      : [...system ? [{ role: 'system', content: system }] : [], { role: 'user', content: text }]
    return { name, messages, text, promptIds: prompt_ids, ids, gaps }
  })
}

const total = { passed: 0, failed: 0, skipped: 0 }

function report(good, line) {
  total[good ? 'passed' : 'failed']++
  console.log(`${good ? 'ok' : 'FAIL'}: ${line}`)
}

function skip(line) {
  total.skipped++
  console.log(`skipped: ${line}`)
}

function judgeStories(where, [{ hits }]) {
  const right = hits.filter(Boolean).length
  report(right === hits.length, `stories260K, ${where}: ${right}/${hits.length} greedy ids`)
}

function judgeSmol(where, cases, rows, ms) {
  let all = 0, right = 0, wrong = 0
  const prompts = cases.filter((c, i) => rows[i].made.join() !== c.promptIds.join()).map(c => c.name)
  for (const [i, { gaps }] of cases.entries())
    for (const [at, hit] of rows[i].hits.entries()) {
      all++
      right += hit
      wrong += !hit && gaps[at] >= CLEAR
    }
  report(right >= AGREE * all && wrong === 0 && prompts.length === 0 && all > 0,
    `SmolLM2, ${where}: ${right}/${all} choose the recorded token (97 % needed), ${wrong} wrong where the choice is clear, ` +
    `${cases.length - prompts.length}/${cases.length} prompts (${(ms / 1000).toFixed(0)} s)`)
}

async function checkBuild(where, build, names, run) {
  const options = build === 'gpu' ? { backend: 'gpu', contextSize: 512 } : { build, threads: 2, contextSize: 512 }
  const stories = JSON.parse(readFileSync(join(GOLDEN, 'stories260K.json'), 'utf8'))
  const told = await run({ model: STORIES, options, cases: [{ text: '', ids: stories.text_ids }] })
  if (build === 'gpu')
    where = `${where} (${told.backend})`
  judgeStories(where, told.rows)
  if (!SMOLLM)
    return skip(`SmolLM2, ${where}: it was not fetched (tools/get_model.py)`)
  const cases = smolCases(names)
  const start = performance.now()
  const answered = await run({ model: SMOLLM, options, cases })
  judgeSmol(where, cases, answered.rows, performance.now() - start)
}

async function whyNotInNode(build) {
  if (build === 'gpu')
    return openDawn().then(() => '', error => String(error.message).split('\n')[0])
  const { relaxed } = (await source('cpu.ts')).features({ isolated: true })
  return build.includes('relaxed') && !relaxed ? 'it has no relaxed SIMD' : ''
}

async function inNode(builds, names) {
  for (const build of builds) {
    const why = await whyNotInNode(build)
    if (why)
      skip(`${build}, Node: ${why}`)
    else
      await checkBuild(`${build}, Node`, build, names, args => follow({ ...args, entry: 'ingle' }))
  }
}

async function inChromium(builds, names) {
  if (whyNoBrowser())
    return skip(`Chromium: ${whyNoBrowser()}`)
  const { server, address } = await serve({ files: [STORIES, ...SMOLLM ? [SMOLLM] : []] })
  const browser = await openBrowser(builds.includes('gpu') ? ['--enable-unsafe-webgpu'] : [])
  try {
    for (const build of builds) {
      const page = await browser.newPage()
      await page.goto(address)
      await checkBuild(`${build}, Chromium`, build, names, args => page.evaluate(follow, {
        ...args, entry: '/ingle/index.js', model: `/models/${args.model.split('/').at(-1)}`,
      }))
      await page.close()
    }
  } finally {
    await browser.close()
    server.closeAllConnections()
    server.close()
  }
}

const { values } = parseArgs({ options: {
  hosts: { type: 'string', default: 'node,chromium' }, builds: { type: 'string', default: BUILDS.join() }, quick: { type: 'boolean', default: false },
  cases: { type: 'string' },
} })
const builds = values.builds.split(',')
const names = values.cases?.split(',') ?? (values.quick ? QUICK : undefined)
if (builds.some(b => b !== 'gpu' && !BUILDS.includes(b)))
  throw new Error(`builds: some of ${BUILDS.join()},gpu are expected`)
if (!existsSync(GOLDEN)) {
  skip('the recorded answers of ../shared are not here')
} else {
  if (values.hosts.includes('node'))
    await inNode(builds, names)
  if (values.hosts.includes('chromium'))
    await inChromium(builds, names)
}
console.log(`${fileURLToPath(import.meta.url).slice(TOP.length)}: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exit(total.failed || !(total.passed + total.skipped) ? 1 : 0) // Dawn would keep Node alive
