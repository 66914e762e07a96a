// An incident until it is at rest: how many keys are where, how fast, where most are left, what failed last. One screen, however
// many keys there are. Ctrl-C leaves it: it goes on at the server.

import type { JsonObject } from '#domain/json.ts'
import { nextOf } from './describe-incident.ts'
import { Failure, interrupted, Leave } from './failure.ts'
import { plain, span } from './human.ts'
import { countsText, incidentLine } from './incident-text.ts'
import { show } from './output.ts'
import { paintFor } from './paint.ts'
import { patiently } from './patience.ts'
import { at, isObject, numberAt, objectAt, objectsAt, textAt } from './read-json.ts'
import { segment } from './segment.ts'
import type { Run } from './shell.ts'

export interface Watching {
  readonly id: string
  /** Null: as long as it takes. */
  readonly timeoutMs: number | null
  /** What was done before it was watched. */
  readonly changed: string
}

const lookMs = 1_000
/** Without a terminal: how often a line is said at most. */
const talkMs = 5_000
/** Failed keys that are named. */
const mostFailed = 3
/** States of keys in the order in which they are gone through. */
const order = [
  'pending',
  'revoking',
  'replacing',
  'refused',
  'refusedAfter',
  'replaced',
  'restored',
  'unproven',
  'failed',
]
const underWay = new Set(['pending', 'revoking', 'replacing'])

interface Look {
  readonly incident: JsonObject
  /** The most dangerous of those that failed. */
  readonly failed: readonly JsonObject[]
  readonly at: number
}

/** Prints its last state. Leaves with `partly` where something failed or is unproven, with `stillWaiting` at the timeout. */
export const watchIncident = async (run: Run, watching: Watching): Promise<void> => {
  const { clock } = run.io
  const patience =
    watching.timeoutMs === null ? new AbortController().signal : clock.deadline(watching.timeoutMs)
  const looks: Look[] = []
  const live = await run.live(run.io.stderr, () => frameOf(run, looks))
  let before = ''
  let spokenAt = -Infinity
  try {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- one look after the other
      const look = await patiently(
        run,
        patience,
        () => detached(watching),
        () => lookAt(run, watching.id, looks.at(-1)),
      )
      looks.push(look)
      if (looks.length > 30) looks.splice(1, 1)
      const { incident } = look
      const state = textAt(incident, 'state')
      if (live) live.update()
      else if (state !== 'executing' || look.at - spokenAt >= talkMs) {
        before = talkOf(run, look, before)
        spokenAt = look.at
      }
      if (state !== 'executing') return await ended(run, incident, state)
      if (run.signal.aborted) throw detached(watching)
      if (patience.aborted) throw stillWaiting(incident, watching)
      // oxlint-disable-next-line no-await-in-loop -- spaces the looks
      await clock.pause(lookMs, AbortSignal.any([run.signal, patience]))
    }
  } finally {
    live?.close()
  }
}

/** Counts are asked for each time; of ten thousand keys only the few that are named are read, when another one has failed. */
const lookAt = async (run: Run, id: string, last: Look | undefined): Promise<Look> => {
  const client = await run.client()
  const path = `/v1/incidents/${segment(id)}`
  const incident = objectAt((await client.send({ method: 'GET', path })).body)
  const failures = (of: JsonObject): number => numberAt(of, 'counts', 'failed') ?? 0
  const asBefore = last !== undefined && failures(last.incident) === failures(incident)
  const failed =
    failures(incident) === 0
      ? []
      : asBefore
        ? last.failed
        : objectsAt(
            (
              await client.send({
                method: 'GET',
                path: `${path}/keys`,
                query: { state: 'failed', limit: String(mostFailed) },
              })
            ).body,
            'items',
          )
  return { incident, failed, at: run.io.clock.now().getTime() }
}

const countOf = ({ incident }: Look, test: (state: string) => boolean): number => {
  const counts = at(incident, 'counts')
  return Object.entries(isObject(counts) ? counts : {}).reduce(
    (sum, [state, count]) => (test(state) ? sum + Number(textAt(count)) : sum),
    0,
  )
}
const left = (look: Look): number => countOf(look, (state) => underWay.has(state))

