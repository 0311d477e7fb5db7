// node answer.mjs [MODEL] [TEXT]: an answer to a question, or a continuation where the model has no
// chat template, on standard output as it comes. npm install ingle.
import { load } from 'ingle'

const [source = 'hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_0', text = 'Why is the sky blue?'] = process.argv.slice(2)
const model = await load(source)
const options = { temperature: 0, maxTokens: 64 }
const answer = model.info.chatTemplate ? model.chat([{ role: 'user', content: text }], options) : model.generate(text, options)
for await (const part of answer)
  process.stdout.write(part.text)
const { timings } = await answer.result
process.stdout.write('\n')
console.error(`${timings.generatePerSecond.toFixed(1)} tokens a second, ${model.device.build}`)
await model.dispose()
