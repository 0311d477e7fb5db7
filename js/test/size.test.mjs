// What a page downloads for the engine, compressed: the package's scripts and its largest build.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { brotliCompressSync } from 'node:zlib'
import { TOP } from './support.mjs'

const DIST = join(TOP, 'js/dist')
const MOST = { CPU: 130_000, GPU: 150_000 }

const sizeOf = name => brotliCompressSync(readFileSync(join(DIST, name))).length
const text = name => readFileSync(join(DIST, name), 'utf8')
/** Files that a script imports at once, and those that it imports when it wants them: for a CPU or a GPU,
 * for checks, names of the hub, benchmarks. */
const imports = name => [...text(name).matchAll(/\bfrom\s*["']\.\/([^"']+)|\bimport\s*["']\.\/([^"']+)/g)].map(m => m[1] ?? m[2])
const later = name => [...text(name).matchAll(/\bimport\(["']\.\/([^"']+)["']\)/g)].map(m => m[1])
const laterNamed = start => {
  const names = later('worker.js').filter(name => name.startsWith(start))
  assert.equal(names.length, 1, start)
  return names
}
const withImports = names => [...new Set(names.flatMap(name => [name, ...withImports(imports(name))]))]

const PAGES = {
  CPU: { scripts: withImports(['index.js', 'worker.js', 'pool_worker.js', ...laterNamed('cpu-')]), builds: /^(simd|relaxed)(-threads)?\.wasm$/, n: 4 },
  GPU: { scripts: withImports(['index.js', 'worker.js', ...laterNamed('gpu-')]), builds: /^gpu\.wasm$/, n: 1 },
}

for (const [page, { scripts, builds, n }] of Object.entries(PAGES)) {
  test(`the engine for a ${page} downloads as at most ${MOST[page]} bytes`, t => {
    const script = scripts.map(sizeOf).reduce((a, b) => a + b)
    const found = readdirSync(DIST).filter(name => builds.test(name)).map(name => ({ name, bytes: sizeOf(name) }))
    assert.equal(found.length, n)
    const largest = found.reduce((a, b) => b.bytes > a.bytes ? b : a)
    const said = `${script} of scripts (${scripts.join(', ')}) and ${largest.bytes} of ${largest.name}: ${script + largest.bytes} bytes, brotli`
    t.diagnostic(said)
    assert.ok(script + largest.bytes <= MOST[page], said)
  })
}
