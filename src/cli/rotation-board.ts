// A rotation as a board: the phases of its plan with the time that each took, what it waits for and since when, what failed
// last, and what to run next. The events of its stream say when each phase began; its state says everything else.

import type { JsonObject } from '#domain/json.ts'
import { plain, span } from './human.ts'
import type { Size } from './io.ts'
import { rowsOfAll } from './live.ts'
import { adviceFor } from './next-command.ts'
import type { Paint } from './paint.ts'
import { objectAt, objectsAt, textAt, textsAt } from './read-json.ts'
import { detailOf, ended, stepText, versions, waitingSince } from './rotation-text.ts'
import type { StreamEvent } from './server-events.ts'

export interface Board {
  state(rotation: JsonObject, now: Date): void
  event(event: StreamEvent): void
  frame(now: Date, size: Size): readonly string[]
}

interface Stay {
  readonly phase: string
  /** Milliseconds since 1970. */
  readonly from: number
}

const bad = new Set(['stalled', 'rollingBack', 'rolledBack', 'abandoned', 'cancelled'])

export const makeBoard = (paint: Paint): Board => {
  const told: Stay[] = []
  let rotation: JsonObject | null = null
  // Where its event has not come: of a state that is ahead of the stream.
  let ahead: Stay | null = null
  const path = (): readonly Stay[] => [
    { phase: 'planned', from: timeOf(textAt(rotation ?? {}, 'createdAt')) },
    ...told.filter(({ phase }) => phase !== 'planned'),
    ...(ahead === null || told.some(({ phase }) => phase === ahead?.phase) ? [] : [ahead]),
  ]
  return {
    state(next, now) {
      rotation = next
      const phase = textAt(next, 'phase')
      if (phase === 'planned') ahead = null
      else if (ahead?.phase !== phase) ahead = { phase, from: now.getTime() }
    },
    event({ data }) {
      const { phase, at } = phaseOf(data)
      if (phase === '' || phase === told.at(-1)?.phase || Number.isNaN(at)) return
      told.push({ phase, from: at })
    },
    frame(now, size) {
      if (rotation === null) return []
      const { id, key } = { id: textAt(rotation, 'id'), key: textAt(rotation, 'key') }
      const head = [`rotation/${id}  key/${key}  ${versions(rotation)}`].map(plain)
      const passed = passedLines(path(), now, paint)
      const left = leftLines(rotation, path(), paint)
      const foot = footLines(rotation, now, paint)
      const hint = ended.has(textAt(rotation, 'phase'))
        ? []
        : [paint('dim', 'Ctrl-C leaves it: it goes on at the server')]
      // From all that there is to say down to what matters, for terminals of few rows.
      const frames = [
        [...head, '', ...passed, ...left, '', ...foot, ...hint],
        [...head, ...passed, ...left, ...foot],
        [...head, ...passed, ...foot],
        [...head, ...passed.slice(-1), ...foot],
      ]
      return frames.find((lines) => rowsOfAll(lines, size) < size.rows) ?? frames.at(-1) ?? []
    },
  }
}

const timeOf = (text: string): number => new Date(text).getTime()

const phaseOf = (data: string): { readonly phase: string; readonly at: number } => {
  try {
    const told = objectAt(JSON.parse(data))
    return { phase: textAt(told, 'phase'), at: timeOf(textAt(told, 'at')) }
  } catch {
    return { phase: '', at: Number.NaN }
  }
}

const row = (mark: string, phase: string, took: string): string =>
  `  ${mark} ${plain(phase).padEnd(16)} ${took}`.trimEnd()

/** The phases that it went through, and the one in which it is. */
const passedLines = (path: readonly Stay[], now: Date, paint: Paint): readonly string[] =>
  path.map(({ phase, from }, i) => {
    const next = path[i + 1]
    const ms = Math.max(0, (next?.from ?? now.getTime()) - from)
    const over = next !== undefined || ended.has(phase)
    const took = ended.has(phase) || Number.isNaN(ms) ? '' : span(ms)
    const colour = bad.has(phase) ? 'red' : over ? 'green' : 'bold'
    return paint(colour, row(bad.has(phase) ? '!' : over ? '✓' : '▸', phase, took))
  })

/** Those of its plan that are still to come; none where it left the plan. */
const leftLines = (
  rotation: JsonObject,
  path: readonly Stay[],
  paint: Paint,
): readonly string[] => {
  const plan = textsAt(rotation, 'phases')
  const at = plan.indexOf(path.at(-1)?.phase ?? '')
  return at < 0 ? [] : plan.slice(at + 1).map((phase) => paint('dim', row('·', phase, '')))
}

const footLines = (rotation: JsonObject, now: Date, paint: Paint): readonly string[] => {
  const said = (title: string, text: string): string => `${paint('bold', title.padEnd(6))} ${text}`
  const waits = waitingSince(rotation, now)
  const failed = objectsAt(rotation, 'steps').findLast((step) =>
    ['failed', 'unknown'].includes(textAt(step, 'outcome')),
  )
  const phase = textAt(rotation, 'phase')
  const { text, commands } = adviceFor(rotation, now)
  // To watch it is what is done here.
  const others = commands.filter((command) => !command.endsWith(' --watch'))
  return [
    ...(waits === '' ? [] : [said('waits', plain(waits))]),
    ...(failed
      ? [
          said(
            'last',
            plain(`${stepText(failed)}: ${textAt(failed, 'outcome')}${detailOf(failed)}`),
          ),
        ]
      : []),
    ...(others.length === 0 || phase === 'completed' ? [] : [said('why', plain(text))]),
    ...others.map((command, i) => said(i === 0 ? 'next' : '', plain(command))),
  ]
}
