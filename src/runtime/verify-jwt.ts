// Whether a JWT holds: RFC 7519 as RFC 8725 wants it read. The key comes from its issuer's set and never from the token; the
// algorithm from our list; what the list does not have (`none`, HMAC with a public key as the secret) is refused before any
// key is looked for. Signature, issuer, audience and times are jose's work.

import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import type { JsonObject } from '#domain/json.ts'
import { parseJsonText } from '#domain/json-text.ts'
import type { LoginDialogue } from '#domain/browser-session.ts'
import type { Issuer } from '#domain/issuer.ts'
import type { JwtFault, JwtVerdict, VerifyJwt } from '#domain/jwt.ts'
import { oneLinePattern } from '#domain/names.ts'
import type { Clock, Ledger } from '#domain/ports.ts'
import type { Credentials } from './credentials.ts'
import type { Egress } from './egress.ts'
import { IssuerAway, type IssuerKeys, makeIssuerKeys } from './issuer-keys.ts'
import { makeSafeFetch } from './safe-fetch.ts'

const longest = 8_192
/** Bytes: it is a part of keys of indexes. */
const longestSubject = 255
const longestKid = 300
const skewSeconds = 30
const oldest = '24h'

const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]
const refusedMembers = ['crit', 'b64', 'jwk', 'jku', 'x5c', 'x5u', 'cty', 'zip']
const kinds = new Set(['jwt', 'at+jwt', 'application/at+jwt'])

type Fault = Exclude<JwtFault, 'unmapped'>

export interface Jwts {
  readonly verify: VerifyJwt
  readonly dialogue: LoginDialogue
  close(): Promise<void>
}

export const openJwts = ({
  egress,
  clock,
  credentials,
  ledger,
}: {
  readonly egress: Egress
  readonly clock: Clock
  readonly credentials: Pick<Credentials, 'resolve'>
  readonly ledger: Pick<Ledger, 'read'>
}): Jwts => {
  const { fetch, close } = makeSafeFetch({ egress, kind: 'webhook', insecure: false, maxBytes })
  const verify = verifyBy(makeIssuerKeys({ fetch, egress, clock }), clock)
  // Its library is loaded by the first login.
  let made: Promise<LoginDialogue> | null = null
  const dialogueOf = () =>
    (made ??= import('./login-dialogue.ts').then(({ makeLoginDialogue }) =>
      makeLoginDialogue({ fetch, egress, clock, credentials, ledger, verifyJwt: verify }),
    ))
  const dialogue: LoginDialogue = {
    begin: async (...asked) => (await dialogueOf()).begin(...asked),
    finish: async (...asked) => (await dialogueOf()).finish(...asked),
  }
  return { verify, dialogue, close }
}

/** Of each document of an issuer. */
const maxBytes = 256 * 1024

const verifyBy =
  (keys: IssuerKeys, clock: Pick<Clock, 'now'>): VerifyJwt =>
  async (token, issuers) => {
    const claims = claimsOf(token)
    if (typeof claims === 'string') return fault(claims)
    const issuer = (await issuers()).find((known) => known.issuer === claims['iss'])
    if (issuer === undefined) return fault('issuer')
    try {
      const verify = (from: JWTVerifyGetKey) => verified(token, issuer, from, clock.now())
      const first = await verify(await keys.keysOf(issuer.issuer))
      if (first.verdict !== 'fault' || first.fault !== 'key') return first
      const newer = await keys.newerKeysOf(issuer.issuer)
      return newer === null ? first : await verify(newer)
    } catch (error) {
      if (error instanceof IssuerAway) return { verdict: 'away', why: error.message }
      throw error
    }
  }

const fault = (is: Fault): JwtVerdict => ({ verdict: 'fault', fault: is })

/** The claims as they stand there, unverified; or what shows without a key that it cannot hold. */
const claimsOf = (token: string): Readonly<Record<string, unknown>> | Fault => {
  if (token.length > longest) return 'long'
  const [head, body, ...rest] = token.split('.')
  const header = objectIn(head)
  const claims = objectIn(body)
  if (header === null || claims === null || rest.length !== 1) return 'malformed'
  const refused = headerFault(header)
  return refused ?? claims
}

const headerFault = (header: Readonly<Record<string, unknown>>): Fault | null => {
  if (refusedMembers.some((name) => Object.hasOwn(header, name))) return 'header'
  const { alg, typ, kid } = header
  if (typeof alg !== 'string' || !algorithms.includes(alg)) return 'algorithm'
  if (typ !== undefined && !(typeof typ === 'string' && kinds.has(typ.toLowerCase()))) return 'kind'
  if (kid !== undefined && !(typeof kid === 'string' && kid.length <= longestKid)) return 'key'
  return null
}

const objectIn = (part: string | undefined): Readonly<Record<string, unknown>> | null => {
  if (part === undefined || !/^[A-Za-z0-9_-]+$/.test(part)) return null
  try {
    const bytes = Buffer.from(part, 'base64url')
    // Two texts of one meaning would be two tokens: the last character has no bits to spare.
    if (bytes.toString('base64url') !== part) return null
    const value = parseJsonText(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : null
  } catch {
    return null
  }
}

const verified = async (
  token: string,
  issuer: Issuer,
  keys: JWTVerifyGetKey,
  now: Date,
): Promise<JwtVerdict> => {
  try {
    const { payload } = await jwtVerify(token, keys, {
      algorithms,
      issuer: issuer.issuer,
      audience: issuer.audience,
      clockTolerance: skewSeconds,
      maxTokenAge: oldest,
      requiredClaims: ['sub', 'aud', 'exp', 'iat'],
      currentDate: now,
    })
    return holding(issuer, payload)
  } catch (error) {
    const found = faultOf(error)
    if (found === null) throw error
    return fault(found)
  }
}

const holding = (issuer: Issuer, payload: JWTPayload): JwtVerdict => {
  const { sub, exp } = payload
  if (typeof sub !== 'string' || !isName(sub)) return fault('unnamed')
  const expiresAt = new Date(Number(exp) * 1000)
  // A moment beyond what a date can hold.
  if (Number.isNaN(expiresAt.getTime())) return fault('unnamed')
  return {
    verdict: 'holds',
    issuer,
    // It came out of JSON.
    token: { subject: sub, claims: payload as JsonObject, expiresAt },
  }
}

/** It stands in the log and in rows, as a part of an id: two that read alike must not be two, nor one be none. */
const isName = (sub: string): boolean =>
  sub !== '' && Buffer.byteLength(sub) <= longestSubject && sub.isWellFormed() && oneLine.test(sub)

const oneLine = new RegExp(oneLinePattern)

const faultOf = (error: unknown): Fault | null => {
  if (error instanceof errors.JWTExpired) return 'expired'
  if (error instanceof errors.JWTClaimValidationFailed) return claimFault(error)
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'signature'
  if (error instanceof errors.JOSEAlgNotAllowed) return 'algorithm'
  if (error instanceof errors.JWKSNoMatchingKey) return 'key'
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'key'
  if (error instanceof errors.JOSENotSupported) return 'key'
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) return 'malformed'
  // A key of the set that is none, or is too short for its algorithm.
  return error instanceof TypeError || error instanceof DOMException ? 'key' : null
}

const claimFault = ({ claim, reason }: errors.JWTClaimValidationFailed): Fault => {
  if (reason !== 'check_failed') return 'unnamed'
  if (claim === 'aud') return 'audience'
  if (claim === 'iss') return 'issuer'
  return 'early'
}
