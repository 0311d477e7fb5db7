// Sources as the worker reads them: the next bytes, whatever they come from.
import { IngleError } from './errors.ts'
import type { ByteStream, WorkerHost } from './host.ts'
import type { WireSource } from './protocol.ts'

const BLOB_CHUNK = 4 << 20
const BODY_CHUNK = 1 << 20
/** How often a download that broke off is taken up again. */
const RETRIES = 4
const RETRY_MS = 500

function fromBlob(blob: Blob): ByteStream {
  let at = 0
  return {
    total: blob.size,
    remote: false,
    async next() {
      if (at >= blob.size)
        return null
      try {
        const bytes = new Uint8Array(await blob.slice(at, at + BLOB_CHUNK).arrayBuffer())
        at += bytes.length
        return bytes
      } catch (cause) {
        throw new IngleError('ERR_IO', `the file cannot be read: ${String(cause)}`, { cause })
      }
    },
    cancel() {},
  }
}

async function request(url: string, from: number, tag: string | null): Promise<Response> {
  const headers: Record<string, string> = from > 0 ? { Range: `bytes=${from}-` } : {}
  if (from > 0 && tag)
    headers['If-Range'] = tag
  let response: Response
  try {
    response = await fetch(url, { headers })
  } catch (cause) {
    throw new IngleError('ERR_NETWORK', `${url} cannot be reached: ${String(cause)}`, { cause })
  }
  if (!response.ok || !response.body)
    throw new IngleError('ERR_NETWORK', `${url} was answered with ${response.status} ${response.statusText}`)
  return response
}

/** A strong tag, which promises that a later range is of the same bytes. */
function tagOf(response: Response): string | null {
  const tag = response.headers.get('etag')
  return tag && !tag.startsWith('W/') ? tag : null
}

/** Reads a body into the same memory again and again, where the platform can: what it gives otherwise is garbage that
 * may pile up to a hundred MB. */
function readerOf({ body }: Response): { read(): Promise<ReadableStreamReadResult<Uint8Array>>, cancel(): Promise<void> } {
  let reader: ReadableStreamBYOBReader
  try {
    reader = body!.getReader({ mode: 'byob' })
  } catch { // no stream of bytes
    return body!.getReader()
  }
  let spare = new ArrayBuffer(BODY_CHUNK)
  return {
    async read() {
      const { done, value } = await reader.read(new Uint8Array(spare))
      if (done || !value)
        return { done: true, value: undefined }
      spare = value.buffer as ArrayBuffer
      return { done: false, value }
    },
    cancel: () => reader.cancel(),
  }
}

async function fromUrl(url: string, size: number): Promise<ByteStream> {
  const response = await request(url, 0, null)
  const plain = !response.headers.get('content-encoding')
  const total = plain ? Number(response.headers.get('content-length') ?? 0) || size : size
  const tag = tagOf(response)
  let reader = readerOf(response)
  let at = 0
  let retries = 0

  /** Goes on where a broken download stopped; false if the server cannot. */
  async function resume(): Promise<boolean> {
    if (!plain || !tag || ++retries > RETRIES)
      return false
    await new Promise(resolve => setTimeout(resolve, RETRY_MS * 2 ** (retries - 1)))
    try {
      const again = await request(url, at, tag)
      if (again.status !== 206) {
        void again.body?.cancel()
        return false
      }
      reader = readerOf(again)
      return true
    } catch {
      return resume()
    }
  }

  async function next(): Promise<Uint8Array | null> {
    for (;;) {
      let why = 'the connection was closed'
      try {
        const { done, value } = await reader.read()
        if (!done) {
          at += value.length
          return value
        }
        if (!total || at >= total)
          return null
      } catch (cause) {
        why = String(cause)
      }
      if (!await resume())
        throw new IngleError('ERR_NETWORK', `${url}: the download broke off after ${at} of ${total || 'unknown'} bytes: ${why}`)
    }
  }
  return { total, remote: true, next, cancel: () => void reader.cancel().catch(() => {}) }
}

/** pull asks the page for its next chunk. */
export async function openBytes(
  source: WireSource, host: WorkerHost, pull: () => Promise<Uint8Array | null>,
): Promise<ByteStream & { sha256?: string }> {
  switch (source.kind) {
    case 'blob':
      return fromBlob(source.blob)
    case 'path':
      return host.openPath(source.path)
    case 'pull':
      return { total: source.size ?? 0, remote: false, next: pull, cancel() {} }
    case 'url': {
      const { url, sha256, size } = source
      return { ...await fromUrl(url, size ?? 0), sha256 }
    }
  }
}
