// The token of one connection. Nothing happens until it is needed; it is renewed at two thirds of its life by the call
// that finds it so old (no timers), and whoever logs in does so again when Vault forgets the token.

import { ProviderError, type Call, type ProviderPorts } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import type { Client } from './client.ts'
import {
  appRole,
  defaultMounts,
  loginBody,
  loginFailure,
  loginOf,
  noCredential,
  type Login,
  type LoginAt,
} from './logins.ts'
import { vaultPath } from './paths.ts'
import { numberOf, textOf, type Fields } from '../untyped-json.ts'

export interface Tokens {
  /** The token to use now. */
  readonly get: (call: Call) => Promise<Secret>
  /** After a 403 with `used`: another token that is worth one more try, or null. */
  readonly another: (used: Secret, tokenUnknown: boolean, call: Call) => Promise<Secret | null>
  /** The one that a login made and that may be revoked at the end; null for a token that was given. */
  readonly ours: () => Secret | null
  /** What an AppRole logs in with, to be asked about; null for a token that was given. Throws where it is malformed. */
  readonly secretId: () => { readonly mount: string; readonly secretId: string } | null
}

interface Live {
  readonly token: Secret
  readonly since: number
  /** 0: does not end, or is not known. */
  readonly ttlMs: number
  readonly renewable: boolean
}

/** Policies may have changed since a login this old: a refusal is then worth one new login. */
const freshMs = 60_000

export const makeTokens = (
  at: LoginAt & {
    readonly client: Client
    readonly ports: ProviderPorts
  },
): Tokens => {
  const { client, ports, settings } = at
  const method = loginOf(settings)
  let live: Live | null = null
  let pending: Promise<Live> | null = null

  const start = (call: Call): Promise<Live> =>
    method === null ? lookUp(call) : login(method, call)

  const login = async (by: Login, call: Call): Promise<Live> => {
    const body = await loginBody(by, at)
    const reply = await client
      .send(
        {
          verb: 'write',
          path: vaultPath('auth', settings.auth.mount ?? defaultMounts[by], 'login'),
          body,
          // A secret_id may have a number of uses: the login is sent once.
          changes: true,
        },
        null,
        call,
      )
      .catch((error: unknown) => {
        throw loginFailure(error, by)
      })
    return liveFrom(reply.auth, textOf(reply.auth['client_token']))
  }

  const lookUp = async (call: Call): Promise<Live> => {
    const token = givenToken(at.credential)
    // Without the right to look itself up a token is used as it is, until Vault refuses it.
    const reply = await client.send(
      { verb: 'read', path: 'auth/token/lookup-self', accept: [403] },
      token,
      call,
    )
    return {
      token,
      since: ports.now().getTime(),
      ttlMs: numberOf(reply.data['ttl']) * 1000,
      renewable: reply.data['renewable'] === true,
    }
  }

  const renew = async (old: Live, call: Call): Promise<Live> => {
    const reply = await client.send(
      { verb: 'write', path: 'auth/token/renew-self', body: {}, accept: [400, 403] },
      old.token,
      call,
    )
    const renewed = liveFrom(reply.auth, old.token.reveal())
    // Close to the end of the longest life that it may have, renewing gives less and less.
    const enough = reply.status === 200 && renewed.ttlMs > old.ttlMs / 3
    if (method !== null) return enough ? renewed : login(method, call)
    return reply.status === 200 ? renewed : { ...old, renewable: false }
  }

  const liveFrom = (auth: Fields, token: string): Live => ({
    token: new Secret(token),
    since: ports.now().getTime(),
    ttlMs: numberOf(auth['lease_duration']) * 1000,
    renewable: auth['renewable'] === true,
  })

  const isOld = (now: Live): boolean => {
    if (now.ttlMs === 0 || (!now.renewable && method === null)) return false
    return ports.now().getTime() >= now.since + (now.ttlMs * 2) / 3
  }

  // One change of the token at a time. Others wait for it; when it fails or its caller gives up, they try themselves.
  const change = async (work: () => Promise<Live>, call: Call): Promise<Live> => {
    while (pending !== null) {
      const before = live
      await Promise.race([pending.catch(() => null), aborted(call.signal)])
      if (live !== null && live !== before) return live
    }
    pending = work()
    try {
      live = await pending
      return live
    } finally {
      pending = null
    }
  }

  return {
    get: async (call) => {
      if (live === null) return (await change(() => start(call), call)).token
      const old = live
      if (!isOld(old)) return old.token
      if (old.renewable) return (await change(() => renew(old, call), call)).token
      return (await change(() => start(call), call)).token
    },
    another: async (used, tokenUnknown, call) => {
      if (method === null) return null
      if (live !== null && live.token !== used) return live.token
      const age = live === null ? Infinity : ports.now().getTime() - live.since
      if (!tokenUnknown && age < freshMs) return null
      return (await change(() => login(method, call), call)).token
    },
    ours: () => (method !== null && live !== null ? live.token : null),
    secretId: () =>
      method === 'appRole'
        ? { mount: settings.auth.mount ?? defaultMounts[method], secretId: appRole(at).secretId }
        : null,
  }
}

const givenToken = (credential: Secret<string> | null): Secret => {
  if (credential === null) throw noCredential('a token')
  return new Secret(credential.reveal().trim())
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const stop = (): void =>
      reject(new ProviderError('timeout', 'none', 'the login to Vault did not end in time'))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
