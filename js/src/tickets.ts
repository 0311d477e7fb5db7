// What the core is told: answers to its tickets, and what went wrong. A fault is told by the next call, at the
// latest by the one that answers the next READY; what follows from it is dropped. Knows nothing of commands or of
// the GPU.
import { statusNames, type ErrorCode } from './error_codes.ts'
import { WAIT } from './errors.ts'

/** What a ticket stands for, until the core takes it. */
interface Answer {
  /** Address in the core's memory; 0 = where the waiting call says. */
  to: number
  /** Missing while there is none; null = there will be none. */
  bytes?: Uint8Array | null
  /** READY's. */
  ready?: boolean
}

interface Fault {
  code: ErrorCode
  text: string
}

export class Tickets {
  readonly #memory: WebAssembly.Memory
  readonly #answers = new Map<number, Answer>()
  #fault: Fault | undefined
  /** The first kernel that did not compile, or of a section since: told by the next READY, as the core goes on without. */
  #badKernel: Fault | undefined
  #lost = false
  #waiting: (() => void)[] = []
  /** What the last failure was about. */
  failure = ''

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory
  }

  /** Has the device gone away? */
  get lost(): boolean {
    return this.#lost
  }

  /** Is there a fault that has not been told? */
  get faulty(): boolean {
    return this.#fault !== undefined
  }

  /** What gives a ticket its answer. The core's memory gets the bytes when the core asks, so that a ticket that nobody
   * waits for any more writes nowhere. */
  ask(ticket: number, to: number, ready = false): (bytes: Uint8Array | null) => void {
    if (this.#answers.has(ticket))
      throw new RangeError(`ticket ${ticket} is not answered yet`)
    const answer: Answer = { to, ready }
    this.#answers.set(ticket, answer)
    return bytes => {
      answer.bytes = bytes
      this.#settle()
    }
  }

  /** Answers a ticket, once: bytes go where READ wanted them, a STAMP's nanoseconds to address `to` unless it
   * is 0. A status; WAIT = not yet. */
  wait(ticket: number, to: number): number {
    const answer = this.#answers.get(ticket)
    if (!answer)
      this.fail('ERR_INTERNAL', `nothing is asked for under ticket ${ticket}`)
    else if (answer.bytes === undefined && !this.#lost)
      return WAIT
    else if (answer.bytes === null)
      this.fail('ERR_DEVICE', 'the GPU does not give back what was to be read')
    else if (answer.ready && this.#badKernel) {
      this.#fault ??= this.#badKernel
      this.#badKernel = undefined
    }
    this.#answers.delete(ticket)
    const at = answer?.to || to
    if (!this.#fault && at)
      new Uint8Array(this.#memory.buffer).set(answer!.bytes!, at)
    return this.status()
  }

  /** Resolves when another ticket may be answered. */
  settled(): Promise<void> {
    return new Promise(resolve => this.#lost ? resolve() : this.#waiting.push(resolve))
  }

  /** The first fault is the cause of those that follow: they are dropped until it has been told. */
  fail(code: ErrorCode, text: string): void {
    this.#fault ??= { code, text }
    this.#settle()
  }

  failKernel(code: ErrorCode, text: string): void {
    this.#badKernel ??= { code, text }
  }

  /** The device has gone away, whatever else was wrong. */
  lose(why: string): void {
    this.#lost = true
    this.#fault = undefined
    this.fail('ERR_DEVICE_LOST', why)
  }

  /** Tells the fault, if there is one: once, but that of a lost device for ever. */
  status(): number {
    if (!this.#fault)
      return 0
    const { code, text } = this.#fault
    this.failure = text.replace(/\s+/g, ' ')
    if (!this.#lost)
      this.#fault = undefined
    return -statusNames.indexOf(code)
  }

  #settle(): void {
    for (const resolve of this.#waiting.splice(0))
      resolve()
  }
}
