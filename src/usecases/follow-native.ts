// A key that its provider rotates by itself (`observe: native`): Rekey starts nothing, and what the provider serves next
// becomes the primary version here, so that age, findings, versions and evidence are of what is in use (ADR 0022).
//
// It is used once before it is believed (I3). One that does not work is a finding like any other, and nothing moves.

import type { Comparison } from '#domain/drift.ts'
import type { Json } from '#domain/json.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Clock, LedgerEvent, Tx } from '#domain/ports.ts'
import type { Described, Session } from '#domain/provider.ts'
import { callMs, fingerprintOf, type Proof, proveVersion } from './prove-version.ts'
import { addressOf } from './registration.ts'
import { reschedule } from './reschedule.ts'
import { advanceVersion } from './version-changes.ts'

/** The version that took the primary's place at the provider of a key which rotates there by itself; null: none did. */
export const nativeSuccessor = (key: Pick<Key, 'observe'>, found: Comparison): string | null => {
  const { successor } = found.facts
  return key.observe === 'native' && found.state === 'equal' && typeof successor === 'string'
    ? successor
    : null
}

export interface Successor {
  readonly id: string
  readonly proof: Proof
  readonly described: Described
}

/** Reads and uses, nothing else. Throws `provider.rejected` where it does not work. */
export const proveSuccessor = async (
  session: Session,
  clock: Clock,
  key: Key,
  id: string,
): Promise<Successor> => {
  const object = addressOf(key)
  const described = await session.describe(object, { signal: clock.deadline(callMs) })
  return { id, described, proof: await proveVersion(session, clock, object, id) }
}

/** The key is held, and nothing of it has moved. Versions that came and went between two looks are recorded too. */
export const recordSuccessor = async (
  tx: Tx,
  key: Key,
  { id, proof, described }: Successor,
): Promise<LedgerEvent> => {
  const ours = await tx.versions.of(key.id)
  const now = await tx.now()
  const old = ours.find((version) => version.primary) ?? null
  // Old material is the provider's to keep or to end: here it is at the end of its use.
  if (old) await advanceVersion(tx, old, ['deactivated'], { primary: false })
  const known = new Set(ours.flatMap(({ providerVersions }) => providerVersions))
  const madeAt = (of: string): Date => {
    const at = described.versions.find((version) => version.id === of)?.createdAt
    return at && at <= now ? at : now
  }
  const between = described.versions
    .filter((of) => of.id !== id && of.state !== 'destroyed' && !known.has(of.id))
    .filter(({ createdAt }) => createdAt !== undefined && old !== null && createdAt > old.createdAt)
    .filter(({ createdAt }) => createdAt !== undefined && createdAt <= madeAt(id))
    .toSorted((a, b) => madeAt(a.id).getTime() - madeAt(b.id).getTime())
  let number = Math.max(0, ...ours.map(({ version }) => version))
  const row = (of: string, more: Partial<Version>): Version => ({
    keyId: key.id,
    version: ++number,
    state: 'deactivated',
    primary: false,
    providerVersions: [of],
    materialKnown: false,
    fingerprint: null,
    sealedId: null,
    rotationId: null,
    verifiedAt: null,
    createdAt: madeAt(of),
    activatedAt: madeAt(of),
    suspendedAt: null,
    deactivatedAt: now,
    compromisedAt: null,
    destroyedAt: null,
    ...more,
  })
  // oxlint-disable-next-line no-await-in-loop -- hardly ever more than one, one connection
  for (const of of between) await tx.writeVersion.insert(row(of.id, {}))
  const successor = row(id, {
    state: 'active',
    primary: true,
    deactivatedAt: null,
    materialKnown: proof.material !== null,
    fingerprint: fingerprintOf(tx, proof.material),
    verifiedAt: proof.verified ? now : null,
  })
  await tx.writeVersion.insert(successor)
  await reschedule(tx, key.id)
  return {
    action: 'key.rotatedNatively',
    target: { id: key.id, name: key.name },
    outcome: 'succeeded',
    before: told(old),
    after: {
      key: key.name,
      keyId: key.id,
      policy: key.policy,
      owner: key.owner,
      ...told(successor),
      between: between.map((of) => of.id),
      verified: proof.verified,
    },
  }
}

const told = (version: Version | null): { readonly [name: string]: Json } => ({
  version: version?.version ?? null,
  providerVersion: version?.providerVersions.at(-1) ?? null,
  activatedAt: version?.activatedAt?.toISOString() ?? null,
})
