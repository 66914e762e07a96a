// A policy as the engine uses it: every default filled in, durations in milliseconds. It is frozen into each rotation's plan,
// so it is plain JSON (moments as RFC 3339 text): what is read back from the database equals what was put in.

import { cronFault } from './cron.ts'
import { parseDuration } from './duration.ts'
import { RekeyError } from './errors.ts'
import type { PolicySpec } from './policy-schema.ts'
import { zoneFault } from './zone.ts'

export type { PolicySpec } from './policy-schema.ts'

type Of<K extends keyof PolicySpec> = NonNullable<PolicySpec[K]>

export interface ResolvedSchedule {
  readonly cron: string
  readonly timezone: string
  readonly jitterMs: number
  /** Null: at the time, or by catch-up. */
  readonly windowMs: number | null
  readonly missed: 'runInNextWindow' | 'skip'
}

export type ResolvedBlackout =
  | {
      readonly name: string
      readonly cron: string
      readonly durationMs: number
      readonly timezone: string
    }
  | { readonly name: string; readonly from: string; readonly to: string }

export interface ResolvedPolicy {
  /** Why this version of Rekey cannot follow a policy that was accepted once; see `resolveStored`. */
  readonly unusable?: string
  readonly enabled: boolean
  readonly priority: number
  readonly schedule: ResolvedSchedule | null
  readonly maxAgeMs: number | null
  readonly manual: boolean
  readonly rotateOnEnable: boolean
  readonly blackouts: readonly ResolvedBlackout[]
  readonly pause: { readonly until: string; readonly reason: string } | null
  /** Parameters of new material; the key's own `generate` and the type's defaults fill what is not in it. */
  readonly generate: Readonly<Record<string, unknown>>
  readonly publish: readonly Of<'publish'>[number][]
  /** Empty: the type's own checks. */
  readonly verify: readonly Of<'verify'>[number][]
  readonly consumers: {
    /** Null: only those named on the key. */
    readonly matchLabels: Readonly<Record<string, string>> | null
    /** Null: none is asked. */
    readonly acknowledgement: {
      readonly required: 'all' | 'any'
      readonly timeoutMs: number
      readonly onTimeout: 'hold' | 'rollback'
    } | null
  }
  readonly overlap: { readonly minMs: number; readonly unusedForMs: number }
  readonly soakMs: number
  readonly retire: Of<'retire'>
  readonly acceptGap: boolean
  readonly approval: { readonly required: number; readonly roles: readonly ApprovalRole[] }
  readonly retry: { readonly attempts: number; readonly initialMs: number; readonly maxMs: number }
  /** `max` open rotations a group; a null `groupBy` makes one group of all keys of the policy. */
  readonly concurrency: {
    readonly max: number
    readonly groupBy: string | null
    readonly minimumSpacingMs: number
  }
  readonly emergency: {
    readonly mode: EmergencyMode | null
    readonly approvals: number
    readonly ignoreBlackouts: boolean
    readonly onLeak: 'ask' | 'automatic'
  }
  readonly notify: readonly Of<'notify'>[number][]
}

export type EmergencyMode = NonNullable<Of<'emergency'>['mode']>
export type ApprovalRole = NonNullable<Of<'approval'>['roles']>[number]

/** The spec must have passed its schema and `checkPolicy`; throws `request.invalid` on a malformed duration. */
export const resolvePolicy = (spec: PolicySpec): ResolvedPolicy => ({
  enabled: spec.enabled ?? true,
  priority: spec.priority ?? 0,
  schedule: spec.schedule === undefined ? null : resolveSchedule(spec.schedule),
  maxAgeMs: spec.maxAge === undefined ? null : parseDuration(spec.maxAge),
  manual: spec.manual ?? false,
  rotateOnEnable: spec.rotateOnEnable ?? false,
  blackouts: (spec.blackouts ?? []).map(resolveBlackout),
  pause:
    spec.pause === undefined ? null : { until: spec.pause.until, reason: spec.pause.reason ?? '' },
  generate: spec.generate ?? {},
  publish: spec.publish ?? [],
  verify: spec.verify ?? [],
  consumers: resolveConsumers(spec.consumers ?? {}),
  overlap: {
    minMs: parseDuration(spec.overlap?.min ?? '24h'),
    unusedForMs: parseDuration(spec.overlap?.unusedFor ?? '0s'),
  },
  soakMs: parseDuration(spec.soak ?? '1h'),
  retire: spec.retire ?? 'disable',
  acceptGap: spec.acceptGap ?? false,
  approval: { required: spec.approval?.required ?? 0, roles: spec.approval?.roles ?? ['approver'] },
  retry: {
    attempts: spec.retry?.attempts ?? 5,
    initialMs: parseDuration(spec.retry?.initial ?? '30s'),
    maxMs: parseDuration(spec.retry?.max ?? '15m'),
  },
  concurrency: {
    max: spec.concurrency?.max ?? 5,
    groupBy: spec.concurrency?.groupBy ?? null,
    minimumSpacingMs: parseDuration(spec.concurrency?.minimumSpacing ?? '0s'),
  },
  emergency: {
    mode: spec.emergency?.mode ?? null,
    approvals: spec.emergency?.approvals ?? 1,
    ignoreBlackouts: spec.emergency?.ignoreBlackouts ?? true,
    onLeak: spec.emergency?.onLeak ?? 'ask',
  },
  notify: spec.notify ?? [],
})

