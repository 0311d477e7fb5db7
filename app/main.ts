// The page: one model, one conversation. It uses the package's front door and nothing else of it.
import { load, IngleError, type Answer, type Message, type Model, type Progress, type Source } from 'ingle'

const DEFAULT_MODEL = './models/SmolLM2-135M-Instruct.Q4_1.gguf'

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id)
  if (!found)
    throw new Error(`the page has no #${id}`)
  return found as T
}

const page = {
  name: element('model-name'),
  loadDefault: element<HTMLButtonElement>('load-default'),
  pick: element<HTMLButtonElement>('pick'),
  file: element<HTMLInputElement>('file'),
  loadStop: element<HTMLButtonElement>('load-stop'),
  loading: element('loading'),
  progress: element<HTMLProgressElement>('progress'),
  progressText: element('progress-text'),
  facts: element('facts'),
  note: element('note'),
  log: element('log'),
  form: element<HTMLFormElement>('form'),
  prompt: element<HTMLTextAreaElement>('prompt'),
  send: element<HTMLButtonElement>('send'),
  stop: element<HTMLButtonElement>('stop'),
  clear: element<HTMLButtonElement>('clear'),
  speed: element('speed'),
  status: element('status'),
  error: element('error'),
}

let model: Model | undefined
let messages: Message[] = []
let loading: AbortController | undefined
let answering: Answer | undefined

function showError(error: unknown): void {
  page.error.textContent = error instanceof IngleError ? `${error.message} (${error.code})` : String(error)
}

const megabytes = (n: number) => `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`

// ---- loading a model

const PHASES: Record<Progress['phase'], string> = {
  download: 'Downloading', verify: 'Checking', load: 'Reading', compile: 'Preparing', ready: 'Ready',
}

function showProgress(p: Progress): void {
  if (p.total > 0)
    page.progress.value = p.loaded / p.total
  else
    page.progress.removeAttribute('value')
  const left = p.phase === 'download' && p.secondsLeft >= 1 ? `, ${Math.ceil(p.secondsLeft)} s left` : ''
  page.progressText.textContent = `${PHASES[p.phase]} ${megabytes(p.loaded)}${p.total > 0 ? ` of ${megabytes(p.total)}` : ''}${left}`
}

function showFacts(m: Model): void {
  const facts: [string, string][] = [
    ['Weights', `${megabytes(m.info.sizeBytes)}${m.info.fileType ? ` (${m.info.fileType})` : ''}`],
    ['Context', `${m.device.contextSize} tokens`],
    ['Runs on', `CPU, ${m.device.threads} thread${m.device.threads === 1 ? '' : 's'}, ${m.device.build}`],
  ]
  page.facts.replaceChildren(...facts.map(([term, value]) => {
    const row = document.createElement('div')
    const dt = document.createElement('dt')
    const dd = document.createElement('dd')
    dt.textContent = term
    dd.textContent = value
    row.append(dt, dd)
    return row
  }))
  page.note.textContent = m.device.why && `Not faster because: ${m.device.why}.`
  page.facts.hidden = false
}

function setReady(ready: boolean): void {
  page.prompt.disabled = page.send.disabled = page.clear.disabled = !ready
  page.prompt.placeholder = !ready ? 'Load a model first'
    : model?.info.chatTemplate ? 'Ask something. Enter sends, Shift+Enter starts a line.'
      : 'Begin a text: this model goes on from it. Enter sends.'
}

async function open(source: Source, name: string): Promise<void> {
  loading?.abort()
  const mine = loading = new AbortController()
  page.error.textContent = ''
  setReady(false)
  page.facts.hidden = true
  page.note.textContent = ''
  page.name.textContent = name
  page.progress.removeAttribute('value')
  page.progressText.textContent = ''
  page.loading.hidden = page.loadStop.hidden = false
  page.status.textContent = `Loading ${name}`
  try {
    const old = model
    model = undefined
    await old?.dispose()
    const loaded = await load(source, { signal: mine.signal, onProgress: showProgress })
    if (mine.signal.aborted)
      return void await loaded.dispose()
    model = loaded
    page.name.textContent = model.info.name ?? name
    showFacts(model)
    startAgain()
    setReady(true)
    page.status.textContent = `${page.name.textContent} is ready`
    page.prompt.focus()
  } catch (error) {
    if (mine === loading)
      page.name.textContent = 'None loaded.'
    if (!mine.signal.aborted)
      showError(error)
  } finally {
    if (mine === loading)
      page.loading.hidden = page.loadStop.hidden = true
  }
}

