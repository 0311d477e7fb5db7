// hf: names, without the hub.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { source } from './support.mjs'

const { parseHub, chooseFile } = await source('hub.ts')
const { openSource } = await source('source.ts')

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

test('a name becomes the address of a file at one commit, with its checksum; what the caller says of it counts', async t => {
  const SUM = 'ab'.repeat(32), COMMIT = '12'.repeat(20)
  const asked = []
  const siblings = [{ rfilename: 'sub dir/m.Q4_0.gguf', size: 77, lfs: { sha256: SUM } }, { rfilename: 'README.md' }]
  t.mock.method(globalThis, 'fetch', async (url, { signal }) => {
    asked.push(url)
    signal?.throwIfAborted()
    return asked.length === 2 ? new Response('', { status: 404 }) : Response.json({ sha: COMMIT, siblings })
  })
  const host = { resolve: () => assert.fail('hf: is no address of the platform') }
  const url = `https://huggingface.co/a/b/resolve/${COMMIT}/sub%20dir/m.Q4_0.gguf`
  assert.deepEqual(await openSource('hf:a/b:Q4_0', host), { wire: { kind: 'url', url, size: 77, sha256: SUM } })
  assert.deepEqual(asked, ['https://huggingface.co/api/models/a/b?blobs=true'])
  await assert.rejects(openSource('hf:a/b:Q4_0', host), { code: 'ERR_NETWORK', message: /404/ })
  await assert.rejects(openSource('hf:a/b:Q8_0', host), { code: 'ERR_NETWORK', message: 'a/b has no Q8_0 file' })
  const own = 'cd'.repeat(32)
  assert.deepEqual((await openSource({ url: 'hf:a/b', sha256: own.toUpperCase() }, host)).wire, { kind: 'url', url, size: 77, sha256: own })
  assert.deepEqual((await openSource({ url: 'hf:a/b', size: 5 }, host)).wire, { kind: 'url', url, size: 5, sha256: SUM })
  await assert.rejects(openSource('hf:a/b', host, AbortSignal.abort(new Error('enough'))), { message: 'enough' })
})
