// The moment from which on something is done: in one transaction, under the locks of the incident and of every key that it means,
// the preview is drawn once more, and what it says now must be, to the letter, what was shown and agreed to. Then the set, the
// keys and their versions, is written down, due at once, and frozen by the database: it is what is executed (I11). Nothing has
// touched a provider when this commits; whoever dies right after it has done nothing, and any worker goes on.
//
// Executed again with the same hash, what failed or could not be proven is tried once more, and nothing else.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type {
  ContainedKey,
  Incident,
  IncidentKey,
  IncidentPreview,
  VersionEvidence,
} from '#domain/incident.ts'
import type { Committed, HashJson, Ledger, Outcome, Reads, Tx } from '#domain/ports.ts'
import { holdPlaces, mustBeWhereShown } from './as-shown.ts'
import { mustBeThis } from './approve-incident.ts'
import { mustBeReviewed } from './close-incident.ts'
import { mustBeTheirs } from './incident-approvals.ts'
import { incidentEvent, lockIncident, mustBeIn, rewrite } from './incident-events.ts'
import { differences, type Differences } from './preview-incident.ts'
import { mustWriteProviders } from './recovery-mode.ts'
import { everything } from './rights.ts'
import { namedTo } from './see-incident.ts'

export interface ExecuteDeps {
  readonly ledger: Ledger
  readonly hashJson: HashJson
  /** The incident, as far as the actor may see it. */
  readonly visible: (db: Reads, actor: Actor, id: string) => Promise<Incident>
  readonly preview: (db: Reads, actor: Actor, incident: Incident) => Promise<IncidentPreview>
  readonly mustBeApproved: (db: Reads, actor: Actor, incident: Incident) => Promise<void>
}

export interface ExecuteOrder {
  readonly previewHash: string
  /** The incident's id, typed. */
  readonly confirm: string
}

export const makeExecuteIncident =
  (deps: ExecuteDeps) =>
  (actor: Actor, id: string, order: ExecuteOrder): Promise<Committed<Incident>> =>
    deps.ledger.commit(actor, async (tx): Promise<Outcome<Incident>> => {
      await lockIncident(tx, id)
      const incident = await deps.visible(tx, actor, id)
      mustBeConfirmed(id, order.confirm)
      await mustWriteProviders(tx)
      return incident.execution === null
        ? first(deps, tx, actor, incident, order.previewHash)
        : again(deps, tx, actor, incident, order.previewHash)
    })

const mustBeConfirmed = (id: string, confirm: string): void => {
  if (confirm === id) return
  throw new RekeyError('incident.confirmationWrong', {
    detail: 'What was typed is not the id of this incident.',
    hint: `Type ${id}`,
    errors: [{ pointer: '/confirm', detail: 'not the id of this incident' }],
  })
}

const first = async (
  deps: ExecuteDeps,
  tx: Tx,
  actor: Actor,
  incident: Incident,
  hash: string,
): Promise<Outcome<Incident>> => {
  mustBeIn(incident, ['previewed', 'awaitingApproval'], 'executed')
  mustBeThis(incident, hash, await tx.now())
  const shown = await tx.incidents.preview(incident.id)
  if (shown === null) throw new RangeError('the preview was marked and not kept')
  await holdPlaces(tx, shown.keys)
  // It may have waited for them for too long.
  const now = await tx.now()
  mustBeThis(incident, hash, now)
  await deps.mustBeApproved(tx, actor, incident)
  await mustNotBeRestored(tx, actor, incident, shown.keys)
  const drawn = await deps.preview(tx, actor, incident)
  if (drawn.hash !== hash) throw stale(differences(deps.hashJson, shown, drawn))
  const keys = drawn.keys.map((plan, position) => keyOf(incident, plan, position, now))
  const versions = keys.flatMap((key) =>
    key.plan.versions.map(({ version, containment }) => evidenceOf(key, version, containment)),
  )
  await tx.writeIncident.insertKeys(keys, versions)
  const executed = await rewrite(tx, incident, {
    state: 'executing',
    execution: { hash, at: now, by: { id: actor.id, name: actor.name } },
  })
  return {
    value: executed,
    audit: [
      incidentEvent(
        'incident.executed',
        executed,
        { hash, mode: incident.mode, keys: keys.length, versions: versions.length, again: false },
        incident.reason,
      ),
    ],
  }
}

/** What leaked is ended whatever is under way (I11): a restoration finds it compromised, and brings nothing back. What is only
 *  disabled would be switched on by it again, as somebody has asked: it ends by itself, in so many tries, and then the key is
 *  looked at as it is. */
