// load: from a source to a Model, through a worker of the model's own.
import { Channel } from './channel.ts'
import { IngleError, late } from './errors.ts'
import type { Host } from './host.ts'
import { refusedByBoth } from './limits.ts'
import { Model } from './model.ts'
import { openSource } from './source.ts'
import type { Build, KvType, LoadOptions, Progress, Source } from './types.ts'

const BUILDS: Build[] = ['simd', 'relaxed', 'simd+threads', 'relaxed+threads']
const KV_TYPES: KvType[] = ['f16', 'q8_0', 'q4_0']

function count(name: string, value: unknown, most: number): number {
  if (value === undefined || value === 'auto')
    return 0
  if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > most)
    throw new IngleError('ERR_USAGE', `${name}: a whole number from 1 to ${most} is expected, not ${String(value)}`)
  return value as number
}

function oneOf<T extends string>(name: string, value: unknown, list: readonly T[]): T {
  if (!list.includes(value as T))
    throw new IngleError('ERR_USAGE', `${name}: one of ${list.join(', ')} is expected, not ${String(value)}`)
  return value as T
}

/** From this size on a KV cache may be what does not fit. */
const LARGE = 2 ** 31

/** Looks at the head of a large model while its download into WebAssembly's memory begins; refused rejects if it
 * cannot fit. */
function watch(source: Source, options: LoadOptions, host: Host) {
  let looked = source instanceof ReadableStream
  let refuse: (reason: unknown) => void
  const refused = new Promise<never>((_, reject) => {
    refuse = reject
  })
  refused.catch(() => {}) // heard of by whoever waits for the model
  return {
    refused,
    onProgress(p: Progress, whyCpu: string | undefined): void {
      options.onProgress?.(p)
      if (!looked && whyCpu !== undefined && p.total > LARGE) {
        looked = true
        late(import('./check.ts')).then(({ refuseWithCache }) => refuseWithCache(source, options, host)).catch((error: unknown) => {
          if (error instanceof IngleError && error.code === 'ERR_MEMORY') // the rest is the loader's to tell
            refuse(whyCpu ? refusedByBoth(error, whyCpu) : error)
        })
      }
    },
  }
}

export async function load(source: Source, options: LoadOptions, host: Host): Promise<Model> {
  const { signal } = options
  const request = {
    op: 'load' as const,
    backend: oneOf('backend', options.backend ?? 'auto', ['auto', 'gpu', 'cpu'] as const),
    contextSize: count('contextSize', options.contextSize, 1 << 24),
    kvType: oneOf('kvType', options.kvType ?? 'f16', KV_TYPES),
    threads: count('threads', options.threads, 64),
    ...options.kernels === undefined ? {} : { kernels: options.kernels },
    ...options.build === undefined ? {} : { build: oneOf('build', options.build, BUILDS) },
  }
  signal?.throwIfAborted()
  const opened = await openSource(source, host, signal)
  const { refused, onProgress } = watch(source, options, host)
  const channel = new Channel(host.startWorker(), options.onWarning ?? (line => console.warn(`ingle: ${line}`)))
  try {
    const loaded = channel.request<'load'>({ ...request, source: opened.wire }, { signal, onProgress, feed: opened.feed })
    loaded.catch(() => {}) // it fails, too, when the model was refused
    const { info, device } = await Promise.race([loaded, refused])
    return new Model(channel, info, device)
  } catch (error) {
    opened.cancel?.()
    await channel.close(error)
    throw error
  }
}
