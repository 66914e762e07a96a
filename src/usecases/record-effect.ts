// What an effect leaves in the books: its intent's end, and the one event that tells of it.

import type { JsonObject } from '#domain/json.ts'
import type { LedgerEvent, Tx } from '#domain/ports.ts'
import { effects, type Intent, type Rotation } from '#domain/rotation.ts'
import { Fenced, type Run, write } from './rotation-engine.ts'
import type { EffectSpec } from './run-effect.ts'

/** The detail of an intent whose request never had its effect: its input may be sent again. */
export const absentDetail = 'the provider has no trace of it'

/** An end without an effect (`failed`, closed), or one that is not known yet (`unknown`, open). The rotation stays where it
 *  is, under its fence. */
export const record = async (
  run: Run,
  rotation: Rotation,
  spec: Pick<EffectSpec, 'effect' | 'object' | 'target'>,
  intent: Intent,
  outcome: 'failed' | 'unknown',
  detail: string,
  erase: string | null = null,
): Promise<Rotation> => {
  const { value } = await run.ledger.commit(run.actor, async (tx) => {
    const next = await write(tx, rotation, {})
    await settle(tx, intent, { outcome, closed: outcome === 'failed', result: null, detail })
    if (erase !== null) await tx.writeSealed.erase(erase)
    return {
      value: next,
      audit: [effectEvent(rotation, spec, intent, outcome, { reason: detail })],
    }
  })
  return value
}

export const settle = async (
  tx: Tx,
  intent: Intent,
  end: Pick<Intent, 'outcome' | 'closed' | 'result' | 'detail'>,
): Promise<void> => {
  const endedAt = end.closed ? await tx.now() : null
  if (!(await tx.writeIntent.settle({ ...intent, ...end, endedAt }))) {
    throw new Fenced(intent.rotationId ?? intent.keyId)
  }
}

export const effectEvent = (
  rotation: Rotation,
  spec: Pick<EffectSpec, 'effect' | 'object' | 'target'>,
  intent: Intent,
  outcome: LedgerEvent['outcome'],
  more: { readonly id?: string; readonly reason?: string; readonly after?: JsonObject },
): LedgerEvent => ({
  ...(more.id ? { id: more.id } : {}),
  action: effects[spec.effect],
  target: spec.object,
  outcome,
  correlationId: rotation.id,
  ...(outcome === 'intent' ? {} : { causationId: intent.eventId }),
  ...(more.reason ? { reason: more.reason } : {}),
  after: {
    key: rotation.keyName,
    keyId: rotation.keyId,
    phase: rotation.phase,
    target: spec.target,
    attempt: intent.attempt,
    epoch: rotation.epoch,
    ...(more.after ? { result: more.after } : {}),
  },
  provider: { operationId: intent.operationId },
})
