import { ProviderError, type Call, type Check, type ObjectAddress } from '#domain/provider.ts'
import { failedCheck } from '../failed-check.ts'
import { pairOf, type Pair, type PairAt } from './read-pair.ts'
import { faultOf, missingRoles, risksOf } from './pair-rules.ts'
import { rights } from './rights.ts'
import { readMe, type Me } from './roles.ts'
import { usersOf } from './versions.ts'

/** Reads only. Stops where nothing else could be asked. */
export const check = async (
  at: PairAt,
  objects: readonly ObjectAddress[],
  call: Call,
): Promise<readonly Check[]> => {
  let me: Me
  try {
    me = await readMe(at.wire, call)
  } catch (error) {
    return [
      failedCheck(
        error instanceof ProviderError && error.kind === 'auth' ? 'login' : 'reachable',
        error,
      ),
    ]
  }
  const rows: Check[] = [
    { name: 'reachable', outcome: 'ok', detail: `PostgreSQL ${me.version}` },
    { name: 'login', outcome: 'ok', detail: `logged in as ${me.user}` },
    me.standby
      ? {
          name: 'primary',
          outcome: 'missing',
          detail: 'the server is a standby: it takes no writes',
          hint: 'set `host` to the primary',
        }
      : { name: 'primary', outcome: 'ok', detail: 'the server takes writes' },
    ...beyondLeast(me),
  ]
  for (const object of objects) {
    try {
      const users = usersOf(object.ref)
      // oxlint-disable-next-line no-await-in-loop -- few; each asks the server itself
      rows.push(...rowsOf(me, await pairOf(at, users, call), users))
    } catch (error) {
      rows.push(failedCheck('object', error))
    }
  }
  return rows
}

const rowsOf = (me: Me, pair: Pair, users: readonly [string, string]): readonly Check[] => [
  ...pair.flatMap((half) => [
    ...rights.map(({ name, has, needs }): Check =>
      has(me, half)
        ? { name, outcome: 'ok', detail: `on ${half.name}` }
        : { name, outcome: 'missing', detail: `not on ${half.name}`, hint: needs(me, half) },
    ),
    ...faultRow(me, half, users),
  ]),
  ...alike(pair),
]

const faultRow = (
  me: Me,
  half: Pair[number],
  users: readonly [string, string],
): readonly Check[] => {
  const fault = faultOf(me, half, users)
  return fault === null ? [] : [{ name: 'user', outcome: 'missing', ...fault }]
}

/** Whichever of them is in use: what one may, the other should. */
const alike = ([first, second]: Pair): readonly Check[] => {
  const missing = [
    ...missingRoles(first, second).map((role) => `${second.name} is not a member of ${role}`),
    ...missingRoles(second, first).map((role) => `${first.name} is not a member of ${role}`),
  ]
  if (missing.length > 0)
    return [
      {
        name: 'alike',
        outcome: 'missing',
        detail: missing.join('; '),
        hint: 'the users of a pair are members of the same roles',
      },
    ]
  const said = [...risksOf(first, second), ...risksOf(second, first)].filter(
    (risk) => !risk.includes(' session'),
  )
  return said.length === 0
    ? [{ name: 'alike', outcome: 'ok', detail: 'both users are members of the same roles' }]
    : [{ name: 'alike', outcome: 'unknown', detail: said.join('; ') }]
}

const beyondLeast = (me: Me): readonly Check[] => {
  const hint = 'give the connection a user with the least rights'
  const row = (detail: string): Check => ({
    name: 'beyondLeast',
    outcome: 'beyondLeast',
    detail,
    hint,
  })
  if (me.superuser) return [row(`${me.user} is a superuser: it may do everything`)]
  return me.signalsAll ? [row(`${me.user} may end the sessions of others than its pairs`)] : []
}
