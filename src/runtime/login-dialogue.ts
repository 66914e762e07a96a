// OpenID Connect with an issuer, for a browser: authorization code with PKCE (RFC 7636), state, nonce, and the issuer's name in
// its answer (RFC 9207). The protocol is openid-client's work. What is done here: its requests go the way of all that leaves
// the house (egress rules, no redirects, small and in time); the ID token is judged like every JWT, signature included, by the
// rules of verify-jwt.ts, for the client as its audience; and what went wrong is said in our own words.

import {
  allowInsecureRequests,
  authorizationCodeGrant,
  AuthorizationResponseError,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientSecretBasic,
  ClientSecretPost,
  clockSkew,
  Configuration,
  customFetch,
  type CustomFetchOptions,
  discovery,
  None,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  ResponseBodyError,
  type ServerMetadata,
} from 'openid-client'
import type { LoginDialogue, LoginIssuer, LoginVerdict } from '#domain/browser-session.ts'
import { isRekeyError } from '#domain/errors.ts'
import { jwtFaults, type VerifyJwt } from '#domain/jwt.ts'
import type { Clock, Ledger } from '#domain/ports.ts'
import type { Secret } from '#domain/secret.ts'
import type { Credentials } from './credentials.ts'
import type { Egress } from './egress.ts'

export interface LoginDialogueDeps {
  /** Follows no redirect, cuts off what is too long. */
  readonly fetch: typeof globalThis.fetch
  readonly egress: Pick<Egress, 'checkUrl'>
  readonly clock: Pick<Clock, 'now'>
  readonly verifyJwt: VerifyJwt
  /** Throws RekeyError where it is not to be had, or may not be sent there. */
  readonly credentials: Pick<Credentials, 'resolve'>
  readonly ledger: Pick<Ledger, 'read'>
}

const patienceSeconds = 5
const freshMs = 10 * 60_000
/** Where the document was not to be had. */
const coolMs = 30_000

/** What an issuer says of itself. Whoever begins a login is a stranger: one request at a time asks for it, and after one that failed
 *  the next waits, so that nobody can make Rekey hammer an issuer, or wait for it by the thousand. */
interface Known {
  readonly at: number
  holdsMs: number
  readonly server: Promise<ServerMetadata>
}

/** `why` is a clause in our own words. */
class Away extends Error {}

export const makeLoginDialogue = (deps: LoginDialogueDeps): LoginDialogue => {
  const { clock } = deps
  const known = new Map<string, Known>()
  const ask = askedThrough(deps)

  const discover = async ({ issuer, login }: LoginIssuer): Promise<ServerMetadata> => {
    const found = await discovery(new URL(issuer), login.clientId, undefined, None(), {
      [customFetch]: ask,
      execute: [plainOnLoopback],
      timeout: patienceSeconds,
    })
    const server = found.serverMetadata()
    if (server.issuer !== issuer) throw new Away('its document names another issuer')
    if (server.authorization_endpoint === undefined || server.token_endpoint === undefined)
      throw new Away('its document names no addresses to log in at')
    mustBeDialled(deps.egress, server.authorization_endpoint)
    return server
  }
  const serverOf = (issuer: LoginIssuer): Promise<ServerMetadata> => {
    const at = clock.now().getTime()
    const had = known.get(issuer.issuer)
    if (had !== undefined && at - had.at < had.holdsMs) return had.server
    const asked: Known = { at, holdsMs: freshMs, server: discover(issuer) }
    asked.server.catch(() => {
      asked.holdsMs = coolMs
    })
    known.set(issuer.issuer, asked)
    return asked.server
  }
  const configOf = async (issuer: LoginIssuer): Promise<Configuration> => {
    const server = await serverOf(issuer)
    const secret = await secretOf(deps, issuer, server.token_endpoint ?? '')
    const skew = Math.round((clock.now().getTime() - Date.now()) / 1000)
    const config = new Configuration(
      server,
      issuer.login.clientId,
      { [clockSkew]: skew },
      authOf(server, secret),
    )
    config[customFetch] = ask
    config.timeout = patienceSeconds
    plainOnLoopback(config)
    return config
  }

  return {
    begin: async (issuer, redirectUri) => {
      try {
        const config = await configOf(issuer)
        const [state, nonce, verifier] = [randomState(), randomNonce(), randomPKCECodeVerifier()]
        const url = buildAuthorizationUrl(config, {
          redirect_uri: redirectUri,
          scope: [...new Set(['openid', ...(issuer.login.scopes ?? [])])].join(' '),
          code_challenge: await calculatePKCECodeChallenge(verifier),
          code_challenge_method: 'S256',
          state,
          nonce,
        })
        return { verdict: 'begun', url: url.href, state, nonce, verifier }
      } catch (error) {
        return {
          verdict: 'away',
          why: whyAway(error) ?? 'what it answered is no discovery document',
        }
      }
    },
    finish: async (issuer, redirectUri, { state, nonce, verifier }, answer) => {
      const back = new URL(redirectUri)
      for (const [name, value] of Object.entries(answer))
        if (value !== undefined) back.searchParams.set(name, value)
      try {
        const tokens = await authorizationCodeGrant(await configOf(issuer), back, {
          pkceCodeVerifier: verifier,
          expectedState: state,
          expectedNonce: nonce,
          idTokenExpected: true,
        })
        return await judged(deps.verifyJwt, issuer, tokens.id_token ?? '')
      } catch (error) {
        const why = whyAway(error)
        return why === null
          ? { verdict: 'refused', why: whyRefused(error) }
          : { verdict: 'away', why }
      }
    },
  }
}