/**
 * A stored policy. One that was accepted once may no longer be readable: a time zone is gone, a rule has become stricter. It
 * goes on selecting its keys, by its own priority, and is disabled: nothing begins under it, and everybody can tell why.
 */
export const resolveStored = ({ spec }: { readonly spec: PolicySpec }): ResolvedPolicy => {
  try {
    const resolved = resolvePolicy(spec)
    const fault = timeFault(resolved)
    return fault === null ? resolved : unusable(spec, fault)
  } catch (error) {
    return unusable(spec, error instanceof RekeyError ? error.message : 'it cannot be read')
  }
}

const unusable = (spec: PolicySpec, why: string): ResolvedPolicy => ({
  ...defaultPolicy,
  enabled: false,
  priority: typeof spec.priority === 'number' ? spec.priority : 0,
  unusable: why,
})

const timeFault = ({ schedule, blackouts }: ResolvedPolicy): string | null => {
  for (const timed of [schedule, ...blackouts]) {
    const fault = timed && 'cron' in timed ? faultOf(timed) : null
    if (fault !== null) return fault
  }
  return null
}

const faultOf = ({
  cron,
  timezone,
}: Pick<ResolvedSchedule, 'cron' | 'timezone'>): string | null => {
  const name = `${timezone} ${cron}`
  const known = faults.get(name)
  if (known !== undefined) return known
  const line = cronFault(cron)
  const fault =
    line !== null
      ? `its cron line cannot be read: ${line}`
      : zoneFault(timezone) === null
        ? null
        : `the time zone ${timezone} is not known (any more)`
  if (faults.size >= 5_000) faults.clear()
  faults.set(name, fault)
  return fault
}

/** Asked at every read of a policy: a line is parsed once. */
const faults = new Map<string, string | null>()

/** `window: 0s` is no window: nothing could ever run in it. */
const resolveSchedule = (schedule: Of<'schedule'>): ResolvedSchedule => ({
  cron: schedule.cron,
  timezone: schedule.timezone,
  jitterMs: parseDuration(schedule.jitter ?? '0s'),
  windowMs: parseDuration(schedule.window ?? '0s') || null,
  missed: schedule.missed ?? 'runInNextWindow',
})

const resolveBlackout = ({
  name,
  cron,
  duration,
  timezone,
  from,
  to,
}: Of<'blackouts'>[number]): ResolvedBlackout => {
  if (cron !== undefined && duration !== undefined && timezone !== undefined) {
    return { name, cron, durationMs: parseDuration(duration), timezone }
  }
  if (from !== undefined && to !== undefined) return { name, from, to }
  // Dropping it would let a provider be written to in a blackout.
  throw new RekeyError('request.invalid', {
    detail: `blackout ${name} says neither cron nor from and to`,
  })
}

const resolveConsumers = ({
  matchLabels,
  acknowledgement,
}: Of<'consumers'>): ResolvedPolicy['consumers'] => ({
  matchLabels: matchLabels ?? null,
  acknowledgement:
    acknowledgement === undefined
      ? null
      : {
          required: acknowledgement.required,
          timeoutMs: parseDuration(acknowledgement.timeout ?? '24h'),
          onTimeout: acknowledgement.onTimeout ?? 'hold',
        },
})

/** What a rotation started by hand follows when no policy selects its key. It schedules nothing. */
export const defaultPolicy: ResolvedPolicy = resolvePolicy({ selector: {}, manual: true })
