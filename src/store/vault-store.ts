// Storage of the built-in vault, in a schema of its own. Only the providers `local` and `jwks` use it, through their port;
// each method is one transaction. Not guarded: the engine's intent and outcome tell of every write, as for any provider.
// A database that cannot be reached is a provider that cannot: what it threw is translated, and says what may be left.

import type { Keyring } from '#domain/ports.ts'
import { ProviderError, type VaultStore } from '#domain/provider.ts'
import type { Database } from './database.ts'
import { isUnavailable } from './sql-state.ts'
import { bytes, word } from './tables/translate.ts'

export const createVaultStore = (deps: {
  readonly database: Database
  readonly keyring: Keyring
}): VaultStore => {
  const db = deps.database.client
  const store: VaultStore = {
    insert: (row) =>
      db.$transaction(async (tx) => {
        // One writer an object: the number after the last one is nobody else's.
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`vault\n${row.object}`}, 0))`
        const made = await tx.material.findUnique({
          where: { object_operationId: { object: row.object, operationId: row.operationId } },
          select: { version: true },
        })
        if (made !== null) return { version: made.version, created: false }
        const { _max } = await tx.material.aggregate({
          where: { object: row.object },
          _max: { version: true },
        })
        const version = (_max.version ?? 0) + 1
        const box = deps.keyring.seal(row.material, contextOfMaterial(row.object, version))
        await tx.material.create({
          data: {
            object: row.object,
            version,
            operationId: row.operationId,
            algorithm: row.algorithm,
            publicKey: row.publicKey,
            kekId: box.kekId,
            wrappedKey: bytes(box.wrappedKey),
            ciphertext: bytes(box.ciphertext),
          },
          select: { version: true },
        })
        return { version, created: true }
      }, limits),
    find: async (object, operationId) => {
      const row = await db.material.findUnique({
        where: { object_operationId: { object, operationId } },
        select: { version: true },
      })
      return row?.version ?? null
    },
    list: async (object) => {
      const rows = await db.material.findMany({
        where: { object },
        orderBy: { version: 'asc' },
        select: {
          version: true,
          state: true,
          algorithm: true,
          publicKey: true,
          createdAt: true,
          lastUsedAt: true,
        },
      })
      return rows.map((row) => ({ ...row, state: word(row.state) }))
    },
    current: async (object) =>
      (await db.pointer.findUnique({ where: { object } }))?.current ?? null,
    move: async (object, from, to) => {
      const moved =
        from === null
          ? await db.$executeRaw`INSERT INTO vault.pointer (object, current) VALUES (${object}, ${to}) ON CONFLICT DO NOTHING`
          : await db.$executeRaw`UPDATE vault.pointer SET current = ${to}, moved_at = app.now() WHERE object = ${object} AND current = ${from}`
      return moved === 1
    },
    setState: async (object, version, state) => {
      const changed =
        state === 'destroyed'
          ? await db.$executeRaw`UPDATE vault.material SET state = 'destroyed', wrapped_key = NULL, ciphertext = NULL
              WHERE object = ${object} AND version = ${version} AND state <> 'destroyed'`
          : await db.$executeRaw`UPDATE vault.material SET state = ${state}
              WHERE object = ${object} AND version = ${version} AND state NOT IN ('destroyed', ${state})`
      return changed === 1
    },
    open: async (object, version, disabledToo = false) => {
      const row = await db.material.findUnique({ where: { object_version: { object, version } } })
      if (!row?.wrappedKey || !row.ciphertext) return null
      if (row.state !== 'enabled' && !(disabledToo && row.state === 'disabled')) return null
      const box = { kekId: row.kekId, wrappedKey: row.wrappedKey, ciphertext: row.ciphertext }
      return deps.keyring.open(box, contextOfMaterial(object, version))
    },
    used: async (object, version, at) => {
      await db.$executeRaw`UPDATE vault.material SET last_used_at = greatest(last_used_at, ${at}::timestamptz)
        WHERE object = ${object} AND version = ${version}`
    },
    remove: async (object) => {
      await db.$transaction([
        db.pointer.deleteMany({ where: { object } }),
        db.material.deleteMany({ where: { object } }),
      ])
    },
  }
  return {
    insert: (...of) => reaching('unknown', () => store.insert(...of)),
    move: (...of) => reaching('unknown', () => store.move(...of)),
    setState: (...of) => reaching('unknown', () => store.setState(...of)),
    used: (...of) => reaching('unknown', () => store.used(...of)),
    remove: (...of) => reaching('unknown', () => store.remove(...of)),
    find: (...of) => reaching('none', () => store.find(...of)),
    list: (...of) => reaching('none', () => store.list(...of)),
    current: (...of) => reaching('none', () => store.current(...of)),
    open: (...of) => reaching('none', () => store.open(...of)),
  }
}

/** How long a transaction waits for a session, in ms: as long as the ledger's. */
const limits = { maxWait: 5_000 } as const

const reaching = async <T>(effect: 'none' | 'unknown', work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (e) {
    if (!isUnavailable(e)) throw e
    throw new ProviderError('transient', effect, 'the database of the vault cannot be reached')
  }
}

export const contextOfMaterial = (object: string, version: number): string =>
  `vault.material\n${object}\n${version}`
