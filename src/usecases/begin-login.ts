// The way of a browser to an issuer: what it must bring back is sealed into a cookie of its own, and nothing is written for
// somebody of whom nothing is known yet.

import {
  type Login,
  type LoginDialogue,
  type LoginIssuer,
  loginMs,
  takesLogins,
} from '#domain/browser-session.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Clock, Ids, Keyring, Ledger } from '#domain/ports.ts'
import { Secret } from '#domain/secret.ts'
import { notFound } from './rights.ts'

export interface BeginLoginDeps {
  readonly ledger: Pick<Ledger, 'read'>
  readonly dialogue: LoginDialogue
  readonly keyring: Pick<Keyring, 'seal'>
  readonly clock: Pick<Clock, 'now'>
  readonly ids: Pick<Ids, 'next'>
}

export interface BeginLogin {
  /** Of the login. */
  readonly name: string
  readonly to: string | null
  /** Where the issuer sends the browser back to, letter for letter as it knows it. */
  readonly redirectUri: string
}

/** `sealed` is what only this browser may have. */
export const beginLogin =
  ({ ledger, dialogue, keyring, clock, ids }: BeginLoginDeps) =>
  async ({
    name,
    to,
    redirectUri,
  }: BeginLogin): Promise<{ readonly url: string; readonly sealed: string }> => {
    const issuer = await loginNamed(ledger, name)
    const begun = await dialogue.begin(issuer, redirectUri)
    if (begun.verdict === 'away') throw away(begun.why)
    const { url, state, nonce, verifier } = begun
    const login: Login = {
      ...{ id: ids.next(), issuer: issuer.issuer, clientId: issuer.login.clientId },
      ...{ state, nonce, verifier, to },
      until: new Date(clock.now().getTime() + loginMs).toISOString(),
    }
    const box = keyring.seal(new Secret(JSON.stringify(login)), contextOf(name))
    const parts = [Buffer.from(box.kekId), box.wrappedKey, box.ciphertext]
    return { url, sealed: parts.map((part) => Buffer.from(part).toString('base64url')).join('.') }
  }

/** Sealed for one login, it opens for no other: what was begun at one issuer does not end at another. */
export const contextOf = (name: string): string => `login:${name}`

export const loginNamed = async (
  ledger: Pick<Ledger, 'read'>,
  name: string,
): Promise<LoginIssuer> => {
  const { items } = await ledger.read((db) => db.issuers.get())
  const found = items.filter(takesLogins).find(({ login }) => login.name === name)
  if (found === undefined) throw notFound('login', name)
  return found
}

export const away = (why: string): RekeyError =>
  new RekeyError('auth.issuerUnavailable', { detail: `The issuer cannot be asked: ${why}.` })
