// hf: names. hf:user/repo[:file-or-quant] becomes the address of one file of the repository at one
// commit, with its published size and checksum, by the same rules as the command line.
import { IngleError } from './errors.ts'
import type { WireSource } from './protocol.ts'

const SERVER = 'https://huggingface.co'
/** Tried in this order when a name does not say which file. */
const WANTED = ['Q4_K_M', 'Q4_0', 'Q8_0']

interface Listing {
  sha: string
  siblings: { rfilename: string, size?: number, lfs?: { sha256?: string } }[]
}

function isListing(value: unknown): value is Listing {
  const v = value as Partial<Listing> | null
  return typeof v === 'object' && v !== null && typeof v.sha === 'string' && /^[0-9a-f]{40,64}$/.test(v.sha)
    && Array.isArray(v.siblings) && v.siblings.every(s => typeof s?.rfilename === 'string')
}

/** A format's name stands in a file name as a word of its own: Q4_K does not answer Q4_K_M. */
function answers(file: string, what: string): boolean {
  if (file === what)
    return true
  const base = file.slice(file.lastIndexOf('/') + 1).toLowerCase()
  if (!base.endsWith('.gguf') || base.startsWith('mmproj'))
    return false
  const word = what.toLowerCase().replace(/[^a-z0-9_]/g, '\\$&')
  return word === '' || new RegExp(`(?<![a-z0-9])${word}(?![a-z0-9_])`).test(base)
}

/** The file that what (empty = any) means among the names of a repository. */
export function chooseFile(files: string[], what: string): string | undefined {
  const sorted = [...files].sort()
  for (const wanted of what ? [what] : [...WANTED, '']) {
    const found = files.includes(wanted) ? wanted : sorted.find(f => answers(f, wanted))
    if (found)
      return found
  }
  return undefined
}

export function parseHub(name: string): { user: string, repo: string, what: string } {
  const part = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}'
  const m = new RegExp(`^hf:(${part})/(${part})(?::(.+))?$`).exec(name)
  const what = m?.[3] ?? ''
  if (!m || what.split('/').some(p => p.startsWith('.')))
    throw new IngleError('ERR_USAGE', `"${name}" is not of the form hf:user/repo[:file-or-quant]`)
  return { user: m[1]!, repo: m[2]!, what }
}

export async function resolveHub(name: string, signal?: AbortSignal): Promise<Extract<WireSource, { kind: 'url' }>> {
  const { user, repo, what } = parseHub(name)
  let listing: unknown
  try {
    const response = await fetch(`${SERVER}/api/models/${user}/${repo}?blobs=true`, { signal })
    if (!response.ok)
      throw new IngleError('ERR_NETWORK', `${user}/${repo}: the hub answered ${response.status} ${response.statusText}`)
    listing = await response.json()
  } catch (cause) {
    signal?.throwIfAborted()
    if (cause instanceof IngleError)
      throw cause
    throw new IngleError('ERR_NETWORK', `the hub cannot be reached: ${String(cause)}`, { cause })
  }
  if (!isListing(listing))
    throw new IngleError('ERR_NETWORK', `${user}/${repo}: the hub's file list is damaged`)
  const file = chooseFile(listing.siblings.map(s => s.rfilename), what)
  if (file === undefined)
    throw new IngleError('ERR_NETWORK', `${user}/${repo} has no ${what || 'GGUF'} file`)
  const entry = listing.siblings.find(s => s.rfilename === file)
  const sum = entry?.lfs?.sha256
  return {
    kind: 'url',
    url: `${SERVER}/${user}/${repo}/resolve/${listing.sha}/${file.split('/').map(encodeURIComponent).join('/')}`,
    size: entry?.size,
    sha256: typeof sum === 'string' && /^[0-9a-f]{64}$/.test(sum) ? sum : undefined,
  }
}
