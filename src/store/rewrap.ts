// Seals anew what is sealed under one KEK, under the one that seals now: both layers, since each names its KEK.
//
// A step is a transaction: it locks rows that nobody else is changing (those are met again in the next round), opens and seals
// them, and writes them under the lock. A crash leaves each row under the old KEK or under the new one, and both open; the next
// run goes on with those that are left. A row that was erased meanwhile is not among them. What does not open is left as it is
// and named.

import { isRekeyError } from '#domain/errors.ts'
import type { Keyring, Rewrap, RewrapStep, SealedBox } from '#domain/ports.ts'
import { revealBytes } from '#domain/secret.ts'
import type { Database, Db } from './database.ts'
import { Prisma } from './generated/client.ts'
import { kekRows } from './keks-in-use.ts'
import { orUnavailable } from './sql-state.ts'
import { contextOfSealed } from './tables/sealed.ts'
import { bytes } from './tables/translate.ts'
import { contextOfMaterial } from './vault-store.ts'

interface Row {
  /** Names it for people, and says where the next step begins. */
  readonly place: string
  readonly context: string
  readonly box: SealedBox
  /** Of the row, for the statement that writes it. */
  readonly key: Prisma.Sql
}

interface Table {
  readonly name: string
  readonly lock: (
    db: Db,
    kekId: string,
    after: string | null,
    limit: number,
  ) => Promise<readonly Row[]>
  readonly write: (rows: Prisma.Sql, kekId: string) => Prisma.Sql
}

interface Columns {
  readonly wrapped_key: Uint8Array
  readonly ciphertext: Uint8Array
}

const boxOf = (kekId: string, { wrapped_key, ciphertext }: Columns): SealedBox => ({
  kekId,
  wrappedKey: wrapped_key,
  ciphertext,
})

const sealed: Table = {
  name: 'app.sealed',
  lock: async (db, kekId, after, limit) => {
    const rows = await db.$queryRaw<
      ({ readonly id: string; readonly purpose: string } & Columns)[]
    >`
      SELECT id::text, purpose, wrapped_key, ciphertext FROM app.sealed
      WHERE kek_id = ${kekId} AND erased_at IS NULL AND id > ${after ?? '00000000-0000-0000-0000-000000000000'}::uuid
      ORDER BY id LIMIT ${limit} FOR NO KEY UPDATE SKIP LOCKED`
    return rows.map((row) => ({
      place: row.id,
      context: contextOfSealed(row.id, row.purpose),
      box: boxOf(kekId, row),
      key: Prisma.sql`${row.id}::uuid`,
    }))
  },
  write: (rows, kekId) => Prisma.sql`
    UPDATE app.sealed t SET kek_id = n.kek_id, wrapped_key = n.wrapped_key, ciphertext = n.ciphertext
    FROM (VALUES ${rows}) n (id, kek_id, wrapped_key, ciphertext)
    WHERE t.id = n.id AND t.kek_id = ${kekId} AND t.erased_at IS NULL`,
}

const material: Table = {
  name: 'vault.material',
  lock: async (db, kekId, after, limit) => {
    const [object, version] = after === null ? ['', 0] : placeOf(after)
    const rows = await db.$queryRaw<
      ({ readonly object: string; readonly version: number } & Columns)[]
    >`
      SELECT object, version, wrapped_key, ciphertext FROM vault.material
      WHERE kek_id = ${kekId} AND state <> 'destroyed' AND (object, version) > (${object}, ${version}::integer)
      ORDER BY object, version LIMIT ${limit} FOR NO KEY UPDATE SKIP LOCKED`
    return rows.map((row) => ({
      place: `${row.version} ${row.object}`,
      context: contextOfMaterial(row.object, row.version),
      box: boxOf(kekId, row),
      key: Prisma.sql`${row.object}, ${row.version}::integer`,
    }))
  },
  write: (rows, kekId) => Prisma.sql`
    UPDATE vault.material t SET kek_id = n.kek_id, wrapped_key = n.wrapped_key, ciphertext = n.ciphertext
    FROM (VALUES ${rows}) n (object, version, kek_id, wrapped_key, ciphertext)
    WHERE t.object = n.object AND t.version = n.version AND t.kek_id = ${kekId} AND t.state <> 'destroyed'`,
}

const placeOf = (place: string): readonly [string, number] => {
  const end = place.indexOf(' ')
  return [place.slice(end + 1), Number(place.slice(0, end))]
}

const tables: readonly Table[] = [sealed, material]

export const createRewrap = (deps: {
  readonly database: Database
  readonly keyring: Keyring
}): Rewrap => ({
  tables: tables.map(({ name }) => name),
  rows: () => orUnavailable(() => kekRows(deps.database)),
  step: (name, kekId, after, limit) =>
    orUnavailable(async () => {
      const table = tables.find((one) => one.name === name)
      if (table === undefined) throw new Error(`${name} holds nothing that is sealed`)
      return deps.database.client.$transaction(
        async (db) => step(db, deps.keyring, table, { kekId, after, limit }),
        limits,
      )
    }),
})

/** How long it waits for a session, and may last, in ms: a step takes some tens of them. */
const limits = { maxWait: 5_000, timeout: 60_000 } as const

const step = async (
  db: Db,
  keyring: Keyring,
  table: Table,
  {
    kekId,
    after,
    limit,
  }: { readonly kekId: string; readonly after: string | null; readonly limit: number },
): Promise<RewrapStep> => {
  const rows = await table.lock(db, kekId, after, limit)
  const damaged: string[] = []
  const values = rows.flatMap((row) => {
    const box = anew(keyring, row)
    if (box !== null)
      return Prisma.sql`(${row.key}, ${box.kekId}, ${bytes(box.wrappedKey)}::bytea, ${bytes(box.ciphertext)}::bytea)`
    damaged.push(`${table.name} ${row.place}`)
    return []
  })
  const done =
    values.length === 0 ? 0 : await db.$executeRaw(table.write(Prisma.join(values), kekId))
  return { after: rows.at(-1)?.place ?? null, done, damaged }
}

/** Null where it does not open. */
const anew = (keyring: Keyring, { box, context }: Row): SealedBox | null => {
  const opened = opening(keyring, box, context)
  if (opened === null) return null
  try {
    const next = keyring.seal(opened, context)
    // Written under its own KEK again, it would be met for ever.
    if (next.kekId === box.kekId) throw new Error(`${box.kekId} seals, and is not replaced`)
    return next
  } finally {
    revealBytes(opened).fill(0)
  }
}

const opening = (keyring: Keyring, box: SealedBox, context: string) => {
  try {
    return keyring.open(box, context)
  } catch (error) {
    // 503: the key is not here, and the row may be sound.
    if (isRekeyError(error)) throw error
    return null
  }
}