const mustNotBeRestored = async (
  tx: Tx,
  actor: Actor,
  { id, mode }: Incident,
  plans: readonly ContainedKey[],
): Promise<void> => {
  if (mode !== 'disable') return
  const open = await tx.incidents.openOfKeys(plans.map(({ keyId }) => keyId))
  const asked = open.filter(
    ({ incidentId, restoration }) => incidentId !== id && restoration === 'asked',
  )
  const [first, ...more] = asked
  if (!first) return
  const { text, incident } = await namedTo(tx, actor, first.incidentId)
  const others = more.length === 0 ? '' : ` and ${more.length} more`
  throw new RekeyError('key.busy', {
    detail: `${first.key}${others} ${more.length === 0 ? 'is' : 'are'} being switched on again by ${text}.`,
    hint: 'It ends by itself. Then preview this one again, and execute that. If it has leaked, another mode does not wait.',
    extra: { keys: asked.slice(0, 100).map(({ key }) => key), incident },
  })
}

const keyOf = (
  { id, mode }: Incident,
  plan: ContainedKey,
  position: number,
  now: Date,
): IncidentKey => ({
  incidentId: id,
  keyId: plan.keyId,
  key: plan.key,
  connection: plan.connection,
  position,
  plan,
  state: 'pending',
  replacement:
    (mode === 'rotateFast' || mode === 'revokeFirst') && plan.replacement !== 'none'
      ? 'pending'
      : null,
  rotationId: null,
  restoration: null,
  lateUntil: null,
  detail: null,
  updatedAt: now,
})

const evidenceOf = (
  { incidentId, keyId }: IncidentKey,
  version: number,
  containment: VersionEvidence['containment'],
): VersionEvidence => ({
  incidentId,
  keyId,
  version,
  containment,
  state: 'pending',
  requestedAt: null,
  effectiveAt: null,
  provenAt: null,
  operation: null,
  code: null,
  refusedAfter: null,
  detail: null,
  operationId: null,
  auditEventId: null,
})

const stale = (differs: Differences): RekeyError =>
  new RekeyError('incident.previewStale', {
    detail: 'What it means is not what was shown: something has changed since.',
    hint: 'Preview it again, look at what differs, and execute that.',
    extra: { ...differs },
  })

const pageSize = 1_000

/** What failed or is unproven is pending once more, and so is a replacement that failed. */
const again = async (
  { hashJson }: Pick<ExecuteDeps, 'hashJson'>,
  tx: Tx,
  actor: Actor,
  incident: Incident,
  hash: string,
): Promise<Outcome<Incident>> => {
  mustBeIn(incident, ['partly'], 'executed again')
  if (incident.execution?.hash !== hash) {
    throw new RekeyError('incident.previewStale', {
      detail: 'It was executed with another hash: what was executed stays what it is.',
      hint: 'For other keys, open another incident.',
      errors: [{ pointer: '/previewHash', detail: 'not what was executed' }],
    })
  }
  mustBeTheirs(actor, incident)
  if (actor.type !== 'breakGlass') mustBeReviewed(incident)
  const all = await everything((after) =>
    tx.incidents.keys(incident.id, null, { limit: pageSize, after }),
  )
  const bad = all.filter(isBad)
  if (bad.length === 0) {
    throw new RekeyError('incident.wrongState', {
      detail: 'Nothing of it can be tried once more.',
      hint: 'What could not be restored is asked for again by a restoration.',
    })
  }
  await mustBeWhereShown(
    tx,
    actor,
    bad.map(({ plan }) => plan),
    hashJson,
  )
  await mustNotBeRestored(
    tx,
    actor,
    incident,
    bad.map(({ plan }) => plan),
  )
  const now = await tx.now()
  for (let at = 0; at < bad.length; at += pageSize)
    await retry(tx, bad.slice(at, at + pageSize), now) // oxlint-disable-line no-await-in-loop -- page after page
  const { id, name } = actor
  const executed = await rewrite(tx, incident, {
    state: 'executing',
    execution: { hash, at: incident.execution.at, by: incident.execution.by },
  })
  return {
    value: executed,
    audit: [
      incidentEvent('incident.executed', executed, {
        hash,
        keys: bad.length,
        again: true,
        by: name,
        byId: id,
      }),
    ],
  }
}

const isBad = ({ state, replacement, restoration }: IncidentKey): boolean =>
  restoration === null && (state === 'failed' || state === 'unproven' || replacement === 'failed')

const retry = async (tx: Tx, bad: readonly IncidentKey[], now: Date): Promise<void> => {
  const [one] = bad
  if (!one) return
  const ids = bad.map(({ keyId }) => keyId)
  const evidence = (await tx.incidents.versionsOf(one.incidentId, ids)).filter(
    ({ state }) => state === 'failed' || state === 'unproven',
  )
  await tx.writeIncident.putVersions(
    // What was sent before did not do it, or nobody knows.
    evidence.map((version) => ({
      ...version,
      state: 'pending',
      requestedAt: null,
      effectiveAt: null,
      code: null,
      detail: null,
    })),
  )
  await tx.writeIncident.putKeys(
    bad.map((key) => ({
      ...key,
      state: evidence.some(({ keyId }) => keyId === key.keyId) ? 'pending' : key.state,
      ...(key.replacement === 'failed'
        ? { replacement: 'pending' as const, rotationId: null }
        : {}),
      detail: null,
      updatedAt: now,
    })),
  )
  await tx.writeIncident.seize(one.incidentId, ids)
}
