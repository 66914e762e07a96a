// What a provider has become since the backup, taken over for one key. The provider is only read: what serves there is tried
// (I3: no unverified primary) and becomes our primary; versions of ours take the states that they have there. One
// transaction: a crash leaves the key as it was, and the acceptance is repeated.
//
// An open rotation of the key is given up: it would go on from a world that is gone.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import { type Key, mayBecome, type Version, type VersionState } from '#domain/key.ts'
import type { LedgerEvent, Tx } from '#domain/ports.ts'
import type { ProviderVersion } from '#domain/provider.ts'
import type { Finding, Recovery, Verdict } from '#domain/recovery.ts'
import { mayGo } from '#domain/rotation-machine.ts'
import { asking } from './provider-failures.ts'
import { fingerprintOf, type Proof, proveVersion } from './prove-version.ts'
import { compareKey, type ReconcileDeps } from './reconcile-keys.ts'
import { reschedule } from './reschedule.ts'
import { addressOf, findType } from './registration.ts'
import { transitionEvent, write } from './rotation-engine.ts'
import { advanceVersion } from './version-changes.ts'

export interface AdoptDeps extends ReconcileDeps {}

interface Changed {
  readonly version: number
  readonly state: ProviderVersion['state']
}

/** Looks once more, and takes over what is there now. Throws RekeyError where that does not work. */
export const adoptAfterRestore = async (
  deps: AdoptDeps,
  actor: Actor,
  recovery: Recovery,
  finding: Finding,
): Promise<void> => {
  const { key, connection } = await deps.ledger.read(async (db) => {
    const found = await db.keys.byId(finding.keyId)
    return { key: found, connection: found && (await db.connections.get(found.connection)) }
  })
  if (!key || !connection) throw new RangeError(`the key ${finding.keyId} has lost its connection`)
  const verdict = await compareKey(deps, recovery, key)
  if (verdict.state !== 'adopt') {
    await deps.whereabouts.putFinding({ ...finding, ...verdict, lookedAt: deps.clock.now() })
    return
  }
  const { successor } = verdict.facts
  const session = await asking(() => deps.sessions.open(connection))
  const proof =
    typeof successor === 'string'
      ? await asking(() => proveVersion(session, deps.clock, addressOf(key), successor))
      : null
  const keepsOld = findType(deps.providers, connection, key.type).traits.slot === 'internal'
  await deps.ledger.commit(actor, async (tx) => {
    await tx.holdKeys([key.id])
    const given = await giveUp(tx, key)
    const taken =
      typeof successor === 'string' && proof
        ? await succeed(tx, key, { successor, proof, verdict, keepsOld })
        : null
    await takeStates(tx, key, verdict)
    await reschedule(tx, key.id)
    await tx.writeRecovery.putFinding({
      ...finding,
      state: 'adopted',
      detail: verdict.detail,
      facts: { ...verdict.facts, retire: taken },
      lookedAt: await tx.now(),
    })
    return { value: null, audit: [adopted(key, recovery, verdict), ...given] }
  })
}

const adopted = (key: Key, recovery: Recovery, verdict: Verdict): LedgerEvent => ({
  action: 'key.versionAdopted',
  target: { id: key.id, name: key.name },
  outcome: 'succeeded',
  reason: `accepted after a restore: ${verdict.detail}`,
  after: { recovery: recovery.id, ...verdict.facts },
})

const giveUp = async (tx: Tx, key: Key): Promise<readonly LedgerEvent[]> => {
  const open = await tx.rotations.openOf(key.id)
  if (!open) return []
  const reason = 'its key has moved on at the provider since the backup'
  const phase = mayGo(open.phase, 'abandoned') ? 'abandoned' : 'cancelled'
  const next = await write(tx, open, { phase })
  await tx.writeTimer.set(open.id, { dueAt: null, waitingFor: null })
  return [transitionEvent(open, next, reason)]
}

