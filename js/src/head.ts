// The start of a source, for who wants to know about a model before it is read. Refuses what can be read only once.
import { IngleError } from './errors.ts'
import type { Host } from './host.ts'
import type { WireSource } from './protocol.ts'
import type { Source } from './types.ts'

/** The first bytes of a source, and its size in bytes (0 = not known). */
export interface Head {
  bytes: Uint8Array
  size: number
}

/** The first n bytes, or why they cannot be had. */
export async function readHead(source: Source, wire: WireSource, n: number, host: Host, signal?: AbortSignal): Promise<Head> {
  try {
    return await read(source, wire, n, host, signal)
  } catch (cause) {
    signal?.throwIfAborted()
    if (cause instanceof IngleError)
      throw cause
    const [code, what] = wire.kind === 'url' ? ['ERR_NETWORK', wire.url] as const : ['ERR_IO', 'the file'] as const
    throw new IngleError(code, `${what} cannot be read: ${String(cause)}`, { cause })
  }
}

async function read(source: Source, wire: WireSource, n: number, host: Host, signal?: AbortSignal): Promise<Head> {
  if (wire.kind === 'blob')
    return { bytes: new Uint8Array(await wire.blob.slice(0, n).arrayBuffer()), size: wire.blob.size }
  if (wire.kind === 'path')
    return host.readHead(wire.path, n)
  if (wire.kind === 'url')
    return fetchHead(wire.url, n, wire.size ?? 0, signal)
  if (source instanceof Blob)
    return { bytes: new Uint8Array(await source.slice(0, n).arrayBuffer()), size: source.size }
  if (source instanceof ArrayBuffer)
    return { bytes: new Uint8Array(source, 0, Math.min(n, source.byteLength)), size: source.byteLength }
  if (ArrayBuffer.isView(source))
    return { bytes: new Uint8Array(source.buffer, source.byteOffset, Math.min(n, source.byteLength)), size: source.byteLength }
  throw new IngleError('ERR_USAGE', 'a stream can be read only once: there is nothing to check before it is loaded')
}

async function fetchHead(url: string, n: number, size: number, signal?: AbortSignal): Promise<Head> {
  const response = await fetch(url, { headers: { Range: `bytes=0-${n - 1}` }, signal })
  if (!response.ok || !response.body)
    throw new IngleError('ERR_NETWORK', `${url} was answered with ${response.status} ${response.statusText}`)
  const range = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')
  const total = range ? Number(range[1]) : response.status === 200 ? Number(response.headers.get('content-length') ?? 0) : 0
  const bytes = new Uint8Array(n)
  let at = 0
  const reader = response.body.getReader()
  while (at < n) { // a server without ranges sends everything: stop when there is enough
    const { done, value } = await reader.read()
    if (done)
      break
    bytes.set(value.subarray(0, n - at), at)
    at += Math.min(value.length, n - at)
  }
  void reader.cancel().catch(() => {})
  return { bytes: bytes.subarray(0, at), size: total || size }
}
