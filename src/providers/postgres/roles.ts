// The two users as the server knows them, and Rekey's own.

import { ProviderError, type Call, type ProviderVersion } from '#domain/provider.ts'
import { greetingOf, type Greeting } from './login.ts'
import { emptyTag, markPattern, readMark, tagIn, versionOf } from './versions.ts'
import type { At, Wire } from './wire.ts'

export interface Me {
  readonly user: string
  /** 180004 for 18.4. */
  readonly serverVersion: number
  readonly version: string
  readonly standby: boolean
  readonly superuser: boolean
  readonly createRole: boolean
  /** Has pg_signal_backend: may end sessions of everybody but superusers. */
  readonly signalsAll: boolean
}

const meSql = `
  SELECT session_user AS "user", current_setting('server_version_num')::int AS "serverVersion",
    current_setting('server_version') AS version, pg_is_in_recovery() AS standby,
    rolsuper AS superuser, rolcreaterole AS "createRole",
    pg_has_role(session_user, 'pg_signal_backend', 'USAGE') AS "signalsAll"
  FROM pg_roles WHERE rolname = session_user`

export const readMe = async (wire: Wire, call: Call): Promise<Me> => {
  const [me] = await wire.read<Me>(meSql, [], call)
  if (!me) throw new ProviderError('auth', 'none', 'the connection’s user has no role of its own')
  return me
}

export interface Role {
  readonly name: string
  readonly login: boolean
  /** When its password ends, and whether it has. */
  readonly validUntil: Date | null
  readonly expired: boolean
  /** Why Rekey leaves it alone: superuser, replication or bypassrls. */
  readonly power: string | null
  /** What Rekey wrote into its comment; null: nothing. */
  readonly mark: string | null
  readonly sessions: number
  /** Rekey's user has ADMIN on it, and what it may do. */
  readonly administered: boolean
  readonly inherited: boolean
  /** Roles that it is a member of. */
  readonly memberOf: readonly string[]
  /** Objects of all databases that it owns, and that it was granted by its own name. */
  readonly owns: number
  readonly grants: number
}

const rolesSql = `
  SELECT r.rolname AS name, r.rolcanlogin AS login,
    CASE WHEN isfinite(r.rolvaliduntil) THEN r.rolvaliduntil END AS "validUntil",
    coalesce(r.rolvaliduntil <= now(), false) AS expired,
    CASE WHEN r.rolsuper THEN 'superuser' WHEN r.rolreplication THEN 'replication'
      WHEN r.rolbypassrls THEN 'bypassrls' END AS power,
    substring(shobj_description(r.oid, 'pg_authid') FROM '${markPattern}') AS mark,
    (SELECT count(*)::int FROM pg_stat_activity s WHERE s.usesysid = r.oid) AS sessions,
    pg_has_role(session_user, r.oid, 'MEMBER WITH ADMIN OPTION') AS administered,
    pg_has_role(session_user, r.oid, 'USAGE') AS inherited,
    array(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
      WHERE m.member = r.oid ORDER BY 1) AS "memberOf",
    (SELECT count(*)::int FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass
      AND d.refobjid = r.oid AND d.deptype = 'o') AS owns,
    (SELECT count(*)::int FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass
      AND d.refobjid = r.oid AND d.deptype = 'a') AS grants
  FROM pg_roles r WHERE r.rolname = ANY($1::text[])`

/** In the order of `users`; those that do not exist are left out. */
export const readRoles = async (
  wire: Wire,
  users: readonly string[],
  call: Call,
): Promise<readonly Role[]> => {
  const found = await wire.read<Role>(rolesSql, [users], call)
  return users.flatMap((user) => found.find(({ name }) => name === user) ?? [])
}

/** A user with what it now has for a password. */
export interface Half extends Role {
  readonly greeting: Greeting
  /** Null: not of Rekey's making. */
  readonly tag: string | null
  readonly version: string
}

export const readHalves = async (
  at: At & { readonly wire: Wire },
  users: readonly string[],
  call: Call,
): Promise<readonly Half[]> => {
  const roles = await readRoles(at.wire, users, call)
  return Promise.all(
    roles.map(async (role): Promise<Half> => {
      const greeting = await greetingOf(at, role.name, call)
      const tag = greeting.salt && tagIn(greeting.salt)
      return { ...role, greeting, tag, version: versionOf(role.name, tag) }
    }),
  )
}

/** On while anybody works with it: a session outlives the right to begin one. */
export const stateOf = ({ login, expired, sessions, tag }: Half): ProviderVersion['state'] =>
  tag === emptyTag ? 'destroyed' : (login && !expired) || sessions > 0 ? 'enabled' : 'disabled'

/** When Rekey set the password; null: not known. A user that is off and bears no mark of ours was so before Rekey came: it is
 *  no news, where one that lets somebody in is. */
export const madeAt = (half: Half): Date | null => {
  const { mark, tag } = half
  if (mark === null) return stateOf(half) === 'disabled' ? new Date(0) : null
  const read = readMark(mark)
  return read?.tag === tag ? read.at : null
}
