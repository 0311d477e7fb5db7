/** Letters, a token each; from another letter on for each s, so that no prompt repeats. */
export function letters(n, s = 0) {
  return Array.from({ length: n }, (_, i) => 'bcdefghjkl'[(i * 7 + s) % 10]).join(' ')
}
