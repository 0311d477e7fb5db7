// From measurements to the table: medians over rounds, ratios, and the least that the project asks of
// itself.

/** Ratio that ours must reach: [place, peers, tests, types, must]. */
const MUST = [
  ['native', /^llama/, /^tg/, /./, 1.6],
  ['native', /^llama/, /^pp/, /^q4_0$/, 2],
  ['native', /^llama/, /^pp/, /./, 2.5],
  ['plain', /2\.3\.1/, /^tg/, /^q4_0$/, 1.8],
  ['web', /2\.3\.1/, /^tg/, /^q4_0$/, 2.5],
  ['web', /2\.3\.1/, /^pp/, /^q4_0$/, 3],
]

export function median(values) {
  const v = [...values].sort((a, b) => a - b)
  const half = v.length >> 1
  return v.length % 2 ? v[half] : (v[half - 1] + v[half]) / 2
}

function mustOf(place, ours, peer, test, type) {
  const where = ours.includes('plain') ? 'plain' : place
  return MUST.find(m => m[0] === where && m[1].test(peer) && m[2].test(test) && m[3].test(type))?.[4] ?? null
}

/** The plain build is for browsers without relaxed SIMD: only the peer that was made for them counts. */
const hasMeaning = (ours, peer) => !ours.includes('plain') || peer.includes('2.3.1')

/** Rows of ratios out of cells { place, type, threads, rates: { engine: { test: [..] } } }. */
export function compare(cells) {
  const rows = []
  for (const { place, type, threads, rates } of cells) {
    const ours = Object.keys(rates).filter(name => name.startsWith('ingle'))
    const peers = Object.keys(rates).filter(name => !name.startsWith('ingle'))
    const tests = [...new Set(Object.values(rates).flatMap(Object.keys))]
    for (const name of ours)
      for (const peer of peers)
        for (const test of tests.filter(t => rates[name][t] && rates[peer][t] && hasMeaning(name, peer))) {
          const [a, b] = [median(rates[name][test]), median(rates[peer][test])]
          rows.push({ place, type, test, threads, ours: name, peer, ours_per_s: a, peer_per_s: b, ratio: a / b, must: mustOf(place, name, peer, test, type) })
        }
  }
  return rows
}

const number = x => x >= 100 ? x.toFixed(0) : x.toFixed(1)

/** The rows as Markdown. */
export function markdown(rows) {
  const lines = [
    '| where | file | test | threads | ingle, tokens/s | other, tokens/s | other | ratio | must |',
    '|---|---|---|--:|--:|--:|---|--:|--:|',
  ]
  for (const r of rows) {
    const must = r.must === null ? '' : `${r.must}x${r.ratio >= r.must ? '' : ' (missed)'}`
    const where = r.place === 'native' ? 'native' : r.ours.includes('plain') ? 'Chromium, plain SIMD' : 'Chromium'
    lines.push(`| ${where} | ${r.type.toUpperCase()} | ${r.test} | ${r.threads} | ${number(r.ours_per_s)} | ${number(r.peer_per_s)} | ${r.peer} | ${r.ratio.toFixed(2)}x | ${must} |`)
  }
  return lines.join('\n')
}
