// The entry for Node, Deno and Bun: index.ts with paths.
import { check as checkWith } from './check.ts'
import { nodeHost } from './host_node.ts'
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
  return loadWith(source, options, nodeHost)
}

/** Says whether a model will run here, from the first bytes of its file. */
export function check(source: Source, options: CheckOptions = {}): Promise<Check> {
  return checkWith(source, options, nodeHost)
}
