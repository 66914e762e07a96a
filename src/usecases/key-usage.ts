// Who used which version of a key, and when: by what went through Rekey, by what consumers acknowledged, and by what the
// provider tells. What nobody tells is said to be unknown; silence is not disuse.

import type { Actor } from '#domain/actor.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Clock, KeyUses, Ledger, Sessions } from '#domain/ports.ts'
import type { Acknowledgement } from '#domain/rotation.ts'
import { asRekeyError } from './provider-failures.ts'
import { addressOf, type Providers } from './registration.ts'
import { mustSee } from './rights.ts'

export interface KeyUsageDeps {
  readonly ledger: Pick<Ledger, 'read'>
  readonly sessions: Pick<Sessions, 'open'>
  readonly providers: Providers
  readonly clock: Clock
}

export interface VersionUse {
  readonly version: Version
  /** By the provider; of one that was never used, when it was made. Null: not known, and `detail` says why. */
  readonly lastUsedAt: Date | null
  readonly detail: string | null
}

export interface KeyUsage {
  readonly key: Key
  /** Where the provider's word on last use comes from, and how late it may be; null: it has none. */
  readonly source: { readonly text: string; readonly lagMs: number } | null
  readonly versions: readonly VersionUse[]
  readonly through: KeyUses
  readonly acknowledgements: readonly Acknowledgement[]
}

/** Back to here the log is looked through for uses. */
const lookBackMs = 90 * 86_400_000
const deadlineMs = 10_000

export const getKeyUsage =
  (deps: KeyUsageDeps) =>
  async (actor: Actor, name: string): Promise<KeyUsage> => {
    const since = new Date(deps.clock.now().getTime() - lookBackMs)
    const facts = await deps.ledger.read(async (db) => {
      const key = mustSee(actor, await db.keys.byName(name), 'key', name)
      return {
        key,
        connection: await db.connections.get(key.connection),
        versions: await db.versions.of(key.id),
        through: await db.audit.uses(key, since),
        acknowledgements: await db.acknowledgements.ofKey(key.id),
      }
    })
    const { key, connection } = facts
    const type = deps.providers
      .get(connection?.provider ?? '')
      ?.types.find((candidate) => candidate.type === key.type)
    const usage = type?.traits.usage ?? null
    const living = facts.versions.filter(({ state }) => state === 'active' || state === 'suspended')
    return {
      ...facts,
      source: usage && { text: usage.source, lagMs: usage.lagMs },
      versions: await Promise.all(
        living.map(async (version): Promise<VersionUse> => {
          if (connection === null || usage === null)
            return { version, lastUsedAt: null, detail: 'The provider does not say.' }
          return ask(deps, version, async (call) => {
            const session = await deps.sessions.open(connection)
            return session.lastUsed(addressOf(key), version.providerVersions.at(-1) ?? '', call)
          })
        }),
      ),
    }
  }

/** A provider that cannot be asked makes the answer unknown, not the question wrong. */
const ask = async (
  { clock }: KeyUsageDeps,
  version: Version,
  work: (call: { readonly signal: AbortSignal }) => Promise<Date | null>,
): Promise<VersionUse> => {
  try {
    const lastUsedAt = await work({ signal: clock.deadline(deadlineMs) })
    return {
      version,
      lastUsedAt,
      detail: lastUsedAt === null ? 'The provider does not know.' : null,
    }
  } catch (error) {
    return { version, lastUsedAt: null, detail: `Unknown now: ${asRekeyError(error).message}` }
  }
}
