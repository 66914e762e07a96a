// A browser whose person logged in at an issuer. Who they are was told once, at the login; what that is worth here is asked
// of the issuer's rules with every request, as of a JWT. Why it lives so long and no longer: docs/adr/0030-browser-sessions.md.

import type { Issuer } from './issuer.ts'
import type { JsonObject } from './json.ts'

export interface BrowserSession {
  readonly id: string
  /** SHA-256 of what the cookie holds. */
  readonly hash: Uint8Array
  /** Of the login that it came from: one login gives one session. */
  readonly loginId: string
  readonly issuer: string
  readonly clientId: string
  readonly subject: string
  readonly claims: JsonObject
  /** The address that the login came from. */
  readonly source: string
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly endedAt: Date | null
}

export interface SeenBrowserSession extends BrowserSession {
  /** To a few seconds; null: not yet. */
  readonly lastUsedAt: Date | null
}

/** From the login on, whatever happens: then the issuer is asked again who this is. */
export const longestMs = 8 * 3_600_000
/** Without a request. */
export const idleMs = 3_600_000
/** Rows of sessions that are over stay as long. */
export const keptMs = 7 * 86_400_000
/** From the way to the issuer until the way back. */
export const loginMs = 10 * 60_000

export const principalOf = ({
  issuer,
  subject,
}: Pick<BrowserSession, 'issuer' | 'subject'>): string => `${issuer}#${subject}`

export const lives = (session: SeenBrowserSession, now: Date): boolean =>
  session.endedAt === null &&
  now < session.expiresAt &&
  now.getTime() < (session.lastUsedAt ?? session.createdAt).getTime() + idleMs

/** What a login at an issuer needs: an issuer without it gives tokens, and no sessions. */
export type LoginIssuer = Issuer & { readonly login: NonNullable<Issuer['login']> }

export const takesLogins = (issuer: Issuer): issuer is LoginIssuer => issuer.login !== undefined

/** The issuer as it is now, where it still takes logins of the client that this one came by. */
export const issuerOfSession = (
  session: Pick<BrowserSession, 'issuer' | 'clientId'>,
  issuers: readonly Issuer[],
): LoginIssuer | null =>
  issuers
    .filter(takesLogins)
    .find(
      ({ issuer, login }) => issuer === session.issuer && login.clientId === session.clientId,
    ) ?? null

/** One way to an issuer and back: known to the browser alone, which carries it sealed. */
export interface Login {
  readonly id: string
  readonly issuer: string
  readonly clientId: string
  readonly state: string
  readonly nonce: string
  /** PKCE. */
  readonly verifier: string
  /** Where the browser goes in the end: a path of ours. */
  readonly to: string | null
  /** RFC 3339. */
  readonly until: string
}

/** What the issuer sent the browser back with. */
export interface LoginAnswer {
  readonly code?: string
  readonly state?: string
  readonly iss?: string
  readonly error?: string
}

export type LoginVerdict =
  | { readonly verdict: 'holds'; readonly subject: string; readonly claims: JsonObject }
  /** `why` is a sentence of ours, in which nothing of the answer is. */
  | { readonly verdict: 'refused'; readonly why: string }
  | { readonly verdict: 'away'; readonly why: string }

/** OpenID Connect, authorization code with PKCE. */
export interface LoginDialogue {
  /** Where to send the browser. Throws IssuerAway's like as `away`. */
  begin(
    issuer: LoginIssuer,
    redirectUri: string,
  ): Promise<
    | {
        readonly verdict: 'begun'
        readonly url: string
        readonly state: string
        readonly nonce: string
        readonly verifier: string
      }
    | { readonly verdict: 'away'; readonly why: string }
  >
  finish(
    issuer: LoginIssuer,
    redirectUri: string,
    login: Pick<Login, 'state' | 'nonce' | 'verifier'>,
    answer: LoginAnswer,
  ): Promise<LoginVerdict>
}
