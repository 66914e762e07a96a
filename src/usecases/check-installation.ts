// What an installation says of itself when a person asks whether it is well. Reads only; `rekey doctor` shows it.
// Each limit is that of the alert whose runbook is named: what pages at night is red here too.

import { type Actor, hasRole } from '#domain/actor.ts'
import type { InstallationGauge, InstallationSample } from '#domain/metrics.ts'
import type { Clock, Timers } from '#domain/ports.ts'
import { sharedLook } from '#domain/shared-look.ts'
import type { Ungranted } from './check-publishing.ts'

export interface CheckInstallationDeps {
  readonly timers: Pick<Timers, 'now'>
  readonly clock: Pick<Clock, 'now'>
  readonly look: () => Promise<readonly InstallationSample[]>
  /** What must be so before Rekey serves, and is not: see store/self-check.ts. */
  readonly faults: () => Promise<readonly InstallationFault[]>
  readonly publishing: () => Promise<readonly Ungranted[]>
  /** Throws where the queue cannot be reached. */
  readonly depth: () => Promise<{ readonly waiting: number; readonly active: number }>
  readonly keks: () => Promise<readonly InstallationCheck[]>
  readonly peppers: () => Promise<readonly InstallationCheck[]>
  /** Tokens to break glass with that were used. */
  readonly breakGlass: () => Promise<readonly InstallationCheck[]>
  readonly playbooks: () => Promise<readonly InstallationCheck[]>
}

export interface InstallationFault {
  readonly check: string
  readonly detail: string
  readonly hint: string
}

export type CheckState = 'ok' | 'warn' | 'fail'

export interface InstallationCheck {
  readonly name: string
  readonly state: CheckState
  readonly detail: string
  /** What helps; null where nothing has to. */
  readonly hint: string | null
}

/** Seconds that something has been waiting, and from when on that is a fault. */
interface Lag {
  readonly gauge: InstallationGauge
  readonly limitS: number
  readonly well: string
  readonly late: (seconds: string) => string
  readonly runbook: string
}

export const lags: Readonly<Record<string, Lag>> = {
  queue: {
    gauge: 'rekey_queue_lag_seconds',
    limitS: 60,
    well: 'no rotation waits for a worker',
    late: (s) => `a rotation has been due for ${s}, and no worker takes it`,
    runbook: 'RekeyQueueLag',
  },
  planner: {
    gauge: 'rekey_planner_lag_seconds',
    limitS: 120,
    well: 'no key waits to be planned',
    late: (s) => `a key has been due for ${s}, and nothing is planned`,
    runbook: 'RekeyPlannerLag',
  },
  workers: {
    gauge: 'rekey_observed_clock_lag_seconds',
    limitS: 120,
    well: 'a worker looks after the rotations',
    late: (s) => `no worker has looked for ${s}`,
    runbook: 'RekeySweepNotRunning',
  },
  intents: {
    gauge: 'rekey_intent_unknown_oldest_seconds',
    limitS: 900,
    well: 'the outcome of every effect is known',
    late: (s) => `what became of an effect has been unknown for ${s}`,
    runbook: 'RekeyIntentUnknown',
  },
  comparison: {
    gauge: 'rekey_comparison_lag_seconds',
    limitS: 3_600,
    well: 'no key waits to be compared with its provider',
    late: (s) => `a key has been due for ${s} to be compared with its provider`,
    runbook: 'RekeyComparisonLag',
  },
  sinks: {
    gauge: 'rekey_sink_delivery_lag_seconds',
    limitS: 600,
    well: 'nobody waits to be told',
    late: (s) => `a message to a sink has been waiting for ${s}`,
    runbook: 'RekeySinkLag',
  },
}

/** A process off by more takes no work (worker.ts); the alert comes before. */
export const skewLimits = { warnMs: 10_000, failMs: 30_000 } as const

/** Throws where the database does not answer. */
export const checkInstallation = async (
  deps: CheckInstallationDeps,
): Promise<readonly InstallationCheck[]> => (await judge(deps)).map(shown)

/** `inside`: what it says of the guards and the keys of the installation would tell where to climb in. */
interface Judged extends InstallationCheck {
  readonly inside?: true
}

const shown = ({ inside: _inside, ...check }: Judged): InstallationCheck => check

const judge = async (deps: CheckInstallationDeps): Promise<readonly Judged[]> => {
  const clock = await checkClock(deps)
  const [faults, samples, queue] = await Promise.all([deps.faults(), deps.look(), checkQueue(deps)])
  return [
    { name: 'database', state: 'ok', detail: 'it answers', hint: null },
    clock,
    ...aspects.flatMap((aspect) => checkAspect(aspect, faults)),
    ...(faults.some(isSchema)
      ? []
      : [
          ...(await deps.keks()),
          ...(await deps.peppers()),
          ...(await deps.breakGlass()),
          ...(await deps.playbooks()),
        ]
    ).map((check) => ({
      ...check,
      inside: true as const,
    })),
    queue,
    ...checkPublishing(await deps.publishing()),
    ...Object.entries(lags).map(([name, lag]) => checkLag(name, lag, samples)),
  ]
}

