// What must be so before Rekey serves: the role that serves can bend nothing, and every guard of the log is awake.
// Each line is a query that runs as that role and returns one sentence for every fault. `rekey doctor` shows the same list.

import type { PepperName } from '#domain/pepper.ts'
import type { Database } from './database.ts'
import { Prisma } from './generated/client.ts'
import { kekNames } from './keks-in-use.ts'
import { logOrderFaults } from './log-order.ts'
import { readMigrations } from './migrate.ts'

export interface Finding {
  /** Name of the check that found it. */
  readonly check: string
  readonly detail: string
  readonly hint: string
}

/** Of a schema that is newer than this version: a start refuses, a process that runs already goes on (docs/how-to/upgrade.md). */
export const newerSchema = 'schema.newer'

/** Empty: all is well. A start refuses on any finding. */
export const selfCheck = async (
  database: Database,
  keyring: {
    readonly kekIds: readonly string[]
    readonly peppers: { readonly all: readonly PepperName[] }
  },
): Promise<readonly Finding[]> => {
  const schema = await checkMigrations(database)
  // The other queries name tables and functions that the missing migrations would make.
  if (schema.some(({ check }) => check !== newerSchema)) return schema
  const findings: Finding[] = []
  for (const { check, hint, faults } of checks) {
    const rows = await database.client.$queryRaw<{ readonly fault: string }[]>(faults)
    findings.push(...rows.map(({ fault }) => ({ check, detail: fault, hint })))
  }
  return [
    ...schema,
    ...findings,
    ...(await checkGuardState(database)),
    ...(await logOrderFaults(database)).map((detail) => ({
      check: 'audit.order',
      detail,
      hint: order,
    })),
    ...(await checkKeks(database, keyring.kekIds)),
    ...(await checkPeppers(database, keyring.peppers.all)),
  ]
}

interface Check {
  readonly check: string
  readonly hint: string
  /** One column, `fault`. */
  readonly faults: Prisma.Sql
}

const grants = 'Connect as rekey_app, and run "rekey migrate" to set its rights.'
const order = 'Run "rekey migrate" with a superuser: it lets the log go on above them.'
const repair = 'Find out who changed it, then run "rekey migrate" with a superuser to put it back.'

