// ingle beside other engines, on the same files, in one go.
//
//     make bench-peers                      everything (about an hour on two cores)
//     make bench-peers ARGS=--quick         Q4_0, three rounds, without wllama 3
//     make bench-peers ARGS='--native --files q4_0,q8_0 --threads 1 --rounds 7'
//     --native --browser --first --crowd    only these parts: speed natively, in Chromium, load() to the
//                                           first token, more threads than cores
//     --engines 'llama.cpp,wllama 2.3.1'    only these beside ingle
//     --prompts 128,512 --generate 64 --json FILE
//     --print build/bench/peers.json        the table of an earlier run
//
// Each round measures every engine once, in turn, and the next round in the opposite order; the
// median over rounds counts. Prints progress on stderr, the table on stdout; everything that was
// measured goes to build/bench/peers.json.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { WEB, openBrowser } from './chromium.mjs'
import { TYPES, isReal, modelOf } from './models.mjs'
import { NATIVE } from './native.mjs'
import { compare, markdown, median } from './table.mjs'

/** Milliseconds for one measurement with more threads than cores. */
const CROWD_LIMIT = 60_000
const TOP = fileURLToPath(new URL('../', import.meta.url))

function readOptions() {
  const { values: v } = parseArgs({
    options: {
      native: { type: 'boolean' }, browser: { type: 'boolean' }, first: { type: 'boolean' }, crowd: { type: 'boolean' },
      files: { type: 'string' }, threads: { type: 'string', default: '1,2' }, rounds: { type: 'string' },
      prompts: { type: 'string', default: '128,512' }, generate: { type: 'string', default: '64' },
      engines: { type: 'string' }, quick: { type: 'boolean', default: false }, json: { type: 'string' }, print: { type: 'string' },
    },
  })
  const list = text => text.split(',').filter(Boolean)
  const all = !v.native && !v.browser && !v.first && !v.crowd
  return {
    native: all || !!v.native, browser: all || !!v.browser, first: all || !!v.first, crowd: all || !!v.crowd,
    files: list(v.files ?? (v.quick ? 'q4_0' : TYPES.join())), threads: list(v.threads).map(Number),
    rounds: Number(v.rounds ?? (v.quick ? 3 : 5)), prompts: list(v.prompts).map(Number), generate: Number(v.generate),
    engine: name => name.startsWith('ingle') || (v.engines ? list(v.engines).includes(name) : !v.quick || name !== 'wllama 3.8.1'),
    print: v.print, json: v.json ?? `${TOP}build/bench/peers.json`,
  }
}

const say = text => process.stderr.write(`${text}\n`)
const cellOf = (place, type, threads, engines) =>
  ({ place, type, threads, rates: Object.fromEntries(engines.map(name => [name, {}])), details: {} })

/** One measurement into its cell. */
async function record(cell, name, measure) {
  const { rates, detail } = await measure()
  for (const [test, values] of Object.entries(rates))
    (cell.rates[name][test] ??= []).push(median(values))
  cell.details[name] = detail
  say(`${cell.place} ${cell.type} ${cell.threads} threads, ${name}: ${Object.entries(rates).map(([t, v]) => `${t} ${median(v).toFixed(1)}`).join(', ')}`)
}

/** Rounds over all cells, engines in turn, order swapped each time. */
async function rounds(n, cells, measure) {
  for (let round = 0; round < n; round++) {
    say(`round ${round + 1} of ${n}`)
    for (const cell of cells) {
      const names = Object.keys(cell.rates)
      for (const name of round % 2 ? names.reverse() : names)
        await record(cell, name, () => measure(cell, name))
    }
  }
}

function cells(o, place, engines) {
  const names = Object.keys(engines).filter(o.engine)
  return o.files.flatMap(type => o.threads.map(threads => cellOf(place, type, threads, names)))
}

async function native(o, result) {
  const job = { prompts: o.prompts, generate: o.generate, repetitions: 2 }
  const mine = cells(o, 'native', NATIVE)
  result.cells.push(...mine)
  await rounds(o.rounds, mine, (cell, name) => NATIVE[name](modelOf(cell.type), { ...job, threads: cell.threads }))
}

/** As many threads as cores, and four times as many. */
async function crowd(o) {
  const cores = availableParallelism()
  const names = Object.keys(NATIVE).filter(o.engine)
  const both = [1, 4].map(k => cellOf('native', 'q4_0', k * cores, names))
  // A peer may need seconds a token there: few must do, and one that does not end counts as 0.
  const job = name => ({ prompts: [], generate: name === 'ingle' ? 64 : 8, depth: 8, repetitions: 1, limit: CROWD_LIMIT })
  const measure = (cell, name) => NATIVE[name](modelOf('q4_0'), { ...job(name), threads: cell.threads })
    .catch(error => error.killed && name !== 'ingle' ? { rates: { tg8: [0] }, detail: `over ${CROWD_LIMIT / 1000} s` } : Promise.reject(error))
  await rounds(o.rounds, both, measure)
  return names.map(name => {
    const [a, b] = both.map(cell => median(Object.values(cell.rates[name])[0]))
    return { engine: name, cores, per_s: a, crowded_per_s: b, ratio: b / a }
  })
}

