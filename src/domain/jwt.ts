// What can be wrong with a JWT, said to whoever sent it and without a word of what was in it. `docs/adr/0024-jwts-are-tokens.md`.

import type { Issuer, VerifiedToken } from './issuer.ts'

export const jwtFaults = {
  long: 'It is longer than 8,192 characters.',
  malformed:
    'It is not a signed JWT: three parts, and in each of the first two one JSON object without a name twice.',
  algorithm: 'Its algorithm is none of those that are accepted: RS, PS and ES of SHA-2, EdDSA.',
  header: 'Its header asks for what is not done here: crit, b64, jwk, jku, x5c, x5u, cty or zip.',
  kind: 'Its typ is neither JWT nor at+jwt.',
  issuer: 'Its issuer is not one that is believed here.',
  unnamed: 'It lacks one of iss, sub, aud, exp and iat, or one of them is no proper value.',
  key: 'Its issuer has no such key, or several that could be it.',
  signature: 'Its signature is not one of its issuer.',
  audience: 'It is for another audience.',
  early: 'It is not valid yet.',
  expired: 'It has expired, or was issued more than 24 hours ago.',
  unmapped: 'Its claims give no role here.',
} as const

export type JwtFault = keyof typeof jwtFaults

export type JwtVerdict =
  | { readonly verdict: 'holds'; readonly issuer: Issuer; readonly token: VerifiedToken }
  | { readonly verdict: 'fault'; readonly fault: Exclude<JwtFault, 'unmapped'> }
  /** The keys of its issuer cannot be had: nobody can say whether it holds. `why` is a clause. */
  | { readonly verdict: 'away'; readonly why: string }

/** Asks for the issuers only where the token has the shape of one that could hold. */
export type VerifyJwt = (
  token: string,
  issuers: () => Promise<readonly Issuer[]>,
) => Promise<JwtVerdict>
