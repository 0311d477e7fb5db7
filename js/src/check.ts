// Says before any download whether a model will run here, from the first bytes of its file.
import { IngleError } from './errors.ts'
import { readHead } from './head.ts'
import { glance, type Glance } from './header.ts'
import type { Host } from './host.ts'
import { MEMORY_MARGIN, MEMORY_MOST, formatBytes } from './limits.ts'
import type { WireSource } from './protocol.ts'
import { openSource } from './source.ts'
import type { Check, CheckOptions, KvType, Source } from './types.ts'

const HEAD_FIRST = 64 << 10
const HEAD_MOST = 64 << 20

/** Bytes of weights from which on a CPU is slow: each token reads all of them. */
const SLOW_BYTES = 1.5e9

const KV_BYTES: Record<KvType, number> = { f16: 2, q8_0: 34 / 32, q4_0: 18 / 32 }

function kvBytes(g: Glance, contextSize: number, kvType: KvType): number {
  return Math.ceil(contextSize * g.nLayers * g.nKvHeads * (g.dKey + g.dValue) * KV_BYTES[kvType])
}

async function readGlance(source: Source, wire: WireSource, host: Host, signal?: AbortSignal): Promise<{ glance: Glance, size: number }> {
  for (let n = HEAD_FIRST; n <= HEAD_MOST; n *= 8) {
    const { bytes, size } = await readHead(source, wire, n, host, signal)
    const found = glance(bytes, bytes.length < n)
    if (found)
      return { glance: found, size: size || (wire.kind === 'url' ? wire.size ?? 0 : 0) }
  }
  throw new IngleError('ERR_FORMAT', `the header is longer than ${formatBytes(HEAD_MOST)}`)
}

function judge(need: number, weights: number, machine: number): Pick<Check, 'fits' | 'why'> {
  if (need > MEMORY_MOST)
    return { fits: 'no', why: `it needs ${formatBytes(need)}; WebAssembly can hold ${formatBytes(MEMORY_MOST)}` }
  if (machine && need > machine)
    return { fits: 'no', why: `it needs ${formatBytes(need)}; this machine has ${formatBytes(machine)}` }
  if (machine && need > machine / 2)
    return { fits: 'slow', why: `it needs ${formatBytes(need)}, more than half of this machine's ${formatBytes(machine)}` }
  if (weights > SLOW_BYTES)
    return { fits: 'slow', why: `every token reads ${formatBytes(weights)} of weights on the CPU` }
  return { fits: 'yes', why: '' }
}

/** WebGPU does not tell how much memory a GPU has, and browsers tell of 8 GiB at most. */
function judgeGpu(need: number, machine: number): Pick<Check, 'fits' | 'why'> {
  if (machine && need > machine)
    return { fits: 'slow', why: `it needs ${formatBytes(need)}; this machine tells of ${formatBytes(machine)}, and WebGPU not of the GPU's` }
  return { fits: 'yes', why: '' }
}

/** What a source's head tells of bytes. */
async function measure(source: Source, options: CheckOptions, host: Host) {
  const { wire, cancel } = await openSource(source, host, options.signal)
  if (source instanceof ReadableStream) {
    cancel?.()
    throw new IngleError('ERR_USAGE', 'a stream can be read only once: there is nothing to check before it is loaded')
  }
  const { glance: g, size } = await readGlance(source, wire, host, options.signal)
  const contextSize = options.contextSize ?? Math.min(g.contextLength || 4096, 4096)
  return { size, kv: kvBytes(g, contextSize, options.kvType ?? 'f16'), architecture: g.architecture }
}

/** Is there a GPU that load would take? Throws if one is asked for and there is none. */
async function hasGpu({ backend = 'auto' }: CheckOptions, host: Host): Promise<boolean> {
  if (backend === 'cpu')
    return false
  const wanted = backend === 'gpu'
  const gpu = await host.gpu(wanted)
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' })
  const found = !!adapter && (wanted || !adapter.info.isFallbackAdapter)
  if (wanted && !found)
    throw new IngleError('ERR_DEVICE', gpu ? 'WebGPU finds no adapter' : 'there is no WebGPU here')
  return found
}

export async function check(source: Source, options: CheckOptions, host: Host): Promise<Check> {
  const [gpu, { size, kv, architecture }] = await Promise.all([hasGpu(options, host), measure(source, options, host)])
  const need = size + kv + MEMORY_MARGIN
  return {
    ...gpu ? judgeGpu(need, host.machineMemory()) : judge(need, size, host.machineMemory()),
    weightBytes: size, kvBytes: kv, storageBytes: size, architecture, device: gpu ? 'gpu' : 'cpu',
  }
}

/** Refuses a model that fits by itself, but not with its KV cache. */
export async function refuseWithCache(source: Source, options: CheckOptions, host: Host): Promise<void> {
  const { size, kv } = await measure(source, options, host)
  if (size + kv + MEMORY_MARGIN > MEMORY_MOST)
    throw new IngleError('ERR_MEMORY', `the model has ${size} bytes and its KV cache ${kv}; WebAssembly can hold ${MEMORY_MOST} bytes, ${MEMORY_MARGIN} of them for the rest: a smaller contextSize takes less`)
}
