// hf: names, without the hub.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { source } from './support.mjs'

const { parseHub, chooseFile } = await source('hub.ts')

test('hf: names are taken apart, and odd ones refused', () => {
  assert.deepEqual(parseHub('hf:a/b'), { user: 'a', repo: 'b', what: '' })
  assert.deepEqual(parseHub('hf:a-1/b.c_d:Q4_K_M'), { user: 'a-1', repo: 'b.c_d', what: 'Q4_K_M' })
  assert.deepEqual(parseHub('hf:a/b:sub/file.gguf'), { user: 'a', repo: 'b', what: 'sub/file.gguf' })
  for (const bad of ['hf:', 'hf:a', 'hf:a/', 'hf:a/b:', 'hf:a/b/c', 'hf:../b', 'hf:a/.b', 'hf:a/b:../x', 'hf:a/b?x=1', 'hf:a/b:x/../../y'])
    assert.throws(() => parseHub(bad), { code: 'ERR_USAGE' }, bad)
})

test('a format in a file name is a word of its own', () => {
  const files = ['README.md', 'm-Q4_K_M.gguf', 'm-Q4_K_S.gguf', 'm-Q8_0.gguf', 'm.Q4_0.gguf', 'mmproj-Q4_0.gguf']
  assert.equal(chooseFile(files, 'Q4_K_S'), 'm-Q4_K_S.gguf')
  assert.equal(chooseFile(files, 'q8_0'), 'm-Q8_0.gguf')
  assert.equal(chooseFile(files, 'Q4_K'), undefined)
  assert.equal(chooseFile(files, ''), 'm-Q4_K_M.gguf')
  assert.equal(chooseFile(files.slice(3), ''), 'm.Q4_0.gguf')
  assert.equal(chooseFile(['b-F16.gguf', 'a-F16.gguf'], ''), 'a-F16.gguf')
  assert.equal(chooseFile(files, 'README.md'), 'README.md')
  assert.equal(chooseFile(['README.md'], ''), undefined)
  assert.equal(chooseFile(['a(b.gguf'], 'a(b'), 'a(b.gguf')
})
