// GPU time of a device's compute passes, by timestamps (browsers round them to 0.1 ms), while something is measured.

const MAP_READ = 0x1
const COPY_SRC = 0x4
const COPY_DST = 0x8
const QUERY_RESOLVE = 0x200

/** Later ones are not counted. */
const PASSES_MOST = 2048

/** Nanoseconds of all passes that `run` submits to the device. */
export async function gpuTime(device: GPUDevice, run: () => Promise<unknown>): Promise<number> {
  const querySet = device.createQuerySet({ label: 'clock', type: 'timestamp', count: 2 * PASSES_MOST })
  let n = 0
  const create = device.createCommandEncoder
  device.createCommandEncoder = description => { // its own from now on, in place of its class's
    const encoder = create.call(device, description)
    const begin = encoder.beginComputePass
    encoder.beginComputePass = pass => begin.call(encoder, pass?.timestampWrites || n === PASSES_MOST ? pass : {
      ...pass, timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * n, endOfPassWriteIndex: 2 * n++ + 1 },
    })
    return encoder
  }
  try {
    await run()
  } catch (error) {
    querySet.destroy()
    throw error
  } finally {
    device.createCommandEncoder = create
  }
  const bytes = 16 * Math.max(n, 1)
  const values = device.createBuffer({ label: 'clock', size: bytes, usage: QUERY_RESOLVE | COPY_SRC })
  const read = device.createBuffer({ label: 'clock', size: bytes, usage: MAP_READ | COPY_DST })
  try {
    const encoder = device.createCommandEncoder()
    encoder.resolveQuerySet(querySet, 0, 2 * n, values, 0)
    encoder.copyBufferToBuffer(values, 0, read, 0, bytes)
    device.queue.submit([encoder.finish()])
    await read.mapAsync(MAP_READ)
    const times = new BigUint64Array(read.getMappedRange())
    let sum = 0
    for (let i = 0; i < n; i++)
      sum += Number(times[2 * i + 1]! - times[2 * i]!)
    return sum
  } finally {
    for (const object of [values, read, querySet])
      object.destroy()
  }
}
