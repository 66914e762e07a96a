// In recovery mode every key is compared with its provider, which is only read. A pass takes the keys that have no answer yet,
// and those whose provider could not be reached a while ago. Any number of workers may do it at once: an answer that is
// written twice is the same answer. A crash leaves keys without an answer, and the next pass takes them.

import { systemActor } from '#domain/actor.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Clock, Keyring, Ledger, Sessions, Whereabouts } from '#domain/ports.ts'
import type { Intent, Rotation } from '#domain/rotation.ts'
import {
  explains,
  reconcile,
  type Recovery,
  type Told,
  type Verdict,
  wentBack,
} from '#domain/recovery.ts'
import { askProvider } from './ask-provider.ts'
import { asRekeyError } from './provider-failures.ts'
import { addressOf, type Providers } from './registration.ts'

export interface ReconcileDeps {
  readonly ledger: Ledger
  readonly whereabouts: Pick<Whereabouts, 'putFinding'>
  readonly sessions: Pick<Sessions, 'open'>
  readonly providers: Providers
  readonly keyring: Pick<Keyring, 'isFingerprintOf'>
  readonly clock: Clock
}

/** A provider's rate limit is not ours to spend. */
const batchSize = 8
const askAgainMs = 15_000

/** One pass. Returns how many keys were asked about: 0 when there is nothing to do. */
export const makeReconcileKeys = (deps: ReconcileDeps) => async (): Promise<number> => {
  const now = deps.clock.now()
  const { recovery, keys } = await deps.ledger.read(async (db) => {
    const open = await db.recovery.open()
    const before = new Date(now.getTime() - askAgainMs)
    return {
      recovery: open,
      keys: open ? await db.recovery.unanswered(open.id, before, batchSize) : [],
    }
  })
  if (!recovery) return 0
  await Promise.all(keys.map((key) => answer(deps, recovery, key)))
  if (recovery.reconciledAt === null) await closeReport(deps, recovery)
  return keys.length
}

const answer = async (deps: ReconcileDeps, recovery: Recovery, key: Key): Promise<void> => {
  const verdict = await compareKey(deps, recovery, key)
  const before = await deps.ledger.read((db) => db.recovery.finding(recovery.id, key.id))
  await deps.whereabouts.putFinding({
    ...verdict,
    recoveryId: recovery.id,
    keyId: key.id,
    rotationId: before?.rotationId ?? null,
    lookedAt: deps.clock.now(),
  })
}

/** Reads only. */
export const compareKey = async (
  deps: ReconcileDeps,
  recovery: Pick<Recovery, 'reason' | 'evidence'>,
  key: Key,
): Promise<Verdict> => {
  const { connection, versions, rotation, intents } = await deps.ledger.read(async (db) => {
    const open = await db.rotations.openOf(key.id)
    return {
      connection: await db.connections.get(key.connection),
      versions: await db.versions.of(key.id),
      rotation: open,
      intents: open ? await db.intents.of(open.id) : [],
    }
  })
  if (!connection) return unreachable('its connection does not exist')
  let told: Told
  try {
    const session = await deps.sessions.open(connection)
    told = await askProvider(deps, session, addressOf(key), versions)
  } catch (error) {
    return unreachable(asRekeyError(error).message)
  }
  const { lastEventAt } = recovery.evidence as { readonly lastEventAt?: string | null }
  const seen = reconcile(versions, told, lastEventAt ? new Date(lastEventAt) : null)
  const verdict = rotation ? asRotated(seen, rotation, intents, versions) : seen
  return deps.providers.get(connection.provider)?.sharesDatabase === true
    ? wentBack(verdict, recovery)
    : verdict
}

/** What the key's open rotation was about to do is no surprise: it goes on from there, and probes what became of it. */
const asRotated = (
  verdict: Verdict,
  rotation: Rotation,
  intents: readonly Intent[],
  versions: readonly Version[],
): Verdict => {
  const minting = intents.some(({ closed, effect }) => !closed && effect === 'mint')
  const to = versions.find(({ version }) => version === rotation.toVersion)
  return explains(verdict, { rotation, minting, made: to?.providerVersions ?? [] })
    ? {
        state: 'equal',
        detail: `What differs is what rotation ${rotation.id} was doing: ${verdict.detail}`,
        facts: { ...verdict.facts, rotation: rotation.id },
      }
    : verdict
}

const unreachable = (why: string): Verdict => ({
  state: 'unreachable',
  detail: `The provider could not be asked: ${why.replace(/\.$/, '')}.`,
  facts: {},
})

/** Told once, when every key has an answer. */
const closeReport = async (
  { ledger }: Pick<ReconcileDeps, 'ledger'>,
  recovery: Recovery,
): Promise<void> => {
  const counts = await ledger.read((db) => db.recovery.counts(recovery.id))
  if (counts.pending > 0) return
  await ledger
    .commit(systemActor('system', 'recovery'), async (tx) => {
      await tx.lock('recovery')
      const open = await tx.recovery.open()
      if (open?.id !== recovery.id || open.reconciledAt !== null) throw new Closed()
      const installation = await tx.recovery.installation()
      await tx.writeRecovery.update({ ...open, reconciledAt: await tx.now() })
      return {
        value: null,
        audit: [
          {
            action: 'recovery.reconciled' as const,
            target: { id: installation?.id ?? open.id, name: 'rekey' },
            outcome: 'succeeded' as const,
            after: { recovery: open.id, keys: { ...counts } },
          },
        ],
      }
    })
    .catch((error: unknown) => {
      if (!(error instanceof Closed)) throw error
    })
}
class Closed extends Error {}
