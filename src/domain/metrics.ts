// Every metric there is, as a table: the registry, the reference page, and the tests of alerts and dashboard read it.
//
// A label takes only values of a list that is known when the process starts; anything else is counted as `other`. So no
// name of a key, connection, sink or principal can become a label (9-security.md 10), and the number of series has a bound.
//
// `process`: each process tells what it saw; over processes they are added up (sum), but for times and states (max, min).
// `installation`: what the database holds, told by one process at a time; a handover may show two for a scrape: max.

import { auditActions, auditOutcomes } from './audit.ts'
import { type ErrorCode, errors } from './errors.ts'
import { providerErrorKinds, type Session } from './provider.ts'
import { driftStates } from './drift.ts'
import { openPhases } from './rotation-machine.ts'
import { triggers } from './rotation.ts'

/** Lists that only the composition root knows. */
export type KnownAtStart = 'routes' | 'providers' | 'types' | 'builds' | 'runtimes'
type Values = readonly string[] | KnownAtStart

export interface Metric {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly of: 'process' | 'installation'
  readonly help: string
  readonly labels: Readonly<Record<string, Values>>
  /** Upper bounds, of a histogram. */
  readonly buckets?: readonly number[]
}

/** What a label says whose value is in no list. */
export const otherValue = 'other'

/** What a worker does over and over, each on its own timer. */
export const workerTimers = [
  'queue',
  'sweep',
  'heartbeat',
  'sinks',
  'recovery',
  'comparison',
  'incidents',
  'housekeeping',
] as const

export const sessionOperations = [
  'check',
  'missingRights',
  'inventory',
  'describe',
  'create',
  'prepare',
  'mint',
  'probeMint',
  'verify',
  'promote',
  'probePromote',
  'suspend',
  'reinstate',
  'retire',
  'stateOf',
  'lastUsed',
  'readMaterial',
  'operate',
] as const satisfies readonly (keyof Session)[]
export type SessionOperation = (typeof sessionOperations)[number]
// A method of a session that is not in the list does not compile.
true satisfies Exclude<keyof Session, 'publicKeys' | 'promised' | 'close'> extends SessionOperation
  ? true
  : never

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const
const statuses = [
  ...new Set([200, 201, 202, 204, ...Object.values(errors).map(({ status }) => status)]),
].map(String)
const ended = ['completed', 'cancelled', 'rolledBack', 'abandoned'] as const
const quick = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const
const minute = 60
const hour = 60 * minute
const day = 24 * hour
const long = [1, 5, 15, minute, 5 * minute, 15 * minute, hour, 4 * hour, day, 3 * day, 7 * day]

