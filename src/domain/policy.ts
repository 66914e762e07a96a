// A policy as the engine uses it: every default filled in, durations in milliseconds. It is frozen into each rotation's plan,
// so it is plain JSON (moments as RFC 3339 text): what is read back from the database equals what was put in.

import { parseDuration } from './duration.ts'
import { RekeyError } from './errors.ts'
import type { PolicySpec } from './policy-schema.ts'

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
