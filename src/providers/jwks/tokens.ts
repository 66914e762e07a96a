// Tokens: the claims that a key may sign, and the use that proves a key or its refusal.
//
// A key signs claims, never bytes: so no token leaves with another issuer, another audience, a longer life or another
// algorithm than was agreed on. That a key for one audience was taken for another's is what made one stolen key in 2023 open
// everybody's mail.

import { createLocalJWKSet, errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { formatDuration } from '#domain/duration.ts'
import { ProviderError } from '#domain/provider.ts'
import type { Secret } from '#domain/secret.ts'
import { type PublicJwk, signerOf } from './keys.ts'
import { skewMs } from './settings.ts'

export interface Signer {
  readonly jwk: PublicJwk
  readonly material: Secret<Uint8Array>
}

export interface TokenRules {
  readonly issuer: string
  readonly audiences: readonly string[]
  readonly tokenLifetimeMs: number
  /** When the version must have stopped signing, and no token of it may live on. */
  readonly notAfter: Date
  readonly now: Date
}

/** `input` is a JSON object of claims. What is missing of `iss`, `aud` (where there is one audience), `iat` and `exp` is added. */
export const readClaims = (
  input: Uint8Array,
  rules: TokenRules,
): JWTPayload & { readonly exp: number } => {
  const claims = parse(input)
  const now = Math.floor(rules.now.getTime() / 1_000)
  const { iss = rules.issuer, iat = now } = claims
  if (iss !== rules.issuer) throw refuse('iss', `is ${rules.issuer}, or left out`)
  const aud = audienceOf(claims, rules.audiences)
  if (!isSeconds(iat) || Math.abs(iat - now) > skewMs / 1_000)
    throw refuse('iat', 'is the present time in seconds, or left out')
  const latest = Math.floor(
    Math.min(rules.now.getTime() + rules.tokenLifetimeMs, rules.notAfter.getTime()) / 1_000,
  )
  const { exp = latest } = claims
  if (!isSeconds(exp) || exp <= now || exp > latest) {
    const hint = `is after now and at most ${formatDuration(rules.tokenLifetimeMs)} away, and not after ${rules.notAfter.toISOString()}, or left out`
    throw refuse('exp', hint)
  }
  const { nbf } = claims
  if (nbf !== undefined && (!isSeconds(nbf) || nbf >= exp)) throw refuse('nbf', 'is before exp')
  return { ...claims, iss, aud, iat, exp }
}

const audienceOf = (claims: JWTPayload, audiences: readonly string[]): string | string[] => {
  const { aud = audiences.length === 1 ? audiences[0] : undefined } = claims
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  if (
    aud === undefined ||
    named.length === 0 ||
    !named.every((one) => audiences.some((audience) => audience === one))
  )
    throw refuse('aud', `names some of ${audiences.join(', ')}`)
  return aud
}

const parse = (input: Uint8Array): JWTPayload => {
  let claims: unknown
  try {
    claims = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(input))
  } catch {
    claims = null
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw new ProviderError('permanent', 'none', 'the input is no set of claims', {
      hint: 'send a JSON object, for instance {"sub": "orders"}, as base64',
    })
  }
  return { ...claims }
}

const isSeconds = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0

const refuse = (claim: string, must: string): ProviderError =>
  new ProviderError('permanent', 'none', `the claim ${claim} is refused`, {
    hint: `${claim} ${must}`,
  })

export const signToken = ({ jwk, material }: Signer, claims: JWTPayload): Promise<string> =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: jwk.alg, kid: jwk.kid, typ: 'JWT' })
    .sign(signerOf(material))

/** Null: a verifier that has this set takes the token. Otherwise why it does not. */
export const refusalBy = async (
  keys: readonly PublicJwk[],
  token: string,
  { issuer, audiences, now }: TokenRules,
): Promise<string | null> => {
  try {
    await jwtVerify(token, createLocalJWKSet({ keys: keys.map((key) => ({ ...key })) }), {
      issuer,
      audience: [...audiences],
      currentDate: now,
    })
    return null
  } catch (error) {
    if (error instanceof errors.JOSEError) return error.code
    throw error
  }
}

/** Claims of a token that proves a key and is good for nothing else: over in seconds, for nobody. */
export const canaryClaims = ({ issuer, audiences, now }: TokenRules): JWTPayload => {
  const iat = Math.floor(now.getTime() / 1_000)
  return { iss: issuer, aud: [...audiences], sub: 'rekey-canary', iat, exp: iat + 30 }
}
