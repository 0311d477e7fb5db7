// A glance at the head of a GGUF file: enough to say what it would need before it is downloaded.
// It owns no model; the core reads and checks the file in full when it is loaded.
import { IngleError } from './errors.ts'

export interface Glance {
  architecture: string | null
  nLayers: number
  nKvHeads: number
  dKey: number
  dValue: number
  contextLength: number
}

type Value = string | number | null

/** Bytes of each scalar type of a GGUF value; 0 = a text or an array. */
const SCALAR_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]
const TYPE_STRING = 8
const TYPE_ARRAY = 9

class TooShort extends Error {}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0
  /** Lengths are 32-bit in version 1. */
  wide = true

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  take(n: number): number {
    const at = this.#at
    if (!(n >= 0) || n > this.#bytes.length - at)
      throw new TooShort()
    this.#at += n
    return at
  }

  u32(): number {
    return this.#view.getUint32(this.take(4), true)
  }

  length(): number {
    return this.wide ? Number(this.#view.getBigUint64(this.take(8), true)) : this.u32()
  }

  text(): string {
    const n = this.length()
    const at = this.take(n)
    return new TextDecoder().decode(this.#bytes.subarray(at, at + n))
  }

  /** A number as a number, a text as itself, of an array its first number; null for the rest. */
  value(type: number, depth = 0): Value {
    const n = SCALAR_BYTES[type]
    if (n === undefined || depth > 4)
      throw new IngleError('ERR_FORMAT', `not a GGUF file: a value has the type ${type}`)
    if (type === TYPE_STRING)
      return this.text()
    if (type === TYPE_ARRAY)
      return this.#array(depth)
    const at = this.take(n)
    const v = this.#view
    return type === 4 ? v.getUint32(at, true) : type === 5 ? v.getInt32(at, true)
      : type === 2 ? v.getUint16(at, true) : type === 10 ? Number(v.getBigUint64(at, true))
      : type === 11 ? Number(v.getBigInt64(at, true)) : null
  }

  #array(depth: number): Value {
    const type = this.u32()
    const n = this.length()
    const each = SCALAR_BYTES[type]
    if (n === 0)
      return null
    if (each) {
      const first = this.value(type)
      this.take((n - 1) * each)
      return first
    }
    for (let i = 0; i < n; i++)
      this.value(type, depth + 1)
    return null
  }
}

/** Reads what bytes, the beginning of a file, tell; null = more of them are needed. */
export function glance(bytes: Uint8Array, isWholeFile: boolean): Glance | null {
  const r = new Reader(bytes)
  const values = new Map<string, Value>()
  try {
    if (r.u32() !== 0x46554747)
      throw new IngleError('ERR_FORMAT', 'not a GGUF file: it does not begin with "GGUF"')
    const version = r.u32()
    if (version < 1 || version > 3)
      throw new IngleError('ERR_FORMAT', `a GGUF file of version ${version}; 1 to 3 are known`)
    r.wide = version > 1
    r.length() // tensors
    const nKeys = r.length()
    for (let i = 0; i < nKeys; i++) {
      const key = r.text()
      // The vocabulary is long and tells nothing of the size: where it stands last it is not read.
      if (key.startsWith('tokenizer.') && isEnough(values))
        break
      values.set(key, r.value(r.u32()))
    }
  } catch (error) {
    if (!(error instanceof TooShort))
      throw error
    if (isWholeFile)
      throw new IngleError('ERR_FORMAT', 'not a whole GGUF file: it ends within its header')
    return null
  }
  return summary(values)
}

const NEEDED = ['block_count', 'attention.head_count', 'embedding_length', 'context_length']

function isEnough(values: Map<string, Value>): boolean {
  const architecture = values.get('general.architecture')
  return NEEDED.every(key => values.has(`${String(architecture)}.${key}`))
}

function summary(values: Map<string, Value>): Glance {
  const architecture = values.get('general.architecture')
  const get = (key: string): number => {
    const value = values.get(`${String(architecture)}.${key}`)
    return typeof value === 'number' ? value : 0
  }
  const nHeads = get('attention.head_count')
  const dHead = nHeads ? get('embedding_length') / nHeads : 0
  return {
    architecture: typeof architecture === 'string' ? architecture : null,
    nLayers: get('block_count'),
    nKvHeads: get('attention.head_count_kv') || nHeads,
    dKey: get('attention.key_length') || dHead,
    dValue: get('attention.value_length') || dHead,
    contextLength: get('context_length'),
  }
}
