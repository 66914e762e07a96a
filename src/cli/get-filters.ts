// What narrows a list of `get`: options, and the query parameters that they become.

import type { Query } from './client.ts'
import { usage } from './failure.ts'
import { kinds } from './kinds.ts'
import { momentBefore } from './moments.ts'
import type { Plural } from './reference.ts'
import { parseSelector, type Wanted } from './selector.ts'

interface Filter {
  readonly flags: string
  readonly about: string
  /** The query parameter, where it is called otherwise than the option. */
  readonly parameter?: string
  readonly value?: (text: string, now: Date) => string | readonly string[]
}

const back =
  (option: string) =>
  (text: string, now: Date): string =>
    momentBefore(text, now, option).toISOString()

/** By the name of the option. */
export const filters = {
  connection: { flags: '--connection <name>', about: 'keys of this connection' },
  type: { flags: '--type <type>', about: 'keys of this type' },
  policy: { flags: '--policy <name>', about: 'keys or rotations of this policy' },
  overdue: { flags: '--overdue', about: 'keys past their maxAge' },
  drifted: { flags: '--drifted', about: 'keys that are something else at their provider' },
  key: { flags: '--key <name>', about: 'rotations or events of this key' },
  phase: {
    flags: '--phase <phases>',
    about: 'rotations in these phases, several with commas',
    value: (text) => text.split(',').filter((phase) => phase !== ''),
  },
  trigger: { flags: '--trigger <trigger>', about: 'rotations that this started' },
  state: {
    flags: '--state <state>',
    about: 'plans that are open, applying or applied; incidents in this state',
  },
  by: { flags: '--by <group>', about: 'group compliance by policy, owner, … or label:NAME' },
  rotation: { flags: '--rotation <id>', about: 'events of this rotation' },
  actor: { flags: '--actor <id>', about: 'events of this actor' },
  action: { flags: '--action <action>', about: 'events of this action' },
  outcome: { flags: '--outcome <outcome>', about: 'events with this outcome' },
  since: {
    flags: '--since <moment>',
    about: 'events from then on: RFC 3339, or a duration back from now',
    parameter: 'from',
    value: back('--since'),
  },
  until: {
    flags: '--until <moment>',
    about: 'events until then',
    parameter: 'to',
    value: back('--until'),
  },
} as const satisfies Readonly<Record<string, Filter>>

export type FilterName = keyof typeof filters
export const filterNames = Object.keys(filters) as readonly FilterName[]

export interface FilterOptions {
  readonly selector?: string
  readonly limit?: string
  readonly [filter: string]: string | boolean | undefined
}

export interface Question {
  readonly query: Query
  /** Labels that are looked at here, since the server does not. */
  readonly labels: Wanted
}

export const questionOf = (kind: Plural, options: FilterOptions, now: Date): Question => {
  const view = kinds[kind]
  for (const name of filterNames) {
    if (options[name] !== undefined && !view.filters.includes(name)) throw wrongFilter(name, kind)
  }
  const labels = parseSelector(options.selector ?? '')
  if (labels.length > 0 && view.labels === 'none')
    throw usage(`${kind} have no labels to select by`)
  const query = Object.fromEntries(
    view.filters.flatMap((name) => {
      const given = options[name]
      if (given === undefined) return []
      const { parameter = name, value }: Filter = filters[name]
      return [[parameter, value === undefined ? String(given) : value(String(given), now)]]
    }),
  )
  return view.labels === 'server'
    ? { query: { ...query, label: labels.map(({ key, value }) => `${key}=${value}`) }, labels: [] }
    : { query, labels }
}

const wrongFilter = (name: FilterName, kind: Plural) => {
  const takers = Object.entries(kinds).flatMap(([plural, { filters: own }]) =>
    own.includes(name) ? [plural] : [],
  )
  return usage(`--${name} does not filter ${kind}`, { hint: `it filters ${takers.join(' and ')}` })
}

/** Of things that are named. */
export const refuseFilters = (options: FilterOptions): void => {
  const given = ['selector', 'limit', ...filterNames].find((name) => options[name] !== undefined)
  if (given !== undefined) throw usage(`--${given} filters a list, not a thing that is named`)
}

/** Null where nothing is said. */
export const limitOf = ({ limit }: FilterOptions): number | null => {
  if (limit === undefined) return null
  if (!/^[1-9]\d{0,8}$/.test(limit)) throw usage('--limit takes a positive number')
  return Number(limit)
}
