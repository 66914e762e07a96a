// The password of a static role, used for real: where the connection says how the database is reached, by logging in to it,
// as whoever reads the password from Vault does. Elsewhere Vault's word must do, and what is told says so (`login: false`).

import {
  ProviderError,
  type Call,
  type Material,
  type ProviderPorts,
  type Verdict,
  type VerifyOrder,
} from '#domain/provider.ts'
import { revealText, Secret } from '#domain/secret.ts'
import { type LoginVerdict, tryLogin } from '../postgres/login.ts'
import type { Database } from './databases.ts'
import { readStaticRoleRef, type StaticRoleRef } from './refs.ts'
import type { Ask } from './session.ts'
import { readRole, type Role } from './static-role-read.ts'
import { sameBytes } from '../digest.ts'
import { fieldsOf, textOf } from '../untyped-json.ts'

export interface StaticRoleUseAt {
  readonly ask: Ask
  readonly ports: ProviderPorts
  readonly databases: readonly Database[]
}

interface Login {
  readonly user: string
  readonly password: string
}

export const makeStaticRoleUse = ({ ask, ports, databases }: StaticRoleUseAt) => {
  /** What Vault hands out now, with the moment of its rotation; null where there is no such role. */
  const handedOut = async (
    ref: StaticRoleRef,
    call: Call,
  ): Promise<(Login & { readonly rotatedAt: string }) | null> => {
    const reply = await ask(
      { verb: 'read', path: ref.credentialPath, acceptSaying: /unknown role/ },
      call,
    )
    if (reply.errors.length > 0) return null
    return {
      user: textOf(reply.data['username']),
      password: textOf(reply.data['password']),
      rotatedAt: textOf(reply.data['last_vault_rotation']) || 'never',
    }
  }

  /** Null: the connection does not say where the database is. */
  const logIn = async (
    { mount }: StaticRoleRef,
    role: Role | null,
    login: Login,
    call: Call,
  ): Promise<LoginVerdict | null> => {
    const settings = databases.find((at) => at.mount === mount && at.name === role?.database)
    return settings === undefined ? null : tryLogin({ settings, ports }, login, call)
  }

  const works = async (order: VerifyOrder, call: Call): Promise<Verdict> => {
    const ref = readStaticRoleRef(order.object.ref)
    const now = await handedOut(ref, call)
    if (now === null) return { ok: false, detail: 'there is no such static role', facts: {} }
    const facts = { user: now.user, rotatedAt: now.rotatedAt }
    if (now.rotatedAt !== order.providerVersion) {
      const detail = `Vault hands out the password of ${now.rotatedAt}`
      return { ok: false, detail, facts }
    }
    if (order.material !== null && !sameBytes(loginIn(order.material).password, now.password))
      return { ok: false, detail: 'Vault hands out another password', facts }
    if (now.password === '') return { ok: false, detail: 'Vault hands out no password', facts }
    const role = databases.length === 0 ? null : await readRole(ask, ref, call)
    const login = await logIn(ref, role, now, call)
    if (login === null) return { ok: true, facts: { ...facts, login: false } }
    return login.accepted && login.usable
      ? { ok: true, facts: { ...facts, login: true } }
      : { ok: false, detail: `${now.user}: ${login.detail}`, facts: { ...facts, login: true } }
  }

  const isRefused = async (order: VerifyOrder, call: Call): Promise<Verdict> => {
    const ref = readStaticRoleRef(order.object.ref)
    const role = await readRole(ask, ref, call)
    // Vault forgets a role without a word to its database, which may accept the password for ever.
    if (role === null) {
      return {
        ok: false,
        detail: 'there is no such static role: what the database accepts cannot be asked',
        facts: {},
      }
    }
    if (role.rotatedAt === order.providerVersion)
      return { ok: false, detail: 'it is the password that Vault hands out', facts: {} }
    const login =
      order.material === null ? null : await logIn(ref, role, loginIn(order.material), call)
    if (login === null) return { ok: true, facts: { login: false } }
    return login.accepted
      ? { ok: false, detail: 'the former password is accepted', facts: { login: true } }
      : { ok: true, facts: { login: true, sqlstate: login.state } }
  }

  return {
    verify: async (order: VerifyOrder, call: Call): Promise<Verdict> => {
      if (order.how === 'roundTrip') return works(order, call)
      if (order.how === 'refused') return isRefused(order, call)
      throw new ProviderError(
        'unsupported',
        'none',
        `verifying a static role by ${order.how} is not possible`,
      )
    },
    read: async (ref: StaticRoleRef, version: string, call: Call): Promise<Secret> => {
      const now = await handedOut(ref, call)
      if (now === null || now.rotatedAt !== version)
        throw new ProviderError('notFound', 'none', 'Vault has no such password (any more)')
      return new Secret(JSON.stringify({ username: now.user, password: now.password }))
    },
  }
}

/** A password is of no use without its user: the material is both. */
const loginIn = (material: Material): Login => {
  try {
    const { username, password } = fieldsOf(JSON.parse(revealText(material)))
    return { user: textOf(username), password: textOf(password) }
  } catch {
    // The parser's message would quote it.
    throw new ProviderError('permanent', 'none', 'the material is not that of a static role')
  }
}
