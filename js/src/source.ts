// What users hand to load and check, brought into the few forms that travel to the worker.
import { IngleError, late } from './errors.ts'
import type { Host } from './host.ts'
import type { WireSource } from './protocol.ts'
import type { RemoteFile, Source } from './types.ts'

/** Bytes handed over at a time. */
const CHUNK = 4 << 20

export interface Opened {
  wire: WireSource
  /** For kind 'pull': the next bytes, null at the end. */
  feed?: () => Promise<Uint8Array | null>
  /** Lets go of a source that is not read to its end. */
  cancel?: () => void
}

function isHandle(source: object): source is FileSystemFileHandle {
  return 'getFile' in source && typeof source.getFile === 'function'
}

function fromBytes(bytes: Uint8Array): Opened {
  let at = 0
  return {
    wire: { kind: 'pull', size: bytes.length },
    feed: async () => at < bytes.length ? bytes.subarray(at, at += CHUNK) : null,
  }
}

function fromStream(stream: ReadableStream<Uint8Array>, size?: number): Opened {
  if (stream.locked)
    throw new IngleError('ERR_USAGE', 'the stream is being read by somebody else')
  const reader = stream.getReader()
  return {
    wire: { kind: 'pull', size },
    feed: async () => {
      for (;;) {
        const { done, value } = await reader.read()
        if (done)
          return null
        if (!(value instanceof Uint8Array))
          throw new IngleError('ERR_USAGE', 'the stream gives something else than bytes (Uint8Array)')
        if (value.length > 0)
          return value
      }
    },
    cancel: () => void reader.cancel().catch(() => {}),
  }
}

/** hf: names are looked up, here and once: the worker gets the address of a file that does not change. */
async function resolve(name: string | URL, host: Host, signal?: AbortSignal): Promise<WireSource> {
  const text = String(name)
  return text.startsWith('hf:') ? (await late(import('./hub.ts'))).resolveHub(text, signal) : host.resolve(name)
}

async function fromRemote(file: RemoteFile, host: Host, signal?: AbortSignal): Promise<Opened> {
  const { sha256, size } = file
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256))
    throw new IngleError('ERR_USAGE', 'sha256: 64 hex digits are expected')
  if (size !== undefined && !(Number.isSafeInteger(size) && size > 0))
    throw new IngleError('ERR_USAGE', 'size: a number of bytes is expected')
  const wire = await resolve(file.url, host, signal)
  return { wire: wire.kind === 'url' ? { ...wire, sha256: sha256?.toLowerCase() ?? wire.sha256, size: size ?? wire.size } : wire }
}

export async function openSource(source: Source, host: Host, signal?: AbortSignal): Promise<Opened> {
  if (typeof source === 'string' || source instanceof URL)
    return { wire: await resolve(source, host, signal) }
  if (typeof source !== 'object' || source === null)
    throw new IngleError('ERR_USAGE', 'a model is expected: an address, a File, a Blob, bytes, a stream or a file handle')
  if (isHandle(source))
    source = await source.getFile()
  if (source instanceof Blob)
    return host.blobsTravel ? { wire: { kind: 'blob', blob: source } } : fromStream(source.stream(), source.size)
  if (source instanceof ArrayBuffer)
    return fromBytes(new Uint8Array(source))
  if (ArrayBuffer.isView(source))
    return fromBytes(new Uint8Array(source.buffer, source.byteOffset, source.byteLength))
  if (source instanceof ReadableStream)
    return fromStream(source)
  if ('url' in source)
    return fromRemote(source, host, signal)
  throw new IngleError('ERR_USAGE', 'not a model source: an address, a File, a Blob, bytes, a stream or a file handle is expected')
}
