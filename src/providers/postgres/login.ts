// What a user meets at the door: the salt that the server keeps for it, which names the version of its password and is told to
// whoever begins to log in; and whether a password is accepted, by a real login.

import pg from 'pg'
import { ProviderError, type Call } from '#domain/provider.ts'
import { failureOf, serverErrorOf } from './failures.ts'
import { abortable, again, configOf, ScramClient, type Asked, type At } from './wire.ts'

/** `salt` where the server asks by SCRAM. For a user without a password, or one whose time is over, it makes a salt up. */
export interface Greeting {
  /** Null: nothing is asked, whoever comes from here is let in. */
  readonly asked: Asked | null
  readonly salt: Buffer | null
}

/** Begins to log in, reads what the server says first, and hangs up: no attempt, and no line in the server's log. */
export const greetingOf = (at: At, user: string, call: Call): Promise<Greeting> =>
  again(() => greetOnce(at, user, call), call)

const greetOnce = async (at: At, user: string, call: Call): Promise<Greeting> => {
  const client = new Greeter({ ...configOf(at), user }, at.ports.random(18))
  try {
    return await abortable(call, client, client.greet())
  } catch (error) {
    throw doorFailure(error, call)
  } finally {
    client.connection.stream.destroy()
  }
}

/** `pg` up to the point where a password would be proven. */
class Greeter extends pg.Client {
  readonly #nonce: string

  constructor(config: pg.ClientConfig, nonce: Uint8Array) {
    super({ ...config, password: () => new Promise(() => undefined) })
    this.#nonce = Buffer.from(nonce).toString('base64')
    this.on('error', () => undefined)
  }

  greet(): Promise<Greeting> {
    return new Promise((resolve, reject) => {
      const { connection } = this
      const nonce = this.#nonce
      const told = (asked: Asked | null, salt: Buffer | null = null) => resolve({ asked, salt })
      connection.on('authenticationOk', () => told(null))
      connection.on('authenticationMD5Password', () => told('md5'))
      connection.on('authenticationCleartextPassword', () => told('clear'))
      connection.on('authenticationSASL', ({ mechanisms }: { mechanisms: readonly string[] }) => {
        if (!mechanisms.includes('SCRAM-SHA-256')) return reject(new Error('no SCRAM-SHA-256'))
        saslOf(connection).sendSASLInitialResponseMessage('SCRAM-SHA-256', `n,,n=*,r=${nonce}`)
      })
      connection.on('authenticationSASLContinue', ({ data }: { data: string }) => {
        // RFC 5802: r=<nonce>,s=<salt>,i=<iterations>
        const salt = /(?:^|,)s=([A-Za-z0-9+/=]+)(?:,|$)/.exec(data)?.[1]
        if (salt === undefined) reject(new Error('no salt'))
        else told('scram', Buffer.from(salt, 'base64'))
      })
      this.connect().then(() => told(null), reject)
    })
  }
}

/** A method of pg's connection that its types leave out. */
const saslOf = (
  connection: pg.Connection,
): { sendSASLInitialResponseMessage(mechanism: string, response: string): void } =>
  connection as unknown as ReturnType<typeof saslOf>

/** `accepted`: the password is right; `usable`: and the user may work in the database. */
export type LoginVerdict =
  | { readonly accepted: true; readonly usable: boolean; readonly detail: string }
  | { readonly accepted: false; readonly state: string; readonly detail: string }

export const tryLogin = (
  at: At,
  { user, password }: { readonly user: string; readonly password: string },
  call: Call,
): Promise<LoginVerdict> => again(() => loginOnce(at, user, password, call), call)

const loginOnce = async (
  at: At,
  user: string,
  password: string,
  call: Call,
): Promise<LoginVerdict> => {
  const client = new ScramClient({ ...configOf(at), user }, password)
  try {
    await abortable(call, client, client.connect())
    // Only now is it known that the password was looked at at all.
    if (client.asked === null)
      throw new ProviderError(
        'precondition',
        'none',
        'the server lets the user in without a password',
        {
          hint: 'take the trust line for it and this host out of pg_hba.conf',
        },
      )
    const { rows } = await abortable(
      call,
      client,
      client.query<{ readonly who: string }>('SELECT session_user AS who'),
    )
    return rows[0]?.who === user
      ? { accepted: true, usable: true, detail: 'logged in' }
      : { accepted: true, usable: false, detail: 'the login was that of another user' }
  } catch (error) {
    const refused = refusalOf(error)
    if (refused !== null) return refused
    throw doorFailure(error, call)
  } finally {
    void client.end().catch(() => undefined)
  }
}

/** A wrong password and a user that may not log in are verdicts; all else says nothing about the password. */
const refusalOf = (error: unknown): LoginVerdict | null => {
  const said = serverErrorOf(error)
  if (said === null) return null
  const { state, routine } = said
  if (state === '28P01') return { accepted: false, state, detail: 'the password is refused' }
  if (state === '28000' && routine === 'InitializeSessionUserId')
    return { accepted: false, state, detail: 'the user may not log in' }
  // After the password was accepted.
  if (state === '42501' || state === '3D000')
    return { accepted: true, usable: false, detail: 'the user may not connect to the database' }
  return null
}

/** About the pair's own users: what the server says of them is not said of the connection's user. */
const doorFailure = (error: unknown, call: Call): ProviderError => {
  const said = serverErrorOf(error)
  if (said?.state.startsWith('28') === true)
    return new ProviderError(
      'precondition',
      'none',
      `the server does not ask the user for a password (SQLSTATE ${said.state})`,
      { hint: 'pg_hba.conf needs a line for it and this host that asks for scram-sha-256' },
    )
  return failureOf(error, { writing: false, aborted: call.signal.aborted })
}
