// A person says that a version which Rekey cannot switch off itself is off, or that it is not; and, of what was only disabled, that it
// is on again. Their word is an intent and its outcome at once, beside the confirmation that the type reads (ADR 0017): what was
// done is known, as of every other effect, and a restoration or a rotation that looks afterwards finds it.
//
// It proves nothing: the version is `unproven`, with who said what and when. `refused` is only written of what was tried.

import type { Actor } from '#domain/actor.ts'
import { type Confirmation, isHandEffect, subjectOf } from '#domain/by-hand.ts'
import { containing, lastIntent, restoring } from '#domain/contain-key.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Incident, IncidentKey, VersionEvidence } from '#domain/incident.ts'
import type { Version } from '#domain/key.ts'
import type { Committed, Ids, Ledger, LedgerEvent, Tx } from '#domain/ports.ts'
import { type KeyType, typeFor } from '#domain/provider.ts'
import type { Intent } from '#domain/rotation.ts'
import { type Case, keyWith, plannedOf } from './contained-cases.ts'
import { effectEvent, keyEvent } from './containment-events.ts'
import { incidentEvent, lockIncident, mustBeIn } from './incident-events.ts'
import { beginIntent, endIntent } from './incident-intents.ts'
import { mustWriteProviders } from './recovery-mode.ts'
import type { ReportedKey } from './report-incident.ts'
import { notFound } from './rights.ts'
import { visibleIncident } from './see-incident.ts'

export interface ConfirmContainment {
  readonly key: string
  readonly version: number
  /** Switched off, or on again. */
  readonly step: 'off' | 'on'
  readonly outcome: 'done' | 'notDone'
  /** How it was seen; of what was not done, why. */
  readonly evidence: string
}

interface Deps {
  readonly ledger: Ledger
  readonly ids: Ids
  readonly types: ReadonlyMap<string, KeyType>
}

type Found = Pick<
  Case,
  'incident' | 'key' | 'evidence' | 'versions' | 'intents' | 'type' | 'connection'
>

export const confirmContainment =
  (deps: Deps) =>
  (actor: Actor, id: string, said: ConfirmContainment): Promise<Committed<ReportedKey>> =>
    deps.ledger.commit(actor, async (tx) => {
      await lockIncident(tx, id)
      const incident = await visibleIncident(tx, actor, id)
      mustBeIn(incident, ['executing', 'contained', 'partly'], 'worked on')
      if (said.step === 'on' && actor.type === 'breakGlass')
        throw new RekeyError('auth.denied', {
          detail: 'A token to break glass with gives nothing back.',
        })
      await mustWriteProviders(tx)
      const found = await caseOf(deps, tx, incident, said.key)
      const one = mustBeAsked(found, said)
      const at = await tx.now()
      const { begun, ended } =
        said.outcome === 'done' ? asIntents(deps.ids, found, said, at) : { begun: [], ended: [] }
      if (begun.length > 0) await tx.writeIntent.insertMany(begun)
      if (ended.length > 0) await tx.writeIntent.settleMany(ended)
      for (const intent of begun) await tx.writeConfirmation.insert(wordOf(actor, intent, said, at)) // oxlint-disable-line no-await-in-loop -- one connection
      if (said.step === 'off' && said.outcome === 'done' && incident.mode === 'disable')
        await tx.writeVersion.contain([
          { keyId: found.key.keyId, version: said.version, state: 'suspended' },
        ])
      const text = told(actor, said, at)
      const evidence = said.step === 'on' ? one : judged(one, said, text, at, deps.ids.next())
      const key = keyWith(found, [evidence], at, said.step === 'on' ? { detail: text } : {})
      await write(tx, found.key, one, { key, evidence })
      if (incident.state === 'executing') await tx.writeIncident.seize(id, [key.keyId])
      const told2 = {
        key: key.key,
        keyId: key.keyId,
        version: said.version,
        step: said.step,
        outcome: said.outcome,
      }
      const word: LedgerEvent = {
        ...incidentEvent(
          'incident.stepConfirmed',
          incident,
          told2,
          `${key.key} v${said.version}: ${text}`,
        ),
        outcome: said.outcome === 'done' ? 'succeeded' : 'failed',
      }
      const events = begun.flatMap((intent, i) => [
        effectEvent(found, intent, 'intent', { id: intent.eventId }),
        effectEvent(found, ended[i] ?? intent, 'succeeded', { detail: text }),
      ])
      const receipt = said.step === 'on' ? undefined : (evidence.auditEventId ?? undefined)
      return {
        value: {
          ...key,
          versions: found.evidence.map((of) => (of.version === evidence.version ? evidence : of)),
        },
        audit: [word, ...events, keyEvent(key, [evidence], receipt)],
      }
    })

const caseOf = async (
  { types }: Deps,
  tx: Tx,
  incident: Incident,
  name: string,
): Promise<Found> => {
  const key = await tx.keys.byName(name)
  const [row] = key ? await tx.incidents.keysOf(incident.id, [key.id]) : []
  const type = row && types.get(row.plan.type)
  const connection = row && (await tx.connections.get(row.connection))
  if (!key || !row || !type || !connection) throw notFound('key in this incident', name)
  return {
    incident,
    key: row,
    evidence: await tx.incidents.versionsOf(incident.id, [key.id]),
    versions: await tx.versions.ofKeys([key.id]),
    intents: await tx.intents.ofIncident(incident.id, [key.id]),
    type: typeFor(type, key.ref),
    connection,
  }
}

