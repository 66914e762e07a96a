// A deleted key leaves a tombstone: the provider is not touched, sealed material is erased, fingerprints and history stay.
// Its name and object are free again.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import type { Committed, Ledger, LedgerEvent, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { lockPolicies } from './assign-policies.ts'
import { buryKey } from './bury-key.ts'
import { giveUpCreation } from './creation.ts'
import { toldKey } from './registration.ts'
import { holdSeen } from './rights.ts'
import { demandsOfLeaving, mustNeedNoApproval } from './weakening.ts'
import { mustHold } from './written.ts'

export const deleteKey =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, named: NamedKey): Promise<Committed<null>> =>
    ledger.commit(actor, async (tx) => {
      await lockPolicies(tx)
      const { key, audit } = await removeKey(tx, actor, named)
      mustNeedNoApproval(await demandsOfLeaving(tx, key), { at: '', written: null })
      return { value: null, audit }
    })

interface NamedKey {
  readonly name: string
  readonly precondition: Precondition
}

export interface RemovedKey {
  readonly key: Key
  readonly audit: readonly [LedgerEvent, ...LedgerEvent[]]
}

/** Under the lock of policies. */
export const removeKey = async (
  tx: Tx,
  actor: Actor,
  { name, precondition }: NamedKey,
): Promise<RemovedKey> => {
  const key = await holdSeen(tx, actor, name)
  checkPrecondition(precondition, key.revision)
  await mustBeIdle(tx, key.id, name)
  const now = await tx.now()
  const givenUp = await giveUpCreation(tx, key, now)
  await buryKey(tx, key, now)
  for (const version of await tx.versions.of(key.id)) {
    if (version.sealedId === null) continue
    // oxlint-disable-next-line no-await-in-loop -- one connection
    mustHold(
      await tx.writeVersion.update(
        { ...version, sealedId: null, materialKnown: false },
        version.state,
      ),
    )
    await tx.writeSealed.erase(version.sealedId) // oxlint-disable-line no-await-in-loop -- one connection
  }
  const deleted: LedgerEvent = {
    action: 'key.deleted',
    target: { id: key.id, name },
    outcome: 'succeeded',
    before: toldKey(key),
  }
  return { key, audit: [deleted, ...givenUp] }
}

const mustBeIdle = async (tx: Tx, keyId: string, name: string): Promise<void> => {
  const open = await tx.rotations.openOf(keyId)
  if (open) {
    throw new RekeyError('key.busy', {
      detail: `The rotation ${open.id} of the key is open.`,
      hint: 'Let it end, cancel it or roll it back first.',
    })
  }
  const [incident] = await tx.incidents.openOfKeys([keyId])
  if (incident) {
    throw new RekeyError('key.busy', {
      detail: `The incident ${incident.incidentId} has the key, and is ${incident.incidentState}.`,
      hint: 'Close the incident first.',
      extra: { incident: incident.incidentId },
    })
  }
  const users = await tx.connections.withCredentialOf(name)
  if (users.length > 0) {
    throw new RekeyError('key.busy', {
      detail: `It is the credential of ${users.map((connection) => connection.name).join(', ')}.`,
      hint: 'Give these connections another credential first.',
    })
  }
}
