export interface ServerEvent {
  id: string
  event: string
  data: string
}

/** Reads server-sent events from an answer: an EventSource cannot send the header that says who asks. */
export async function* readEvents(response: Response): AsyncGenerator<ServerEvent> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    const blocks = text.split('\n\n')
    text = blocks.pop()!
    for (const block of blocks) yield parseEvent(block)
  }
}

function parseEvent(block: string): ServerEvent {
  const event: ServerEvent = { id: '', event: '', data: '' }
  for (const line of block.split('\n')) {
    const [, name, value] = /^(id|event|data): ?(.*)$/.exec(line) ?? []
    if (name !== undefined) event[name as keyof ServerEvent] += value
  }
  return event
}
