// Builds the package into dist/: one module file for each entry and worker, types, the engine's
// builds beside them. The workers' addresses stay literal, so that users' bundlers find them.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = new URL('./', import.meta.url)
const dist = new URL('dist/', here)
const wasm = new URL('../build/wasm/', here)

rmSync(dist, { recursive: true, force: true })
mkdirSync(dist)

const common = { bundle: true, format: 'esm', target: 'es2022', minify: true, legalComments: 'none', absWorkingDir: fileURLToPath(here) }
for (const [platform, entryPoints] of [
  ['browser', ['src/index.ts', 'src/pool_worker.ts']], ['node', ['src/node.ts', 'src/pool_worker_node.ts']],
])
  await build({ ...common, entryPoints, outdir: 'dist', platform })
// What only the build for GPUs or a benchmark needs goes into a file of its own, which the worker imports when it is wanted.
const split = { ...common, splitting: true, outdir: 'dist', chunkNames: '[name]-[hash]' }
await build({ ...split, entryPoints: ['src/worker.ts'], platform: 'browser' })
await build({ ...split, entryPoints: ['src/worker_node.ts'], platform: 'node' })

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
