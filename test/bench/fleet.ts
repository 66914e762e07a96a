// Many keys of the built-in vault, made by SQL: what registering each of them would leave, but for its events.

import { randomBytes } from 'node:crypto'
import { systemActor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import type { PolicySpec } from '#domain/policy.ts'
import { Secret } from '#domain/secret.ts'
import { providers } from '#providers/registry.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeEgress } from '#runtime/egress.ts'
import { putPolicy } from '#usecases/put-policy.ts'
import { type BenchDatabase, unguarded } from './place.ts'

const admin = {
  type: 'user',
  id: 'user:bench',
  name: 'bench',
  roles: ['admin'],
  scope: null,
  consumer: null,
  keys: null,
} as const

/** `material`: with a sealed value in the vault, so that the keys can be rotated. Keys are named key-000001 and so on. */
export const makeFleet = async (
  db: BenchDatabase,
  count: number,
  material: boolean,
): Promise<void> => {
  await putBenchConnections(db, 'local', [{ name: 'vault', settings: {} }], { from: 'none' })
  await unguarded(db, ['app.key', 'app.version'], async () => {
    await db.sql.query(
      `INSERT INTO app.key (id, name, connection, type, ref, object_id, purpose, owner, environment, labels, consumers, usable_by, revision, created_at, updated_at)
       SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'key-' || lpad(n::text, 6, '0'), 'vault', 'local.secret', '{}', 'local:' || n,
         'bench', 'team', 'test', jsonb_build_object('app', 'app-' || n % 1000), '{}', '{}', 1, now(), now()
       FROM generate_series(1, $1::integer) n`,
      [count],
    )
    await db.sql.query(
      `INSERT INTO app.version (key_id, version, state, is_primary, provider_versions, material_known, created_at, activated_at)
       SELECT id, 1, 'active', true, '{1}', true, now(), now() FROM app.key`,
    )
  })
  if (material) await fillVault(db)
  await db.sql.query('ANALYZE')
}

const fillVault = async (db: BenchDatabase): Promise<void> => {
  const { rows } = await db.sql.query<{ id: string }>('SELECT id FROM app.key ORDER BY id')
  for (let start = 0; start < rows.length; start += 1_000) {
    const part = rows.slice(start, start + 1_000).map(({ id }) => ({
      id,
      box: db.keyring.seal(new Secret(new Uint8Array(randomBytes(32))), `vault.material\n${id}\n1`),
    }))
    await db.sql.query(
      `INSERT INTO vault.material (object, version, operation_id, algorithm, kek_id, wrapped_key, ciphertext)
       SELECT o, 1, 'bench', 'secret', $2, w, c FROM unnest($1::text[], $3::bytea[], $4::bytea[]) t (o, w, c)`,
      [
        part.map(({ id }) => id),
        db.keyring.kekId,
        part.map(({ box }) => Buffer.from(box.wrappedKey)),
        part.map(({ box }) => Buffer.from(box.ciphertext)),
      ],
    )
  }
  await db.sql.query(
    'INSERT INTO vault.pointer (object, current) SELECT object, 1 FROM vault.material',
  )
}

/** Connections of one provider, with the same credential. */
export const putBenchConnections = async (
  db: Pick<BenchDatabase, 'ledger'>,
  provider: string,
  connections: readonly Pick<Connection, 'name' | 'settings'>[],
  credential: Connection['credential'],
): Promise<void> => {
  await db.ledger.commit(systemActor('system', 'bench'), async (tx) => {
    const now = await tx.now()
    for (const { name, settings } of connections)
      await tx.writeConnection.insert({
        name,
        provider,
        settings,
        credential,
        grants: [],
        labels: {},
        managedBy: null,
        revision: 1,
        createdAt: now,
        updatedAt: now,
      })
    const target = { id: provider, name: provider }
    return { value: null, audit: [{ action: 'connection.put', target, outcome: 'succeeded' }] }
  })
}

/** The policy of every key of the built-in vault, without a wait in it. */
export const putFleetPolicy = (
  db: BenchDatabase,
  more: { readonly rotateOnEnable: boolean; readonly description?: string },
): Promise<void> => putBenchPolicy(db, 'fleet', { selector: { connection: 'vault' }, ...more })

/** A policy without a wait in it. */
export const putBenchPolicy = async (
  db: BenchDatabase,
  name: string,
  more: Pick<PolicySpec, 'selector'> & Partial<PolicySpec>,
): Promise<void> => {
  const put = putPolicy({
    ledger: db.ledger,
    providers: new Map(providers.map((provider) => [provider.id, provider])),
    egress: makeEgress({ allow: [] }),
    clock: systemClock,
  })
  const spec = {
    schedule: { cron: '0 3 1 1 *', timezone: 'UTC' },
    overlap: { min: '0s' },
    soak: '0s',
    retire: 'disable',
    concurrency: { max: 10_000 },
    ...more,
  }
  const there = await db.ledger.read((reads) => reads.policies.get(name))
  const precondition = { match: there ? ('any' as const) : null, absent: false }
  await put(admin, { name, body: { name, spec }, precondition })
}

/** Until all of these rotations are completed; throws when one stalls. `of` is a condition on `app.rotation r`. */
export const untilCompleted = async (
  { sql }: Pick<BenchDatabase, 'sql'>,
  count: number,
  of = 'true',
): Promise<void> => {
  for (;;) {
    const { rows } = await sql.query<{ n: string; stalled: string | null }>(
      `SELECT count(*) FILTER (WHERE phase = 'completed') AS n,
         min(key_name || ', in ' || stalled_in || ': ' || stalled_reason) FILTER (WHERE phase = 'stalled') AS stalled
       FROM app.rotation r WHERE ${of}`,
    )
    if (rows[0]?.stalled) throw new Error(`the rotation of ${rows[0].stalled}`)
    if (Number(rows[0]?.n) >= count) return
    await systemClock.pause(100)
  }
}
