// What the database holds, in numbers, for /metrics. Asked by one process at a time, whichever is scraped first: it takes a
// lease with its first reading and renews it with every other. By index, in one statement: with 100,000 keys it takes a few
// milliseconds.
//
// What a crash leaves: the lease, for `leaseMs`; until then nobody tells, and afterwards whoever is scraped next does.

import type { InstallationGauge, InstallationSample } from '#domain/metrics.ts'
import { driftStates } from '#domain/drift.ts'
import { openPhases } from '#domain/rotation-machine.ts'
import type { Database } from './database.ts'
import { isFinding, isShown } from './tables/drift.ts'

export interface InstallationReader {
  /** Whoever tells it to Prometheus meanwhile. */
  look(): Promise<readonly InstallationSample[]>
  /** Null where another process tells it. Throws where the database does not answer. */
  read(): Promise<readonly InstallationSample[] | null>
  /** Lets another one tell it from now on. */
  release(): Promise<void>
}

/** Longer than a minute, in which everybody scrapes at least once. */
const leaseMs = 90_000

interface Facts {
  readonly now: number
  readonly open: Readonly<Record<string, number>>
  readonly drifted: Readonly<Record<string, number>>
  readonly leases: Readonly<Record<'held' | 'expired', number>>
  readonly counts: Readonly<Record<Count, number>>
  /** Unix seconds; null: there is none. */
  readonly since: Readonly<Record<Age, number | null>>
}
type Count = Extract<
  InstallationGauge,
  | 'rekey_rotations_due'
  | 'rekey_keys_due'
  | 'rekey_keys_overdue'
  | 'rekey_intents_unknown'
  | 'rekey_sink_deliveries_pending'
  | 'rekey_sink_dead_letters'
  | 'rekey_recovery_active'
>
type Age = Extract<InstallationGauge, `${string}_seconds`>

export const createInstallationReader = (
  { client: db }: Database,
  holder: string,
): InstallationReader => ({
  look: () => look(db),

  async read() {
    const held = await db.$executeRaw`
      UPDATE app.installation_reader
      SET holder = ${holder}, until = app.now() + ${leaseMs}::double precision * interval '1 millisecond'
      WHERE holder = ${holder} OR until <= app.now()`
    return held === 0 ? null : look(db)
  },

  async release() {
    await db.$executeRaw`UPDATE app.installation_reader SET until = app.now() WHERE holder = ${holder}`
  },
})

const look = async (db: Database['client']): Promise<readonly InstallationSample[]> => {
  const rows = await db.$queryRaw<{ readonly facts: Facts }[]>`
      SELECT jsonb_build_object(
        'now', extract(epoch FROM app.now()),
        'open', (SELECT coalesce(jsonb_object_agg(phase, n), '{}') FROM (
          SELECT phase, count(*) AS n FROM app.rotation WHERE phase = ANY (${[...openPhases]}::text[]) GROUP BY phase) p),
        'drifted', (SELECT coalesce(jsonb_object_agg(state, n), '{}') FROM (
          SELECT CASE WHEN ${isFinding} THEN d.state ELSE 'unreachable' END AS state, count(*) AS n
          FROM app.drift d JOIN app.key k ON k.id = d.key_id AND k.deleted_at IS NULL
          WHERE ${isShown} AND recovery.n = 0 GROUP BY 1) f),
        'leases', (SELECT jsonb_build_object(
            'held', count(*) FILTER (WHERE lease_until > app.now()),
            'expired', count(*) FILTER (WHERE lease_until <= app.now()))
          FROM app.rotation_timer WHERE lease_owner IS NOT NULL),
        'counts', jsonb_build_object(
          'rekey_rotations_due', due.n,
          'rekey_keys_due', planned.n,
          'rekey_keys_overdue', late.n,
          'rekey_intents_unknown', unknown.n,
          'rekey_sink_deliveries_pending', pending.n,
          'rekey_recovery_active', recovery.n,
          'rekey_sink_dead_letters', (SELECT count(*) FROM app.sink_delivery WHERE state = 'dead')),
        'since', jsonb_build_object(
          'rekey_queue_lag_seconds', due.since,
          'rekey_planner_lag_seconds', planned.since,
          'rekey_key_overdue_oldest_seconds', late.since,
          'rekey_intent_unknown_oldest_seconds', unknown.since,
          'rekey_sink_delivery_lag_seconds', pending.since,
          'rekey_comparison_lag_seconds', (SELECT extract(epoch FROM min(look_at)) FROM app.drift WHERE recovery.n = 0),
          'rekey_rotation_stalled_oldest_seconds',
            (SELECT extract(epoch FROM min(phase_entered_at)) FROM app.rotation WHERE phase = 'stalled'),
          'rekey_observed_clock_lag_seconds', (SELECT extract(epoch FROM last_at) FROM app.observed_clock))
      ) AS facts
      FROM
        -- In recovery mode nobody compares keys: what was found before it is the recovery's to find anew.
        (SELECT count(*) AS n FROM app.recovery WHERE ended_at IS NULL) recovery,
        (SELECT count(*) AS n, extract(epoch FROM min(due_at)) AS since
         FROM app.rotation_timer WHERE due_at <= app.now() AND lease_owner IS NULL) due,
        (SELECT count(*) AS n, extract(epoch FROM min(due_at)) AS since
         FROM app.key_schedule WHERE due_at <= app.now()) planned,
        (SELECT count(*) AS n, extract(epoch FROM min(overdue_since)) AS since
         FROM app.key_schedule WHERE overdue_since IS NOT NULL) late,
        (SELECT count(*) AS n, extract(epoch FROM min(started_at)) AS since
         FROM app.intent WHERE NOT closed AND (outcome = 'unknown' OR sent_not_after < app.now())) unknown,
        (SELECT count(*) AS n, extract(epoch FROM min(greatest(d.next_at, c.held_until))) AS since
         FROM app.sink_delivery d LEFT JOIN app.sink_cursor c USING (sink) WHERE d.state = 'pending') pending`
  const facts = rows[0]?.facts
  return facts === undefined ? [] : samplesOf(facts)
}

const samplesOf = ({
  now,
  open,
  drifted,
  leases,
  counts,
  since,
}: Facts): readonly InstallationSample[] => [
  ...openPhases.map(
    (phase) =>
      ({ name: 'rekey_rotations_open', labels: { phase }, value: open[phase] ?? 0 }) as const,
  ),
  ...driftStates.map(
    (state) =>
      ({ name: 'rekey_keys_drifted', labels: { state }, value: drifted[state] ?? 0 }) as const,
  ),
  ...(['held', 'expired'] as const).map(
    (state) => ({ name: 'rekey_leases', labels: { state }, value: leases[state] }) as const,
  ),
  ...entries(counts).map(([name, value]) => ({ name, labels: {}, value })),
  // What is due in the future has no age yet.
  ...entries(since).map(([name, at]) => ({
    name,
    labels: {},
    value: at === null ? 0 : Math.max(0, now - at),
  })),
]

const entries = <K extends string, V>(row: Readonly<Record<K, V>>): readonly (readonly [K, V])[] =>
  Object.entries(row) as never
