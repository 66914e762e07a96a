// Whether what is asked goes by an index: the statements of a piece of work, explained by the server at its present size.

import pg from 'pg'
import type { BenchDatabase } from './place.ts'

interface Plan {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly Plans?: readonly Plan[]
}
/** Explains every statement that `work` sends, and names those that read one of the `big` tables from end to end. It is taken from the driver: auto_explain is not in the embedded server. */
export const scansOf = async (
  { sql }: Pick<BenchDatabase, 'sql'>,
  big: ReadonlySet<string>,
  work: () => Promise<void>,
): Promise<{ readonly asked: number; readonly found: readonly string[] }> => {
  const asked = new Map<string, readonly unknown[]>()
  const real = pg.Client.prototype.query
  pg.Client.prototype.query = function query(this: unknown, ...args: unknown[]) {
    const [config] = args
    if (typeof config === 'object' && config !== null && 'text' in config && 'values' in config) {
      const text = String(config.text)
      if (/^\s*\(?(SELECT|UPDATE|WITH)/i.test(text))
        asked.set(text, config.values as readonly unknown[])
    }
    return Reflect.apply(real, this, args)
  } as typeof real
  try {
    await work()
  } finally {
    pg.Client.prototype.query = real
  }
  const found: string[] = []
  for (const [text, values] of asked) {
    const { rows } = await sql.query<{ 'QUERY PLAN': readonly { readonly Plan: Plan }[] }>(
      `EXPLAIN (FORMAT JSON) ${text}`,
      [...values],
    )
    const scanned = rows.flatMap((row) =>
      row['QUERY PLAN'].flatMap(({ Plan: plan }) => seqScans(plan)),
    )
    if (scanned.some((name) => big.has(name)))
      found.push(`${scanned.join(', ')}: ${text.slice(0, 300)}`)
  }
  return { asked: asked.size, found }
}

const seqScans = (plan: Plan): readonly string[] => [
  ...(plan['Node Type'] === 'Seq Scan' ? [plan['Relation Name'] ?? ''] : []),
  ...(plan.Plans ?? []).flatMap(seqScans),
]
