/* Headless Chromium for tests: where it is, and how it is started so that it asks nothing of the
 * network. CHROMIUM names another one than Debian's. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

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

/* A browser by its own protocol, whose tabs are hidden when another is in front: playwright has every page believe
 * that it is seen. */
export function openTabs(more = []) {
    const profile = mkdtempSync(join(tmpdir(), 'ingle-tabs-'))
    const browser = spawn(PATH, [...ARGS, ...more, '--headless=new', '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'],
        { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] })
    const [, , , to, from] = browser.stdio
    const open = new Map()
    let last = 0, text = ''
    from.setEncoding('utf8').on('data', piece => {
        const messages = (text += piece).split('\0')
        text = messages.pop()
        for (const { id, method, sessionId, result, error } of messages.map(message => JSON.parse(message))) {
            const key = id ?? `${method} ${sessionId}`
            open.get(key)?.(result ?? { error })
            open.delete(key)
        }
    })
    const send = (method, params = {}, sessionId) => new Promise(resolve => {
        open.set(++last, resolve)
        to.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`)
    })
    return {
        /* A tab in front of the others. */
        async tab(url) {
            const { targetId } = await send('Target.createTarget', { url: 'about:blank' })
            await send('Target.activateTarget', { targetId })
            const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true })
            await send('Page.enable', {}, sessionId)
            const loaded = new Promise(resolve => open.set(`Page.loadEventFired ${sessionId}`, resolve))
            await send('Page.navigate', { url }, sessionId)
            await loaded
            return {
                /* What the expression, or its promise, comes to. */
                async evaluate(expression) {
                    const params = { expression, awaitPromise: true, returnByValue: true }
                    const { result, exceptionDetails } = await send('Runtime.evaluate', params, sessionId)
                    if (exceptionDetails)
                        throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
                    return result.value
                },
            }
        },
        async close() {
            const ended = new Promise(resolve => browser.on('exit', resolve))
            void send('Browser.close')
            await ended
            rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
        },
    }
}
