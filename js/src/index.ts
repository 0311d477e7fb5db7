/**
 * ingle: small language models, where the user is.
 *
 *     const model = await load('https://…/small-q4.gguf', { onProgress, signal })
 *     const answer = model.chat([{ role: 'user', content: 'Why is the sky blue?' }], { signal })
 *     for await (const part of answer) show(part.text)
 *     await model.dispose()
 *
 * This is the entry for browsers; Node has its own with the same names.
 */
import { late } from './errors.ts'
import { webHost } from './host_web.ts'
import { load as loadWith } from './load.ts'
import type { Model } from './model.ts'
import type { Check, CheckOptions, LoadOptions, Source } from './types.ts'

export { IngleError, type ErrorCode } from './errors.ts'
export { models } from './models.ts'
export type { Answer } from './answer.ts'
export type { Model, Session } from './model.ts'
export type * from './types.ts'

/** Loads a model into a worker of its own. */
export function load(source: Source, options: LoadOptions = {}): Promise<Model> {
  return loadWith(source, options, webHost)
}

/** Says whether a model will run here, from the first bytes of its file. */
export async function check(source: Source, options: CheckOptions = {}): Promise<Check> {
  return (await late(import('./check.ts'))).check(source, options, webHost)
}
