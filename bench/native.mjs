// The engines measured natively: a process each time, so that nothing of the other is alive.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const TOP = fileURLToPath(new URL('../', import.meta.url))
const run = promisify(execFile)

/** What a program prints; with error.killed after `limit` ms. */
async function output(program, args, limit = 0) {
  const { stdout } = await run(program, args, { cwd: TOP, maxBuffer: 1 << 26, timeout: limit, killSignal: 'SIGKILL' })
  return stdout
}

/** ingle's command line. */
async function ingle(file, { threads, prompts, generate, repetitions, depth = 128, limit }) {
  const common = ['bench', '-m', file, '-t', threads, '-r', repetitions, '--json', '-q'].map(String)
  const rates = {}
  let detail = ''
  const add = async (...args) => {
    for (const line of (await output('./ingle', [...common, ...args], limit)).trim().split('\n')) {
      const row = JSON.parse(line)
      rates[row.test.replace(/@.*/, '')] = [row.per_s_median]
      detail = row.backend
    }
  }
  if (prompts.length)
    await add('-p', prompts.join(), '-n', '0')
  if (generate)
    await add('-p', '0', '-n', String(generate), '-d', String(depth))
  return { rates, detail }
}

async function llama(file, job) {
  return JSON.parse(await output(process.execPath, ['bench/llama_native.mjs', file, JSON.stringify(job)], job.limit))
}

const hasAmx = existsSync('/proc/cpuinfo') && /\bamx_int8\b/.test(readFileSync('/proc/cpuinfo', 'utf8'))

/** name -> measure(file, job): { rates: { test: [tokens a second] }, detail }. Where the processor has
 * matrix units (AMX), llama.cpp is also measured as it runs on those without. */
export const NATIVE = {
  'ingle': ingle,
  'llama.cpp': llama,
  ...hasAmx ? { 'llama.cpp without AMX': (file, job) => llama(file, { ...job, amx: false }) } : {},
}
