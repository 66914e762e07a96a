// A rotation in one line, and its progress as lines that are only ever added to.

import type { JsonObject } from '#domain/json.ts'
import { plain, relative, span, stamp } from './human.ts'
import { at, objectAt, objectsAt, textAt, textsAt } from './read-json.ts'
import { version } from './kinds.ts'

/** Phases that end. One that this command does not know goes on. */
export const ended = new Set(['completed', 'cancelled', 'rolledBack', 'abandoned'])

/** `rotation/ID  key/payments-db  v3 → v4  overlapping` */
export const rotationLine = (rotation: JsonObject): string =>
  plain(
    [
      `rotation/${textAt(rotation, 'id')}`,
      `key/${textAt(rotation, 'key')}`,
      versions(rotation),
      textAt(rotation, 'phase'),
    ].join('  '),
  )

export const versions = (rotation: JsonObject): string => {
  const to = textAt(rotation, 'toVersion')
  return `${version(textAt(rotation, 'fromVersion'))} → ${to === '' ? 'new' : version(to)}`
}

/** Whether a reply is a rotation, and not an approval or the like. */
export const isRotation = (body: JsonObject): boolean =>
  textAt(body, 'phase') !== '' && at(body, 'key') !== undefined

/** Remembers what it has said; each call gives the lines that are new. */
export const progressLines = (): ((rotation: JsonObject, now: Date) => readonly string[]) => {
  const said = new Set<string>()
  const once = (key: string, text: string): readonly string[] => {
    if (said.has(key)) return []
    said.add(key)
    return [text]
  }
  let phase = ''
  let waiting = ''
  return (rotation, now) => {
    const time = (text: string): string => stamp(text === '' ? now : new Date(text)).slice(11)
    const lines: string[] = []
    for (const step of objectsAt(rotation, 'steps')) {
      const operation =
        textAt(step, 'operationId') ||
        [textAt(step, 'phase'), textAt(step, 'target'), textAt(step, 'attempt')].join(':')
      const outcome = textAt(step, 'outcome')
      if (outcome === '')
        lines.push(
          ...once(`${operation} begins`, `${time(textAt(step, 'startedAt'))}  ${stepText(step)}`),
        )
      else
        lines.push(
          ...once(
            `${operation} ${outcome}`,
            `${time(textAt(step, 'endedAt'))}  ${stepText(step)}: ${outcome}${detailOf(step)}`,
          ),
        )
    }
    if (textAt(rotation, 'phase') !== phase) {
      phase = textAt(rotation, 'phase')
      lines.push(`${time('')}  ${phase}  (${versions(rotation)})`)
    }
    const text = waitingText(rotation)
    if (text !== waiting && text !== '') lines.push(`${time('')}  waits: ${text}`)
    waiting = text
    return lines.map(plain)
  }
}

export const stepText = (step: JsonObject): string => {
  const target = textAt(step, 'target')
  const attempt = textAt(step, 'attempt')
  return `${textAt(step, 'phase')}${target === '' ? '' : ` ${target}`}${attempt === '' || attempt === '1' ? '' : ` attempt ${attempt}`}`
}

export const detailOf = (step: JsonObject): string => {
  const detail = textAt(step, 'detail')
  return detail === '' ? '' : ` (${detail})`
}

export const waitingText = (rotation: JsonObject): string => {
  const waitingFor = objectAt(rotation, 'waitingFor')
  const gate = textAt(waitingFor, 'gate')
  if (gate === '') return ''
  const missing = textsAt(waitingFor, 'missing').join(', ')
  const until = textAt(waitingFor, 'until')
  return [
    `${gate}: ${textAt(waitingFor, 'text')}`,
    ...(missing === '' ? [] : [`missing ${missing}`]),
    ...(until === '' ? [] : [`until ${stamp(new Date(until))}`]),
  ].join('; ')
}

/** `overlap since 12m4s: both stay valid; missing orders-api; until 2026-12-01T03:00:00Z (in 5m)` */
export const waitingSince = (rotation: JsonObject, now: Date): string => {
  const waitingFor = objectAt(rotation, 'waitingFor')
  const gate = textAt(waitingFor, 'gate')
  if (gate === '') return ''
  const since = new Date(textAt(waitingFor, 'since')).getTime()
  const until = textAt(waitingFor, 'until')
  const missing = textsAt(waitingFor, 'missing').join(', ')
  const passed = Number.isNaN(since) ? '' : ` since ${span(Math.max(0, now.getTime() - since))}`
  return [
    `${gate}${passed}: ${textAt(waitingFor, 'text')}`,
    ...(missing === '' ? [] : [`missing ${missing}`]),
    ...(until === '' ? [] : [`until ${until} (${relative(new Date(until), now)})`]),
  ].join('; ')
}
