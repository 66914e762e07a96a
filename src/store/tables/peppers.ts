// Peppers, and the fingerprints that are known by each. A fingerprint begins with its pepper's number, so those of one are a range
// of the index on them.

import { isRekeyError } from '#domain/errors.ts'
import { asFingerprint, bytesOfFingerprint } from '#domain/fingerprint.ts'
import type { Pepper, PepperUses } from '#domain/pepper.ts'
import type { Keyring, Reads, RenewStep, SealedBox, Tx, VersionPlace } from '#domain/ports.ts'
import { revealBytes, type Secret } from '#domain/secret.ts'
import type { Db } from '../database.ts'
import { Prisma } from '../generated/client.ts'
import { contextOfMaterial } from '../vault-store.ts'
import { contextOfSealed } from './sealed.ts'
import { word } from './translate.ts'

const mostNamed = 5

export const pepperReads = (db: Db): Reads['peppers'] => ({
  list: async () => {
    const rows = await db.pepper.findMany({ orderBy: { number: 'asc' } })
    return rows.map((row): Pepper => ({ ...row, state: word(row.state) }))
  },
  uses: (number) => usesOf(db, number),
})

const usesOf = async (db: Db, number: number): Promise<PepperUses> => {
  const rows = await db.$queryRaw<Record<keyof PepperUses, unknown>[]>`
    WITH marked AS (
      SELECT v.key_id, v.version, k.name, k.deleted_at IS NULL AND (v.state IN ('preActivation', 'active', 'suspended') OR v.sealed_id IS NOT NULL) AS lives
      FROM app.version v JOIN app.key k ON k.id = v.key_id WHERE ${under(number, Prisma.sql`v.fingerprint`)}
    ), at AS (SELECT coalesce(renewed_at, 'infinity') AS renewed FROM app.pepper WHERE number = ${number}::integer)
    SELECT
      (SELECT count(*) FROM marked WHERE lives) AS versions,
      (SELECT coalesce(array_agg(name), '{}') FROM (SELECT DISTINCT name FROM marked WHERE lives ORDER BY name LIMIT ${mostNamed}::integer) few) AS keys,
      (SELECT count(*) FROM app.rotation r, at WHERE r.created_at <= at.renewed
        AND r.phase NOT IN ('completed', 'cancelled', 'rolledBack', 'abandoned'))
      + (SELECT count(*) FROM app.incident i, at WHERE i.state IN ('executing', 'contained', 'partly') AND (i.created_at <= at.renewed
        OR EXISTS (SELECT FROM app.incident_version o JOIN marked m ON m.key_id = o.key_id AND m.version = o.version WHERE o.incident_id = i.id))) AS open,
      (SELECT count(*) FROM marked WHERE NOT lives) AS ended,
      (SELECT count(*) FROM app.confirmation c WHERE ${under(number, Prisma.sql`c.fingerprint`)}) AS confirmations,
      (SELECT count(*) FROM app.login l WHERE ${under(number, Prisma.sql`l.fingerprint`)} AND l.state = 'refused') AS logins`
  const [row] = rows
  if (row === undefined) throw new Error('the database counted nothing')
  return {
    versions: Number(row.versions),
    keys: row.keys as readonly string[],
    open: Number(row.open),
    ended: Number(row.ended),
    confirmations: Number(row.confirmations),
    logins: Number(row.logins),
  }
}

/** The fingerprints of one pepper. */
const under = (number: number, column: Prisma.Sql): Prisma.Sql => {
  const from = Uint8Array.of(number)
  // 33 bytes are the longest: nothing of this number is behind 33 times 255.
  const to = Uint8Array.of(number, ...Array.from({ length: 33 }, () => 255))
  return Prisma.sql`${column} BETWEEN ${from}::bytea AND ${to}::bytea`
}

/** A version that is named by its value gets its fingerprint together with its name, which only a look at its provider can make. */
const nameForm = '^(p[0-9]+-)?[0-9a-f]{24}$'

export const pepperWrites = (db: Db, keyring: Keyring): Tx['writePepper'] => ({
  activate: async ({ number, id }, at) => {
    await db.$executeRaw`
      UPDATE app.pepper SET state = 'replaced', replaced_at = ${at} WHERE state = 'active' AND number <> ${number}::integer`
    const made = await db.$executeRaw`
      INSERT INTO app.pepper (number, id, state, activated_at) VALUES (${number}::integer, ${id}, 'active', ${at})
      ON CONFLICT (number) DO NOTHING`
    // What a program that knows of one pepper only asks for at its start: with the file of before it must not begin.
    await db.$executeRaw`UPDATE app.installation SET pepper_id = ${id} WHERE pepper_id <> ${id}`
    return made === 1
  },
  renew: (number, after, limit) => renew(db, keyring, { number, after, limit }),
  renewed: async (number, at) => {
    const { count } = await db.pepper.updateMany({
      where: { number, state: 'replaced', renewedAt: null },
      data: { renewedAt: at },
    })
    return count === 1
  },
  forget: async (number, limit) => {
    const versions = await db.$executeRaw`
      UPDATE app.version v SET fingerprint = NULL FROM (
        SELECT v.key_id, v.version FROM app.version v JOIN app.key k ON k.id = v.key_id
        WHERE ${under(number, Prisma.sql`v.fingerprint`)} AND (k.deleted_at IS NOT NULL
          OR (v.state NOT IN ('preActivation', 'active', 'suspended') AND v.sealed_id IS NULL))
        LIMIT ${limit}::integer FOR NO KEY UPDATE OF v) ended
      WHERE v.key_id = ended.key_id AND v.version = ended.version`
    const said = await db.$executeRaw`
      UPDATE app.confirmation SET fingerprint = NULL WHERE operation_id IN (
        SELECT operation_id FROM app.confirmation c WHERE ${under(number, Prisma.sql`c.fingerprint`)} LIMIT ${limit}::integer)`
    const logins = await db.$executeRaw`
      DELETE FROM app.login l WHERE ${under(number, Prisma.sql`l.fingerprint`)} AND l.state = 'refused'`
    return versions + said + logins
  },
  retire: async (number, at) => {
    // Waits for transactions that are just writing under it; whoever comes after this commit is refused by a trigger.
    await db.$executeRaw`SELECT FROM app.pepper WHERE number = ${number}::integer FOR UPDATE`
    const { keys: _keys, ...counts } = await usesOf(db, number)
    if (Object.values(counts).some((n) => n > 0)) return false
    // One that was let in, or is being tried, is claimed anew the next time.
    await db.$executeRaw`DELETE FROM app.login l WHERE ${under(number, Prisma.sql`l.fingerprint`)}`
    const { count } = await db.pepper.updateMany({
      where: { number, state: 'replaced' },
      data: { state: 'retired', retiredAt: at },
    })
    return count === 1
  },
})