/** The provider's version becomes our primary. Returns the old one, where it is still accepted and a rotation must end it. */
const succeed = async (
  tx: Tx,
  key: Key,
  by: {
    readonly successor: string
    readonly proof: Proof
    readonly verdict: Verdict
    readonly keepsOld: boolean
  },
): Promise<number | null> => {
  const ours = await tx.versions.of(key.id)
  const old = ours.find((version) => version.primary) ?? null
  const { material } = by.proof
  if (old?.fingerprint && material && tx.isFingerprintOf(old.fingerprint, material)) {
    // Somebody wrote beside it: the very same value, under a newer number.
    const providerVersions = [...old.providerVersions, by.successor]
    await mustUpdate(tx, { ...old, providerVersions }, old.state)
    return null
  }
  const known = ours.find((version) => version.providerVersions.includes(by.successor))
  if (known?.state === 'compromised') {
    throw new RekeyError('key.versionUnusable', {
      detail: `The provider serves version ${by.successor}, which is compromised.`,
      hint: 'Make another one current at the provider.',
    })
  }
  if (old) await mustUpdate(tx, { ...old, primary: false }, old.state)
  const now = await tx.now()
  const proven = {
    primary: true,
    fingerprint: fingerprintOf(tx, material),
    materialKnown: material !== null,
    verifiedAt: by.proof.verified ? now : null,
  }
  if (known && (known.state === 'active' || mayBecome(known.state, 'active'))) {
    if (known.state === 'active') await mustUpdate(tx, { ...known, ...proven }, 'active')
    else await advanceVersion(tx, known, ['active'], proven)
  } else {
    await tx.writeVersion.insert({
      ...proven,
      keyId: key.id,
      version: Math.max(0, ...ours.map(({ version }) => version)) + 1,
      state: 'active',
      providerVersions: [by.successor],
      sealedId: null,
      rotationId: null,
      createdAt: now,
      activatedAt: now,
      suspendedAt: null,
      deactivatedAt: null,
      compromisedAt: null,
      destroyedAt: null,
    })
  }
  if (!old) return null
  const state = oldState(by.verdict)
  if (state === 'enabled' && !by.keepsOld) return old.version
  await end(tx, { ...old, primary: false }, state === 'enabled' ? 'disabled' : state)
  return null
}

/** What the provider says of the version that served here. */
const oldState = ({ facts }: Verdict): ProviderVersion['state'] => {
  const { carrierState } = facts
  return carrierState === 'enabled' || carrierState === 'disabled' ? carrierState : 'destroyed'
}

const takeStates = async (tx: Tx, key: Key, { facts }: Verdict): Promise<void> => {
  for (const { version, state } of (facts['changed'] ?? []) as unknown as readonly Changed[]) {
    const row = await tx.versions.get(key.id, version) // oxlint-disable-line no-await-in-loop -- few
    if (!row || row.primary) continue
    if (state !== 'enabled') await end(tx, row, state) // oxlint-disable-line no-await-in-loop -- few
    else if (mayBecome(row.state, 'active')) await advanceVersion(tx, row, ['active']) // oxlint-disable-line no-await-in-loop -- few
  }
}

const end = async (
  tx: Tx,
  version: Version,
  state: Exclude<ProviderVersion['state'], 'enabled'>,
): Promise<void> => {
  if (state === 'disabled') {
    await advanceVersion(tx, version, ['deactivated'])
    return
  }
  if (version.sealedId !== null) await tx.writeSealed.erase(version.sealedId)
  const gone = { sealedId: null, materialKnown: false }
  await advanceVersion(tx, version, ['deactivated', 'destroyed'], gone)
}

const mustUpdate = async (tx: Tx, row: Version, state: VersionState): Promise<void> => {
  if (await tx.writeVersion.update(row, state)) return
  throw new RekeyError('recovery.pending', {
    detail: 'The key was changed at this very moment.',
    hint: 'Try again.',
  })
}
