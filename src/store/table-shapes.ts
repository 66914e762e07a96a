// Which tables there are to back up, with the columns that are written (not the generated ones), in an order in which they can
// be filled: a table comes after those that it refers to. From the catalogue, so that no table can be forgotten.

import type pg from 'pg'

export interface TableShape {
  /** `app.key` */
  readonly name: string
  readonly columns: readonly string[]
}

/** But for the partitions' own list, which the partitions bring along, and what is only there in tests. */
export const tablesInOrder = async (db: pg.Client): Promise<readonly TableShape[]> => {
  const { rows: shapes } = await db.query<{ name: string; columns: string[] }>(`
    SELECT n.nspname || '.' || c.relname AS name,
           array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE n.nspname IN ('app', 'audit', 'vault') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND n.nspname || '.' || c.relname NOT IN ('audit.partition', 'app.test_clock')
    GROUP BY 1 ORDER BY 1`)
  const { rows: references } = await db.query<{ from: string; to: string }>(`
    SELECT DISTINCT n.nspname || '.' || c.relname AS "from", m.nspname || '.' || d.relname AS "to"
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class d ON d.oid = k.confrelid JOIN pg_namespace m ON m.oid = d.relnamespace
    WHERE k.contype = 'f' AND k.conrelid <> k.confrelid AND n.nspname IN ('app', 'audit', 'vault')`)
  return inOrder(shapes, references)
}

const inOrder = (
  shapes: readonly TableShape[],
  references: readonly { readonly from: string; readonly to: string }[],
): readonly TableShape[] => {
  const placed: TableShape[] = []
  let left = shapes
  while (left.length > 0) {
    const ready = left.filter(({ name }) =>
      references.every(({ from, to }) => from !== name || !left.some((other) => other.name === to)),
    )
    if (ready.length === 0)
      throw new Error(
        `these tables refer to each other: ${left.map(({ name }) => name).join(', ')}`,
      )
    placed.push(...ready)
    left = left.filter((shape) => !ready.includes(shape))
  }
  return placed
}
