// How the server is spoken to: by `pg`, over sockets that dial checked addresses only, with every setting told, so that none
// of PGHOST, PGSSLMODE, PGOPTIONS or ~/.pgpass of the process has a say.
//
// A password is proven by SCRAM or not at all: a server (or whoever poses as one) that asks for it in clear or as MD5 gets none.

import { Socket } from 'node:net'
import tls from 'node:tls'
import pg from 'pg'
import { ProviderError, type Call, type ProviderPorts } from '#domain/provider.ts'
import { failureOf } from './failures.ts'
import { schemeOf, type Login, type PostgresSettings } from './settings.ts'

export interface At {
  readonly settings: PostgresSettings
  readonly ports: ProviderPorts
}

/** No statement outlives this, whatever becomes of its caller. */
export const statementMs = 10_000
const connectMs = 8_000

export const configOf = ({ settings, ports }: At): pg.ClientConfig => ({
  host: settings.host,
  port: settings.port,
  database: settings.database,
  ssl: tlsOf(settings),
  sslnegotiation: 'postgres',
  stream: () => ports.socket(schemeOf(settings)),
  application_name: 'rekey',
  client_encoding: 'UTF8',
  // Nothing of a schema that users write to is ever called, and each statement sees what is committed by then.
  options: '-c search_path=pg_catalog -c default_transaction_isolation=read\\ committed',
  connectionTimeoutMillis: connectMs,
})

const tlsOf = ({ tls: mode, ca }: PostgresSettings): boolean | tls.ConnectionOptions =>
  mode === 'off'
    ? false
    : {
        rejectUnauthorized: true,
        minVersion: 'TLSv1.2',
        ...(ca === null ? {} : { ca }),
        ...(mode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
      }

/** How the server asked for the password; null: not at all. */
export type Asked = 'scram' | 'md5' | 'clear'

export class ScramClient extends pg.Client {
  readonly #how: { by: Asked | null }

  constructor(config: pg.ClientConfig, password: string) {
    const how: { by: Asked | null } = { by: null }
    super({
      ...config,
      password: async () => {
        if (how.by === 'scram') return password
        throw new ProviderError(
          'precondition',
          'none',
          `the server asks for passwords ${wayOf(how.by)}`,
          {
            hint: 'let pg_hba.conf ask for scram-sha-256',
          },
        )
      },
    })
    this.#how = how
    // Before those of the client itself, which asks for the password on these.
    this.connection.on('authenticationSASL', () => (how.by = 'scram'))
    this.connection.on('authenticationMD5Password', () => (how.by = 'md5'))
    this.connection.on('authenticationCleartextPassword', () => (how.by = 'clear'))
    // Without a listener the end of an idle session would end the process.
    this.on('error', () => undefined)
  }

  get asked(): Asked | null {
    return this.#how.by
  }
}

const wayOf = (asked: Asked | null): string => (asked === 'md5' ? 'by MD5' : 'in clear')

export interface Wire {
  /** A statement that changes nothing; once more where a kept session turns out to be dead. */
  readonly read: <T extends object>(
    text: string,
    values: readonly unknown[],
    call: Call,
  ) => Promise<readonly T[]>
  /** One message to the server, sent once. */
  readonly change: (text: string, call: Call) => Promise<void>
  readonly close: () => Promise<void>
}

/** Sessions of Rekey's own user: few, kept for moments, so that hundreds of keys share them. */
export const makeWire = (at: At, login: () => Login): Wire => {
  let pool: pg.Pool | null = null
  let closed = false
  const opened = (): pg.Pool => {
    if (closed) throw new ProviderError('permanent', 'none', 'the session is closed')
    if (pool !== null) return pool
    const { user, password } = login()
    const made = new pg.Pool({
      ...configOf(at),
      user,
      max: 4,
      idleTimeoutMillis: 10_000,
      allowExitOnIdle: true,
      statement_timeout: statementMs,
      lock_timeout: 5_000,
      // The pool calls it with its own options, which are those above.
      Client: class extends ScramClient {
        constructor(config?: pg.ClientConfig) {
          super(config ?? {}, password)
        }
      },
    })
    made.on('error', () => undefined)
    pool = made
    return made
  }

  const once = async <T extends object>(
    text: string,
    values: readonly unknown[],
    call: Call,
    changes: boolean,
  ): Promise<readonly T[]> => {
    mustHaveTime(call)
    const client = await taken(opened(), call)
    if (call.signal.aborted) {
      client.release()
      mustHaveTime(call)
    }
    let writing = false
    try {
      writing = changes
      const { rows } = await abortable(call, client, client.query<T>(text, [...values]))
      client.release()
      return rows
    } catch (error) {
      client.release(true)
      throw failureOf(error, { writing, aborted: call.signal.aborted })
    }
  }

  return {
    read: <T extends object>(text: string, values: readonly unknown[], call: Call) =>
      again(() => once<T>(text, values, call, false), call),
    change: async (text, call) => {
      await once(text, [], call, true)
    },
    close: async () => {
      if (closed) return
      closed = true
      await pool?.end()
    },
  }
}

const taken = async (pool: pg.Pool, call: Call): Promise<pg.PoolClient> => {
  const taking = pool.connect()
  try {
    return await orAbort(call, taking)
  } catch (error) {
    // One that comes after all is given back.
    void taking.then((client) => client.release()).catch(() => undefined)
    throw failureOf(error, { writing: false, aborted: call.signal.aborted })
  }
}

/** A read whose connection broke is asked once more. */
export const again = async <T>(work: () => Promise<T>, call: Call): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    const broke =
      error instanceof ProviderError && error.kind === 'transient' && error.effect === 'none'
    if (!broke || call.signal.aborted) throw error
    return work()
  }
}

export const mustHaveTime = (call: Call): void => {
  if (call.signal.aborted)
    throw new ProviderError('timeout', 'none', 'the time was over before anything was sent')
}

/** Ends with the signal. A statement that runs already goes on for `statementMs` at most. */
export const abortable = async <T>(
  call: Call,
  { connection }: { readonly connection: pg.Connection },
  work: Promise<T>,
): Promise<T> => {
  try {
    return await orAbort(call, work)
  } finally {
    if (call.signal.aborted) cut(connection)
  }
}

/** By a reset, where it can be: what waits in this host's buffers is dropped and never arrives. */
const cut = ({ stream }: pg.Connection): void => {
  if (stream instanceof Socket && !(stream instanceof tls.TLSSocket)) stream.resetAndDestroy()
  else stream.destroy()
}

const orAbort = <T>({ signal }: Call, work: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const stop = (): void => reject(new Error('aborted'))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
