// The events of one rotation as they happen, from its first on, until it is over. They come over the rotation's own stream:
// whoever may see the rotation may see them, also without the right to read the audit log.

import type { Json, JsonObject } from '#domain/json.ts'
import type { Client } from './client.ts'
import { segment } from './segment.ts'
import { listen } from './event-stream.ts'
import { Failure, interrupted, isFailure } from './failure.ts'
import { isObject, textAt } from './read-json.ts'
import type { Run } from './shell.ts'
import type { StreamEvent } from './server-events.ts'

/** How long the server may be away: restarts and deployments. */
const outageMs = 120_000

export const followEvents = async (
  run: Run,
  id: string,
  print: (event: JsonObject) => void,
): Promise<void> => {
  const client = await run.client()
  const path = `/v1/rotations/${segment(id)}`
  const { clock } = run.io
  const seen = new Set<string>()
  let lastHeard = clock.now().getTime()
  const streams = await listen(client, clock, `${path}/events`, run.signal, {
    opened: () => {
      lastHeard = clock.now().getTime()
    },
    event: (event) => {
      if (event.id !== null && seen.has(event.id)) return
      if (event.id !== null) seen.add(event.id)
      const read = eventOf(event, id)
      if (read !== null) print(read)
    },
    closed: async () => {
      // The server ends the stream of a rotation that is over; otherwise it was the connection that ended.
      const over = await isOver(client, path)
      if (over !== null) return !over
      if (clock.now().getTime() - lastHeard > outageMs) throw away()
      run.talk('the server is away; still trying')
      return true
    },
  })
  if (run.signal.aborted) throw interrupted({ title: 'Detached', changed: 'nothing' })
  if (!streams) throw noStream()
}

/** Null where nobody answers. */
const isOver = async (client: Client, path: string): Promise<boolean | null> => {
  try {
    const { body } = await client.send({ method: 'GET', path })
    return textAt(body, 'endedAt') !== ''
  } catch (error) {
    if (isFailure(error) && error.info.exit === 'unreachable') return null
    throw error
  }
}

const eventOf = (event: StreamEvent, id: string): JsonObject | null => {
  try {
    const data: Json = JSON.parse(event.data)
    if (!isObject(data)) return null
    return { id: event.id, target: { kind: 'rotation', id }, correlationId: id, ...data }
  } catch {
    return null
  }
}

const away = (): Failure =>
  new Failure({
    code: 'cli.unreachable',
    exit: 'unreachable',
    title: 'The server cannot be reached',
    detail: 'it was away for more than two minutes',
    changed: 'nothing',
  })

const noStream = (): Failure =>
  new Failure({
    code: 'cli.notRekey',
    exit: 'unreachable',
    title: 'The server has no stream of events',
    changed: 'nothing',
  })
