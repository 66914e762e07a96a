// What one field of a policy says about another. The schema has said that every field is well-formed by itself.
// Codes: `request.invalid` for what is missing or misspelt, `request.impossible` for fields that contradict each other.

import { cronFault, cronLine, firesEver } from './cron.ts'
import { parseDuration } from './duration.ts'
import type { ErrorCode } from './errors.ts'
import type { Checked, Issue } from './issue.ts'
import { selectorFaults } from './names.ts'
import { resolvePolicy, type ResolvedPolicy } from './policy.ts'
import type { PolicySpec } from './policy-schema.ts'
import { suggest } from './suggest.ts'
import { parseTimestamp } from './timestamp.ts'
import { zoneFault } from './zone.ts'

type Rule = (spec: PolicySpec, now: number) => readonly (Issue | null)[]

/** The rules of a spec that its schema has accepted. Pointers are relative to the spec. */
export const checkPolicy = (spec: PolicySpec, now: Date): Checked => {
  const issues = rules
    .flatMap((rule) => rule(spec, now.getTime()))
    .filter((issue) => issue !== null)
  return {
    issues,
    warnings: issues.length > 0 ? [] : warningsOf(resolvePolicy(spec), now.getTime()),
  }
}

const issue = (code: ErrorCode, pointer: string, detail: string, hint?: string): Issue => ({
  code,
  pointer,
  detail,
  ...(hint === undefined ? {} : { hint }),
})
const invalid = (pointer: string, detail: string, hint?: string) =>
  issue('request.invalid', pointer, detail, hint)
const impossible = (pointer: string, detail: string, hint?: string) =>
  issue('request.impossible', pointer, detail, hint)

const hasTrigger: Rule = (spec) => [
  spec.schedule === undefined && spec.maxAge === undefined && spec.manual !== true
    ? invalid(
        '',
        'at least one of schedule, maxAge and manual is needed',
        'for keys that only people rotate, write manual: true',
      )
    : null,
]

const selectorFits: Rule = (spec) =>
  selectorFaults(spec.selector).map(({ pointer, detail }) => invalid(`/selector${pointer}`, detail))

const scheduleFires: Rule = (spec, now) =>
  spec.schedule === undefined
    ? []
    : [
        cronIssue('/schedule/cron', spec.schedule.cron, now),
        zoneIssue('/schedule/timezone', spec.schedule.timezone),
      ]

const jitterFits: Rule = ({ schedule }) => {
  if (schedule?.jitter === undefined || schedule.window === undefined) return []
  const window = parseDuration(schedule.window)
  return [
    window > 0 && parseDuration(schedule.jitter) > window
      ? impossible(
          '/schedule/jitter',
          'the jitter is longer than the window',
          `at most ${schedule.window}`,
        )
      : null,
  ]
}

const blackoutsAreWhole: Rule = (spec, now) =>
  (spec.blackouts ?? []).flatMap((blackout, i) => {
    const at = `/blackouts/${i}`
    const recurring = [blackout.cron, blackout.duration, blackout.timezone]
    const once = [blackout.from, blackout.to]
    const given = (values: readonly unknown[]) =>
      values.filter((value) => value !== undefined).length
    if (given(recurring) > 0 && given(once) > 0) {
      return [
        invalid(at, 'a blackout has either cron, duration and timezone, or from and to, not both'),
      ]
    }
    if (given(recurring) > 0) return recurringIssues(at, blackout, now)
    if (given(once) < 2) {
      return [invalid(at, 'a blackout needs cron, duration and timezone, or from and to')]
    }
    return [
      momentIssue(`${at}/from`, blackout.from),
      momentIssue(`${at}/to`, blackout.to),
      ordered(blackout.from, blackout.to)
        ? null
        : impossible(`${at}/to`, 'the blackout ends before it begins'),
    ]
  })

const recurringIssues = (
  at: string,
  blackout: NonNullable<PolicySpec['blackouts']>[number],
  now: number,
) => {
  const missing = (['cron', 'duration', 'timezone'] as const).filter(
    (field) => blackout[field] === undefined,
  )
  return [
    missing.length > 0
      ? invalid(at, `a recurring blackout also needs ${missing.join(' and ')}`)
      : null,
    blackout.cron === undefined ? null : cronIssue(`${at}/cron`, blackout.cron, now),
    blackout.timezone === undefined ? null : zoneIssue(`${at}/timezone`, blackout.timezone),
  ]
}

const pauseEnds: Rule = (spec) =>
  spec.pause === undefined ? [] : [momentIssue('/pause/until', spec.pause.until)]

const retryGrows: Rule = ({ retry }) => {
  const initial = parseDuration(retry?.initial ?? '30s')
  const max = parseDuration(retry?.max ?? '15m')
  if (initial <= max) return [null]
  return [
    impossible(
      retry?.initial === undefined ? '/retry/max' : '/retry/initial',
      'the first wait is longer than the longest',
      'initial is at most max',
    ),
  ]
}

const automaticHasMode: Rule = ({ emergency }) => [
  emergency?.onLeak === 'automatic' && emergency.mode === undefined
    ? invalid(
        '/emergency',
        'onLeak: automatic needs a mode',
        'say what shall happen: disable, rotateFast, revokeFirst or revokeOnly',
      )
    : null,
]

