// What is stored on this machine. This version keeps nothing, and says so.
import { IngleError } from './errors.ts'

function notYet(): Promise<never> {
  return Promise.reject(new IngleError('ERR_UNSUPPORTED', 'this version does not store models yet'))
}

export const models = {
  list: notYet,
  remove: (_id: string) => notYet(),
  verify: (_id: string) => notYet(),
  persist: notYet,
  usage: notYet,
} as const
