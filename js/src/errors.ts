// The one error class, and how errors cross from the worker to the page.
import { statusNames, type ErrorCode } from './error_codes.ts'

export type { ErrorCode }

/** Everything that ingle itself refuses or fails at. `message` says what, with the fact that helps. */
export class IngleError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'IngleError'
    this.code = code
  }
}

/** An error as plain data, so that it survives `postMessage` on every platform. */
export interface WireError {
  code: ErrorCode
  message: string
  /** Text of what lies behind it; empty if nothing does. */
  cause: string
}

/** What an export says that waits for the GPU. */
export const WAIT = -statusNames.indexOf('WAIT')
export const LOST = -statusNames.indexOf('ERR_DEVICE_LOST')

export function codeOfStatus(status: number): ErrorCode {
  const name = statusNames[-status]
  return name && name !== 'OK' && name !== 'WAIT' ? name : 'ERR_INTERNAL'
}

export function toWire(error: unknown): WireError {
  if (error instanceof IngleError)
    return { code: error.code, message: error.message, cause: error.cause === undefined ? '' : String(error.cause) }
  const stack = error instanceof Error ? error.stack ?? '' : ''
  return { code: 'ERR_INTERNAL', message: `a fault of ingle's own: ${String(error)}`, cause: stack }
}

export function fromWire(error: WireError): IngleError {
  return new IngleError(error.code, error.message, error.cause ? { cause: error.cause } : undefined)
}

/** A file of the engine that is imported when it is wanted. */
export function late<T>(file: Promise<T>): Promise<T> {
  return file.catch(cause => {
    throw new IngleError('ERR_NETWORK', `a file of the engine cannot be loaded: ${String(cause)}`, { cause })
  })
}
