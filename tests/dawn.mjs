/* WebGPU in Node for tests: Dawn (npm package webgpu) over a Vulkan driver, if only Mesa's that computes on
 * the CPU. */
import { mkdtempSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/* The system's GPU; throws, and says why, where there is none. $DAWN_FEATURES: Dawn's toggles, with commas. */
export async function openDawn() {
    process.env.XDG_RUNTIME_DIR ??= mkdtempSync(join(tmpdir(), 'ingle-xdg-')) // Mesa wants one
    const require = createRequire(new URL('../js/package.json', import.meta.url))
    const { create, globals } = await import(require.resolve('webgpu'))
    Object.assign(globalThis, globals)
    const gpu = globalThis.dawn = create(process.env.DAWN_FEATURES ? [`enable-dawn-features=${process.env.DAWN_FEATURES}`] : []) // must not be collected while a device lives
    if (!await gpu.requestAdapter())
        throw new Error('Dawn finds no adapter: no Vulkan driver? (make gpu-tools)')
    return gpu
}