async function browser(o, result, chromium) {
  const job = { prompts: o.prompts, generate: o.generate, repetitions: 1 }
  const mine = cells(o, 'web', WEB)
  result.cells.push(...mine)
  await rounds(o.rounds, mine, (cell, name) => chromium.measure(name, 'speed', modelOf(cell.type), { ...job, threads: cell.threads }))
}

/** load() to the first token of a prompt of 30 tokens, all cores. */
async function first(o, chromium) {
  const names = ['ingle', 'wllama 2.3.1'].filter(o.engine)
  const threads = availableParallelism()
  const type = o.files[0]
  const ms = Object.fromEntries(names.map(name => [name, []]))
  for (let round = 0; round < o.rounds; round++)
    for (const name of round % 2 ? [...names].reverse() : names) {
      const got = await chromium.measure(name, 'first', modelOf(type), { threads })
      ms[name].push(got.ms)
      say(`first token, ${name}: ${got.ms.toFixed(0)} ms (loaded after ${got.loadMs.toFixed(0)}), prompt of ${got.promptTokens}`)
    }
  return { type, threads, ms, ratio: names.length === 2 ? median(ms.ingle) / median(ms[names[1]]) : null }
}

function machine() {
  const text = (program, ...args) => {
    try {
      return execFileSync(program, args, { cwd: TOP, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    } catch {
      return ''
    }
  }
  return {
    cpu: cpus()[0]?.model ?? '', cores: availableParallelism(), node: process.version, system: text('uname', '-sr'),
    commit: text('git', 'describe', '--always', '--dirty'), date: new Date().toISOString(),
  }
}

function print(result) {
  const m = result.machine
  const out = [`${m.cpu}, ${m.cores} cores, ${m.system}, Node ${m.node}${result.chromium ? `, Chromium ${result.chromium}` : ''}; commit ${m.commit}; medians of ${result.rounds} rounds.`, '']
  if (result.rows.length)
    out.push(markdown(result.rows), '')
  if (result.first?.ratio) {
    const [[, a], [peer, b]] = Object.entries(result.first.ms)
    out.push(`load() to the first token of a prompt of 30 tokens (${result.first.type.toUpperCase()}, ${result.first.threads} threads): ` +
      `ingle ${median(a).toFixed(0)} ms, ${peer} ${median(b).toFixed(0)} ms: ${result.first.ratio.toFixed(2)}x (must: 0.6x)`, '')
  }
  for (const c of result.crowd ?? []) {
    const crowded = c.crowded_per_s ? `${c.crowded_per_s.toFixed(1)} tokens/s` : `not done after ${CROWD_LIMIT / 1000} s`
    const must = c.engine === 'ingle' ? ' (must: 0.7x)' : ''
    out.push(`${c.engine}, ${4 * c.cores} threads on ${c.cores} cores: ${crowded}; ${c.per_s.toFixed(1)} with ${c.cores} threads: ${c.ratio.toFixed(2)}x${must}`)
  }
  console.log(out.join('\n').trimEnd())
}

/** Measures what the options ask for into result; what there is stays there if it fails. */
async function measureAll(o, files, result) {
  if (o.native)
    await native(o, result)
  if (o.crowd)
    result.crowd = await crowd(o)
  if (!o.browser && !o.first)
    return
  const chromium = await openBrowser(files)
  result.chromium = chromium.version
  try {
    if (o.browser)
      await browser(o, result, chromium)
    if (o.first)
      result.first = await first(o, chromium)
  } finally {
    await chromium.close()
  }
}

async function main() {
  const o = readOptions()
  if (o.print)
    return print(JSON.parse(readFileSync(o.print, 'utf8')))
  const files = o.files.map(type => modelOf(type))
  const kinds = o.files.map((type, i) => [type, isReal(files[i]) ? 'the model itself' : 'random weights'])
  const result = { machine: machine(), rounds: o.rounds, files: Object.fromEntries(kinds), cells: [], rows: [] }
  try {
    await measureAll(o, files, result)
  } finally {
    result.rows = compare(result.cells)
    mkdirSync(new URL('../build/bench/', import.meta.url), { recursive: true })
    writeFileSync(o.json, `${JSON.stringify(result, null, 1)}\n`)
    print(result)
  }
}

await main()
