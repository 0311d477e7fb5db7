// What is on its way back from the GPU: bytes of buffers and times. All of it between two submits goes into
// one staging buffer, which is mapped once and used again. Knows nothing of tapes or of the core's memory.

const MAP_READ = 0x1
const COPY_SRC = 0x4
const COPY_DST = 0x8
const QUERY_RESOLVE = 0x200

/** Staging buffers are of this many bytes, or more where more is read. */
const STAGING_LEAST = 4096
/** Larger ones are not kept. */
const STAGING_KEPT = 1 << 20
/** A read that fails is mostly a lost device's, whose own message may take so long. */
const LOSS_MS = 1000
/** Times between two submits, at most. */
export const STAMPS_MOST = 32

interface Read {
  from: GPUBuffer
  offset: number
  bytes: number
  /** null = the bytes are lost. */
  take: (bytes: Uint8Array | null) => void
}

export class Readback {
  readonly #device: GPUDevice
  readonly #free: GPUBuffer[] = []
  #queries: { querySet: GPUQuerySet, values: GPUBuffer } | undefined
  /** Since the last submit. */
  #reads: Read[] = []
  #stamps: Read[] = []

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /** Reads that wait for a submit. */
  get reads(): number {
    return this.#reads.length
  }

  get stamps(): number {
    return this.#stamps.length
  }

  read(from: GPUBuffer, offset: number, bytes: number, take: Read['take']): void {
    this.#reads.push({ from, offset, bytes, take })
  }

  /** The end of an empty pass is when all that came before it was done: 8 bytes, nanoseconds. */
  stamp(encoder: GPUCommandEncoder, take: Read['take']): void {
    const { querySet, values } = this.#queries ??= {
      querySet: this.#device.createQuerySet({ label: 'stamps', type: 'timestamp', count: STAMPS_MOST }),
      values: this.#device.createBuffer({ label: 'stamps', size: 8 * STAMPS_MOST, usage: QUERY_RESOLVE | COPY_SRC }),
    }
    const i = this.#stamps.push({ from: values, offset: 8 * this.#stamps.length, bytes: 8, take }) - 1
    encoder.beginComputePass({ label: 'stamp', timestampWrites: { querySet, endOfPassWriteIndex: i } }).end()
  }

  /** Copies all into a staging buffer. To be called once the encoder is submitted: hands the bytes over when they are
   * there; never rejects. */
  copy(encoder: GPUCommandEncoder): () => Promise<void> {
    if (this.#stamps.length > 0)
      encoder.resolveQuerySet(this.#queries!.querySet, 0, this.#stamps.length, this.#queries!.values, 0)
    const all = [...this.#reads, ...this.#stamps]
    this.#reads = []
    this.#stamps = []
    const sum = all.reduce((n, { bytes }) => n + bytes, 0)
    const staging = this.#stage(sum)
    let end = 0
    for (const { from, offset, bytes } of all) {
      encoder.copyBufferToBuffer(from, offset, staging, end, bytes)
      end += bytes
    }
    return () => this.#collect(staging, all, sum)
  }

  #stage(bytes: number): GPUBuffer {
    const i = this.#free.findIndex(buffer => buffer.size >= bytes)
    if (i >= 0)
      return this.#free.splice(i, 1)[0]!
    const size = Math.max(STAGING_LEAST, 2 ** Math.ceil(Math.log2(bytes)))
    return this.#device.createBuffer({ label: 'staging', size, usage: MAP_READ | COPY_DST })
  }

  async #collect(staging: GPUBuffer, all: Read[], sum: number): Promise<void> {
    let copy: Uint8Array | undefined
    try {
      await staging.mapAsync(MAP_READ, 0, sum)
      copy = new Uint8Array(staging.getMappedRange(0, sum)).slice()
      staging.unmap()
      if (staging.size > STAGING_KEPT)
        staging.destroy()
      else
        this.#free.push(staging)
    } catch {
      await new Promise(resolve => setTimeout(resolve, LOSS_MS))
    }
    let at = 0
    for (const { bytes, take } of all)
      take(copy?.subarray(at, at += bytes) ?? null)
  }
}
