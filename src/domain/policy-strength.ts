// How strictly a policy guards its keys, field by field. A change is a *weakening* where a version could die sooner, with
// fewer people, less proof or fewer acknowledgements, where values reach further places, or where keys stop rotating by
// themselves. 9-security.md 4 asks for the approval that such a change removes; floors are bounds on the same
// fields, so that there is one table of what is stricter than what.
//
// A field with one value has a rank: more is stricter, and any two values compare. A field that is a list weakens item by
// item: what was added to where values go, or taken from what is checked. What only sets the pace (cron, windows, blackouts,
// concurrency, retry) and who is told is not here: none of it lets an old version die unproven or unapproved.

import { formatDuration } from './duration.ts'
import { pointerOf } from './issue.ts'
import type { ResolvedPolicy } from './policy.ts'

export interface Weakening {
  /** Into the spec. */
  readonly pointer: string
  readonly from: string
  readonly to: string
}

export interface StrengthField {
  readonly path: readonly [string, ...string[]]
  /** More is stricter. */
  readonly rank: (policy: ResolvedPolicy) => number
  readonly say: (policy: ResolvedPolicy) => string
  /** The policy with this field's value from another one. */
  readonly take: (policy: ResolvedPolicy, from: ResolvedPolicy) => ResolvedPolicy
}

const retires = ['destroy', 'disable', 'keep'] as const
const acknowledgements = ['none', 'any', 'all'] as const
/** By what is left afterwards: what comes back, what is replaced first, what is replaced later, nothing. */
const automatic = ['revokeOnly', 'revokeFirst', 'rotateFast', 'disable'] as const

const acknowledged = ({ consumers }: ResolvedPolicy) =>
  consumers.acknowledgement?.required ?? 'none'
const yes = (value: boolean): string => (value ? 'true' : 'false')

/** What a floor may bound: fields that a rotation's plan freezes. */
export const boundFields = [
  {
    path: ['approval', 'required'],
    rank: ({ approval }) => approval.required,
    say: ({ approval }) => String(approval.required),
    take: (policy, { approval: { required } }) => ({
      ...policy,
      approval: { ...policy.approval, required },
    }),
  },
  {
    path: ['overlap', 'min'],
    rank: ({ overlap }) => overlap.minMs,
    say: ({ overlap }) => formatDuration(overlap.minMs),
    take: (policy, { overlap: { minMs } }) => ({
      ...policy,
      overlap: { ...policy.overlap, minMs },
    }),
  },
  {
    path: ['overlap', 'unusedFor'],
    rank: ({ overlap }) => overlap.unusedForMs,
    say: ({ overlap }) => formatDuration(overlap.unusedForMs),
    take: (policy, { overlap: { unusedForMs } }) => ({
      ...policy,
      overlap: { ...policy.overlap, unusedForMs },
    }),
  },
  {
    path: ['soak'],
    rank: ({ soakMs }) => soakMs,
    say: ({ soakMs }) => formatDuration(soakMs),
    take: (policy, { soakMs }) => ({ ...policy, soakMs }),
  },
  {
    path: ['retire'],
    rank: ({ retire }) => retires.indexOf(retire),
    say: ({ retire }) => retire,
    take: (policy, { retire }) => ({ ...policy, retire }),
  },
  {
    path: ['acceptGap'],
    rank: ({ acceptGap }) => (acceptGap ? 0 : 1),
    say: ({ acceptGap }) => yes(acceptGap),
    take: (policy, { acceptGap }) => ({ ...policy, acceptGap }),
  },
  {
    path: ['consumers', 'acknowledgement', 'required'],
    rank: (policy) => acknowledgements.indexOf(acknowledged(policy)),
    say: acknowledged,
    take: (policy, { consumers: { acknowledgement: theirs } }) => {
      const own = policy.consumers.acknowledgement
      const acknowledgement = own && theirs ? { ...own, required: theirs.required } : theirs
      return { ...policy, consumers: { ...policy.consumers, acknowledgement } }
    },
  },
  {
    path: ['emergency', 'approvals'],
    rank: ({ emergency }) => emergency.approvals,
    say: ({ emergency }) => String(emergency.approvals),
    take: (policy, { emergency: { approvals } }) => ({
      ...policy,
      emergency: { ...policy.emergency, approvals },
    }),
  },
  {
    path: ['emergency', 'ignoreBlackouts'],
    rank: ({ emergency }) => (emergency.ignoreBlackouts ? 0 : 1),
    say: ({ emergency }) => yes(emergency.ignoreBlackouts),
    take: (policy, { emergency: { ignoreBlackouts } }) => ({
      ...policy,
      emergency: { ...policy.emergency, ignoreBlackouts },
    }),
  },
  {
    path: ['emergency', 'onLeak'],
    rank: ({ emergency: { onLeak, mode } }) =>
      onLeak === 'ask' ? automatic.length : automatic.indexOf(mode ?? 'revokeOnly'),
    say: ({ emergency: { onLeak, mode } }) => (onLeak === 'ask' ? onLeak : `${onLeak}: ${mode}`),
    take: (policy, { emergency: { onLeak } }) => ({
      ...policy,
      emergency: { ...policy.emergency, onLeak },
    }),
  },
] as const satisfies readonly StrengthField[]

