// The event stream format (HTML Living Standard §9.2.6), as far as a client needs it: fields `id`, `retry`, and the end of
// an event. Comments are heartbeats: they prove that the connection lives.

export interface StreamEvent {
  /** Null for an event that names none: the last one stays. */
  readonly id: string | null
  readonly event: string
  readonly data: string
}

export type StreamPart = { readonly event: StreamEvent } | { readonly retryMs: number } | 'alive'

/** Reads a body. Ends when the server closes; throws when the connection breaks. */
export async function* readServerEvents(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<StreamPart> {
  let line = ''
  let fields = emptyEvent()
  // The stream decoder drops the byte order mark that the format allows in front.
  const decoder: TransformStream<Uint8Array, string> = new TextDecoderStream()
  for await (const chunk of body.pipeThrough(decoder)) {
    const text = line + chunk
    // A carriage return at the end may be half of a line's end.
    const held = text.endsWith('\r') ? 1 : 0
    const pieces = text.slice(0, text.length - held).split(/\r\n|\n|\r/)
    line = (pieces.pop() ?? '') + text.slice(text.length - held)
    for (const piece of pieces) {
      if (piece !== '') {
        const retryMs = take(fields, piece)
        yield retryMs === null ? 'alive' : { retryMs }
        continue
      }
      if (fields.data.length > 0) {
        yield { event: { id: fields.id, event: fields.event, data: fields.data.join('\n') } }
      }
      fields = emptyEvent()
    }
  }
}

interface Fields {
  id: string | null
  event: string
  data: string[]
}

const emptyEvent = (): Fields => ({ id: null, event: 'message', data: [] })

/** Takes one line into the event; answers a new reconnection time, or null. */
const take = (fields: Fields, line: string): number | null => {
  const colon = line.indexOf(':')
  const name = colon < 0 ? line : line.slice(0, colon)
  const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
  switch (name) {
    case 'data':
      fields.data.push(value)
      return null
    case 'event':
      fields.event = value
      return null
    case 'id':
      if (!value.includes('\0')) fields.id = value
      return null
    case 'retry':
      return /^\d{1,7}$/.test(value) ? Number(value) : null
    default:
      return null
  }
}
