// What a page downloads for the engine, compressed: the package's scripts and its largest build.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { brotliCompressSync } from 'node:zlib'
import { TOP } from './support.mjs'

const MOST = 150_000
const DIST = join(TOP, 'js/dist')
/** All that the browser's entry loads. */
const SCRIPTS = ['index.js', 'worker.js', 'pool_worker.js']

test(`the engine downloads as at most ${MOST} bytes`, t => {
  const sizeOf = name => brotliCompressSync(readFileSync(join(DIST, name))).length
  const scripts = SCRIPTS.map(sizeOf).reduce((a, b) => a + b)
  const builds = readdirSync(DIST).filter(name => name.endsWith('.wasm')).map(name => ({ name, bytes: sizeOf(name) }))
  assert.equal(builds.length, 4)
  for (const script of SCRIPTS) // nothing else is imported
    assert.doesNotMatch(readFileSync(join(DIST, script), 'utf8'), /\bfrom\s*["']\.|\bimport\s*["'(]/, script)
  const largest = builds.reduce((a, b) => b.bytes > a.bytes ? b : a)
  t.diagnostic(`${scripts} of scripts and ${largest.bytes} of ${largest.name}: ${scripts + largest.bytes} bytes, brotli`)
  assert.ok(scripts + largest.bytes <= MOST, `${scripts} of scripts and ${largest.bytes} of ${largest.name} are ${scripts + largest.bytes} bytes, brotli`)
})
