// What is handed over when it is over: what was asked, shown, agreed to, done and proven, with the ids under which the audit log
// has each, and what is left to do. As it stands when it is asked for.

import type { Actor } from '#domain/actor.ts'
import type {
  Incident,
  IncidentApproval,
  IncidentKey,
  IncidentKeyState,
  IncidentPreview,
  VersionEvidence,
} from '#domain/incident.ts'
import { type StepTick, takenSteps } from '#domain/playbook.ts'
import type { Clock, Ledger, Reads } from '#domain/ports.ts'
import { needsReview } from './close-incident.ts'
import { type Moment, momentsOf, type ShownNote, shownNotes } from './incident-timeline.ts'
import { seenPreview } from './seen-preview.ts'
import { seen, type SeenIncident, visibleIncident } from './see-incident.ts'

export interface ReportedKey extends IncidentKey {
  readonly versions: readonly VersionEvidence[]
}

export interface IncidentReport {
  readonly at: Date
  readonly incident: Incident
  readonly counts: Readonly<Partial<Record<IncidentKeyState, number>>>
  readonly waiting: SeenIncident['waiting']
  readonly ticks: SeenIncident['ticks']
  /** Of the preview that stands. */
  readonly approvals: readonly IncidentApproval[]
  /** Without its keys. */
  readonly preview: Omit<IncidentPreview, 'keys'> | null
  readonly keys: readonly ReportedKey[]
  readonly notes: readonly ShownNote[]
  readonly timeline: readonly Moment[]
  /** Sentences: what is left to do. */
  readonly open: readonly string[]
}

const mostMoments = 1_000

export const reportIncident =
  ({
    ledger,
    clock,
  }: {
    readonly ledger: Pick<Ledger, 'read'>
    readonly clock: Pick<Clock, 'now'>
  }) =>
  (actor: Actor, id: string): Promise<IncidentReport> =>
    ledger.read(async (db) => {
      const incident = await visibleIncident(db, actor, id)
      const { counts, waiting, ticks } = await seen(db, incident)
      const keys = await evidenceOf(db, incident)
      const kept = await db.incidents.preview(id)
      const preview = kept && (await seenPreview(db, actor, kept))
      const approvals = await db.incidents.approvals(id)
      const timeline = await momentsOf(db, id, 'milestones', { limit: mostMoments, after: null })
      return {
        at: clock.now(),
        incident,
        counts,
        waiting,
        ticks,
        approvals: approvals.filter(({ previewHash }) => previewHash === incident.preview?.hash),
        preview: preview && withoutKeys(preview),
        keys,
        notes: shownNotes(await db.incidents.notes(id)),
        timeline: timeline.items,
        open: [...leftToDo(incident, keys), ...stepsLeft(incident, ticks, clock.now())],
      }
    })

const withoutKeys = ({ keys: _keys, ...rest }: IncidentPreview): Omit<IncidentPreview, 'keys'> =>
  rest

const evidenceOf = async (
  db: Pick<Reads, 'incidents'>,
  { id, execution }: Incident,
): Promise<readonly ReportedKey[]> => {
  if (execution === null) return []
  const keys: ReportedKey[] = []
  let after: string | null = null
  do {
    // oxlint-disable-next-line no-await-in-loop -- a page names the next one
    const page: Awaited<ReturnType<Reads['incidents']['keys']>> = await db.incidents.keys(
      id,
      null,
      {
        limit: 1_000,
        after,
      },
    )
    keys.push(...(await withEvidence(db, id, page.items))) // oxlint-disable-line no-await-in-loop -- one connection
    after = page.next
  } while (after !== null)
  return keys
}

export const withEvidence = async (
  db: Pick<Reads, 'incidents'>,
  id: string,
  keys: readonly IncidentKey[],
): Promise<readonly ReportedKey[]> => {
  const rows = await db.incidents.versionsOf(
    id,
    keys.map(({ keyId }) => keyId),
  )
  const byKey = Map.groupBy(rows, ({ keyId }) => keyId)
  return keys.map((key) => ({ ...key, versions: byKey.get(key.keyId) ?? [] }))
}

const leftToDo = (incident: Incident, keys: readonly ReportedKey[]): readonly string[] => {
  const about = (
    states: readonly IncidentKeyState[],
    say: (names: string) => string,
    which: (key: ReportedKey) => boolean = () => true,
  ) => {
    const names = keys
      .filter((key) => states.includes(key.state) && which(key))
      .map(({ key }) => key)
    return names.length === 0 ? [] : [say(some(names))]
  }
  return [
    ...(incident.execution === null ? ['Nothing was executed.'] : []),
    ...about(['pending', 'revoking', 'replacing'], (names) => `Under way: ${names}.`),
    ...about(
      ['failed'],
      (names) =>
        `Failed, and perhaps still accepted: ${names}. See why, mend it, and execute again.`,
    ),
    ...keys
      .filter(isUnsaid)
      .map(
        ({ key, versions }) =>
          `By hand, and nobody has said that it is done: ${key}. ${versions.find(isAsked)?.detail ?? ''} Then: rekey incident confirm incident/${incident.id} --key ${key} --evidence "…"`,
      ),
    ...about(
      ['unproven'],
      (names) => `Switched off, and not proven to be refused: ${names}. Ask whoever accepts it.`,
      (key) => !isUnsaid(key),
    ),
    ...about(['refusedAfter'], (names) => `Caches may accept it until its time: ${names}.`),
    ...keys
      .filter(({ replacement }) => replacement === 'failed')
      .map(
        ({ key }) => `No replacement of ${key} is in use: start one with: rekey rotate key/${key}`,
      ),
    ...(needsReview(incident)
      ? ['Somebody else reviews it: it was executed by breaking glass.']
      : []),
  ]
}

const isAsked = ({ containment, state, effectiveAt }: VersionEvidence): boolean =>
  containment === 'byHand' && state === 'unproven' && effectiveAt === null

/** A person must do it, and nobody has said anything. */
const isUnsaid = ({ restoration, versions }: ReportedKey): boolean =>
  restoration === null && versions.some(isAsked)

/** In the order of the playbook. */
const stepsLeft = (
  { playbook }: Incident,
  ticks: readonly StepTick[],
  now: Date,
): readonly string[] =>
  playbook === null
    ? []
    : takenSteps(playbook, ticks, now)
        .filter(({ state }) => state !== 'done')
        .map(
          ({ step, title, state, late, owner = playbook.owner }) =>
            `Step ${step} of the playbook ${playbook.name} (${owner}) is not done${late ? ', and late' : ''}${state === 'notDone' ? ', as somebody said' : ''}: ${title}`,
        )

const some = (names: readonly string[]): string =>
  names.length > 10
    ? `${names.slice(0, 10).join(', ')} and ${names.length - 10} more`
    : names.join(', ')
