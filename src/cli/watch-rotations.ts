// `rekey get rotations --watch`: the open ones as they go on, and how those ended that were seen open. A table that is drawn
// again where a terminal can be drawn on; else a line for every change, and with `-o json` an object a line.
//
// Lists have no stream, so the server is asked every two seconds: one page, as long as not more than 200 are open.

import type { JsonObject } from '#domain/json.ts'
import { openPhases } from '#domain/rotation-machine.ts'
import type { Client, Query } from './client.ts'
import { interrupted, isFailure, usage } from './failure.ts'
import { plain, stamp } from './human.ts'
import type { Size } from './io.ts'
import { kinds } from './kinds.ts'
import { rowsOf } from './live.ts'
import { patiently } from './patience.ts'
import { objectAt, textAt } from './read-json.ts'
import { rotationLine, waitingText } from './rotation-text.ts'
import { segment } from './segment.ts'
import type { Run } from './shell.ts'
import { table, type Column } from './table.ts'

const everyMs = 2_000
/** Ended ones that stay in the table. */
const keptEnded = 20

export interface Watched {
  /** Filters of the list; without `phase` it is the open ones. */
  readonly query: Query
  readonly limit: number
}

/** Until Ctrl-C. */
export const watchRotations = async (run: Run, watched: Watched): Promise<never> => {
  if (run.format === 'yaml') throw usage('--watch prints a table, names or JSON')
  const client = await run.client()
  const seen: Seen = { now: new Map(), ended: new Map() }
  const live =
    run.format === 'table' || run.format === 'wide'
      ? await run.live(run.io.stdout, (size) => frameOf(run, seen, size))
      : null
  const never = new AbortController().signal
  const detached = () =>
    interrupted({ title: 'Detached', changed: 'nothing', next: ['rekey get rotations --watch'] })
  try {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- one look after the other
      const changed = await patiently(run, never, detached, () => look(client, watched, seen))
      if (live === null) for (const rotation of changed) run.print(lineOf(run, rotation))
      else live.update()
      // oxlint-disable-next-line no-await-in-loop -- spaces the looks
      await run.io.clock.pause(everyMs, run.signal)
      if (run.signal.aborted) throw detached()
    }
  } finally {
    live?.close()
  }
}

interface Seen {
  /** As the list has them, newest first. */
  now: Map<string, JsonObject>
  /** Those that left the list because they ended, oldest first. */
  ended: Map<string, JsonObject>
}

/** Those that are new or have changed since the look before. Changes nothing where it fails. */
const look = async (
  client: Client,
  { query, limit }: Watched,
  seen: Seen,
): Promise<readonly JsonObject[]> => {
  const now = new Map<string, JsonObject>()
  const asked = query['phase'] === undefined ? { ...query, phase: openPhases } : query
  for await (const rotation of client.list('/v1/rotations', asked)) {
    now.set(textAt(rotation, 'id'), rotation)
    if (now.size >= limit) break
  }
  const gone = [...seen.now.keys()].filter((id) => !now.has(id))
  const left = await Promise.all(gone.map((id) => read(client, id)))
  const changed = [...now.values()].filter(
    (rotation) => told(rotation) !== told(seen.now.get(textAt(rotation, 'id'))),
  )
  const ended = left.filter((one) => one !== null).filter((one) => textAt(one, 'endedAt') !== '')
  seen.now = now
  for (const rotation of ended) seen.ended.set(textAt(rotation, 'id'), rotation)
  for (const id of [...seen.ended.keys()].slice(0, -keptEnded)) seen.ended.delete(id)
  // Oldest first, as lines are read.
  return [...ended, ...changed.toReversed()]
}

/** Null where it is not to be seen any more. */
const read = async (client: Client, id: string): Promise<JsonObject | null> => {
  try {
    const { body } = await client.send({ method: 'GET', path: `/v1/rotations/${segment(id)}` })
    return objectAt(body)
  } catch (error) {
    if (isFailure(error) && error.info.exit === 'notFound') return null
    throw error
  }
}

/** What of a rotation is worth a line; when it is looked at next is not. */
const told = (rotation: JsonObject | undefined): string =>
  rotation === undefined ? '' : JSON.stringify({ ...rotation, dueAt: null })

const lineOf = ({ format, io }: Run, rotation: JsonObject): string => {
  if (format === 'json') return `${JSON.stringify(rotation)}\n`
  if (format === 'name') return `rotation/${textAt(rotation, 'id')}\n`
  const waits = waitingText(rotation)
  return `${stamp(io.clock.now()).slice(11)}  ${rotationLine(rotation)}${waits === '' ? '' : `  ${plain(waits)}`}\n`
}

/** What can be left out on a narrow terminal, first to last. */
const spared = ['TRIGGER', 'FROM', 'TO', 'AGE', 'ID']

const frameOf = (run: Run, seen: Seen, size: Size): readonly string[] => {
  const now = run.io.clock.now()
  const rows = [...seen.now.values(), ...[...seen.ended.values()].toReversed()]
  const foot = `${seen.now.size} open, ${stamp(now).slice(11)}; Ctrl-C ends the watching`
  if (rows.length === 0) return [foot]
  const lines = fittingTable(run, rows, now, size)
  const room = size.rows - 3
  const more = lines.length - 1 - room
  return more > 0 ? [...lines.slice(0, room), `… and ${more + 1} more`, foot] : [...lines, foot]
}

/** The table with as many columns as fit into the width. */
const fittingTable = (
  run: Run,
  rows: readonly JsonObject[],
  now: Date,
  size: Size,
): readonly string[] => {
  let columns: readonly Column<JsonObject>[] = kinds.rotations.columns.filter(
    (column) => run.format === 'wide' || column.wide !== true,
  )
  for (let i = 0; ; i++) {
    const lines = table(columns, rows, now).trimEnd().split('\n')
    const left = spared[i]
    if (left === undefined || lines.every((line) => rowsOf(line, size) === 1)) return lines
    columns = columns.filter(({ title }) => title !== left)
  }
}
