// A person says that a step which they were asked for is done, or that it was not. The step is named by the operation id of
// its intent, so that nobody confirms another one than they have read. Said once; nothing at a provider is touched: the
// worker's next probe finds it.

import type { Actor } from '#domain/actor.ts'
import { type Confirmation, type HandEffect, isHandEffect, subjectOf } from '#domain/by-hand.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Committed, Ledger, LedgerEvent, Reads, Tx } from '#domain/ports.ts'
import type { KeyType } from '#domain/provider.ts'
import type { Intent, Rotation } from '#domain/rotation.ts'
import { isOpen, resumeInto } from '#domain/rotation-machine.ts'
import { mustWriteProviders } from './recovery-mode.ts'
import { Fenced, transitionEvent, write } from './rotation-engine.ts'
import { visibleRotation } from './steer-rotation.ts'

export interface ConfirmDeps {
  readonly ledger: Ledger
  readonly types: ReadonlyMap<string, KeyType>
}

export interface Said {
  readonly operationId: string
  readonly outcome: 'done' | 'notDone'
  /** `sha256:` and the hex digest of the new value. */
  readonly fingerprint?: string
  readonly evidence?: string
}

export const makeConfirmStep =
  ({ ledger, types }: ConfirmDeps) =>
  async (actor: Actor, id: string, said: Said): Promise<Committed<Confirmation>> => {
    try {
      return await ledger.commit(actor, async (tx) => {
        const rotation = await visibleRotation(tx, actor, id)
        const step = await stepAsked(tx, types, rotation, said.operationId)
        const digest = mustBeProof(rotation, step, said)
        const fingerprint = digest && tx.fingerprintOf(digest)
        if (digest) await mustBeNew(tx, rotation, digest)
        const row: Confirmation = {
          operationId: step.operationId,
          keyId: rotation.keyId,
          effect: step.effect,
          done: said.outcome === 'done',
          ...subjectOf(step),
          fingerprint,
          evidence: said.evidence ?? null,
          principalId: actor.id,
          principalName: actor.name,
          at: await tx.now(),
        }
        if (!(await tx.writeConfirmation.insert(row))) {
          throw new RekeyError('resource.exists', { detail: 'Somebody has said so already.' })
        }
        const moved = await goOn(tx, rotation)
        await tx.writeTimer.set(id, { dueNow: true })
        return { value: row, audit: [confirmed(rotation, row), ...moved], wake: [id] }
      })
    } catch (error) {
      if (!(error instanceof Fenced)) throw error
      throw new RekeyError('rotation.wrongPhase', {
        detail: 'The rotation moved on at this very moment.',
        hint: 'look at it and say it again',
      })
    }
  }

type Step = Intent & { readonly effect: HandEffect }

const stepAsked = async (
  db: Pick<Reads, 'intents'>,
  types: ConfirmDeps['types'],
  rotation: Rotation,
  operationId: string,
): Promise<Step> => {
  const intents = await db.intents.of(rotation.id)
  // Of a rotation that was abandoned nobody asks any more: what were said of it now would hand out a version that no key has.
  const asks = isOpen(rotation.phase) && types.get(rotation.plan.key.type)?.byHand !== undefined
  const open = asks ? intents.find((intent) => !intent.closed && isHand(intent)) : undefined
  if (open && isHand(open) && open.operationId === operationId) return open
  throw new RekeyError('rotation.wrongPhase', {
    detail: open
      ? 'It waits for another step.'
      : `It waits for no step of a person (${rotation.phase}).`,
    hint: open
      ? `read what is asked for and send its operationId, ${open.operationId}`
      : 'look at what it waits for: rekey describe',
    errors: [{ pointer: '/operationId', detail: 'not the step that it waits for' }],
    extra: { phase: rotation.phase },
  })
}

const isHand = (intent: Intent): intent is Step => isHandEffect(intent.effect)

/** Steps that take something away are told how it was seen that it is refused. */
const needEvidence: ReadonlySet<HandEffect> = new Set(['suspend', 'retire', 'removeNew'])

/** The digest of the new value, where one was sent. A new value is proven by its fingerprint, or by a webhook of the policy
 *  that tries it. */
const mustBeProof = (rotation: Rotation, step: Step, said: Said): Uint8Array | null => {
  const { outcome, fingerprint, evidence } = said
  if (evidence === undefined && (outcome === 'notDone' || needEvidence.has(step.effect))) {
    throw impossible(
      '/evidence',
      outcome === 'notDone'
        ? 'say why it was not done'
        : 'say how it was seen that the credential is refused now',
    )
  }
  if (fingerprint === undefined) {
    const tried = rotation.plan.policy.verify.some(({ type }) => type === 'webhook')
    if (step.effect === 'mint' && outcome === 'done' && !tried) {
      throw impossible(
        '/fingerprint',
        'send the SHA-256 of the new value (`rekey confirm` makes it), or have the policy verify it by a webhook',
      )
    }
    return null
  }
  if (step.effect !== 'mint' || outcome !== 'done') {
    throw impossible('/fingerprint', 'this step makes no new value: leave it out')
  }
  return Buffer.from(fingerprint.slice('sha256:'.length), 'hex')
}

/** One credential, one key, one version: who copies the old value has rotated nothing. */
const mustBeNew = async (tx: Tx, rotation: Rotation, digest: Uint8Array): Promise<void> => {
  const [same] = await tx.versions.holdingDigest(digest)
  if (!same) return
  throw impossible(
    '/fingerprint',
    same.keyId === rotation.keyId
      ? `this is the value of version ${same.version}: make a new one`
      : 'another key has this very value: make a new one',
  )
}

const impossible = (pointer: string, detail: string): RekeyError =>
  new RekeyError('request.impossible', { detail, errors: [{ pointer, detail }] })

/** A step that passed its date has stalled the rotation: whoever confirms it has looked at that. Recovery mode is not theirs
 *  to end. */
const goOn = async (tx: Tx, rotation: Rotation): Promise<readonly LedgerEvent[]> => {
  if (rotation.phase !== 'stalled' || !rotation.stalledIn) return []
  await mustWriteProviders(tx)
  const patch = { stalledIn: null, stalledReason: null }
  const next = await write(tx, rotation, { phase: resumeInto(rotation.stalledIn), patch })
  return [{ ...transitionEvent(rotation, next), action: 'rotation.resumed' }]
}

const confirmed = (rotation: Rotation, row: Confirmation): LedgerEvent => ({
  action: 'rotation.stepConfirmed',
  target: { id: rotation.id, name: rotation.keyName },
  outcome: row.done ? 'succeeded' : 'failed',
  correlationId: rotation.id,
  ...(row.evidence === null ? {} : { reason: row.evidence }),
  after: {
    key: rotation.keyName,
    step: row.effect,
    version: row.version,
    became: row.done ? row.became : null,
    // The digest of a value that a person could guess is not for a log.
    fingerprint: row.fingerprint !== null,
  },
  provider: { operationId: row.operationId },
})
