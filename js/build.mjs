// Builds the package into dist/: a module file for each entry and worker and for what they import later, types, the
// engine's builds beside them. The workers' addresses stay literal, so that users' bundlers find them.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import binaryen from 'binaryen'
import { build } from 'esbuild'

const here = new URL('./', import.meta.url)
const dist = new URL('dist/', here)
const wasm = new URL('../build/wasm/', here)

rmSync(dist, { recursive: true, force: true })
mkdirSync(dist)

const common = { bundle: true, format: 'esm', target: 'es2022', minify: true, legalComments: 'none', absWorkingDir: fileURLToPath(here) }
// What not every page needs goes into files of their own, which are imported when they are wanted: a check, names of the
// hub; in the worker what only builds for CPUs or that for GPUs needs, and benchmarks.
for (const [platform, end] of [['browser', ''], ['node', '_node']]) {
  const all = { ...common, outdir: 'dist', platform }
  const split = { ...all, splitting: true, chunkNames: '[name]-[hash]' }
  await build({ ...all, entryPoints: [`src/pool_worker${end}.ts`] })
  await build({ ...split, entryPoints: [platform === 'node' ? 'src/node.ts' : 'src/index.ts', `src/worker${end}.ts`] })
}

const tsc = fileURLToPath(new URL('node_modules/typescript/bin/tsc', here))
const types = spawnSync(process.execPath, [tsc, '--emitDeclarationOnly'], { cwd: fileURLToPath(here), stdio: 'inherit' })
if (types.status !== 0)
  process.exit(types.status ?? 1)
// What index.d.ts reaches is the public surface; the rest are the package's own affairs.
const keep = new Set()
const queue = ['index.d.ts']
for (let name = queue.pop(); name; name = queue.pop()) {
  if (keep.has(name))
    continue
  keep.add(name)
  const text = readFileSync(new URL(name, dist), 'utf8').replace(/(from '|import\(")\.\/(\w+)\.ts/g, "$1./$2.js")
    .replace(/(from ["'])\.\/(\w+)\.ts/g, '$1./$2.js')
  writeFileSync(new URL(name, dist), text)
  for (const m of text.matchAll(/["']\.\/(\w+)\.js["']/g))
    queue.push(`${m[1]}.d.ts`)
}
for (const name of readdirSync(dist))
  if (name.endsWith('.d.ts') && !keep.has(name))
    rmSync(new URL(name, dist))

const builds = readdirSync(wasm).filter(name => /^(gpu|(simd|relaxed)(-threads)?)\.wasm$/.test(name))
if (builds.length !== 5)
  throw new Error(`build/wasm has ${builds.length} of the engine's 5 builds: make wasm`)
for (const name of builds)
  copyFileSync(new URL(name, wasm), new URL(name, dist))

// The build for GPUs computes little itself, so it is made small: Binaryen takes off 3 % of what the linker leaves.
const { Features, readBinary, setOptimizeLevel, setShrinkLevel } = binaryen
const small = readBinary(readFileSync(new URL('gpu.wasm', wasm)))
small.setFeatures(Features.SIMD128 | Features.BulkMemory | Features.BulkMemoryOpt | Features.SignExt | Features.NontrappingFPToInt |
  Features.MutableGlobals)
setOptimizeLevel(2)
setShrinkLevel(2)
small.optimize()
small.optimize() // there is more to find in what the first time leaves
writeFileSync(new URL('gpu.wasm', dist), small.emitBinary())
