// What a running Rekey relies on in a schema, as the catalogue tells it, and what of it another schema no longer gives.

import type pg from 'pg'

export interface SchemaPicture {
  /** By `app.key.name`. */
  readonly columns: ReadonlyMap<string, Column>
  /** By table: what the role that serves may do to it. */
  readonly rights: ReadonlyMap<string, readonly string[]>
  /** By name: what it restricts, and its text. */
  readonly limits: ReadonlyMap<
    string,
    { readonly columns: readonly string[]; readonly text: string }
  >
  /** Functions that the role that serves may call, with arguments and result. */
  readonly functions: ReadonlySet<string>
}

interface Column {
  readonly type: string
  /** Whether a row can be inserted without naming it. */
  readonly optional: boolean
  readonly nullable: boolean
  readonly rights: readonly string[]
}

const schemas = `n.nspname IN ('app', 'audit', 'vault')`

export const pictureOf = async (db: pg.Client): Promise<SchemaPicture> => {
  const rows = async <T extends pg.QueryResultRow>(text: string) => (await db.query<T>(text)).rows
  const columns = await rows<Column & { name: string }>(`
    SELECT n.nspname || '.' || c.relname || '.' || a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
      NOT a.attnotnull OR a.atthasdef OR a.attidentity <> '' AS optional, NOT a.attnotnull AS nullable,
      array(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) p
            WHERE has_column_privilege('rekey_app', c.oid, a.attnum, p)) AS rights
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE ${schemas} AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition`)
  const rights = await rows<{ name: string; rights: string[] }>(`
    SELECT n.nspname || '.' || c.relname AS name,
      array(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
            WHERE has_table_privilege('rekey_app', c.oid, p)) AS rights
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE ${schemas} AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition`)
  // A unique index is one that a row of the code of before may run into; so is a constraint.
  const limits = await rows<{ name: string; columns: string[]; text: string }>(`
    SELECT n.nspname || '.' || c.relname || ': ' || k.conname AS name, pg_get_constraintdef(k.oid) AS text,
      array(SELECT n.nspname || '.' || c.relname || '.' || attname FROM pg_attribute
            WHERE attrelid = c.oid AND attnum = ANY (k.conkey)) AS columns
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE ${schemas} AND NOT c.relispartition AND k.contype IN ('c', 'f')
    UNION ALL
    SELECT n.nspname || '.' || c.relname || ': ' || i.relname,
      regexp_replace(pg_get_indexdef(x.indexrelid), '^.* USING ', ''),
      array(SELECT n.nspname || '.' || c.relname || '.' || attname FROM pg_attribute
            WHERE attrelid = c.oid AND attnum = ANY (x.indkey))
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE ${schemas} AND x.indisunique AND NOT c.relispartition`)
  const functions = await rows<{ name: string }>(`
    SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ') → '
      || pg_get_function_result(p.oid) AS name
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE ${schemas} AND p.prorettype <> 'trigger'::regtype AND has_function_privilege('rekey_app', p.oid, 'EXECUTE')`)
  return {
    columns: new Map(columns.map(({ name, ...column }) => [name, column])),
    rights: new Map(rights.map((row) => [row.name, row.rights])),
    limits: new Map(limits.map(({ name, ...limit }) => [name, limit])),
    functions: new Set(functions.map(({ name }) => name)),
  }
}

/** What code that was written for `before` may run into on `after`. Each line begins with the thing that it is about. */
export const breakages = (before: SchemaPicture, after: SchemaPicture): readonly string[] => [
  ...[...before.columns].flatMap(([name, was]) => {
    const is = after.columns.get(name)
    if (is === undefined) return [`${name}: it is gone`]
    return [
      ...(is.type === was.type ? [] : [`${name}: it was ${was.type} and is ${is.type}`]),
      ...(was.nullable && !is.nullable ? [`${name}: it may be null no longer`] : []),
      ...(was.optional && !is.optional ? [`${name}: it must be given now`] : []),
      ...lost(was.rights, is.rights).map((right) => `${name}: ${right} is no longer granted`),
    ]
  }),
  ...[...after.columns].flatMap(([name, is]) => {
    const table = name.slice(0, name.lastIndexOf('.'))
    const fills = before.rights.get(table)?.includes('INSERT') === true
    return before.columns.has(name) || is.optional || !fills
      ? []
      : [`${name}: new rows need it, and the code of before does not give it`]
  }),
  ...[...before.rights].flatMap(([name, was]) =>
    lost(was, after.rights.get(name) ?? []).map(
      (right) => `${name}: ${right} is no longer granted`,
    ),
  ),
  ...[...after.limits].flatMap(([name, { columns, text }]) =>
    before.limits.get(name)?.text === text || !columns.some((column) => before.columns.has(column))
      ? []
      : [`${name}: rows of before are restricted by ${text}`],
  ),
  ...[...before.functions].flatMap((name) =>
    after.functions.has(name) ? [] : [`${name}: it is gone`],
  ),
]

const lost = (was: readonly string[], is: readonly string[]): readonly string[] =>
  was.filter((right) => !is.includes(right))
