import type { Database } from './database.ts'

/** Makes the partitions of the log for this month and the `months` after it. At start and daily: without one nothing can be
 *  written. Returns how many were made. */
export const ensureAuditPartitions = async ({ client }: Database, months = 3): Promise<number> => {
  const rows = await client.$queryRaw<
    { readonly made: number }[]
  >`SELECT audit.ensure_partitions(${months}::integer) AS made`
  return rows[0]?.made ?? 0
}
