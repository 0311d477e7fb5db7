// Builds the page into app/dist: its own files, and the package's browser files as they are in ingle/.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from '../js/node_modules/esbuild/lib/main.js'

const here = new URL('./', import.meta.url)
const dist = new URL('dist/', here)
const built = new URL('../js/dist/', here)

const tsc = fileURLToPath(new URL('../js/node_modules/typescript/bin/tsc', here))
const types = spawnSync(process.execPath, [tsc, '-p', fileURLToPath(here)], { stdio: 'inherit' })
if (types.status !== 0)
  process.exit(types.status ?? 1)

rmSync(dist, { recursive: true, force: true })
mkdirSync(new URL('ingle/', dist), { recursive: true })
await build({
  entryPoints: [fileURLToPath(new URL('main.ts', here))], outdir: fileURLToPath(dist), bundle: true,
  format: 'esm', target: 'es2022', minify: true,
  plugins: [{ name: 'ingle', setup: b => b.onResolve({ filter: /^ingle$/ }, () => ({ path: './ingle/index.js', external: true })) }],
})
for (const name of ['index.html', 'style.css', 'icon.svg'])
  copyFileSync(new URL(name, here), new URL(name, dist))
for (const name of readdirSync(built))
  if (/^(index|worker|pool_worker|\w+-\w+)\.js$|\.wasm$/.test(name))
    copyFileSync(new URL(name, built), new URL(`ingle/${name}`, dist))
