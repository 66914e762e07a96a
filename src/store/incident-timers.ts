// Which worker has which key of an emergency. On the database's clock: workers on machines whose clocks differ agree.

import type { IncidentLease, IncidentTimerPatch, IncidentTimers } from '#domain/ports.ts'
import type { Database } from './database.ts'
import { gather } from './gather.ts'
import { orUnavailable } from './sql-state.ts'
import { releaseLeases } from './tables/incidents.ts'

export const createIncidentTimers = ({ client: db }: Database): IncidentTimers => {
  // Hundreds are given back at once, each by itself.
  const release = gather<IncidentLease & IncidentTimerPatch, 'said'>({
    nameOf: ({ incidentId, keyId }) => `${incidentId} ${keyId}`,
    send: async (leases) => {
      await releaseLeases(db, leases)
      return leases.map(() => 'said')
    },
  })
  return {
    busy: () =>
      orUnavailable(async () => {
        // Each is answered by the first entry of an index that is empty without an emergency.
        const rows = await db.$queryRaw<{ readonly busy: boolean }[]>`
        SELECT EXISTS (SELECT FROM app.incident_key_timer WHERE due_at IS NOT NULL AND lease_owner IS NULL)
          OR EXISTS (SELECT FROM app.incident_key_timer WHERE lease_owner IS NOT NULL)
          OR EXISTS (SELECT FROM app.incident WHERE state = 'executing') AS busy`
        return rows[0]?.busy === true
      }),
    // One statement, so that of two workers one wins. What is claimed has no due time any more: what is set from then on was
    // set while it was worked on, and is not lost when it is given back.
    claim: (owner, { limit, perLane, without, ttlMs }) =>
      orUnavailable(async () => {
        const rows = await db.$queryRaw<
          {
            readonly incidentId: string
            readonly keyId: string
            readonly connection: string
            readonly stage: number
            readonly tries: number
            readonly claimedAt: Date
          }[]
        >`
        WITH RECURSIVE lanes (lane) AS (
          (SELECT lane FROM app.incident_key_timer WHERE due_at IS NOT NULL AND lease_owner IS NULL ORDER BY lane LIMIT 1)
          UNION ALL
          SELECT (SELECT t.lane FROM app.incident_key_timer t
                  WHERE t.lane > l.lane AND t.due_at IS NOT NULL AND t.lease_owner IS NULL ORDER BY t.lane LIMIT 1)
          FROM lanes l WHERE l.lane IS NOT NULL
        ), ready AS (
          SELECT first.*, l.lane FROM lanes l CROSS JOIN LATERAL (
            SELECT t.incident_id, t.key_id, t.stage, t.position FROM app.incident_key_timer t
            WHERE t.lane = l.lane AND t.due_at <= app.now() AND t.lease_owner IS NULL
            ORDER BY t.stage, t.position, t.key_id LIMIT ${perLane}) first
          WHERE l.lane <> ALL (${[...without]}::text[])
          UNION ALL
          (SELECT incident_id, key_id, stage, position, lane FROM app.incident_key_timer
           WHERE lease_owner IS NOT NULL AND lease_until <= app.now() AND lane <> ALL (${[...without]}::text[])
           ORDER BY lease_until, key_id LIMIT ${limit})
        ), chosen AS (
          SELECT incident_id, key_id FROM (
            SELECT *, row_number() OVER (PARTITION BY lane ORDER BY stage, position, key_id) AS turn FROM ready) r
          WHERE turn <= ${perLane} ORDER BY stage, turn, position, key_id LIMIT ${limit}
        ), taken AS (
          SELECT t.incident_id, t.key_id FROM app.incident_key_timer t JOIN chosen USING (incident_id, key_id)
          WHERE (t.lease_owner IS NULL AND t.due_at <= app.now()) OR t.lease_until <= app.now()
          FOR UPDATE OF t SKIP LOCKED
        )
        UPDATE app.incident_key_timer t SET due_at = NULL, lease_owner = ${owner},
          lease_until = app.now() + ${ttlMs}::double precision * interval '1 millisecond'
        FROM taken WHERE t.incident_id = taken.incident_id AND t.key_id = taken.key_id
        RETURNING t.incident_id AS "incidentId", t.key_id AS "keyId", t.lane AS connection, t.stage,
          coalesce((t.progress ->> 'tries')::int, 0) AS tries, app.now() AS "claimedAt"`
        return rows.map((row) => ({ ...row, owner }))
      }),
    // An expired lease stays expired: somebody may be taking it over at this moment.
    heartbeat: (owners, ttlMs) =>
      orUnavailable(async () => {
        if (owners.length === 0) return
        await db.$executeRaw`
        -- In the order in which steps lock them, or the two would wait for each other.
        WITH held AS (
          SELECT incident_id, key_id FROM app.incident_key_timer
          WHERE lease_owner = ANY (${[...owners]}::text[]) AND lease_until > app.now()
          ORDER BY incident_id, key_id FOR UPDATE)
        UPDATE app.incident_key_timer t SET lease_until = app.now() + ${ttlMs}::double precision * interval '1 millisecond'
        FROM held h WHERE t.incident_id = h.incident_id AND t.key_id = h.key_id`
      }),
    release: (leases) =>
      orUnavailable(async () => {
        await Promise.all(leases.map(release))
      }),
  }
}
