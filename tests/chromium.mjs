/* Headless Chromium for tests: where it is, and how it is started so that it asks nothing of the
 * network. CHROMIUM names another one than Debian's. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'

const PATH = process.env.CHROMIUM ?? '/usr/bin/chromium'
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync']

/* Why there is no browser; empty if there is one. */
export function whyNoBrowser() {
    return existsSync(PATH) ? '' : `no Chromium at ${PATH}`
}

export function openBrowser(more = []) {
    const { chromium } = createRequire(new URL('../js/package.json', import.meta.url))('playwright-core')
    return chromium.launch({ executablePath: PATH, headless: true, args: [...ARGS, ...more] })
}