interface Row {
  readonly keyId: string
  readonly version: number
  readonly fingerprint: Uint8Array<ArrayBuffer>
  readonly context: string
  readonly kekId: string
  readonly wrappedKey: Uint8Array
  readonly ciphertext: Uint8Array
}

const renew = async (
  db: Db,
  keyring: Keyring,
  of: { readonly number: number; readonly after: VersionPlace | null; readonly limit: number },
): Promise<RenewStep> => {
  const rows = await lock(db, of)
  const last = rows.at(-1)
  const other: VersionPlace[] = []
  const values = rows.flatMap(({ keyId, version, ...row }) => {
    const next = anew(keyring, row)
    if (next !== null)
      return Prisma.sql`(${keyId}::uuid, ${version}::integer, ${next}::bytea, ${row.fingerprint}::bytea)`
    other.push({ keyId, version })
    return []
  })
  const done =
    values.length === 0
      ? 0
      : await db.$executeRaw`
          UPDATE app.version v SET fingerprint = n.next FROM (VALUES ${Prisma.join(values)}) n (key_id, version, next, before)
          WHERE v.key_id = n.key_id AND v.version = n.version AND v.fingerprint = n.before`
  return { after: last ? { keyId: last.keyId, version: last.version } : null, done, other }
}

/** Sealed with the version, or stored in the built-in vault. */
const lock = async (
  db: Db,
  {
    number,
    after,
    limit,
  }: { readonly number: number; readonly after: VersionPlace | null; readonly limit: number },
): Promise<readonly Row[]> => {
  const from = after ?? { keyId: '00000000-0000-0000-0000-000000000000', version: 0 }
  const rows = await db.$queryRaw<
    (Omit<Row, 'context'> & {
      readonly sealedId: string | null
      readonly purpose: string | null
      readonly object: string | null
      readonly stored: number | null
    })[]
  >`
    SELECT v.key_id::text AS "keyId", v.version, v.fingerprint, s.id::text AS "sealedId", s.purpose, m.object, m.version AS stored,
      coalesce(s.kek_id, m.kek_id) AS "kekId", coalesce(s.wrapped_key, m.wrapped_key) AS "wrappedKey",
      coalesce(s.ciphertext, m.ciphertext) AS ciphertext
    FROM app.version v
      LEFT JOIN app.sealed s ON s.id = v.sealed_id AND s.erased_at IS NULL
      LEFT JOIN vault.material m ON m.object = v.key_id::text AND m.state <> 'destroyed'
        AND m.version::text = v.provider_versions[cardinality(v.provider_versions)]
    WHERE ${under(number, Prisma.sql`v.fingerprint`)}
      AND (v.key_id, v.version) > (${from.keyId}::uuid, ${from.version}::integer)
      AND (s.id IS NOT NULL OR m.object IS NOT NULL)
      AND NOT EXISTS (SELECT FROM unnest(v.provider_versions) name WHERE name ~ ${nameForm})
    ORDER BY v.key_id, v.version LIMIT ${limit}::integer FOR NO KEY UPDATE OF v SKIP LOCKED`
  return rows.map(({ sealedId, purpose, object, stored, ...row }) => ({
    ...row,
    context:
      sealedId === null
        ? contextOfMaterial(object ?? '', stored ?? 0)
        : contextOfSealed(sealedId, purpose ?? ''),
  }))
}

/** Null where the material does not open, or is not what the fingerprint was made of. */
const anew = (
  keyring: Keyring,
  { context, fingerprint, ...box }: Omit<Row, 'keyId' | 'version'>,
): Uint8Array<ArrayBuffer> | null => {
  const material = opening(keyring, box, context)
  if (material === null) return null
  try {
    return keyring.isFingerprintOf(asFingerprint(fingerprint), material)
      ? bytesOfFingerprint(keyring.fingerprint(material))
      : null
  } finally {
    revealBytes(material).fill(0)
  }
}

const opening = (keyring: Keyring, box: SealedBox, context: string): Secret<Uint8Array> | null => {
  try {
    return keyring.open(box, context)
  } catch (error) {
    // 503: the key is not here, and the row may be sound.
    if (isRekeyError(error)) throw error
    return null
  }
}