const checks: readonly Check[] = [
  {
    check: 'role.plain',
    hint: grants,
    faults: Prisma.sql`
      SELECT 'the role ' || rolname || ' has the attribute ' || attribute AS fault FROM pg_roles
      CROSS JOIN LATERAL (VALUES ('SUPERUSER', rolsuper), ('BYPASSRLS', rolbypassrls), ('CREATEROLE', rolcreaterole),
        ('REPLICATION', rolreplication), ('CREATEDB', rolcreatedb)) a (attribute, has)
      WHERE rolname = current_user AND has`,
  },
  {
    check: 'role.noOwner',
    hint: 'REVOKE the owner roles: nobody who can log in may be a member, but for rekey_migrate while it migrates.',
    faults: Prisma.sql`
      SELECT 'the login role ' || m.rolname || ' is a member of ' || o.rolname AS fault
      FROM pg_roles m CROSS JOIN pg_roles o
      WHERE o.rolname IN ('rekey_owner', 'rk_audit_owner') AND m.rolcanlogin AND NOT m.rolsuper
        AND pg_has_role(m.oid, o.oid, 'MEMBER') AND (m.rolname <> 'rekey_migrate' OR m.rolname = current_user)
      UNION ALL
      SELECT 'the owner role ' || rolname || ' can log in' FROM pg_roles
      WHERE rolname IN ('rekey_owner', 'rk_audit_owner') AND rolcanlogin`,
  },
  {
    check: 'audit.rights',
    hint: grants,
    faults: Prisma.sql`
      SELECT current_user || ' may ' || privilege || ' ' || c.oid::regclass AS fault
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) privilege
      WHERE n.nspname = 'audit' AND c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, privilege)
      UNION ALL
      SELECT current_user || ' may insert ' || c.oid::regclass || '.' || a.attname
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
      WHERE n.nspname = 'audit' AND c.relkind IN ('r', 'p') AND has_column_privilege(c.oid, a.attnum, 'INSERT')
        AND (c.oid::regclass::text, a.attname) NOT IN (('audit.event', 'id'), ('audit.event', 'body'),
          ('audit.event', 'writer_kid'), ('audit.event', 'writer_sig'), ('audit.writer_key', 'kid'), ('audit.writer_key', 'public_key'))
      UNION ALL
      SELECT current_user || ' may ' || privilege || ' ' || c.oid::regclass
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN unnest(ARRAY['TRUNCATE', 'TRIGGER']) privilege
      WHERE n.nspname IN ('app', 'vault') AND c.relkind = 'r' AND has_table_privilege(c.oid, privilege)
      UNION ALL
      SELECT current_user || ' may create in the schema ' || nspname FROM pg_namespace
      WHERE nspname IN ('audit', 'app', 'vault', 'rekey_guard') AND has_schema_privilege(oid, 'CREATE')`,
  },
  {
    check: 'audit.triggers',
    hint: repair,
    faults: Prisma.sql`
      SELECT 'the trigger ' || want.name || ' on ' || t.name || ' is missing or not ENABLE ALWAYS' AS fault
      FROM (SELECT 'audit.event'::regclass AS oid, 'audit.event' AS name
            UNION ALL SELECT 'audit.partition'::regclass, 'audit.partition'
            UNION ALL SELECT 'audit.writer_key'::regclass, 'audit.writer_key'
            UNION ALL SELECT inhrelid, inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit.event'::regclass) t
      -- 27: before, each row, UPDATE or DELETE; 34: before, statement, TRUNCATE
      CROSS JOIN (VALUES ('refuse_change', 27), ('refuse_truncate', 34)) want (name, kind)
      WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t.oid AND g.tgname = want.name AND g.tgtype = want.kind
        AND g.tgenabled = 'A' AND g.tgqual IS NULL AND g.tgfoid = to_regprocedure('audit.refuse_change()'))`,
  },
  {
    check: 'audit.partitions',
    hint: 'SELECT audit.ensure_partitions(3) makes what is missing; a detached one was taken away by somebody.',
    faults: Prisma.sql`
      SELECT 'no partition of audit.event for ' || to_char(month, 'YYYY-MM') AS fault
      FROM generate_series(date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC'),
        date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + interval '1 month', interval '1 month') month
      WHERE NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'audit.event'::regclass
        AND inhrelid = to_regclass('audit.event_' || to_char(month, 'YYYY_MM')))
      UNION ALL
      SELECT 'the partition audit.' || name || ' is not attached' FROM audit.partition
      WHERE NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'audit.event'::regclass
        AND inhrelid = to_regclass('audit.' || quote_ident(name)))`,
  },
  {
    check: 'app.guarded',
    hint: repair,
    faults: Prisma.sql`
      SELECT 'the table ' || c.oid::regclass || ' does not say whether it is guarded' AS fault
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'app' AND c.relkind IN ('r', 'p') AND coalesce(obj_description(c.oid, 'pg_class'), '') !~ '^(G|Not g)uarded:'
      UNION ALL
      SELECT 'the trigger must_be_audited on ' || c.oid::regclass || ' is missing or not ENABLE ALWAYS'
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE ((n.nspname = 'app' AND obj_description(c.oid, 'pg_class') ~ '^Guarded:') OR c.oid = 'audit.writer_key'::regclass)
        -- 29: after, each row, INSERT, UPDATE or DELETE
        AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = 'must_be_audited' AND g.tgenabled = 'A'
          AND g.tgtype = 29 AND g.tgdeferrable AND g.tginitdeferred AND g.tgfoid = to_regprocedure('audit.must_be_audited()'))`,
  },
  {
    check: 'server.durable',
    hint: 'Set it in postgresql.conf: what was promised must survive a power cut.',
    faults: Prisma.sql`
      SELECT 'the server runs with ' || name || ' = ' || setting AS fault FROM pg_settings
      WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'`,
  },
  {
    check: 'server.guards',
    hint: repair,
    // Where a superuser made the schema, the event trigger must be there and awake. Elsewhere there is none to ask for.
    faults: Prisma.sql`
      SELECT 'the event trigger rekey_guard is missing or not ENABLE ALWAYS' AS fault
      WHERE to_regnamespace('rekey_guard') IS NOT NULL
        AND NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'rekey_guard' AND evtenabled = 'A')`,
  },
]