/** Enabled, and with a time of its own: what only people rotate, or a disabled policy, grows old unseen. */
const rotates: Omit<StrengthField, 'take'> = {
  path: ['enabled'],
  rank: ({ enabled, schedule, maxAgeMs }) => (enabled && (schedule || maxAgeMs !== null) ? 1 : 0),
  say: ({ enabled, schedule, maxAgeMs }) =>
    !enabled ? 'disabled' : schedule || maxAgeMs !== null ? 'rotates by itself' : 'only by hand',
}

const age: Omit<StrengthField, 'take'> = {
  path: ['maxAge'],
  rank: ({ maxAgeMs }) => -(maxAgeMs ?? Number.POSITIVE_INFINITY),
  say: ({ maxAgeMs }) => (maxAgeMs === null ? 'none' : formatDuration(maxAgeMs)),
}

export const strengthFields: readonly Omit<StrengthField, 'take'>[] = [rotates, age, ...boundFields]

interface ListField {
  readonly pointer: string
  /** What the second lets happen that the first did not, as people say it. */
  readonly weaker: (before: ResolvedPolicy, after: ResolvedPolicy) => readonly string[]
  readonly from: string
}

const beyond = (some: readonly string[], known: readonly string[]): readonly string[] =>
  [...new Set(some)].filter((item) => !known.includes(item))

/** An admin may always: naming the role changes nothing. */
const approvers = ({ approval }: ResolvedPolicy) =>
  approval.roles.filter((role) => role !== 'admin')
const places = ({ publish }: ResolvedPolicy) =>
  publish.map(({ connection = 'this host', type, ref }) => `${type} at ${connection} ${told(ref)}`)
const checks = ({ verify }: ResolvedPolicy) =>
  verify.map(({ type, url }) => (url === undefined ? type : `${type} ${url}`))
/** Each label that is demanded leaves fewer consumers to wait for; demanding none at all waits for nobody. */
const demands = ({ consumers: { matchLabels } }: ResolvedPolicy) =>
  matchLabels === null
    ? ['nobody by label']
    : Object.entries(matchLabels).map(([label, value]) => `only ${label}=${value}`)

const told = (ref: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(Object.fromEntries(Object.entries(ref).toSorted(([a], [b]) => (a < b ? -1 : 1))))

const listFields: readonly ListField[] = [
  {
    pointer: '/approval/roles',
    from: 'may not approve',
    weaker: (before, after) =>
      before.approval.required > 0 && after.approval.required > 0
        ? beyond(approvers(after), approvers(before))
        : [],
  },
  {
    pointer: '/publish',
    from: 'not published',
    weaker: (before, after) => beyond(places(after), places(before)),
  },
  {
    pointer: '/verify',
    from: 'verified',
    weaker: (before, after) =>
      beyond(checks(before), checks(after)).map((check) => `without ${check}`),
  },
  {
    pointer: '/consumers/matchLabels',
    from: 'waits for more consumers',
    weaker: (before, after) =>
      before.consumers.acknowledgement &&
      after.consumers.acknowledgement &&
      before.consumers.matchLabels
        ? beyond(demands(after), demands(before))
        : [],
  },
]

/** Everything in which the second policy guards less than the first; empty where it guards as much or more. */
export const weakenings = (before: ResolvedPolicy, after: ResolvedPolicy): readonly Weakening[] => [
  ...strengthFields
    .filter(({ rank }) => rank(after) < rank(before))
    .map(({ path, say }) => ({ pointer: pointerOf(path), from: say(before), to: say(after) })),
  ...listFields.flatMap(({ pointer, from, weaker }) =>
    weaker(before, after).map((to) => ({ pointer, from, to })),
  ),
]

/** The approvals that such a change takes away: those that the policy asks for, and its emergency ones where they are touched. */
export const approvalsRemoved = (before: ResolvedPolicy, weaker: readonly Weakening[]): number => {
  if (weaker.length === 0) return 0
  const emergency = weaker.some(({ pointer }) => pointer.startsWith('/emergency/'))
  return Math.max(before.approval.required, emergency ? before.emergency.approvals : 0)
}
