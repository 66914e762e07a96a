// Reads a rotation until it is over, it needs a person, or the caller's patience ends. Detaching (Ctrl-C, --timeout) never
// touches the rotation: it goes on at the server.

import type { JsonObject } from '#domain/json.ts'
import type { Client } from './client.ts'
import { segment } from './segment.ts'
import { Failure, interrupted, isFailure } from './failure.ts'
import { objectAt, textAt } from './read-json.ts'
import { rotationBell } from './rotation-bell.ts'
import type { Run } from './shell.ts'

export interface Following {
  readonly id: string
  /** Null: as long as it takes. */
  readonly timeoutMs: number | null
  /** Called with every state that differs from the one before. */
  readonly onState: (rotation: JsonObject) => void
}

/** How long the server may be away while it is followed: restarts and deployments. */
const outageMs = 120_000

const ended = new Set(['completed', 'cancelled', 'rolledBack', 'abandoned'])

/** The last state. Throws when it ended otherwise than completed, stalled, or was still waiting at the timeout. */
export const followRotation = async (run: Run, following: Following): Promise<JsonObject> => {
  const client = await run.client()
  const { id, timeoutMs } = following
  const { clock } = run.io
  const patience = timeoutMs === null ? new AbortController().signal : clock.deadline(timeoutMs)
  const signal = AbortSignal.any([run.signal, patience])
  const bell = rotationBell(client, clock, `/v1/rotations/${segment(id)}/events`, signal)
  const read = reader(run, client, id, patience)
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
      if (run.signal.aborted) throw detached(id)
      if (patience.aborted) throw stillWaiting(rotation)
      // oxlint-disable-next-line no-await-in-loop -- waits for the next change
      await bell.next()
      if (run.signal.aborted) throw detached(id)
    }
  } finally {
    bell.stop()
  }
}

/** Reads the rotation and outlives a server that is away for a while. */
const reader =
  (run: Run, client: Client, id: string, patience: AbortSignal) =>
  async (): Promise<JsonObject> => {
    const since = run.io.clock.now().getTime()
    for (let waitMs = 500; ; waitMs = Math.min(waitMs * 2, 10_000)) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- repeated until it answers
        return objectAt(
          (await client.send({ method: 'GET', path: `/v1/rotations/${segment(id)}` })).body,
        )
      } catch (error) {
        if (run.signal.aborted) throw detached(id)
        const away = run.io.clock.now().getTime() - since
        if (
          !isFailure(error) ||
          error.info.exit !== 'unreachable' ||
          away > outageMs ||
          patience.aborted
        )
          throw error
        if (waitMs === 500) run.talk('the server is away; still trying')
        // oxlint-disable-next-line no-await-in-loop -- spaces the tries
        await run.io.clock.pause(waitMs, AbortSignal.any([run.signal, patience]))
      }
    }
  }

const comeBack = (id: string): readonly string[] => [
  `rekey logs --follow --rotation ${id}`,
  `rekey describe rotation/${id}`,
]

const detached = (id: string): Failure =>
  interrupted({
    title: 'Detached',
    detail: 'the rotation goes on at the server',
    changed: 'the rotation was started and is under way',
    next: comeBack(id),
  })

const stillWaiting = (rotation: JsonObject): Failure => {
  const id = textAt(rotation, 'id')
  const phase = textAt(rotation, 'phase')
  const text = textAt(rotation, 'waitingFor', 'text')
  return new Failure({
    code: 'cli.stillWaiting',
    exit: 'stillWaiting',
    title: 'The time of --timeout is over',
    detail: `it is still ${phase}${text === '' ? '' : `: ${text}`}`,
    changed: 'the rotation was started and is under way',
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
