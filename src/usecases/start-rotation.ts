// A person asks for a rotation now. Windows do not bind it; freezes, pauses and blackouts do.

import type { Actor } from '#domain/actor.ts'
import { isHeldBy } from '#domain/contain-key.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Committed, Ids, Ledger, Tx } from '#domain/ports.ts'
import type { Rotation, Trigger } from '#domain/rotation.ts'
import type { Key } from '#domain/key.ts'
import { mustBeMade } from './creation.ts'
import { openRotation, type PlanDeps, planRotation } from './plan-rotation.ts'
import { holdSeen } from './rights.ts'

export interface StartDeps extends PlanDeps {
  readonly ledger: Ledger
  readonly ids: Ids
}

export const makeStartRotation =
  (deps: StartDeps) =>
  (
    actor: Actor,
    input: { readonly key: string; readonly reason: string },
  ): Promise<Committed<Rotation>> =>
    deps.ledger.commit(actor, async (tx) => {
      const key = await holdSeen(tx, actor, input.key)
      const rotation = await begin(deps, tx, key, {
        trigger: 'manual',
        reason: input.reason,
        requester: { id: actor.id, name: actor.name },
        version: null,
      })
      return { value: rotation, audit: [await openRotation(tx, rotation)], wake: [rotation.id] }
    })

/** Retires one old version that was adopted: a rotation that begins at overlapping. The key is held. */
export const makeStartRetirement =
  (deps: StartDeps) =>
  async (tx: Tx, actor: Actor, key: Key, version: number): Promise<Rotation> =>
    begin(deps, tx, key, {
      trigger: 'manual',
      reason: `retire the adopted version ${version}`,
      requester: { id: actor.id, name: actor.name },
      version,
    })

const begin = async (
  deps: StartDeps,
  tx: Tx,
  key: Key,
  request: {
    readonly trigger: Trigger
    readonly reason: string
    readonly requester: Rotation['plan']['requester']
    /** Null: replace the primary. */
    readonly version: number | null
  },
): Promise<Rotation> => {
  const open = await tx.rotations.openOf(key.id)
  if (open) throw inProgress(open)
  const incident = (await tx.incidents.openOfKeys([key.id])).find(isHeldBy)
  if (incident) throw heldBy(incident.incidentId)
  await mustBeMade(tx, key)
  const policy = key.policy === null ? null : await tx.policies.get(key.policy)
  const from =
    request.version === null
      ? await tx.versions.primary(key.id)
      : await tx.versions.get(key.id, request.version)
  return planRotation(
    deps,
    tx,
    {
      key,
      policy,
      from,
      trigger: request.trigger,
      reason: request.reason,
      requester: request.requester,
      occurrence: null,
      nominal: null,
      retireOnly: request.version !== null,
    },
    deps.ids.next(),
    await tx.now(),
  )
}

const heldBy = (incident: string): RekeyError =>
  new RekeyError('key.busy', {
    detail: `it is held by incident ${incident}`,
    hint: 'it rotates again once the incident has replaced or restored it, or is closed',
    extra: { incident },
  })

const inProgress = (open: Rotation): RekeyError =>
  new RekeyError('rotation.inProgress', {
    detail: `rotation ${open.id} of this key is in phase ${open.phase}`,
    hint: `look at it with: rekey describe rotation/${open.id}`,
    extra: { rotation: open.id },
  })
