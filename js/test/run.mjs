// Runs the test files given, or all, one after the other; the last line is the total.
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { run } from 'node:test'

const here = new URL('./', import.meta.url)
const names = process.argv.length > 2 ? process.argv.slice(2) : readdirSync(here).filter(n => n.endsWith('.test.mjs')).sort()
let passed = 0, failed = 0, skipped = 0

const isTest = data => data.details?.type !== 'suite' && !names.some(n => data.name.endsWith(n))
const stream = run({ files: names.map(n => fileURLToPath(new URL(n, here))), concurrency: 1, timeout: 600_000 })
stream.on('test:pass', data => {
  if (!isTest(data))
    return
  if (data.skip !== undefined) {
    skipped++
    console.log(`skipped: ${data.name}: ${data.skip}`)
  } else {
    passed++
    console.log(`ok: ${data.name} (${Math.round(data.details.duration_ms)} ms)`)
  }
})
stream.on('test:fail', data => {
  // A suite or file that failed because of its tests adds nothing; by itself it is a failure.
  if (!isTest(data) && data.details.error?.failureType === 'subtestsFailed')
    return
  failed++
  console.log(`FAILED: ${data.name}`)
  console.log(data.details.error?.cause ?? data.details.error)
})
stream.on('test:diagnostic', data => data.nesting > 0 || data.file === undefined || /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /.test(data.message) || console.log(`    ${data.message}`))
stream.on('test:stderr', data => process.stderr.write(data.message))
await new Promise(resolve => stream.on('end', resolve).resume())
console.log(`test-web: ${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exitCode = failed || !passed ? 1 : 0