const judged = async (
  verifyJwt: VerifyJwt,
  { login, ...issuer }: LoginIssuer,
  idToken: string,
): Promise<LoginVerdict> => {
  const found = await verifyJwt(idToken, async () => [{ ...issuer, audience: login.clientId }])
  switch (found.verdict) {
    case 'away':
      return found
    case 'fault':
      return {
        verdict: 'refused',
        why: `The issuer's ID token is not valid. ${jwtFaults[found.fault]}`,
      }
    case 'holds': {
      const { subject, claims } = found.token
      return { verdict: 'holds', subject, claims }
    }
  }
}

/** What holds of credentials of connections holds of this one: it is sent where it was meant for, and nowhere else. */
const secretOf = async (
  { credentials, ledger }: LoginDialogueDeps,
  { login: { name, clientSecret } }: LoginIssuer,
  endpoint: string,
): Promise<Secret<string> | null> => {
  if (clientSecret === undefined) return null
  const use = { name, credential: clientSecret, endpoints: [endpoint] }
  const { credential } = await ledger.read((db) =>
    credentials.resolve(use, db, () => {
      throw new Error('a login takes its secret from no key')
    }),
  )
  return credential
}

/** Whether plain http is spoken is for egress to say, which allows it on loopback alone. The library knows this one by itself. */
// oxlint-disable-next-line typescript/no-deprecated -- marked so to be seen
const plainOnLoopback = allowInsecureRequests

const authOf = (server: ServerMetadata, secret: Secret<string> | null) => {
  if (secret === null) return None()
  // What an issuer takes that does not say what it takes (OpenID Connect Discovery 3).
  const taken = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
  return taken.includes('client_secret_basic')
    ? ClientSecretBasic(secret.reveal())
    : ClientSecretPost(secret.reveal())
}

const mustBeDialled = (egress: LoginDialogueDeps['egress'], url: string): void => {
  try {
    egress.checkUrl(url, 'webhook', { insecure: false })
  } catch (error) {
    throw new Away(why(error))
  }
}

const askedThrough =
  ({ fetch, egress }: LoginDialogueDeps) =>
  async (url: string, { body, ...init }: CustomFetchOptions): Promise<Response> => {
    try {
      mustBeDialled(egress, url)
      // Forms, or nothing.
      return await fetch(url, {
        ...init,
        ...(body instanceof URLSearchParams ? { body } : {}),
      })
    } catch (error) {
      throw error instanceof Away ? error : new Away(why(error))
    }
  }

const why = (error: unknown): string => {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    if (isRekeyError(at)) return 'its address is not dialled'
    if (at.name === 'TimeoutError') return `no answer within ${patienceSeconds} s`
    if (at.name === tooLong) return 'what it answered is too long'
  }
  return 'the connection failed'
}

/** Null where it was asked, and said no. */
const whyAway = (error: unknown): string | null => {
  for (let at = error, depth = 0; at !== undefined && depth < 5; depth += 1) {
    if (at instanceof Away) return at.message
    if (isRekeyError(at)) return at.code === 'connection.unusable' ? unusable : why(at)
    if (at instanceof ResponseBodyError && at.error === 'invalid_client') return unknownClient
    if (at instanceof Error && at.name === tooLong) return 'what it answered is too long'
    const status = statusOf(at)
    if (status !== null && status >= 500) return `it answered ${status}`
    at = at instanceof Error ? at.cause : undefined
  }
  return null
}

/** Of a reply that the library hands on as a cause. */
const statusOf = (reply: unknown): number | null =>
  typeof reply === 'object' &&
  reply !== null &&
  'status' in reply &&
  typeof reply.status === 'number'
    ? reply.status
    : null

/** Of undici, in the middle of a body. */
const tooLong = 'ResponseExceededMaxSizeError'
const unusable = 'the client secret of this login is not to be had, or may not be sent there'
const unknownClient = 'it does not know Rekey by this client id and secret'

/** Nothing of the answer is repeated, but for words of RFC 6749 and OpenID Connect. */
const whyRefused = (error: unknown): string => {
  if (error instanceof AuthorizationResponseError)
    return /^[a-z_]{1,60}$/.test(error.error)
      ? `The issuer said no: ${error.error}.`
      : 'The issuer said no.'
  if (error instanceof ResponseBodyError) return 'The issuer did not take the code.'
  return 'The answer of the issuer is none to this login.'
}
