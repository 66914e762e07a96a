// The way back. In this order, so that nothing is asked of the issuer for somebody who only says so:
//
//   1. the cookie is one of ours, of this very login, and not too old; else no code is looked at. Whoever knows its state has come
//      back with it for the first time: the issuer is asked once a login, whatever codes are made up
//   2. the answer belongs to it: state, and the issuer where it names itself (RFC 9207); then the code is exchanged, with the
//      verifier that only this browser has, and the ID token is one for this client and this nonce
//   3. the claims give a role here
//   4. one commit: the session, and its event. A second session of one login does not commit
//
// A crash between 1 and 4 leaves a login that is spent, and no session: the person logs in again.

import {
  type BrowserSession,
  issuerOfSession,
  type Login,
  type LoginAnswer,
  type LoginDialogue,
  longestMs,
} from '#domain/browser-session.ts'
import { RekeyError } from '#domain/errors.ts'
import { actorOfToken } from '#domain/issuer.ts'
import type { Clock, Ids, Keyring, Ledger, SpendLogin } from '#domain/ports.ts'
import { revealText, Secret } from '#domain/secret.ts'
import type { Sha256 } from './authenticate.ts'
import { away, contextOf, loginNamed } from './begin-login.ts'
import { lockIssuers } from './issuers.ts'

export interface FinishLoginDeps {
  readonly ledger: Pick<Ledger, 'read' | 'commit'>
  readonly dialogue: LoginDialogue
  readonly keyring: Pick<Keyring, 'open'>
  readonly clock: Pick<Clock, 'now'>
  readonly ids: Pick<Ids, 'next' | 'random'>
  readonly sha256: Sha256
  readonly spendLogin: SpendLogin
}

export interface FinishLogin {
  readonly name: string
  readonly redirectUri: string
  /** Of the cookie; null: there is none. */
  readonly sealed: string | null
  readonly answer: LoginAnswer
  readonly source: string
}

export interface LoggedIn {
  /** For the cookie. */
  readonly session: Secret<string>
  readonly to: string | null
  readonly name: string
}

export const finishLogin =
  (deps: FinishLoginDeps) =>
  async ({ name, redirectUri, sealed, answer, source }: FinishLogin): Promise<LoggedIn> => {
    const { ledger, clock, ids } = deps
    const issuer = await loginNamed(ledger, name)
    const login = opened(deps.keyring, sealed, name)
    if (login === null) throw refused('It was not begun in this browser, or long ago.')
    if (new Date(login.until) <= clock.now()) throw refused('It took longer than ten minutes.')
    if (login.issuer !== issuer.issuer || login.clientId !== issuer.login.clientId) throw changed()
    // Of another state nothing is sent; and a page that makes browsers come here must not end what they have begun.
    if (answer.state === login.state && !(await deps.spendLogin(login.id, new Date(login.until))))
      throw refused('Somebody has come back with it before.')
    const told = await deps.dialogue.finish(issuer, redirectUri, login, answer)
    if (told.verdict === 'away') throw away(told.why)
    if (told.verdict === 'refused') throw refused(told.why)
    const { subject, claims } = told
    const secret = new Secret(Buffer.from(ids.random(32)).toString('base64url'))
    const id = ids.next()
    const now = clock.now()
    const expiresAt = new Date(now.getTime() + longestMs)
    const actor = actorOfToken(issuer, { subject, claims, expiresAt })
    if (actor === null) throw unmapped()
    await ledger.commit(actor, async (tx) => {
      const session: BrowserSession = {
        ...{ id, hash: deps.sha256(secret.reveal()), loginId: login.id },
        ...{ issuer: issuer.issuer, clientId: issuer.login.clientId, subject, claims, source },
        ...{ createdAt: now, expiresAt, endedAt: null },
      }
      await lockIssuers(tx)
      // The issuer was asked meanwhile, for seconds.
      if (issuerOfSession(session, (await tx.issuers.get()).items) === null) throw changed()
      await tx.writeBrowserSession.purge(now)
      if (!(await tx.writeBrowserSession.insert(session)))
        throw refused('It has given a session before.')
      return {
        value: null,
        audit: [
          {
            action: 'session.begun',
            target: { id, name: actor.name },
            outcome: 'succeeded',
            after: {
              ...{ login: name, source, expiresAt: expiresAt.toISOString() },
              roles: actor.roles,
            },
          },
        ],
      }
    })
    return { session: secret, to: login.to, name: actor.name }
  }

const unmapped = (): RekeyError =>
  new RekeyError('auth.denied', {
    detail: 'The issuer knows you, and no rule of it gives you a role here.',
    hint: 'An admin sees and changes the rules: GET /v1/issuers.',
  })

const changed = (): RekeyError => refused('What it was begun with has changed meanwhile.')

const refused = (detail: string): RekeyError => new RekeyError('login.refused', { detail })

/** Null for what was not sealed here, for this login. */
const opened = (
  keyring: Pick<Keyring, 'open'>,
  sealed: string | null,
  name: string,
): Login | null => {
  const [kek, key, text, ...rest] = (sealed ?? '')
    .split('.')
    .map((part) => Buffer.from(part, 'base64url'))
  if (kek === undefined || key === undefined || text === undefined || rest.length > 0) return null
  const box = { kekId: kek.toString(), wrappedKey: key, ciphertext: text }
  try {
    // It was written by `beginLogin`, and nobody else can seal.
    return JSON.parse(revealText(keyring.open(box, contextOf(name)))) as Login
  } catch {
    return null
  }
}