const sharedMs = 5_000

/** One look for all who ask at about the same time: it asks the database for a lot. What is inside is told to auditors and
 *  admins of the whole installation. */
export const makeCheckInstallation = (
  deps: CheckInstallationDeps,
): ((actor: Pick<Actor, 'roles' | 'scope'>) => Promise<readonly InstallationCheck[]>) => {
  const look = sharedLook(
    sharedMs,
    () => deps.clock.now().getTime(),
    () => judge(deps),
  )
  return async (actor) => {
    const checks = await look()
    const whole = hasRole(actor, 'auditor') && actor.scope === null
    return (whole ? checks : withoutInside(checks)).map(shown)
  }
}

const withoutInside = (checks: readonly Judged[]): readonly Judged[] => {
  const told = checks.map((check) =>
    check.inside ? { ...check, detail: kept, hint: null } : check,
  )
  return told.filter(({ name }, i) => told.findIndex((other) => other.name === name) === i)
}

const kept = 'what it is, auditors and admins without a scope are told'

const isSchema = ({ check }: InstallationFault): boolean =>
  check === 'migrations' || check === 'schema.newer'
const isKey = ({ check }: InstallationFault): boolean =>
  check === 'kek.ours' || check === 'pepper.ours'

/** What faults are about. */
interface Aspect {
  readonly name: string
  readonly of: (fault: InstallationFault) => boolean
  readonly well: string
}

const aspects: readonly Aspect[] = [
  { name: 'schema', of: isSchema, well: 'every migration is applied' },
  { name: 'kek', of: isKey, well: 'every key that rows name is in the file' },
  {
    name: 'audit',
    of: (fault) => !isSchema(fault) && !isKey(fault),
    well: 'every guard of the log is awake, and this role cannot pass it',
  },
]

const checkAspect = (
  { name, of, well }: Aspect,
  faults: readonly InstallationFault[],
): readonly Judged[] => {
  const wrong = faults.filter(of)
  if (wrong.length === 0) return [{ name, state: 'ok', detail: well, hint: null, inside: true }]
  // On a newer schema the processes of before go on while an upgrade is rolled out.
  return wrong.map(({ check, detail, hint }) => ({
    name: `${name} ${check}`,
    state: check === 'schema.newer' ? 'warn' : 'fail',
    detail,
    hint,
    inside: true,
  }))
}

const checkClock = async ({ timers, clock }: CheckInstallationDeps): Promise<InstallationCheck> => {
  const before = clock.now().getTime()
  const there = (await timers.now()).getTime()
  const after = clock.now().getTime()
  // It was read somewhere between the two.
  const skewMs = Math.max(0, there - after, before - there)
  const state = skewMs > skewLimits.failMs ? 'fail' : skewMs > skewLimits.warnMs ? 'warn' : 'ok'
  return {
    name: 'clock',
    state,
    detail: `it differs from the database's by ${secondsOf(skewMs / 1_000)}`,
    hint: state === 'ok' ? null : 'Synchronise both hosts: docs/runbooks/RekeyClockSkew.md',
  }
}

const checkQueue = async ({ depth }: CheckInstallationDeps): Promise<InstallationCheck> => {
  const name = 'queue reachable'
  try {
    const { waiting, active } = await depth()
    return { name, state: 'ok', detail: `${waiting} waiting, ${active} at work`, hint: null }
  } catch {
    return {
      name,
      state: 'warn',
      detail: 'it cannot be reached: rotations go on within a second of their time all the same',
      hint: 'Look at Redis, or at the connections of PostgreSQL.',
    }
  }
}

const checkPublishing = (ungranted: readonly Ungranted[]): readonly Judged[] =>
  ungranted.length === 0
    ? [
        {
          name: 'publishing',
          state: 'ok',
          detail: 'a grant covers every target',
          hint: null,
          inside: true,
        },
      ]
    : ungranted.map(({ policy, target, connection }) => ({
        name: 'publishing',
        state: 'warn',
        detail: `policy ${policy} publishes to ${target}, and no grant covers every key that it may choose: such a key stalls at its next rotation`,
        hint: `Add a grant to the connection ${connection}.`,
        inside: true,
      }))

const checkLag = (
  name: string,
  { gauge, limitS, well, late, runbook }: Lag,
  samples: readonly InstallationSample[],
): InstallationCheck => {
  const seconds = samples.find((sample) => sample.name === gauge)?.value ?? 0
  if (seconds <= limitS) return { name, state: 'ok', detail: well, hint: null }
  const hint = `docs/runbooks/${runbook}.md`
  return { name, state: 'fail', detail: late(secondsOf(seconds)), hint }
}

const secondsOf = (seconds: number): string => `${Math.round(seconds)} s`
