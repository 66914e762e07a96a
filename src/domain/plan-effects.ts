// What a plan leads to, in sentences and as data.

import type { Effect } from './plan.ts'

interface Keys {
  readonly count: number
  readonly names: readonly string[]
}

const toldNames = 5

export const keysWord = (count: number): string => `${count} key${count === 1 ? '' : 's'}`

/** `a, b and 12 more` */
const listed = ({ count, names }: Keys): string => {
  const told = names.slice(0, toldNames)
  const rest = count - told.length
  return rest > 0 ? `${told.join(', ')} and ${rest} more` : told.join(', ')
}

export const keysGained = (keys: Keys): readonly Effect[] =>
  keys.count === 0
    ? []
    : [
        {
          type: 'keysGained',
          text: `${keysWord(keys.count)} gain${keys.count === 1 ? 's' : ''} this policy: ${listed(keys)}`,
          count: keys.count,
          names: keys.names,
        },
      ]

export const keysLost = (keys: Keys): readonly Effect[] =>
  keys.count === 0
    ? []
    : [
        {
          type: 'keysLost',
          text: `${keysWord(keys.count)} lose${keys.count === 1 ? 's' : ''} this policy: ${listed(keys)}`,
          count: keys.count,
          names: keys.names,
        },
      ]

/** Past their maxAge, and due because of that. */
export const overdue = (count: number): readonly Effect[] =>
  count === 0
    ? []
    : [
        {
          type: 'overdue',
          text: `${count} ${count === 1 ? 'is' : 'are'} overdue now, and due in the next window, or without one within a day`,
          count,
        },
      ]

export const dueAtOnce = (count: number): readonly Effect[] =>
  count === 0
    ? []
    : [
        {
          type: 'dueAtOnce',
          text: `${keysWord(count)} become${count === 1 ? 's' : ''} due at once`,
          count,
        },
      ]

export const nextRun = (next: {
  readonly before: Date | null
  readonly after: Date | null
}): readonly Effect[] => {
  const [from, to] = [told(next.before), told(next.after)]
  if (from === to) return []
  const text =
    from === null
      ? `the next run is at ${to}`
      : to === null
        ? `there is no next run any more; it was at ${from}`
        : `the next run moves from ${from} to ${to}`
  return [{ type: 'nextRun', text, from, to }]
}

const told = (moment: Date | null): string | null => moment?.toISOString() ?? null

interface Strength {
  readonly pointer: string
  readonly from: string
  readonly to: string
}

export const loosened = (weaker: readonly Strength[]): readonly Effect[] =>
  weaker.map((one) => strength('loosened', one))
export const tightened = (stricter: readonly Strength[]): readonly Effect[] =>
  stricter.map(({ pointer, from, to }) => strength('tightened', { pointer, from: to, to: from }))

const strength = (type: 'loosened' | 'tightened', { pointer, from, to }: Strength): Effect => ({
  type,
  text: `${pointer.slice(1).replaceAll('/', '.')} is ${type} from ${from} to ${to}`,
  pointer,
  from,
  to,
})

export const ownerChanged = (from: string | null, to: string | null): readonly Effect[] =>
  from === to
    ? []
    : [
        {
          type: 'owner',
          text: from === null ? `it belongs to ${to} from now on` : `it goes from ${from} to ${to}`,
          from,
          to,
        },
      ]

export const policyOfKey = (from: string | null, to: string | null): readonly Effect[] =>
  from === to
    ? []
    : [
        {
          type: 'policy',
          text:
            to === null
              ? `no policy applies any more; ${from} did`
              : from === null
                ? `the policy ${to} applies`
                : `the policy ${to} applies instead of ${from}`,
          from,
          to,
        },
      ]

export const newObject = (create: boolean, unfinished: boolean): Effect => ({
  type: 'object',
  text: unfinished
    ? 'its object is still being made: applying finds out and finishes'
    : create
      ? 'the present version of its object is adopted; where there is no object, it is made'
      : 'the present version of its object is adopted; nothing is written at the provider',
})

export const keptObject: Effect = {
  type: 'object',
  text: 'its object stays at the provider as it is, and is not managed any more',
}

export const warning = (text: string): Effect => ({ type: 'warning', text })

/** What depends on the moment of looking, and not on what is applied: not part of a plan's hash. */
const momentary: ReadonlySet<Effect['type']> = new Set([
  'overdue',
  'dueAtOnce',
  'nextRun',
  'warning',
])
export const lasting = (effects: readonly Effect[]): readonly Effect[] =>
  effects.filter(({ type }) => !momentary.has(type))