const frameOf = (run: Run, looks: readonly Look[]): readonly string[] => {
  const last = looks.at(-1)
  const [first] = looks
  if (!last || !first) return ['…']
  const paint = paintFor(run.io.env, run.io.stderr)
  const { incident, failed } = last
  const all = countOf(last, () => true)
  const since = new Date(textAt(incident, 'execution', 'at')).getTime()
  const passed = run.io.clock.now().getTime() - since
  const seconds = (last.at - first.at) / 1_000
  const rate = seconds > 0 ? (left(first) - left(last)) / seconds : 0
  const bar = Math.round(all === 0 ? 0 : ((all - left(last)) / all) * 30)
  return [
    plain(incidentLine(incident)),
    `[${'#'.repeat(bar)}${'.'.repeat(30 - bar)}] ${all - left(last)} of ${all} at rest, ${Number.isNaN(passed) ? '' : span(passed)}${rate > 0 ? `, ${rate.toFixed(1)} a second` : ''}`,
    ...order
      .map((state) => ({ state, count: numberAt(incident, 'counts', state) ?? 0 }))
      .filter(({ count }) => count > 0)
      .map(({ state, count }) => {
        const line = `  ${state.padEnd(14)}${count}`
        return state === 'failed'
          ? paint('red', line)
          : state === 'unproven'
            ? paint('bold', line)
            : line
      }),
    ...objectsAt(incident, 'waiting').map((one) => `  ${leftAt(one, run.io.clock.now())}`),
    ...failed.map((key) =>
      paint('red', `  failed: ${plain(textAt(key, 'key'))}: ${plain(whyFailed(key))}`),
    ),
    ...moreFailed(incident, failed.length),
    ...(textAt(incident, 'state') === 'executing'
      ? [paint('dim', 'Ctrl-C leaves it: it goes on at the server')]
      : []),
  ]
}

const leftAt = (one: JsonObject, now: Date): string => {
  const waits = now.getTime() - new Date(textAt(one, 'since')).getTime()
  const oldest = waits >= 5_000 ? `, the oldest silent for ${span(waits)}` : ''
  return `left at ${plain(textAt(one, 'connection'))}: ${textAt(one, 'keys')}${oldest}`
}

const moreFailed = (incident: JsonObject, named: number): readonly string[] => {
  const more = (numberAt(incident, 'counts', 'failed') ?? 0) - named
  return more > 0
    ? [`  … and ${more} more failed: rekey describe incident/${textAt(incident, 'id')}`]
    : []
}

/** What the provider said, with its code where it has one, and what helps. */
const whyFailed = (key: JsonObject): string =>
  textAt(key, 'detail') ||
  objectsAt(key, 'versions')
    .map((version) => [textAt(version, 'code'), textAt(version, 'detail')])
    .map(([code = '', detail = '']) => (code === '' ? detail : `${detail} [${code}]`))
    .filter((text) => text !== '')
    .join('; ')

/** Without a terminal: a line now and then, when something has changed. */
const talkOf = (run: Run, { incident }: Look, before: string): string => {
  // One that was never executed has no keys.
  const text = [textAt(incident, 'state'), countsText(incident)].filter(Boolean).join(': ')
  if (text !== before) run.talk(text)
  return text
}

const ended = async (run: Run, incident: JsonObject, state: string): Promise<void> => {
  await show(run, {
    json: incident,
    names: [`incident/${textAt(incident, 'id')}`],
    text: () => `${incidentLine(incident)}  ${countsText(incident)}\n`,
  })
  for (const [i, command] of nextOf(incident).entries())
    run.talk(`${i === 0 ? 'next: ' : '      '}${command}`)
  if (state === 'partly') throw new Leave('partly')
}

const comeBack = (id: string): readonly string[] => [
  `rekey incident watch incident/${id}`,
  `rekey describe incident/${id}`,
]

const detached = ({ id, changed }: Watching): Failure =>
  interrupted({
    title: 'Detached',
    detail: 'the incident goes on at the server',
    changed,
    next: comeBack(id),
  })

const stillWaiting = (incident: JsonObject, { id, changed }: Watching): Failure =>
  new Failure({
    code: 'cli.stillWaiting',
    exit: 'stillWaiting',
    title: 'The time of --timeout is over',
    detail: countsText(incident),
    changed,
    next: comeBack(id),
  })