/** What the guard itself compares: also function bodies, columns, rules and rights. */
const checkGuardState = async ({ client }: Database): Promise<readonly Finding[]> => {
  const there = await client.$queryRaw<{ readonly yes: boolean }[]>`
    SELECT to_regprocedure('rekey_guard.faults()') IS NOT NULL AND to_regclass('rekey_guard.expected') IS NOT NULL AS yes`
  if (there[0]?.yes !== true) return []
  const rows = await client.$queryRaw<
    { readonly fault: string }[]
  >`SELECT fault FROM rekey_guard.faults() fault`
  return rows.map(({ fault }) => ({ check: 'audit.state', detail: fault, hint: repair }))
}

const checkKeks = async (
  database: Database,
  kekIds: readonly string[],
): Promise<readonly Finding[]> => {
  const named = await kekNames(database)
  return named
    .filter(({ kekId }) => !kekIds.includes(kekId))
    .map(({ kekId, place }) => ({
      check: 'kek.ours',
      detail: `${place === 'app.kek' ? `the key-encryption key in use is ${kekId}` : `${place} holds rows sealed under the key-encryption key ${kekId}`}, but the file holds ${kekIds.join(', ')}`,
      hint: 'Point REKEY_KEK_FILE at a file with the key-encryption key of that fingerprint. Nothing was changed.',
    }))
}

const checkPeppers = async (
  { client }: Database,
  ours: readonly PepperName[],
): Promise<readonly Finding[]> => {
  // Not `findUnique`: see tables/freeze.ts.
  const installation = await client.installation.findFirst()
  const named = await client.pepper.findMany({ orderBy: { number: 'asc' } })
  const inUse = named.filter(({ state }) => state !== 'retired')
  // Before it was registered (usecases/follow-own-keys.ts) there was one.
  const begun = named.length === 0 && installation ? [{ number: 1, id: installation.pepperId }] : []
  const told = (peppers: readonly PepperName[]): string =>
    peppers.map(({ number, id }) => `${number} (${id})`).join(', ')
  const missing = [...inUse, ...begun].filter(
    ({ number, id }) => !ours.some((one) => one.number === number && one.id === id),
  )
  if (missing.length === 0) return []
  return [
    {
      check: 'pepper.ours',
      detail: `fingerprints were made with the pepper ${told(missing)}, but the file holds ${told(ours)}`,
      hint: 'Bring its line back into the file "pepper" of the data directory: without it, material that is known is not recognised.',
    },
  ]
}

/** What the database lacks, or has more than this version knows. */
export const checkMigrations = async ({ client }: Database): Promise<readonly Finding[]> => {
  const found = await client.$queryRaw<{ readonly there: boolean }[]>`
    SELECT to_regclass('public._prisma_migrations') IS NOT NULL AS there`
  const rows = found[0]?.there
    ? await client.$queryRaw<
        { readonly name: string; readonly checksum: string; readonly finished: boolean }[]
      >`
        SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished
        FROM public._prisma_migrations WHERE rolled_back_at IS NULL`
    : []
  const files = await readMigrations()
  const wrong = files.flatMap((file) => {
    const row = rows.find((r) => r.name === file.name)
    if (row === undefined) return [`the migration ${file.name} was not applied`]
    if (!row.finished) return [`the migration ${file.name} failed`]
    return row.checksum === file.checksum
      ? []
      : [`the migration ${file.name} was applied with another text`]
  })
  const unknown = rows.filter((row) => !files.some((file) => file.name === row.name))
  return [
    ...wrong.map((detail) => ({
      check: 'migrations',
      detail,
      hint: 'Run "rekey migrate" of the newest version.',
    })),
    ...unknown.map(({ name }) => ({
      check: newerSchema,
      detail: `the database has the migration ${name}, which this version does not know`,
      hint: 'A newer Rekey has migrated it: start that version, or restore the backup that was taken before the upgrade. Nothing was changed.',
    })),
  ]
}
