// The line of a connection's requests: one row, moved on by whoever takes places in it. One statement each, on the database's
// clock, so that workers on machines whose clocks differ stand in one line.
//
// Places lie a tenth further apart than the limit asks. They are lost when they would be used over a twentieth of a second late
// (runtime/line.ts), and as much again is left for the way to the provider: in no second, wherever it begins, are there more
// than the limit.

import type { Paces } from '#domain/ports.ts'
import type { Database } from './database.ts'
import { Prisma } from './generated/client.ts'
import { orUnavailable } from './sql-state.ts'

/** Of a provider that said "too many" over a connection without a limit. */
const presumed = 32
/** Beyond this no line is kept, and what was lowered is forgotten. */
const fastest = 10_000

export const createPaces = ({ client: db }: Database): Paces => ({
  take: (connection, { limit, count, withinMs }) =>
    orUnavailable(async () => {
      const look = async () => {
        const [line] = await db.$queryRaw<
          { readonly rate: number | null; readonly lineMs: number }[]
        >`
          SELECT ${rate(limit)} AS rate, ${ms(Prisma.sql`greatest(p.free_at, app.now()) - app.now()`)} AS "lineMs"
          FROM (SELECT) AS one LEFT JOIN app.pace p ON p.connection = ${connection}`
        return { rate: line?.rate ?? null, lineMs: line?.lineMs ?? 0 }
      }
      if (limit === null && (await look()).rate === null) return { kind: 'free' }
      const length = Prisma.sql`(${count}::integer * ${apart(limit)})`
      const [taken] = await db.$queryRaw<
        { readonly nowMs: number; readonly afterMs: number; readonly everyMs: number }[]
      >`
        INSERT INTO app.pace AS p (connection, free_at)
        SELECT name, app.now() + ${count}::integer * interval '1 second' / (0.9 * ${limit ?? fastest}::double precision)
        FROM app.connection WHERE name = ${connection}
        ON CONFLICT (connection) DO UPDATE SET free_at = greatest(p.free_at, app.now()) + ${length}
        WHERE greatest(p.free_at, app.now()) - app.now() <= ${withinMs}::double precision * interval '1 millisecond'
        RETURNING (extract(epoch FROM app.now()) * 1000)::double precision AS "nowMs",
          ${ms(Prisma.sql`p.free_at - ${length} - app.now()`)} AS "afterMs", ${ms(apart(limit))} AS "everyMs"`
      if (taken) return { kind: 'places', ...taken, afterMs: Math.max(0, taken.afterMs) }
      const full = await look()
      // Without a line there is no connection any more: whoever asks finds out.
      return full.lineMs === 0
        ? { kind: 'free' }
        : { kind: 'full', afterMs: full.lineMs, rate: full.rate ?? fastest }
    }),

  // Of many requests that are refused at once the first counts.
  slow: (connection, { limit, holdMs }) =>
    orUnavailable(async () => {
      const hold = Prisma.sql`app.now() + ${holdMs}::double precision * interval '1 millisecond'`
      await db.$executeRaw`
        INSERT INTO app.pace AS p (connection, free_at, lowered, lowered_at)
        SELECT name, ${hold}, greatest(1, coalesce(${limit}::double precision, ${presumed}::double precision) / 2), app.now()
        FROM app.connection WHERE name = ${connection}
        ON CONFLICT (connection) DO UPDATE SET free_at = greatest(p.free_at, ${hold}),
          lowered = CASE WHEN p.lowered_at > app.now() - interval '1 second' THEN p.lowered
            ELSE greatest(1, coalesce(${rate(limit)}, ${presumed}::double precision) / 2) END,
          lowered_at = app.now()`
    }),
})

/** Requests a second at this moment; NULL: as many as it likes. */
const rate = (limit: number | null): Prisma.Sql => Prisma.sql`
  least(${limit}::double precision, CASE WHEN p.lowered * ${grown} < ${fastest}::double precision THEN p.lowered * ${grown} END)`
const grown = Prisma.sql`power(2, least(20, greatest(0, extract(epoch FROM app.now() - p.lowered_at) / 60))::double precision)`

const apart = (limit: number | null): Prisma.Sql =>
  Prisma.sql`(interval '1 second' / (0.9 * coalesce(${rate(limit)}, ${fastest}::double precision)))`

const ms = (interval: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`(extract(epoch FROM ${interval}) * 1000)::double precision`
