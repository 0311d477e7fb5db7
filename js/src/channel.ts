// The page's end of the protocol: requests out, replies, parts and progress in. Knows nothing of
// models. An abort rejects at once with the signal's reason; the worker stops a moment later.
import { fromWire, IngleError } from './errors.ts'
import type { WorkerPort } from './host.ts'
import type { Replies, Request, ToPage } from './protocol.ts'
import type { Part, Progress } from './types.ts'

export interface RequestOptions {
  signal?: AbortSignal
  /** Hears the number by which the request is cancelled; one that is refused at once has none. */
  onId?: (id: number) => void
  onPart?: (part: Part) => void
  onProgress?: (progress: Progress, whyCpu: string | undefined) => void
  /** Gives the next bytes of a source that the page holds; null at the end. */
  feed?: () => Promise<Uint8Array | null>
}

interface Pending extends RequestOptions {
  resolve: (value: never) => void
  reject: (reason: unknown) => void
  /** Already settled here; its last reply is still to come. */
  settled: boolean
  unlisten: () => void
}

export class Channel {
  readonly #port: WorkerPort
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  #closed: unknown = undefined

  constructor(port: WorkerPort, onWarning: (line: string) => void) {
    this.#port = port
    port.listen(
      message => 'warning' in message ? onWarning(message.warning) : this.#take(message),
      why => void this.close(new IngleError('ERR_INTERNAL', `the worker broke: ${why}`)))
  }

  /** Sends a request; what it needs afterwards (parts, chunks) comes through the options. */
  request<O extends Request['op']>(
    request: Extract<Request, { op: O }>, options: RequestOptions = {},
  ): Promise<Replies[O]> {
    const { signal } = options
    if (this.#closed !== undefined)
      return Promise.reject(this.#closed)
    if (signal?.aborted)
      return Promise.reject(signal.reason)
    const id = ++this.#lastId
    options.onId?.(id)
    return new Promise<Replies[O]>((resolve, reject) => {
      const abort = () => this.cancel(id, signal?.reason)
      signal?.addEventListener('abort', abort, { once: true })
      const unlisten = () => signal?.removeEventListener('abort', abort)
      this.#pending.set(id, { ...options, resolve: resolve as (value: never) => void, reject, settled: false, unlisten })
      this.#port.keepAlive(true)
      try {
        this.#port.post({ id, request })
      } catch (cause) {
        this.#forget(id)
        unlisten()
        reject(new IngleError('ERR_USAGE', `an argument cannot be sent to the worker: ${String(cause)}`, { cause }))
      }
    })
  }

  /** Stops a request. With a reason it rejects with it now; without, it ends with what it has. */
  cancel(id: number, reason?: unknown): void {
    const entry = this.#pending.get(id)
    if (!entry || entry.settled)
      return
    if (reason !== undefined) {
      entry.settled = true
      entry.unlisten()
      entry.reject(reason)
    }
    this.#port.post({ id, cancel: true })
  }

  /** Rejects all that is under way with reason and ends the worker. */
  async close(reason: unknown): Promise<void> {
    if (this.#closed !== undefined)
      return
    this.#closed = reason
    for (const [id, entry] of this.#pending) {
      this.#forget(id)
      entry.unlisten()
      if (!entry.settled)
        entry.reject(reason)
    }
    await this.#port.terminate()
  }

  #forget(id: number): void {
    this.#pending.delete(id)
    if (this.#pending.size === 0)
      this.#port.keepAlive(false)
  }

  #take(message: Exclude<ToPage, { warning: string }>): void {
    const entry = this.#pending.get(message.id)
    if (!entry)
      return
    if ('pull' in message)
      return void this.#feed(message.id, entry)
    if ('part' in message)
      return entry.settled ? undefined : entry.onPart?.(message.part)
    if ('progress' in message)
      return entry.settled ? undefined : entry.onProgress?.(message.progress, message.whyCpu)
    this.#forget(message.id)
    entry.unlisten()
    if (entry.settled)
      return
    entry.settled = true
    if ('done' in message)
      entry.resolve(message.done as never)
    else if ('error' in message)
      entry.reject(fromWire(message.error))
    else
      entry.reject(new IngleError('ERR_CANCELLED', 'stopped before it began'))
  }

  async #feed(id: number, entry: Pending): Promise<void> {
    let chunk: Uint8Array | null | string
    try {
      const bytes = await entry.feed?.() ?? null
      // A copy that is ours, so that it can be handed over: the caller's bytes stay the caller's.
      chunk = bytes && new Uint8Array(bytes)
    } catch (error) {
      chunk = String(error)
    }
    if (this.#closed === undefined)
      this.#port.post({ id, chunk }, chunk instanceof Uint8Array ? [chunk.buffer as ArrayBuffer] : [])
  }
}
