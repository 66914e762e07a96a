// Reads a rotation until it is over, it needs a person, or the caller's patience ends. Detaching (Ctrl-C, --timeout) never
// touches the rotation: it goes on at the server.

import type { JsonObject } from '#domain/json.ts'
import { segment } from './segment.ts'
import { Failure, interrupted } from './failure.ts'
import { patiently } from './patience.ts'
import { objectAt, textAt } from './read-json.ts'
import { rotationBell } from './rotation-bell.ts'
import type { StreamEvent } from './server-events.ts'
import type { Run } from './shell.ts'
import { ended } from './rotation-text.ts'

export interface Following {
  readonly id: string
  /** Null: as long as it takes. */
  readonly timeoutMs: number | null
  /** What was done before somebody followed it. */
  readonly changed: string
  /** Called with every state that differs from the one before. */
  readonly onState: (rotation: JsonObject) => void
  /** Called with every event of its stream, from the first on. */
  readonly onEvent: (event: StreamEvent) => void
}

/** The last state. Throws when it ended otherwise than completed, stalled, or was still waiting at the timeout. */
export const followRotation = async (run: Run, following: Following): Promise<JsonObject> => {
  const client = await run.client()
  const { id, timeoutMs } = following
  const { clock } = run.io
  const patience = timeoutMs === null ? new AbortController().signal : clock.deadline(timeoutMs)
  const signal = AbortSignal.any([run.signal, patience])
  const path = `/v1/rotations/${segment(id)}`
  const bell = rotationBell(client, clock, `${path}/events`, signal, following.onEvent)
  const read = (): Promise<JsonObject> =>
    patiently(
      run,
      patience,
      () => detached(following),
      async () => objectAt((await client.send({ method: 'GET', path })).body),
    )
  let before = ''
  try {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- one look after the other
      const rotation = await read()
      const text = JSON.stringify(rotation)
      if (text !== before) following.onState(rotation)
      before = text
      const phase = textAt(rotation, 'phase')
      if (phase === 'completed') return rotation
      if (ended.has(phase) || phase === 'stalled') throw ending(rotation)
      if (run.signal.aborted) throw detached(following)
      if (patience.aborted) throw stillWaiting(rotation, following)
      // oxlint-disable-next-line no-await-in-loop -- waits for the next change
      await bell.next()
      if (run.signal.aborted) throw detached(following)
    }
  } finally {
    bell.stop()
  }
}

const comeBack = (id: string): readonly string[] => [
  `rekey get rotation/${id} --watch`,
  `rekey describe rotation/${id}`,
]

const detached = ({ id, changed }: Following): Failure =>
  interrupted({
    title: 'Detached',
    detail: 'the rotation goes on at the server',
    changed,
    next: comeBack(id),
  })

const stillWaiting = (rotation: JsonObject, { id, changed }: Following): Failure => {
  const phase = textAt(rotation, 'phase')
  const text = textAt(rotation, 'waitingFor', 'text')
  return new Failure({
    code: 'cli.stillWaiting',
    exit: 'stillWaiting',
    title: 'The time of --timeout is over',
    detail: `it is still ${phase}${text === '' ? '' : `: ${text}`}`,
    changed,
    next: comeBack(id),
  })
}

const ending = (rotation: JsonObject): Failure => {
  const id = textAt(rotation, 'id')
  const phase = textAt(rotation, 'phase')
  const why = textAt(rotation, 'waitingFor', 'text') || lastDetail(rotation)
  return new Failure({
    code: `cli.${phase}`,
    exit: 'failed',
    title: phase === 'stalled' ? 'The rotation needs a person' : `The rotation ended ${phase}`,
    ...(why === '' ? {} : { detail: why }),
    changed: changedBy[phase] ?? 'see the rotation',
    next: [`rekey describe rotation/${id}`],
  })
}

const changedBy: Readonly<Record<string, string>> = {
  stalled: 'everything stays valid where it stopped',
  cancelled: 'nothing at the provider',
  rolledBack: 'nothing that lasts: the old version is primary again',
  abandoned: 'what was done before it was abandoned stays as it is',
}

const lastDetail = (rotation: JsonObject): string => {
  const steps = rotation['steps']
  const last = Array.isArray(steps) ? steps.at(-1) : undefined
  return textAt(last, 'detail') || textAt(rotation, 'reason')
}
