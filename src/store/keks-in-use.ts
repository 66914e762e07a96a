// Which KEKs the database names: by index, a step for each of them and not for each row.

import type { Database } from './database.ts'

export interface KekNamed {
  readonly kekId: string
  readonly place: string
}

export const kekNames = ({ client }: Pick<Database, 'client'>): Promise<readonly KekNamed[]> =>
  client.$queryRaw<KekNamed[]>`
    WITH RECURSIVE sealed (id) AS (
      (SELECT kek_id FROM app.sealed WHERE erased_at IS NULL ORDER BY kek_id LIMIT 1)
      UNION ALL
      SELECT (SELECT s.kek_id FROM app.sealed s WHERE s.erased_at IS NULL AND s.kek_id > sealed.id ORDER BY s.kek_id LIMIT 1)
      FROM sealed WHERE sealed.id IS NOT NULL
    ), material (id) AS (
      (SELECT kek_id FROM vault.material WHERE state <> 'destroyed' ORDER BY kek_id LIMIT 1)
      UNION ALL
      SELECT (SELECT m.kek_id FROM vault.material m WHERE m.state <> 'destroyed' AND m.kek_id > material.id ORDER BY m.kek_id LIMIT 1)
      FROM material WHERE material.id IS NOT NULL
    )
    SELECT id AS "kekId", 'app.sealed' AS place FROM sealed WHERE id IS NOT NULL
    UNION ALL SELECT id, 'vault.material' FROM material WHERE id IS NOT NULL
    UNION ALL SELECT id, 'app.kek' FROM app.kek WHERE state = 'active'`

/** How many rows are under each. By index only; a look for people. */
export const kekRows = async ({
  client,
}: Pick<Database, 'client'>): Promise<ReadonlyMap<string, number>> => {
  const rows = await client.$queryRaw<{ readonly id: string; readonly n: bigint }[]>`
    SELECT kek_id AS id, count(*) AS n FROM (
      SELECT kek_id FROM app.sealed WHERE erased_at IS NULL
      UNION ALL SELECT kek_id FROM vault.material WHERE state <> 'destroyed'
    ) live GROUP BY kek_id`
  return new Map(rows.map(({ id, n }) => [id, Number(n)]))
}
