// Writes js/src/error_codes.ts from the list of statuses in include/ingle.h. With --check it writes
// nothing and fails when the file is not what it would write.
import { readFileSync, writeFileSync } from 'node:fs'

const top = new URL('../', import.meta.url)
const target = new URL('js/src/error_codes.ts', top)
const header = readFileSync(new URL('include/ingle.h', top), 'utf8')
const rows = [...header.matchAll(/^ {4}X\((\w+), (-?\d+), "([^"]+)"\)/gm)].map(([, name, value, text]) => ({ name, value, text }))
if (rows.length < 2 || rows[0].name !== 'OK')
  throw new Error('include/ingle.h: the list INGLE_STATUSES was not found')

rows.forEach((r, i) => {
  if (Number(r.value) !== -i)
    throw new Error(`include/ingle.h: ${r.name} should have the value ${-i}`)
})

const text = `// Made by tools/gen_errors.mjs from include/ingle.h: not to be edited.

/** The statuses of the C core; that with value -i stands at i. */
export const statusNames = [
${rows.map(r => `  '${r.name}', // ${r.text}`).join('\n')}
] as const

/** What \`IngleError.code\` can be. */
export type ErrorCode = Exclude<(typeof statusNames)[number], 'OK' | 'WAIT'>
`
if (!process.argv.includes('--check')) {
  writeFileSync(target, text)
} else if (readFileSync(target, 'utf8') !== text) {
  console.error('js/src/error_codes.ts is not what include/ingle.h says: run node tools/gen_errors.mjs')
  process.exit(1)
}
