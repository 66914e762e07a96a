// What Rekey's own user needs, as one table: the SQL that an administrator copies, the checks, and the preflight.

import pg from 'pg'
import type { Json } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import type { Me, Role } from './roles.ts'

interface Right {
  /** What it is for. */
  readonly name: string
  /** SQL; the user that Rekey logs in as is called `rekey`. */
  readonly sql: (users: readonly string[]) => string
  readonly has: (me: Me, role: Role) => boolean
  /** What is missing, in words. */
  readonly needs: (me: Me, role: Role) => string
}

const quoted = (users: readonly string[]): string => users.map(pg.escapeIdentifier).join(', ')

export const rights: readonly Right[] = [
  {
    name: 'rotate',
    sql: () => 'ALTER ROLE rekey CREATEROLE;',
    has: (me) => me.superuser || me.createRole,
    needs: (me) => `needs CREATEROLE: ALTER ROLE ${pg.escapeIdentifier(me.user)} CREATEROLE`,
  },
  {
    name: 'administer',
    sql: (users) => `GRANT ${quoted(users)} TO rekey WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;`,
    has: (me, role) => me.superuser || role.administered || me.serverVersion < 160_000,
    needs: (me, role) =>
      `needs ADMIN on the user: GRANT ${quoted([role.name])} TO ${quoted([me.user])} WITH ADMIN TRUE`,
  },
  {
    name: 'suspend',
    sql: (users) => `GRANT ${quoted(users)} TO rekey WITH INHERIT TRUE;`,
    has: (me, role) => me.superuser || me.signalsAll || role.inherited,
    needs: (me, role) =>
      `needs to end its sessions: GRANT ${quoted([role.name])} TO ${quoted([me.user])} WITH INHERIT TRUE, or pg_signal_backend`,
  },
]

export const documentsOf = (users: readonly string[]): Readonly<Record<string, Json>> =>
  Object.fromEntries(rights.map(({ name, sql }) => [name, sql(users)]))

/** What is missing of them on any of these users, each a sentence. */
export const missingRights = (me: Me, roles: readonly Role[]): readonly string[] => {
  const missing = roles.flatMap((role) =>
    rights.filter(({ has }) => !has(me, role)).map(({ needs }) => needs(me, role)),
  )
  return [...new Set(missing)]
}

/** Throws `forbidden` with all that is missing. */
export const requireRights = (me: Me, roles: readonly Role[]): void => {
  const missing = missingRights(me, roles)
  if (missing.length > 0)
    throw new ProviderError('forbidden', 'none', 'the connection’s user may not do it', {
      hint: missing.join('; '),
    })
}
