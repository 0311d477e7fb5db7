// GPU time of a device's compute passes, by timestamps (browsers round them to 0.1 ms), and how many there are, while
// something is measured.

const MAP_READ = 0x1
const COPY_SRC = 0x4
const COPY_DST = 0x8
const QUERY_RESOLVE = 0x200

/** The time of later ones does not count. */
const PASSES_MOST = 2048

/** Of all that `run` submits to the device. */
export interface GpuWork {
  ns: number
  passes: number
  dispatches: number
}

export async function gpuWork(device: GPUDevice, run: () => Promise<unknown>): Promise<GpuWork> {
  const querySet = device.createQuerySet({ label: 'clock', type: 'timestamp', count: 2 * PASSES_MOST })
  let n = 0, passes = 0, dispatches = 0
  const create = device.createCommandEncoder
  device.createCommandEncoder = description => { // its own from now on, in place of its class's
    const encoder = create.call(device, description)
    const begin = encoder.beginComputePass
    encoder.beginComputePass = description => {
      passes++
      const pass = begin.call(encoder, description?.timestampWrites || n === PASSES_MOST ? description : {
        ...description, timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * n, endOfPassWriteIndex: 2 * n++ + 1 },
      })
      const dispatch = pass.dispatchWorkgroups
      pass.dispatchWorkgroups = (x, y, z) => {
        dispatches++
        dispatch.call(pass, x, y, z)
      }
      return pass
    }
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
    let ns = 0
    for (let i = 0; i < n; i++)
      ns += Number(times[2 * i + 1]! - times[2 * i]!)
    return { ns, passes, dispatches }
  } finally {
    for (const object of [values, read, querySet])
      object.destroy()
  }
}
