// What a 32-bit WebAssembly memory can hold, and bytes written for people.
import { IngleError } from './errors.ts'

/** Bytes that a memory of 32-bit addresses can grow to. */
export const MEMORY_MOST = 65536 * 65536

/** Bytes wanted beside weights and KV cache: vocabulary, activations, stacks. */
export const MEMORY_MARGIN = 64 << 20

export function formatBytes(n: number): string {
  const unit = n >= 1e9 ? [1e9, 'GB'] as const : n >= 1e6 ? [1e6, 'MB'] as const : [1e3, 'kB'] as const
  return n < 1000 ? `${n} bytes` : `${(n / unit[0]).toFixed(n / unit[0] < 10 ? 2 : 1)} ${unit[1]} (${n} bytes)`
}

/** Weights of so many bytes, with what is wanted beside them. */
export function isTooLarge(bytes: number): boolean {
  return bytes + MEMORY_MARGIN > MEMORY_MOST
}

/** A refusal for want of memory that also says why the GPU did not take the model. */
export function refusedByBoth({ code, message }: IngleError, gpus: string): IngleError {
  return new IngleError(code, `${message}; on the GPU: ${gpus}`, { cause: gpus })
}

/** Refuses a file that cannot fit, before its bytes are fetched. */
export function refuseTooLarge(bytes: number): void {
  if (isTooLarge(bytes))
    throw new IngleError('ERR_MEMORY', `the model has ${bytes} bytes; WebAssembly can hold ${MEMORY_MOST} bytes, ${MEMORY_MARGIN} of them beside the weights`)
}