/** Nobody confirms what is not asked of a person, or while it is under way. */
const mustBeAsked = (
  found: Found,
  { version, step, outcome }: ConfirmContainment,
): VersionEvidence => {
  const one = found.evidence.find((of) => of.version === version)
  if (!one) throw impossible('/version', 'not a version that this incident contains')
  if (one.containment !== 'byHand')
    throw impossible('/version', 'Rekey ends this version itself: nobody is asked to')
  if (step === 'on') {
    if (found.incident.mode !== 'disable' || outcome === 'notDone' || !isOff(found, one))
      throw impossible(
        '/step',
        'only what a person has switched off, and may come back, is switched on',
      )
    if (found.key.restoration === null)
      throw wrongState(
        'Nobody has asked for its restoration.',
        `rekey incident restore incident/${found.incident.id} --key ${found.key.key} --reason "…"`,
      )
    return one
  }
  if (one.state !== 'unproven' && one.state !== 'failed')
    throw wrongState(
      one.state === 'restored' ? 'It was restored already.' : 'It is not asked for yet.',
      `rekey describe incident/${found.incident.id}`,
    )
  if (found.key.restoration !== null)
    throw wrongState(
      'Its restoration was asked for.',
      `rekey describe incident/${found.incident.id}`,
    )
  if (outcome === 'done' ? isOff(found, one) : one.state === 'failed')
    throw new RekeyError('resource.exists', { detail: `It was said already: ${one.detail ?? ''}` })
  return one
}

/** Whether a person has said that it is off, and nobody has said since that it is not. */
const isOff = (found: Found, { version, state }: VersionEvidence): boolean =>
  state !== 'failed' &&
  plannedOf(found, version).providerVersions.every(
    (id) => lastIntent(found.intents, containing(found.incident.id), id)?.outcome === 'succeeded',
  )

const asIntents = (ids: Ids, found: Found, { version, step }: ConfirmContainment, at: Date) => {
  const planned = plannedOf(found, version)
  const phase = step === 'on' ? restoring(found.incident.id) : containing(found.incident.id)
  const effect = step === 'on' ? 'reinstate' : found.type.traits.suspend ? 'suspend' : 'retire'
  const wanted = { reinstate: 'enabled', suspend: 'disabled', retire: 'destroyed' }[effect]
  const begun = planned.providerVersions.map((target) =>
    beginIntent(
      found,
      {
        verb: step === 'on' ? 'restore' : 'contain',
        phase,
        target,
        last: lastIntent(found.intents, phase, target),
        effect,
        preImage: { wanted, version, state: stateOf(found.versions, version) },
        eventId: ids.next(),
      },
      at,
    ),
  )
  return { begun, ended: begun.map((intent) => endIntent(intent, null, at)) }
}

const stateOf = (versions: readonly Version[], number: number): string =>
  versions.find(({ version }) => version === number)?.state ?? 'absent'

const wordOf = (
  actor: Actor,
  intent: Intent,
  { evidence }: ConfirmContainment,
  at: Date,
): Confirmation => {
  const { effect } = intent
  if (!isHandEffect(effect)) throw new RangeError(`nobody carries out ${effect} by hand`)
  return {
    operationId: intent.operationId,
    keyId: intent.keyId,
    effect,
    done: true,
    ...subjectOf({ ...intent, effect }),
    fingerprint: null,
    evidence,
    principalId: actor.id,
    principalName: actor.name,
    at,
  }
}

const told = (actor: Actor, { step, outcome, evidence }: ConfirmContainment, at: Date): string => {
  const what = outcome === 'notDone' ? 'not switched off' : `switched ${step} by hand`
  return `${what}, said ${actor.name} at ${at.toISOString()}: ${evidence}`
}

const judged = (
  one: VersionEvidence,
  { outcome }: ConfirmContainment,
  detail: string,
  at: Date,
  receipt: string,
): VersionEvidence => ({
  ...one,
  state: outcome === 'done' ? 'unproven' : 'failed',
  requestedAt: one.requestedAt ?? at,
  effectiveAt: outcome === 'done' ? at : null,
  detail,
  auditEventId: receipt,
})

/** From one word to the other it is pending for a moment: the database knows no other way. */
const write = async (
  tx: Tx,
  keyBefore: IncidentKey,
  before: VersionEvidence,
  { key, evidence }: { readonly key: IncidentKey; readonly evidence: VersionEvidence },
): Promise<void> => {
  if (evidence.state !== before.state)
    await tx.writeIncident.putVersions([{ ...before, state: 'pending' }])
  if (evidence !== before) await tx.writeIncident.putVersions([evidence])
  if (key.state !== keyBefore.state)
    await tx.writeIncident.putKeys([{ ...keyBefore, state: 'pending' }])
  await tx.writeIncident.putKeys([key])
}

const impossible = (pointer: string, detail: string): RekeyError =>
  new RekeyError('request.impossible', { detail, errors: [{ pointer, detail }] })

const wrongState = (detail: string, hint: string): RekeyError =>
  new RekeyError('incident.wrongState', { detail, hint })
