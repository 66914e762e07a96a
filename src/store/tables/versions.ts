import type { Version } from '#domain/key.ts'
import { asFingerprint, bytesOfFingerprint, type Fingerprints } from '#domain/fingerprint.ts'
import type { Keyring, Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { Prisma, type Version as Row } from '../generated/client.ts'
import { jsonRows } from './json-rows.ts'
import { word } from './translate.ts'

export const versionReads = (
  db: Db,
  keyring: Pick<Keyring, 'fingerprints' | 'fingerprintsOf' | 'mustKnow'>,
): Reads['versions'] => ({
  of: async (keyId) =>
    (await db.version.findMany({ where: { keyId }, orderBy: { version: 'asc' } })).map(toVersion),
  ofKeys: async (keyIds) =>
    (
      await jsonRows<Row>(
        db,
        Prisma.sql`app.version t WHERE t.key_id = ANY (${[...keyIds]}::uuid[]) ORDER BY t.key_id, t.version`,
      )
    ).map(toVersion),
  get: async (keyId, version) =>
    one(await db.version.findUnique({ where: { keyId_version: { keyId, version } } })),
  some: async (keyId, numbers) =>
    (await db.version.findMany({ where: { keyId, version: { in: [...numbers] } } })).map(toVersion),
  primary: async (keyId) => one(await db.version.findFirst({ where: { keyId, isPrimary: true } })),
  primaries: async (keyIds) =>
    (await db.version.findMany({ where: { keyId: { in: [...keyIds] }, isPrimary: true } })).map(
      toVersion,
    ),
  holding: (material) => known(db, keyring, () => keyring.fingerprints(material)),
  holdingDigest: (digest) => known(db, keyring, () => keyring.fingerprintsOf(digest)),
})

/** A pepper that this process does not have yet would be a version that it does not find. */
const known = async (
  db: Db,
  keyring: Pick<Keyring, 'mustKnow'>,
  fingerprintsOf: () => Fingerprints,
): Promise<readonly Version[]> => {
  const inUse = await db.pepper.findMany({
    where: { state: { not: 'retired' } },
    select: { number: true },
  })
  keyring.mustKnow(inUse.map(({ number }) => number))
  const rows = await db.version.findMany({
    where: { fingerprint: { in: fingerprintsOf().map(bytesOfFingerprint) } },
    orderBy: [{ keyId: 'asc' }, { version: 'asc' }],
  })
  return rows.map(toVersion)
}

export const versionWrites = (db: Db): Tx['writeVersion'] => ({
  insert: async (row) => {
    await db.version.create({ data: toRow(row), select: { version: true } })
  },
  update: async (row, expectedState) => {
    const { count } = await db.version.updateMany({
      where: { keyId: row.keyId, version: row.version, state: expectedState },
      data: toRow(row),
    })
    return count === 1
  },
  hold: async (keyId) => {
    await db.$queryRaw`SELECT version FROM app.version WHERE key_id = ${keyId}::uuid ORDER BY version FOR NO KEY UPDATE`
    return (await db.version.findMany({ where: { keyId }, orderBy: { version: 'asc' } })).map(
      toVersion,
    )
  },
  contain: async (rows) => {
    await db.$executeRaw`
      UPDATE app.version v SET state = n.state, is_primary = false,
        compromised_at = CASE n.state WHEN 'compromised' THEN app.now() ELSE v.compromised_at END,
        suspended_at = CASE n.state WHEN 'suspended' THEN app.now() ELSE v.suspended_at END
      FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS n ("keyId" uuid, version int, state text)
      WHERE v.key_id = n."keyId" AND v.version = n.version
        AND v.state = ANY (CASE n.state WHEN 'suspended' THEN '{active}'::text[] ELSE '{preActivation,active,suspended,deactivated}' END)`
  },
  erase: async (rows) => {
    await db.$executeRaw`
      WITH gone AS (
        SELECT v.key_id, v.version, v.sealed_id, n.known FROM app.version v
        JOIN jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS n ("keyId" uuid, version int, known boolean)
          ON v.key_id = n."keyId" AND v.version = n.version
        WHERE v.state IN ('compromised', 'destroyed') AND v.sealed_id IS NOT NULL AND NOT EXISTS (
          SELECT FROM app.incident_version o JOIN app.incident i ON i.id = o.incident_id
          WHERE o.key_id = v.key_id AND o.version = v.version AND i.state <> 'closed'
            AND o.state NOT IN ('refused', 'restored') AND (o.state <> 'refusedAfter' OR o.proven_at IS NULL))
        FOR UPDATE OF v
      ), shut AS (
        UPDATE app.sealed s SET wrapped_key = NULL, ciphertext = NULL, erased_at = app.now()
        FROM gone WHERE s.id = gone.sealed_id AND s.erased_at IS NULL
      )
      UPDATE app.version v SET sealed_id = NULL, material_known = gone.known
      FROM gone WHERE v.key_id = gone.key_id AND v.version = gone.version`
  },
})

const one = (row: Row | null): Version | null => row && toVersion(row)

export const toVersion = ({ isPrimary, ...row }: Row): Version => ({
  ...row,
  state: word(row.state),
  primary: isPrimary,
  fingerprint: row.fingerprint && asFingerprint(row.fingerprint),
})

const toRow = ({ primary, ...version }: Version) => ({
  ...version,
  isPrimary: primary,
  providerVersions: [...version.providerVersions],
  fingerprint: version.fingerprint && bytesOfFingerprint(version.fingerprint),
})