export const metrics = {
  // ── The API ──
  rekey_http_request_duration_seconds: {
    kind: 'histogram',
    of: 'process',
    help: 'Requests by route template and status; `_count` is their number. Event streams only where they are refused.',
    labels: { method: methods, route: 'routes', status: statuses },
    buckets: quick,
  },

  // ── Audit and database ──
  rekey_audit_commits_total: {
    kind: 'counter',
    of: 'process',
    help: 'Transactions with their audit records. `refused`: somebody asked for what may not be, nothing was written. `unavailable`: the log could not be written, so nothing was done. `failed`: a fault of ours.',
    labels: { outcome: ['committed', 'refused', 'unavailable', 'failed'] },
  },
  rekey_audit_events_total: {
    kind: 'counter',
    of: 'process',
    help: 'Audit records that were committed.',
    labels: { action: Object.keys(auditActions), outcome: auditOutcomes },
  },
  rekey_database_up: {
    kind: 'gauge',
    of: 'process',
    help: '1 when the database answered this scrape in time.',
    labels: {},
  },

  // ── Rotations, as this process moved them ──
  rekey_rotations_ended_total: {
    kind: 'counter',
    of: 'process',
    help: 'Rotations that ended, by type of key and how they ended.',
    labels: { type: 'types', trigger: triggers, outcome: ended },
  },
  rekey_rotation_duration_seconds: {
    kind: 'histogram',
    of: 'process',
    help: 'From planning to the end of a rotation, waits included.',
    labels: { type: 'types', outcome: ended },
    buckets: long,
  },
  rekey_rotation_stalls_total: {
    kind: 'counter',
    of: 'process',
    help: 'Rotations that stopped and need a person, by the phase in which they did.',
    labels: { type: 'types', phase: openPhases },
  },
  rekey_rotation_takeovers_total: {
    kind: 'counter',
    of: 'process',
    help: 'Rotations taken over from a worker whose lease expired: it died, or hung.',
    labels: {},
  },

  // ── Providers ──
  rekey_provider_call_duration_seconds: {
    kind: 'histogram',
    of: 'process',
    help: 'Calls to providers, also failed ones.',
    labels: { provider: 'providers', operation: sessionOperations },
    buckets: quick,
  },
  rekey_provider_call_errors_total: {
    kind: 'counter',
    of: 'process',
    help: 'Calls to providers that failed, by kind of error. `outcomeUnknown` and `timeout` of a write are probed, never repeated.',
    labels: { provider: 'providers', operation: sessionOperations, kind: providerErrorKinds },
  },
  rekey_connection_failures_total: {
    kind: 'counter',
    of: 'process',
    help: 'Connections that could not be opened: the credential, the egress rules or the name of the host.',
    labels: { provider: 'providers', code: connectionFailures() },
  },

  // ── Sinks ──
  rekey_sink_deliveries_total: {
    kind: 'counter',
    of: 'process',
    help: 'Messages to sinks. `retried`: it failed and is tried again. `dead`: it is not, until somebody replays it.',
    labels: { outcome: ['delivered', 'retried', 'dead'] },
  },

  // ── The worker ──
  rekey_sweep_duration_seconds: {
    kind: 'histogram',
    of: 'process',
    help: 'Sweeps: planning what is due and ringing for what nobody rang for.',
    labels: {},
    buckets: quick,
  },
  rekey_sweep_last_success_timestamp_seconds: {
    kind: 'gauge',
    of: 'process',
    help: 'When this worker last finished a sweep (Unix time); 0 before the first. Over workers: max.',
    labels: {},
  },
  rekey_worker_taking_work: {
    kind: 'gauge',
    of: 'process',
    help: '1 when this worker takes work; 0 while it starts, or when its clock is off.',
    labels: {},
  },
  rekey_clock_skew_seconds: {
    kind: 'gauge',
    of: 'process',
    help: 'The clock of this worker less that of the database. Beyond 30 s either way it takes no work.',
    labels: {},
  },
  rekey_worker_faults_total: {
    kind: 'counter',
    of: 'process',
    help: 'Runs of the timers of a worker that failed and were tried again.',
    labels: { where: [...workerTimers, 'step'] },
  },

  // ── What the database holds ──
  rekey_rotations_open: {
    kind: 'gauge',
    of: 'installation',
    help: 'Open rotations by phase.',
    labels: { phase: openPhases },
  },
  rekey_rotation_stalled_oldest_seconds: {
    kind: 'gauge',
    of: 'installation',
    help: 'How long the oldest stalled rotation has been waiting for a person; 0: none.',
    labels: {},
  },
  rekey_rotations_due: {
    kind: 'gauge',
    of: 'installation',
    help: 'Rotations that are due and that no worker has taken up.',
    labels: {},
  },
  rekey_queue_lag_seconds: {
    kind: 'gauge',
    of: 'installation',
    help: 'How long the rotation that is due first has been waiting for a worker; 0: none is.',
    labels: {},
  },
  rekey_queue_jobs: {
    kind: 'gauge',
    of: 'installation',
    help: 'Jobs in the queue. It is a doorbell: what counts is the lag.',
    labels: { state: ['waiting', 'active'] },
  },
  rekey_keys_due: {
    kind: 'gauge',
    of: 'installation',
    help: 'Keys that are due and not planned yet.',
    labels: {},
  },
  rekey_planner_lag_seconds: {
    kind: 'gauge',
    of: 'installation',
    help: 'How long the key that is due first has been waiting for the planner; 0: none is.',
    labels: {},
  },
  rekey_keys_overdue: {
    kind: 'gauge',
    of: 'installation',
    help: 'Keys past the maxAge of their policy.',
    labels: {},
  },
  rekey_key_overdue_oldest_seconds: {
    kind: 'gauge',
    of: 'installation',
    help: 'How long the key that is overdue longest has been so; 0: none is.',
    labels: {},
  },
  rekey_keys_drifted: {
    kind: 'gauge',
    of: 'installation',
    help: 'Keys that are not at their provider what they are here: another version serves (adopt), there are versions that nobody knows (orphan), what serves is gone (lost), or it gives no answer (unreachable). None where nobody compares them: in recovery mode, and where it is switched off.',
    labels: { state: driftStates },
  },
  rekey_comparison_lag_seconds: {
    kind: 'gauge',
    of: 'installation',
    help: 'How long the key that is due first has been waiting to be compared with its provider; 0: none is, or nobody compares: in recovery mode, and where it is switched off.',
    labels: {},
  },
  rekey_leases: {
    kind: 'gauge',
    of: 'installation',
    help: 'Leases that workers hold on rotations, and those that expired and wait for a takeover.',
    labels: { state: ['held', 'expired'] },
  },
  rekey_intents_unknown: {
    kind: 'gauge',
    of: 'installation',
    help: 'Effects at providers whose outcome is not known: the reply was lost, or its sender died.',
    labels: {},
  },
  rekey_intent_unknown_oldest_seconds: {
    kind: 'gauge',
    of: 'installation',
    help: 'The age of the oldest of them; 0: none.',
    labels: {},
  },
  rekey_sink_deliveries_pending: {
    kind: 'gauge',
    of: 'installation',
    help: 'Messages that sinks are still to be told.',
    labels: {},
  },
  rekey_sink_delivery_lag_seconds: {
    kind: 'gauge',
    of: 'installation',
    help: 'How long the message that is due first has been waiting to be sent; 0: none is.',
    labels: {},
  },
  rekey_sink_dead_letters: {
    kind: 'gauge',
    of: 'installation',
    help: 'Messages that sinks did not take and that are not tried again.',
    labels: {},
  },
  rekey_observed_clock_lag_seconds: {
    kind: 'gauge',
    of: 'installation',
    help: 'How long ago the observed clock was turned last. While no worker turns it, no gate opens.',
    labels: {},
  },
  rekey_recovery_active: {
    kind: 'gauge',
    of: 'installation',
    help: '1 while the database is taken for a restored one: nothing is written to providers until an admin accepts it.',
    labels: {},
  },

  // ── About the telling ──
  rekey_installation_reader: {
    kind: 'gauge',
    of: 'process',
    help: '1 in the one process that tells what the database holds.',
    labels: {},
  },
  rekey_spans_lost_total: {
    kind: 'counter',
    of: 'process',
    help: 'Spans that the collector of traces did not take.',
    labels: {},
  },
  rekey_build_info: {
    kind: 'gauge',
    of: 'process',
    help: '1, with the versions of Rekey and Node.',
    labels: { version: 'builds', node: 'runtimes' },
  },
} as const satisfies Readonly<Record<string, Metric>>

