// A version is used for real: by logging in as a consumer would, from here, by SCRAM.

import {
  ProviderError,
  type Call,
  type Material,
  type Verdict,
  type VerifyOrder,
} from '#domain/provider.ts'
import { tryLogin } from './login.ts'
import type { PairAt } from './read-pair.ts'
import { readHalves, stateOf } from './roles.ts'
import { passwordOf } from './verifier.ts'
import { userOf, usersOf } from './versions.ts'

export const verify = async (at: PairAt, order: VerifyOrder, call: Call): Promise<Verdict> => {
  const { how, providerVersion } = order
  if (how === 'oldDataReadable')
    throw new ProviderError('unsupported', 'none', 'a user is verified by logging in')
  const users = usersOf(order.object.ref)
  const user = userOf(users, providerVersion)
  if (user === null) {
    const detail = `${providerVersion} is no version of a user of this pair`
    return { ok: false, detail, facts: {} }
  }
  if (how === 'refused') return isRefused(at, order, user, call)
  return order.material === null
    ? mayLogIn(at, providerVersion, user, call)
    : logsIn(at, order.material, user, call)
}

const logsIn = async (
  at: PairAt,
  material: Material,
  user: string,
  call: Call,
): Promise<Verdict> => {
  const login = await tryLogin(at, { user, password: passwordOf(material) }, call)
  const facts = { user, operation: 'login' }
  return login.accepted && login.usable
    ? { ok: true, facts }
    : { ok: false, detail: `${user}: ${login.detail}`, facts }
}

/** The password is not known here (it was set before Rekey came): what the server says of the user must do. */
const mayLogIn = async (
  at: PairAt,
  version: string,
  user: string,
  call: Call,
): Promise<Verdict> => {
  const [half] = await readHalves(at, [user], call)
  const facts = { user, operation: 'look' }
  if (half === undefined) return { ok: false, detail: `there is no user ${user}`, facts }
  if (half.version !== version)
    return { ok: false, detail: `the password of ${user} is another one now`, facts }
  return half.login && !half.expired
    ? { ok: true, facts }
    : { ok: false, detail: `${user} may not log in`, facts }
}

/** The password is tried, and no session of the user is left. A version whose place holds another password by now is only
 *  tried: the sessions are those of the other one. */
const isRefused = async (
  at: PairAt,
  { material, providerVersion }: VerifyOrder,
  user: string,
  call: Call,
): Promise<Verdict> => {
  const login =
    material === null ? null : await tryLogin(at, { user, password: passwordOf(material) }, call)
  if (login?.accepted)
    return {
      ok: false,
      detail: `the password of ${user} is accepted`,
      facts: { user, operation: 'login' },
    }
  const [half] = await readHalves(at, [user], call)
  const facts = {
    user,
    ...(login ? { operation: 'login', sqlstate: login.state } : { operation: 'look' }),
    login: half?.login ?? false,
    sessions: half?.sessions ?? 0,
  }
  const inPlace = half?.version === providerVersion
  if (inPlace && half.sessions > 0)
    return { ok: false, detail: `${user} still has ${half.sessions} sessions`, facts }
  return inPlace && login === null && stateOf(half) === 'enabled'
    ? { ok: false, detail: `${user} may log in`, facts }
    : { ok: true, facts }
}
