// How fast this browser's GPU reads memory: every vec4 of some buffers, summed up, again and again. It does what
// a product of one token does, without the arithmetic.

const THREADS = 256
const EACH = 8 // vec4 a thread
const LEAST_MS = 200

const CODE = `
@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    var sum = vec4<u32>();
    let first = id.x * ${THREADS * EACH}u + t;
    ${Array.from({ length: EACH }, (_, i) => `sum ^= source[first + ${i * THREADS}u];`).join('\n    ')}
    if (all(sum == vec4<u32>(1u, 2u, 3u, 4u))) { // never: but a compiler does not know
        result[0] = sum.x;
    }
}`

/** Bytes a second, over buffers of `total` bytes in all: more than caches hold. */
export async function readBandwidth(total = 2 ** 30) {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' })
  const { maxBufferSize, maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = adapter.limits
  const unit = THREADS * EACH * 16
  const most = Math.min(total / 4, maxBufferSize, maxStorageBufferBindingSize, unit * maxComputeWorkgroupsPerDimension)
  const size = Math.floor(most / unit) * unit
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } })
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module: device.createShaderModule({ code: CODE }) } })
  const to = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE })
  const groups = Array.from({ length: Math.ceil(total / size) }, () => device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: device.createBuffer({ size, usage: GPUBufferUsage.STORAGE }) } },
      { binding: 1, resource: { buffer: to } }],
  }))
  /** Milliseconds of so many rounds through all buffers. */
  async function run(rounds) {
    const start = performance.now()
    for (let i = 0; i < rounds; i++) {
      const encoder = device.createCommandEncoder()
      const pass = encoder.beginComputePass()
      pass.setPipeline(pipeline)
      for (const group of groups) {
        pass.setBindGroup(0, group)
        pass.dispatchWorkgroups(size / unit)
      }
      pass.end()
      device.queue.submit([encoder.finish()])
    }
    await device.queue.onSubmittedWorkDone()
    return performance.now() - start
  }
  let rounds = 1
  for (let ms = await run(1); ms < LEAST_MS; ms = await run(rounds)) // brings the clock up, too
    rounds *= 2
  const times = [await run(rounds), await run(rounds), await run(rounds)].sort((a, b) => a - b)
  device.destroy()
  return rounds * groups.length * size / (times[1] / 1000)
}
