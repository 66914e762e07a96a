// A rotation in full.

import type { JsonObject } from '#domain/json.ts'
import { segment } from './segment.ts'
import type { Described } from './commands/describe.ts'
import { moment, orDash, plain, span } from './human.ts'
import { adviceFor } from './next-command.ts'
import { objectAt, objectsAt, textAt } from './read-json.ts'
import { versions, waitingSince } from './rotation-text.ts'
import { section, sheet } from './sheet.ts'
import type { Run } from './shell.ts'
import { table, type Column } from './table.ts'

const stepColumns: readonly Column<JsonObject>[] = [
  { title: 'PHASE', text: (step) => textAt(step, 'phase') },
  { title: 'TARGET', text: (step) => orDash(textAt(step, 'target')) },
  { title: 'TRY', text: (step) => textAt(step, 'attempt') },
  { title: 'OUTCOME', text: (step) => textAt(step, 'outcome') || 'under way' },
  { title: 'STARTED', text: (step, now) => moment(textAt(step, 'startedAt'), now) },
  { title: 'TOOK', text: (step) => tookText(step) },
  { title: 'DETAIL', text: (step) => orDash(textAt(step, 'detail')) },
]

export const describeRotation = async (run: Run, id: string): Promise<Described> => {
  const client = await run.client()
  const rotation = objectAt(
    (await client.send({ method: 'GET', path: `/v1/rotations/${segment(id)}` })).body,
  )
  return { json: rotation, text: rotationSheet(rotation, run.io.clock.now()) }
}

const rotationSheet = (rotation: JsonObject, now: Date): string => {
  const waits = waitingSince(rotation, now)
  const advice = adviceFor(rotation, now)
  return [
    sheet(`rotation/${textAt(rotation, 'id')}`, [
      ['key', `key/${textAt(rotation, 'key')}`],
      ['versions', versions(rotation)],
      ['phase', textAt(rotation, 'phase')],
      ['policy', orDash(textAt(rotation, 'policy'))],
      ['trigger', textAt(rotation, 'trigger')],
      ['reason', orDash(textAt(rotation, 'reason'))],
      ['plan', textAt(rotation, 'planHash')],
      ['epoch', textAt(rotation, 'epoch')],
      ['created', moment(textAt(rotation, 'createdAt'), now)],
      ['ended', moment(textAt(rotation, 'endedAt'), now)],
      ['next look', moment(textAt(rotation, 'dueAt'), now)],
    ]),
    section(
      'why',
      plain([...(waits === '' ? [] : [waits]), advice.text].join('\n').replaceAll('\n', '; ')),
    ),
    section('steps', stepsText(rotation, now)),
    section('next', advice.commands.map(plain).join('\n')),
  ].join('')
}

const stepsText = (rotation: JsonObject, now: Date): string => {
  const steps = objectsAt(rotation, 'steps')
  return steps.length === 0 ? '' : table(stepColumns, steps, now)
}

const tookText = (step: JsonObject): string => {
  const started = new Date(textAt(step, 'startedAt')).getTime()
  const ended = new Date(textAt(step, 'endedAt')).getTime()
  return Number.isNaN(started) || Number.isNaN(ended) ? '–' : span(ended - started)
}