// ---- the conversation

function startAgain(): void {
  answering?.cancel()
  messages = []
  page.log.replaceChildren()
  page.speed.textContent = ''
}

function addArticle(who: string, text: string, mine: boolean): Text {
  const article = document.createElement('article')
  article.className = mine ? 'mine' : ''
  const title = document.createElement('h3')
  title.textContent = who
  const body = document.createTextNode(text)
  article.append(title, body)
  page.log.append(article)
  article.scrollIntoView({ block: 'nearest' })
  return body
}

function startAnswer(m: Model, text: string): Answer {
  if (!m.info.chatTemplate)
    return m.generate(text, { maxTokens: 512 })
  messages.push({ role: 'user', content: text })
  return m.chat(messages, { maxTokens: 1024 })
}

function setAnswering(on: boolean): void {
  page.stop.hidden = !on
  page.send.hidden = on
  page.clear.disabled = on
}

async function ask(text: string): Promise<void> {
  const m = model
  if (!m || answering)
    return
  page.error.textContent = ''
  addArticle('You', text, true)
  const body = addArticle(m.info.name ?? 'Model', m.info.chatTemplate ? '' : text, false)
  page.status.textContent = 'Answering'
  setAnswering(true)
  const history = messages
  const before = history.length
  const answer = answering = startAnswer(m, text)
  try {
    const start = performance.now()
    let n = 0
    for await (const part of answer) {
      body.appendData(part.text)
      n += part.tokens.length
      page.speed.textContent = `${n} tokens, ${(n / (performance.now() - start) * 1000).toFixed(1)} tok/s`
      page.log.lastElementChild?.scrollIntoView({ block: 'end' })
    }
    const { text: whole, timings, tokens } = await answer.result
    if (m.info.chatTemplate)
      history.push({ role: 'assistant', content: whole })
    page.speed.textContent = `${tokens.length} tokens, ${timings.generatePerSecond.toFixed(1)} tok/s, first after ${(timings.firstTokenMs / 1000).toFixed(2)} s`
    page.status.textContent = 'The answer is complete'
  } catch (error) {
    history.length = before // a question without an answer is no part of the conversation
    if (model === m)
      showError(error)
  } finally {
    answering = undefined
    setAnswering(false)
    page.prompt.focus()
  }
}

// ---- what the user does

page.loadDefault.addEventListener('click', () => void open(DEFAULT_MODEL, 'SmolLM2 135M'))
page.pick.addEventListener('click', () => page.file.click())
page.file.addEventListener('change', () => {
  const file = page.file.files?.[0]
  if (file)
    void open(file, file.name)
  page.file.value = ''
})
page.loadStop.addEventListener('click', () => loading?.abort())
page.stop.addEventListener('click', () => answering?.cancel())
page.clear.addEventListener('click', () => {
  startAgain()
  page.prompt.focus()
})
page.form.addEventListener('submit', event => {
  event.preventDefault()
  const text = page.prompt.value
  if (!text.trim() || answering)
    return
  page.prompt.value = ''
  void ask(text)
})
page.prompt.addEventListener('keydown', event => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault()
    page.form.requestSubmit()
  }
})
document.addEventListener('keydown', event => {
  if (event.key === 'Escape')
    answering?.cancel()
})
document.addEventListener('dragover', event => {
  event.preventDefault()
  document.body.classList.add('dropping')
})
document.addEventListener('dragleave', event => {
  if (!event.relatedTarget)
    document.body.classList.remove('dropping')
})
document.addEventListener('drop', event => {
  event.preventDefault()
  document.body.classList.remove('dropping')
  const file = event.dataTransfer?.files[0]
  if (file)
    void open(file, file.name)
})

// ?model=ADDRESS loads that model at once.
const wanted = new URLSearchParams(location.search).get('model')
if (wanted)
  void open(wanted, wanted.slice(wanted.lastIndexOf('/') + 1))
