// Dawn, WebGPU for Node, if the npm package webgpu is installed; it is not looked for unasked.
import { IngleError } from './errors.ts'

/** Must not be collected while a device lives. */
let dawn: GPU | undefined

export async function openDawn(wanted: boolean): Promise<GPU | undefined> {
  if (!wanted || dawn)
    return dawn
  const name = 'webgpu' // not a literal, so that no bundler wants it
  const { create, globals } = await import(name).catch(cause => {
    throw new IngleError('ERR_DEVICE', 'a GPU in Node takes the npm package webgpu', { cause })
  }) as { create(options: string[]): GPU, globals: object }
  Object.assign(globalThis, globals)
  dawn = create([])
  return dawn
}
