// Who serves. Each process tells of itself every two seconds, on the database's clock; a dead one is forgotten after a day.

import type { Processes } from '#domain/ports.ts'
import type { Database } from './database.ts'
import { orUnavailable } from './sql-state.ts'

export const createProcesses = ({ client: db }: Database): Processes => ({
  tell: ({ instance, host, pid, version, seals, accepts, signs, marks, peppers }) =>
    orUnavailable(async () => {
      await db.$executeRaw`
        WITH forgotten AS (DELETE FROM app.process WHERE seen_at < app.now() - interval '1 day' AND instance <> ${instance})
        INSERT INTO app.process (instance, host, pid, version, seals, accepts, signs, marks, peppers, seen_at)
        VALUES (${instance}, ${host}, ${pid}::integer, ${version}, ${seals}, ${[...accepts]}::text[], ${signs}, ${marks}, ${[...peppers]}::text[], app.now())
        ON CONFLICT (instance) DO UPDATE
          SET seals = excluded.seals, accepts = excluded.accepts, signs = excluded.signs, marks = excluded.marks, peppers = excluded.peppers,
            seen_at = excluded.seen_at`
    }),

  leave: (instance) =>
    orUnavailable(async () => {
      await db.$executeRaw`DELETE FROM app.process WHERE instance = ${instance}`
    }),

  living: (withinMs) =>
    orUnavailable(async () => {
      const rows = await db.$queryRaw<Awaited<ReturnType<Processes['living']>>[number][]>`
        SELECT instance, host, pid, version, seals, accepts, signs, marks, coalesce(peppers, '{}') AS peppers FROM app.process
        WHERE seen_at > app.now() - ${withinMs}::double precision * interval '1 millisecond'
        ORDER BY host, instance`
      return rows
    }),
})
