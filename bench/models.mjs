// The files that all engines are measured on: SmolLM2-135M in four formats. Q4_1 is the real model
// where it is found; the others have random weights and are made here.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const TOP = fileURLToPath(new URL('../', import.meta.url))
const REAL = 'SmolLM2-135M-Instruct.Q4_1.gguf'
export const TYPES = ['q4_0', 'q4_1', 'q8_0', 'q4_k']

function findReal() {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ingle')
  return [process.env.INGLE_MODELS, join(TOP, 'models'), cache].filter(Boolean).map(f => join(f, REAL)).find(existsSync)
}

/** The path of a type's file, made if it is not there. */
export function modelOf(type, preset = 'smollm2-135m') {
  const real = type === 'q4_1' && preset === 'smollm2-135m' ? findReal() : undefined
  if (real)
    return real
  const made = join(TOP, 'build/bench', `${preset}-${type}.gguf`)
  if (!existsSync(made)) {
    mkdirSync(join(TOP, 'build/bench'), { recursive: true })
    execFileSync(process.env.PYTHON ?? 'python3', [join(TOP, 'bench/make_gguf.py'), '--preset', preset, '--type', type, made], { stdio: 'inherit' })
  }
  return made
}

export function isReal(file) {
  return basename(file) === REAL
}
