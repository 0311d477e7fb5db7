/* Runs a WebAssembly program that needs no more than WASI's output and clock:
 *     node tests/wasm_run.mjs PROGRAM.wasm [arguments] */
import { readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { WASI } from 'node:wasi'

const path = process.argv[2]
const wasi = new WASI({ version: 'preview1', args: [basename(path), ...process.argv.slice(3)], returnOnExit: true })
const module = new WebAssembly.Module(readFileSync(path))
const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: wasi.wasiImport })
const status = wasi.start(instance)
console.log(`${basename(dirname(dirname(path)))} ${basename(path)}: exit status ${status}`)
process.exitCode = status
