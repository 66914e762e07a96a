// Storage of the built-in vault, in a schema of its own. Only the providers `local` and `jwks` use it, through their port;
// each method is one transaction. Not guarded: the engine's intent and outcome tell of every write, as for any provider.
// A database that cannot be reached is a provider that cannot: what it threw is translated, and says what may be left.

import type { Keyring } from '#domain/ports.ts'
import { ProviderError, type VaultRow, type VaultStore } from '#domain/provider.ts'
import type { Database } from './database.ts'
import { gather } from './gather.ts'
import { isUnavailable } from './sql-state.ts'
import { bytes } from './tables/translate.ts'

export const createVaultStore = (deps: {
  readonly database: Database
  readonly keyring: Keyring
}): VaultStore => {
  const db = deps.database.client
  // An emergency switches off and tries hundreds at once.
  const look = gather<Version, SealedRow | 'none'>({
    nameOf: nameOfVersion,
    send: async (asks) => {
      const rows = await db.$queryRaw<readonly SealedRow[]>`
        SELECT m.object, m.version, m.state, m.algorithm, m.public_key, m.created_at, m.last_used_at, p.current = m.version AS current,
          m.not_after, m.honoured_until, m.known_at, m.forgotten_at, p.kept_for_s, p.kept_until,
          m.kek_id, m.wrapped_key, m.ciphertext
        FROM unnest(${asks.map(({ object }) => object)}::text[], ${asks.map(({ version }) => version)}::int[]) a (object, version)
          JOIN vault.material m ON m.object = a.object AND m.version = a.version
          LEFT JOIN vault.pointer p ON p.object = m.object`
      const found = new Map(rows.map((row) => [nameOfVersion(row), row]))
      return asks.map((ask) => found.get(nameOfVersion(ask)) ?? 'none')
    },
  })
  const setState = gather<Version & { readonly state: VaultRow['state'] }, 'changed' | 'same'>({
    nameOf: nameOfVersion,
    send: async (asks) => {
      const rows = await db.$queryRaw<readonly Version[]>`
        WITH wanted AS MATERIALIZED (
          SELECT m.object, m.version, a.state,
            -- Whoever kept a copy before this change has another one by then.
            (SELECT greatest(p.kept_until, app.now() + make_interval(secs => p.kept_for_s)) FROM vault.pointer p WHERE p.object = m.object) AS copied_until
          FROM unnest(${asks.map(({ object }) => object)}::text[], ${asks.map(({ version }) => version)}::int[],
            ${asks.map(({ state }) => state)}::text[]) a (object, version, state)
            JOIN vault.material m ON m.object = a.object AND m.version = a.version
          ORDER BY m.object, m.version FOR UPDATE OF m
        )
        UPDATE vault.material m SET state = w.state,
          known_at = CASE WHEN w.state = 'enabled' THEN w.copied_until ELSE m.known_at END,
          forgotten_at = CASE WHEN w.state <> 'enabled' THEN CASE WHEN m.state = 'enabled' THEN w.copied_until ELSE m.forgotten_at END END,
          wrapped_key = CASE WHEN w.state <> 'destroyed' THEN m.wrapped_key END,
          ciphertext = CASE WHEN w.state <> 'destroyed' THEN m.ciphertext END
        FROM wanted w WHERE m.object = w.object AND m.version = w.version AND m.state NOT IN ('destroyed', w.state)
        RETURNING m.object, m.version`
      const changed = new Set(rows.map(nameOfVersion))
      return asks.map((ask) => (changed.has(nameOfVersion(ask)) ? 'changed' : 'same'))
    },
  })
  const store: VaultStore = {
    // The number after the last one, and this operation's only row: the two keys of the table let one of two at once have it, and
    // the other looks again. Sealed for its number, so that the number comes first.
    insert: async ({ object, operationId, algorithm, publicKey, material, notAfter = null }) => {
      for (;;) {
        /* oxlint-disable no-await-in-loop -- until nobody else was faster */
        const rows = await db.$queryRaw<{ readonly made: number | null; readonly last: number }[]>`
          SELECT (SELECT version FROM vault.material WHERE object = ${object} AND operation_id = ${operationId}) AS made,
            (SELECT coalesce(max(version), 0) FROM vault.material WHERE object = ${object}) AS last`
        const { made = null, last = 0 } = rows[0] ?? {}
        if (made !== null) return { version: made, created: false }
        const version = last + 1
        const box = deps.keyring.seal(material, contextOfMaterial(object, version))
        const inserted = await db.$executeRaw`
          INSERT INTO vault.material (object, version, operation_id, algorithm, public_key, kek_id, wrapped_key, ciphertext, not_after, known_at)
          VALUES (${object}, ${version}, ${operationId}, ${algorithm}, ${publicKey}, ${box.kekId}, ${bytes(box.wrappedKey)}, ${bytes(box.ciphertext)},
            ${notAfter}::timestamptz,
            (SELECT greatest(kept_until, app.now() + make_interval(secs => kept_for_s)) FROM vault.pointer WHERE object = ${object}))
          ON CONFLICT DO NOTHING`
        /* oxlint-enable no-await-in-loop */
        if (inserted === 1) return { version, created: true }
      }
    },
    find: async (object, operationId) => {
      const row = await db.material.findUnique({
        where: { object_operationId: { object, operationId } },
        select: { version: true },
      })
      return row?.version ?? null
    },
    list: async (object) => {
      const rows = await db.$queryRaw<readonly Row[]>`
        SELECT m.version, m.state, m.algorithm, m.public_key, m.created_at, m.last_used_at, p.current = m.version AS current,
          m.not_after, m.honoured_until, m.known_at, m.forgotten_at, p.kept_for_s, p.kept_until
        FROM vault.material m LEFT JOIN vault.pointer p ON p.object = m.object
        WHERE m.object = ${object} ORDER BY m.version`
      return rows.map(toRow)
    },
    look: async (object, version, disabledToo = false) => {
      const row = await look({ object, version })
      if (row === 'none') return null
      const handedOut = row.state === 'enabled' || (disabledToo && row.state === 'disabled')
      const { kek_id: kekId, wrapped_key: wrappedKey, ciphertext } = row
      const material =
        handedOut && wrappedKey && ciphertext
          ? deps.keyring.open({ kekId, wrappedKey, ciphertext }, contextOfMaterial(object, version))
          : null
      return { ...toRow(row), material }
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
    setState: async (object, version, state) =>
      (await setState({ object, version, state })) === 'changed',
    open: async (object, version, disabledToo = false) => {
      const row = await db.material.findUnique({ where: { object_version: { object, version } } })
      if (!row?.wrappedKey || !row.ciphertext) return null
      if (row.state !== 'enabled' && !(disabledToo && row.state === 'disabled')) return null
      const box = { kekId: row.kekId, wrappedKey: row.wrappedKey, ciphertext: row.ciphertext }
      return deps.keyring.open(box, contextOfMaterial(object, version))
    },
    used: async (object, version, at, honouredUntil) => {
      await db.$executeRaw`UPDATE vault.material SET last_used_at = greatest(last_used_at, ${at}::timestamptz),
          honoured_until = greatest(honoured_until, ${honouredUntil ?? null}::timestamptz)
        WHERE object = ${object} AND version = ${version}`
    },
    tellKept: async (objects, keptForMs) => {
      const seconds = Math.ceil(keptForMs / 1_000)
      await db.$executeRaw`UPDATE vault.pointer SET kept_for_s = ${seconds},
          kept_until = greatest(kept_until, app.now() + make_interval(secs => kept_for_s))
        WHERE object = ANY (${[...objects]}) AND kept_for_s IS DISTINCT FROM ${seconds}`
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
    tellKept: (...of) => reaching('none', () => store.tellKept(...of)),
    remove: (...of) => reaching('unknown', () => store.remove(...of)),
    find: (...of) => reaching('none', () => store.find(...of)),
    list: (...of) => reaching('none', () => store.list(...of)),
    look: (...of) => reaching('none', () => store.look(...of)),
    current: (...of) => reaching('none', () => store.current(...of)),
    open: (...of) => reaching('none', () => store.open(...of)),
  }
}

interface Version {
  readonly object: string
  readonly version: number
}
const nameOfVersion = ({ object, version }: Version): string => `${version} ${object}`

interface Row {
  readonly version: number
  readonly state: VaultRow['state']
  readonly algorithm: string
  readonly public_key: string | null
  readonly created_at: Date
  readonly last_used_at: Date | null
  /** Null: there is no pointer. */
  readonly current: boolean | null
  readonly not_after: Date | null
  readonly honoured_until: Date | null
  readonly known_at: Date | null
  readonly forgotten_at: Date | null
  readonly kept_for_s: number | null
  readonly kept_until: Date | null
}
interface SealedRow extends Row, Version {
  readonly kek_id: string
  readonly wrapped_key: Uint8Array | null
  readonly ciphertext: Uint8Array | null
}

const toRow = (row: Row): VaultRow => ({
  version: row.version,
  state: row.state,
  algorithm: row.algorithm,
  publicKey: row.public_key,
  current: row.current ?? false,
  createdAt: row.created_at,
  lastUsedAt: row.last_used_at,
  notAfter: row.not_after,
  honouredUntil: row.honoured_until,
  knownAt: row.known_at,
  forgottenAt: row.forgotten_at,
  copies:
    row.kept_for_s === null
      ? null
      : { keptForMs: row.kept_for_s * 1_000, othersUntil: row.kept_until },
})

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
