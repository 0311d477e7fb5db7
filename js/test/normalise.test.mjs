// Normalisation and lower case, which the core has JavaScript do: through models whose tokenizers ask for it, beside the
// native engine, which has tables of its own.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { load } from '../dist/node.js'
import { storiesBytes, TOP } from './support.mjs'

const folder = mkdtempSync(join(tmpdir(), 'ingle-normalise-'))
after(() => rmSync(folder, { recursive: true }))

const TEXT = 8
const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]
const u32 = n => Buffer.from(Uint32Array.of(n).buffer)
const u64 = n => Buffer.from(BigUint64Array.of(BigInt(n)).buffer)
const text = s => Buffer.concat([u64(Buffer.byteLength(s)), Buffer.from(s)])

/** The stories' model with another tokenizer: fields as GGUF has them, a value of text or a list of texts. */
function withTokenizer(name, given) {
  let at = 24
  const take = n => storiesBytes.subarray(at, at += n)
  const number = n => n === 4 ? take(4).readUInt32LE() : Number(take(8).readBigUInt64LE())
  const skip = kind => {
    if (kind === TEXT)
      take(number(8))
    else if (kind === 9)
      for (let inner = number(4), n = number(8); n > 0; n--)
        skip(inner)
    else
      take(SIZES[kind])
  }
  const fields = []
  for (let n = Number(storiesBytes.readBigUInt64LE(16)); n > 0; n--) {
    const start = at
    const key = take(number(8)).toString()
    skip(number(4))
    if (!/^tokenizer\.|alignment/.test(key))
      fields.push(storiesBytes.subarray(start, at))
  }
  const nTensors = Number(storiesBytes.readBigUInt64LE(8))
  const tensors = at
  for (let n = nTensors; n > 0; n--) {
    take(number(8))
    take(8 * number(4) + 12)
  }
  for (const [key, value] of Object.entries(given))
    fields.push(Buffer.concat([text(`tokenizer.ggml.${key}`), ...Array.isArray(value)
      ? [u32(9), u32(TEXT), u64(value.length), ...value.map(text)] : [u32(TEXT), text(value)]]))
  const head = Buffer.concat([storiesBytes.subarray(0, 16), u64(fields.length), ...fields, storiesBytes.subarray(tensors, at)])
  const path = join(folder, name)
  const round = n => Math.ceil(n / 32) * 32
  writeFileSync(path, Buffer.concat([head, Buffer.alloc(round(head.length) - head.length), storiesBytes.subarray(round(at))]))
  return path
}

/** 512 tokens: those given, and fillers. */
const tokens = given => [...given, ...Array.from({ length: 512 - given.length }, (_, i) => `<${i}>`)]
/** The letters that stand for bytes in a byte-level BPE. */
const printable = byte => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
const bytes = Array.from({ length: 256 }, (_, b) => b)
const letters = bytes.map(b => String.fromCharCode(printable(b) ? b : 256 + bytes.slice(0, b).filter(x => !printable(x)).length))
const NFC = withTokenizer('nfc.gguf', { model: 'gpt2', pre: 'qwen2', tokens: tokens(letters), merges: [] })
/** Every second letter with a lower case, those of one character: as many as there is room for. */
const upper = Array.from({ length: 0x1ffff }, (_, c) => String.fromCodePoint(c)).filter(c => c.toLowerCase() !== c && c.normalize('NFD') === c)
  .filter((_, i) => i % 2 === 0).slice(0, 480)
const LOWER = withTokenizer('lower.gguf', { model: 'bert', tokens: tokens(['[UNK]', '[CLS]', '[SEP]', ...upper.map(c => `▁${c.toLowerCase()}`)]) })
const NFD = withTokenizer('nfd.gguf', { model: 'bert', tokens: tokens(['[UNK]', '[CLS]', '[SEP]', ...['a', 'e', 'o', '각', '가'].map(c => `▁${c}`)]) })

const native = (model, ...prompt) =>
  execFileSync(join(TOP, 'ingle'), ['tokenize', '-m', model, ...prompt, '--no-special'], { encoding: 'utf8' }).match(/\d+/g)?.map(Number) ?? []
const CASES = [
  'e\u0301', 'xe\u0301y', '\ufeffe\u0301', '\ufeff\u0301', '\u0301e', 'a\u0323\u0307', 'a\u0307\u0323', '\u1100\u1161\u11a8', '각\u11a8', '\u212b \u2126',
  '\u0958', '\u{1d15f}', '\u{1d160}'.repeat(40), `a${'\u0301\u0323'.repeat(30)}`, '\u{105d2}\u0307', '\u0378\u0301e\u0301', 'plain', 'ạ́ e\u0302\u0301 o\u0308',
]

for (const [name, path] of Object.entries({ NFC, NFD }))
  test(`${name}: as the native engine`, async () => {
    const model = await load(path)
    for (const prompt of CASES)
      assert.deepEqual([...await model.tokenize(prompt, { special: false })], native(path, '-p', prompt), JSON.stringify(prompt))
    await model.dispose()
  })

test('lower case: as the native engine', async () => {
  const model = await load(LOWER)
  const ids = [...await model.tokenize(upper.join(' '), { special: false })]
  assert.deepEqual(ids, native(LOWER, '-p', upper.join(' ')))
  assert.ok(upper.length > 400 && new Set(ids).size > 400)
  const odd = 'İI ı \u{a7dc} ΑΣ Σ ǅ ẞ'
  assert.deepEqual([...await model.tokenize(odd, { special: false })], native(LOWER, '-p', odd))
  await model.dispose()
})

const VECTORS = join(TOP, '../shared/conformance/unicode/NormalizationTest.tsv')
for (const [name, path] of Object.entries({ NFC, NFD }))
  test(`${name}: the Unicode consortium's vectors, as the native engine`, { skip: !existsSync(VECTORS) && `${VECTORS} is not there` }, async () => {
    const rows = readFileSync(VECTORS, 'utf8').split('\n').filter(line => /^\w/.test(line)).map(line => line.split('\t')[0])
    assert.ok(rows.length > 15_000)
    const prompt = rows.map(codes => String.fromCodePoint(...codes.split(' ').map(code => parseInt(code, 16)))).join('\n')
    const file = join(folder, 'vectors.txt')
    writeFileSync(file, prompt)
    for (const build of ['simd', 'simd+threads']) {
      const model = await load(path, { build })
      assert.deepEqual([...await model.tokenize(prompt, { special: false })], native(path, '-f', file))
      await model.dispose()
    }
  })
