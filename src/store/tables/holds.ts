// Asked before every provider write, twice: one statement instead of four.

import type { Freeze } from '#domain/connection.ts'
import type { PolicySpec } from '#domain/policy.ts'
import type { Holds, Reads } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { type Moment, observedNow } from './moment.ts'

export interface HoldRow {
  readonly now: Date
  readonly began_at: Date | null
  readonly detail: string | null
  readonly until: Date | null
  readonly reason: string | null
  readonly selector: Freeze['selector']
  readonly labels: Readonly<Record<string, string>> | null
  readonly spec: PolicySpec | null
}

/** `told`: the moment of the answer. */
export const holdReads = (
  db: Db,
  told: (moment: Moment) => void = () => undefined,
): Reads['holds'] => ({
  of: async ({ keyId, policy }) => {
    const rows = await db.$queryRaw<(HoldRow & { readonly observed: bigint })[]>`
      SELECT clock.now, ${observedNow} AS observed, r.began_at, r.detail, f.until, f.reason, f.selector,
        (SELECT labels FROM app.key WHERE id = ${keyId}::uuid) AS labels,
        (SELECT spec FROM app.policy WHERE name = ${policy}) AS spec
      FROM (SELECT app.now() AS now) clock CROSS JOIN app.observed_clock
        LEFT JOIN app.recovery r ON r.ended_at IS NULL
        LEFT JOIN app.freeze f ON true
      LIMIT 1`
    const [row] = rows
    if (row === undefined) throw new Error('the database told no time')
    told({ at: row.now, observedMs: Number(row.observed) })
    return toHolds(row)
  },
})

export const toHolds = (row: HoldRow): Holds => {
  const { now, began_at: beganAt, detail, until, reason, selector, labels, spec } = row
  return {
    now,
    recovery: beganAt && { beganAt, detail: detail ?? '' },
    freeze: until && { until, reason: reason ?? '', selector },
    labels: labels ?? {},
    spec,
  }
}
