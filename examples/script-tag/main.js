// ?model=ADDRESS&text=TEXT: goes on from the text.
import { load } from './ingle/index.js'

const asked = new URLSearchParams(location.search)
const output = document.getElementById('output')
try {
  const model = await load(asked.get('model') ?? 'models/stories260K.gguf')
  const text = asked.get('text') ?? 'Once upon a time'
  for await (const part of model.generate(text, { temperature: 0, maxTokens: 64 }))
    output.append(part.text)
  output.dataset.build = model.device.build
  await model.dispose()
} catch (error) {
  output.textContent = String(error)
}
output.dataset.done = 'yes'
