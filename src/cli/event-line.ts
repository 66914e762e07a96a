// An audit event as one line.

import type { JsonObject } from '#domain/json.ts'
import { plain, stamp } from './human.ts'
import { isObject, textAt } from './read-json.ts'
import type { Run } from './shell.ts'

export const eventLine = (run: Pick<Run, 'format'>, event: JsonObject): string => {
  if (run.format === 'json') return `${JSON.stringify(event)}\n`
  if (run.format === 'name') return `${plain(textAt(event, 'id'))}\n`
  // JSON is YAML, and a document a line can be read while more come.
  if (run.format === 'yaml') return `--- ${JSON.stringify(event)}\n`
  const instant = new Date(textAt(event, 'at'))
  const reason = textAt(event, 'reason')
  const phase = textAt(event, 'after', 'phase') || textAt(event, 'phase')
  const actor = isObject(event['actor']) ? textAt(event, 'actor', 'name') : textAt(event, 'actor')
  const parts = [
    Number.isNaN(instant.getTime()) ? textAt(event, 'at') : stamp(instant),
    textAt(event, 'outcome').padEnd(9),
    textAt(event, 'action').padEnd(22),
    `${textAt(event, 'target', 'kind')}/${textAt(event, 'target', 'name') || textAt(event, 'target', 'id')}`,
    `by ${actor}`,
    ...(phase === '' ? [] : [`phase=${phase}`]),
    ...(reason === '' ? [] : [`reason=${JSON.stringify(reason)}`]),
    ...(run.format === 'wide'
      ? [`correlation=${textAt(event, 'correlationId') || '–'}`, `id=${textAt(event, 'id')}`]
      : []),
  ]
  return `${plain(parts.join('  '))}\n`
}