function connectionFailures(): readonly ErrorCode[] {
  return ['connection.unusable', 'provider.unavailable']
}

type Table = typeof metrics
export type MetricName = keyof Table
type Named<K extends Metric['kind'], O extends Metric['of'] = Metric['of']> = {
  [N in MetricName]: Table[N]['kind'] extends K ? (Table[N]['of'] extends O ? N : never) : never
}[MetricName]
export type CounterName = Named<'counter'>
export type HistogramName = Named<'histogram'>
/** Gauges that this process sets itself. */
export type GaugeName = Named<'gauge', 'process'>
export type InstallationGauge = Named<'gauge', 'installation'>

export type LabelsOf<N extends MetricName> = {
  readonly [L in keyof Table[N]['labels']]: string
}

/** One sample of what the database holds. */
export type InstallationSample = {
  [N in InstallationGauge]: {
    readonly name: N
    readonly labels: LabelsOf<N>
    readonly value: number
  }
}[InstallationGauge]

/** Counting never throws and never waits. */
export interface Meter {
  add<N extends CounterName>(name: N, labels: LabelsOf<N>, by?: number): void
  observe<N extends HistogramName>(name: N, labels: LabelsOf<N>, value: number): void
  set<N extends GaugeName>(name: N, labels: LabelsOf<N>, value: number): void
}

export const noMeter: Meter = {
  add: () => undefined,
  observe: () => undefined,
  set: () => undefined,
}
