// Pairs that could be managed: ordinary users whose names say that they take turns. A server has no other word for it.

import { ProviderError, type Call, type InventoryItem } from '#domain/provider.ts'
import type { PostgresSettings } from './settings.ts'
import { objectIdOf } from './object-id.ts'
import type { Wire } from './wire.ts'

const pageSize = 20

const pairsSql = `
  WITH ends(one, other) AS (VALUES ('_a', '_b'), ('_1', '_2'), ('_blue', '_green'), ('', '_clone')),
  ordinary AS (SELECT rolname::text AS name FROM pg_roles
    WHERE NOT rolsuper AND NOT rolreplication AND NOT rolbypassrls AND rolname !~ '^pg_'
      AND rolname <> session_user)
  SELECT a.name AS first, b.name AS second FROM ordinary a
    JOIN ends ON right(a.name, length(one)) = one
    JOIN ordinary b ON b.name = left(a.name, length(a.name) - length(one)) || other
  WHERE $1::text IS NULL OR a.name COLLATE "C" > $1 COLLATE "C"
  ORDER BY a.name COLLATE "C" LIMIT $2`

export const inventory = async (
  at: { readonly wire: Wire; readonly settings: PostgresSettings },
  type: string,
  cursor: string | null,
  call: Call,
): Promise<{ readonly items: readonly InventoryItem[]; readonly next: string | null }> => {
  if (type !== 'postgres.user')
    throw new ProviderError('unsupported', 'none', 'the postgres provider has no such key type')
  const after = cursor === null ? null : decode(cursor)
  const rows = await at.wire.read<{ readonly first: string; readonly second: string }>(
    pairsSql,
    [after, pageSize + 1],
    call,
  )
  const page = rows.slice(0, pageSize)
  const last = page.at(-1)
  return {
    items: page.map(({ first, second }) => ({
      type,
      ref: { users: [first, second] },
      objectId: objectIdOf(at.settings, [first, second]),
      facts: {},
    })),
    next: rows.length > pageSize && last ? encode(last.first) : null,
  }
}

const encode = (name: string): string =>
  Buffer.from(JSON.stringify({ after: name })).toString('base64url')

const decode = (cursor: string): string => {
  try {
    const { after } = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as { after?: unknown }
    if (typeof after === 'string' && after !== '') return after
  } catch {
    // Falls through: not one of ours.
  }
  throw new ProviderError('permanent', 'none', 'the cursor is not one of this inventory')
}