const webhooksHaveAddress: Rule = (spec) =>
  (spec.verify ?? []).map(({ type, url }, i) => {
    if (type === 'webhook')
      return url === undefined ? invalid(`/verify/${i}`, 'type webhook needs a url') : null
    return url === undefined ? null : invalid(`/verify/${i}/url`, `type ${type} takes no url`)
  })

const targetsAreWhole: Rule = (spec) =>
  (spec.publish ?? []).map(({ connection, type }, i) =>
    connection === undefined ? invalid(`/publish/${i}`, `type ${type} needs a connection`) : null,
  )

const parametersAreFlat: Rule = (spec) => [
  ...flatIssues('/generate', spec.generate ?? {}),
  ...(spec.publish ?? []).flatMap(({ ref }, i) => flatIssues(`/publish/${i}/ref`, ref)),
]

const namesDiffer: Rule = (spec) =>
  (['blackouts', 'publish'] as const).flatMap((list) => {
    const names = (spec[list] ?? []).map(({ name }) => name)
    return names.map((name, i) =>
      names.indexOf(name) < i
        ? invalid(`/${list}/${i}/name`, `${name} is the name of an earlier one`)
        : null,
    )
  })

const rules: readonly Rule[] = [
  hasTrigger,
  selectorFits,
  scheduleFires,
  jitterFits,
  blackoutsAreWhole,
  pauseEnds,
  retryGrows,
  automaticHasMode,
  webhooksHaveAddress,
  targetsAreWhole,
  parametersAreFlat,
  namesDiffer,
]

const cronIssue = (pointer: string, cron: string, now: number): Issue | null => {
  const fault = cronFault(cron)
  if (fault !== null) {
    return invalid(
      pointer,
      `not a cron line: ${fault}`,
      'minute, hour, day of month, month, day of week, e.g. "0 3 1 * *"',
    )
  }
  if (firesEver(cron, now)) return null
  return issue('policy.neverFires', pointer, 'the cron line never fires', 'no month has such a day')
}

const zoneIssue = (pointer: string, zone: string): Issue | null => {
  const fault = zoneFault(zone)
  if (fault === null) return null
  const near = suggest(zone, fault.candidates)
  return invalid(
    pointer,
    `unknown time zone ${JSON.stringify(zone)}`,
    near === null ? 'use an IANA name, e.g. Europe/Paris' : `did you mean ${near}?`,
  )
}

const momentIssue = (pointer: string, text: string | undefined): Issue | null =>
  text === undefined || parseTimestamp(text) !== null
    ? null
    : invalid(pointer, 'there is no such moment', 'the day or the time does not exist')

const ordered = (from: string | undefined, to: string | undefined): boolean => {
  const [begin, end] = [parseTimestamp(from ?? ''), parseTimestamp(to ?? '')]
  return begin === null || end === null || begin < end
}

/** Nested parameters belong to no key type, and would hide depth and size from the type's own schema. */
const flatIssues = (
  pointer: string,
  parameters: Readonly<Record<string, unknown>>,
): (Issue | null)[] =>
  Object.entries(parameters).map(([name, value]) => {
    const values = Array.isArray(value) ? value : [value]
    const small = values.length <= 100 && values.every((v) => isScalar(v))
    return small
      ? null
      : invalid(
          `${pointer}/${name}`,
          `${name} is not a text, a number, true, false or a short list of them`,
        )
  })

const isScalar = (value: unknown): boolean =>
  typeof value === 'number' ||
  typeof value === 'boolean' ||
  (typeof value === 'string' && value.length <= 2000)

const warningsOf = (policy: ResolvedPolicy, now: number): string[] => {
  const { schedule, maxAgeMs } = policy
  const windowMs = schedule?.windowMs ?? null
  const gaps = schedule === null ? [] : gapsOf(schedule.cron, now)
  const shortest = Math.min(...gaps, maxAgeMs ?? Infinity)
  const old = policy.overlap.minMs + policy.soakMs
  return [
    old > shortest
      ? 'overlap.min and soak together are longer than the shortest interval between rotations: the next occurrence will often meet an open rotation and be coalesced'
      : null,
    windowMs !== null && maxAgeMs !== null && Math.max(...gaps) > maxAgeMs
      ? 'the windows of the schedule are further apart than maxAge: keys become overdue between them'
      : null,
    windowMs !== null && windowMs > Math.min(...gaps)
      ? 'schedule.window is longer than the shortest interval: a window ends where the next one opens'
      : null,
    schedule !== null && schedule.jitterMs > Math.min(...gaps)
      ? 'schedule.jitter is longer than the shortest interval: it is cut there'
      : null,
  ].filter((warning) => warning !== null)
}

/** Intervals between the next occurrences, by the wall (an hour of summer time more or less does not matter here): enough of
 *  them to see a month of days and a year of months. */
const gapsOf = (cron: string, now: number): number[] => {
  const line = cronLine(cron)
  const gaps: number[] = []
  let at = line.after(now)
  while (at !== null && gaps.length < 36) {
    const next = line.after(at)
    if (next !== null) gaps.push(next - at)
    at = next
  }
  return gaps
}
