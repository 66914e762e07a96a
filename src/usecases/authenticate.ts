// From a token to who acts. The checksum turns away what was never a token before the database is asked; after that every
// request reads the row, so a deleted key is dead at once, in every process. What is told to the caller does not say why.
//
// What is no token of Rekey's own may be a JWT of an issuer that is believed here: docs/adr/0024-jwts-are-tokens.md. Of that it
// is said what is wrong, since whoever made it knows all that is in it.

import type { Actor } from '#domain/actor.ts'
import { endOfUse } from '#domain/break-glass.ts'
import { issuerOfSession, lives } from '#domain/browser-session.ts'
import type { ApiKey, ApiKeyType } from '#domain/connection.ts'
import { actorOfToken } from '#domain/issuer.ts'
import { type JwtFault, jwtFaults, type VerifyJwt } from '#domain/jwt.ts'
import type { Clock, Ledger } from '#domain/ports.ts'
import { tokenType } from '#domain/token.ts'
import { beginUse } from './break-glass.ts'

export interface AuthenticateDeps {
  readonly ledger: Pick<Ledger, 'read' | 'commit'>
  readonly clock: Pick<Clock, 'now'>
  readonly sha256: Sha256
  readonly verifyJwt: VerifyJwt
  /** Whether the source is one of the addresses or in one of the networks. */
  readonly comesFrom: (allowed: readonly string[], source: string) => boolean
}

export type Sha256 = (text: string) => Uint8Array

export interface Credentials {
  /** The bearer token, or null where none was sent. */
  readonly token: string | null
  /** What the cookie of a browser holds, or null. A token that was sent beside it counts alone. */
  readonly session: string | null
  /** The address that the request came from. */
  readonly source: string
}

/** What the counter of denials says, and the audit log with it. */
type Why =
  | 'missing'
  | 'malformed'
  | 'unknown'
  | 'deleted'
  | 'expired'
  | 'address'
  /** Of tokens to break glass with: no second admin has said yes, or the hour is over. */
  | 'unapproved'
  | 'spent'
  | 'issuerUnavailable'
  /** Sessions of browsers: none such, ended or too old; its issuer, or a role for it, is gone. */
  | 'session.unknown'
  | 'session.over'
  | 'session.issuer'
  | 'session.unmapped'
  | `jwt.${JwtFault}`

export type Entry =
  /** `apiKey` and `session`: the id of the one that was sent; both null where a JWT was. */
  | { readonly actor: Actor; readonly apiKey: string | null; readonly session: string | null }
  | {
      readonly actor: null
      readonly code: 'auth.missing' | 'auth.invalid' | 'auth.issuerUnavailable'
      /** For the audit log alone. A known key that is used from elsewhere has probably leaked. */
      readonly why: Why
      readonly apiKey: string | null
      /** What may be told to the caller of this token; null: the same as of every other. */
      readonly detail: string | null
    }

export const authenticate =
  (deps: AuthenticateDeps) =>
  async (credentials: Credentials): Promise<Entry> => {
    const { token, session } = credentials
    if (token === null && session !== null) return bySession(deps, session)
    if (token === null) return refused('missing', { code: 'auth.missing' })
    if (tokenType(token) !== null) return byApiKey(deps, token, credentials.source)
    return /^[^.]+\.[^.]+\./.test(token) ? byJwt(deps, token) : invalid('malformed', null)
  }

const byApiKey = async (deps: AuthenticateDeps, token: string, source: string): Promise<Entry> => {
  const { ledger, clock, sha256, comesFrom } = deps
  const key = await ledger.read((db) => db.apiKeys.byHash(sha256(token)))
  if (key === null) return invalid('unknown', null)
  if (key.deletedAt !== null) return invalid('deleted', key.id)
  if (key.expiresAt !== null && key.expiresAt <= clock.now()) return invalid('expired', key.id)
  if (key.addresses !== null && !comesFrom(key.addresses, source)) return invalid('address', key.id)
  return key.type === 'brk'
    ? byBreakGlass(deps, key, source)
    : { actor: actorOf(key), apiKey: key.id, session: null }
}

const byBreakGlass = async (
  { ledger, clock }: AuthenticateDeps,
  key: ApiKey,
  source: string,
): Promise<Entry> => {
  const glass = await ledger.read((db) => db.breakGlass.get(key.id))
  if (glass === null || glass.approvedAt === null) return invalid('unapproved', key.id)
  const usedAt = glass.usedAt ?? (await beginUse({ ledger })(actorOf(key), source))
  const expiresAt = endOfUse(usedAt)
  if (expiresAt <= clock.now()) return invalid('spent', key.id)
  return { actor: { ...actorOf(key), expiresAt }, apiKey: key.id, session: null }
}

const byJwt = async ({ ledger, verifyJwt }: AuthenticateDeps, jwt: string): Promise<Entry> => {
  const judged = await verifyJwt(
    jwt,
    async () => (await ledger.read((db) => db.issuers.get())).items,
  )
  switch (judged.verdict) {
    case 'away':
      return refused('issuerUnavailable', {
        code: 'auth.issuerUnavailable',
        detail: `The keys of the token's issuer cannot be had: ${judged.why}.`,
      })
    case 'fault':
      return ofJwt(judged.fault)
    case 'holds': {
      const actor = actorOfToken(judged.issuer, judged.token)
      return actor === null ? ofJwt('unmapped') : { actor, apiKey: null, session: null }
    }
  }
}

const bySession = async (
  { ledger, clock, sha256 }: AuthenticateDeps,
  cookie: string,
): Promise<Entry> => {
  const over = (why: Why): Entry =>
    refused(why, { detail: 'The session of this browser is over. Log in again.' })
  return ledger.read(async (db) => {
    const session = await db.browserSessions.byHash(sha256(cookie))
    if (session === null) return over('session.unknown')
    if (!lives(session, clock.now())) return over('session.over')
    const issuer = issuerOfSession(session, (await db.issuers.get()).items)
    if (issuer === null) return over('session.issuer')
    const actor = actorOfToken(issuer, session)
    return actor === null ? over('session.unmapped') : { actor, apiKey: null, session: session.id }
  })
}

const refused = (
  why: Why,
  more: Partial<Pick<Extract<Entry, { readonly actor: null }>, 'code' | 'apiKey' | 'detail'>> = {},
): Entry => ({ actor: null, code: 'auth.invalid', why, apiKey: null, detail: null, ...more })

const invalid = (why: Why, apiKey: string | null): Entry => refused(why, { apiKey })

const ofJwt = (fault: JwtFault): Entry =>
  refused(`jwt.${fault}`, { detail: `The token is not valid. ${jwtFaults[fault]}` })

const actorTypes = {
  pat: 'user',
  svc: 'service',
  ack: 'consumer',
  brk: 'breakGlass',
} as const satisfies Record<ApiKeyType, Actor['type']>

export const actorOf = (key: ApiKey): Actor => ({
  type: actorTypes[key.type],
  id: key.id,
  name: key.name,
  roles: key.roles,
  scope: key.scope,
  consumer: key.consumer,
  keys: key.keys,
  expiresAt: key.expiresAt,
})
