// transformers.js 4.3.1; PEERS/transformers has its dist/transformers.min.js, PEERS/ort onnxruntime-web's
// ort-wasm-simd-threaded.asyncify.{mjs,wasm}. The model is a folder with ONNX files; dtype: 'q4f16' or 'q4'.
import { AutoModelForCausalLM, Tensor, env } from '/peer/transformers/transformers.min.js'
import { clockOf, measure } from './peer.mjs'

const ort = new URL('/peer/ort/ort-wasm-simd-threaded.asyncify', location.href).href
Object.assign(env, {
  allowRemoteModels: false, allowLocalModels: true, localModelPath: new URL('/model/', location.href).href,
  useBrowserCache: false, useWasmCache: false,
})
env.backends.onnx.wasm.wasmPaths = { mjs: `${ort}.mjs`, wasm: `${ort}.wasm` }

await measure(async job => {
  const model = await AutoModelForCausalLM.from_pretrained(job.model, { device: 'webgpu', dtype: job.dtype ?? 'q4f16' })

  async function answer(n, k, s) {
    const ids = BigInt64Array.from({ length: n }, (_, i) => BigInt(10 + (i * 7 + s) % 400))
    const times = []
    const start = performance.now()
    const out = await model.generate({
      inputs: new Tensor('int64', ids, [1, n]), attention_mask: new Tensor('int64', new BigInt64Array(n).fill(1n), [1, n]),
      max_new_tokens: k, min_new_tokens: k, do_sample: false, streamer: { put: () => times.push(performance.now()), end() {} },
    })
    const tokens = out.dims[1] - n
    const clock = clockOf(start, n, times.slice(1), tokens) // the streamer is given the prompt first
    return { promptTokens: n, tokens, ...clock }
  }
  return { answer, about: { version: env.version, ort: env.backends.onnx.versions?.web } }
})
