// Every failure of PostgreSQL, of the network or of TLS, as a ProviderError. The server's texts are never quoted: they may
// carry the statement. What tells cases apart is the SQLSTATE and, where one code means two things, the routine.

import { isRekeyError } from '#domain/errors.ts'
import { ProviderError, type ProviderErrorKind } from '#domain/provider.ts'

/** Raised by our own statements (guarded-change.ts): somebody has changed the user since it was looked at. */
export const changedMeanwhile = 'RK409'

interface Row {
  readonly states: readonly string[]
  readonly kind: ProviderErrorKind
  readonly detail: string
  readonly hint?: string
}

// The first row that fits; a state of two characters is a class.
const rows: readonly Row[] = [
  {
    states: [changedMeanwhile],
    kind: 'conflict',
    detail: 'the user was changed by somebody else since it was looked at',
  },
  {
    states: ['28P01'],
    kind: 'auth',
    detail: 'PostgreSQL refused the password of the connection’s user',
    hint: 'give the connection a new credential',
  },
  {
    states: ['28'],
    kind: 'auth',
    detail: 'PostgreSQL does not let the connection’s user in',
    hint: 'its role needs LOGIN, and pg_hba.conf a line for it and this host that asks for scram-sha-256',
  },
  {
    states: ['42501'],
    kind: 'forbidden',
    detail: 'the connection’s user may not do it',
    hint: 'it needs CREATEROLE, and ADMIN on both users',
  },
  { states: ['42704'], kind: 'notFound', detail: 'there is no such user' },
  {
    states: ['42710', '23505'],
    kind: 'conflict',
    detail: 'there is a user of that name already',
  },
  {
    states: ['3D000'],
    kind: 'precondition',
    detail: 'the server has no such database',
    hint: 'check `database`',
  },
  {
    states: ['25006'],
    kind: 'precondition',
    detail: 'the server takes no writes: it is a standby, or read-only',
    hint: 'set `host` to the primary',
  },
  {
    states: ['22023'],
    kind: 'permanent',
    detail:
      'the server takes no password that was hashed elsewhere, or a module for passwords refused it',
    hint: 'see passwordcheck, credcheck, or the password policy of the cloud that runs the server',
  },
  {
    states: ['08P01'],
    kind: 'precondition',
    detail:
      'what answers is no PostgreSQL server, or a pooler that does not let the session be set up',
    hint: 'set `host` and `port` to the server itself, past any pooler',
  },
  { states: ['53300', '53400'], kind: 'throttled', detail: 'the server has no free connection' },
  { states: ['53'], kind: 'transient', detail: 'the server is out of memory, disk or connections' },
  { states: ['57014'], kind: 'timeout', detail: 'the server did not end it in time' },
  { states: ['55P03', '40'], kind: 'transient', detail: 'somebody else holds the user right now' },
  { states: ['57', '58', '08'], kind: 'transient', detail: 'the server stops or starts' },
  { states: ['0A', '42601'], kind: 'unsupported', detail: 'this server does not offer it' },
]

/** What pg throws of a server's answer; of its fields only these are looked at. */
export interface ServerError {
  readonly state: string
  /** The session is over with it. */
  readonly fatal: boolean
  /** The server's own function, in no language of people; '' where it does not say. */
  readonly routine: string
}

export const serverErrorOf = (error: unknown): ServerError | null => {
  const { code, severity, routine } = Object(error) as Readonly<Record<string, unknown>>
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code) || typeof severity !== 'string')
    return null
  const fatal = severity !== 'ERROR'
  return { state: code, fatal, routine: typeof routine === 'string' ? routine : '' }
}

interface At {
  /** A change was on its way: a lost answer leaves its effect unknown. */
  readonly writing: boolean
  readonly aborted: boolean
}

export const failureOf = (error: unknown, at: At): ProviderError => {
  if (error instanceof ProviderError) return error
  const lost = at.writing ? 'unknown' : 'none'
  if (at.aborted) return new ProviderError('timeout', lost, 'PostgreSQL did not answer in time')
  const said = serverErrorOf(error)
  if (said !== null) return failureOfServer(said, lost)
  // Egress refused: nothing was dialled.
  if (isRekeyError(error))
    return new ProviderError('permanent', 'none', error.message.replace(/\.$/, ''), {
      hint: 'what is dialled, and what never: docs/how-to/production.md',
    })
  return failureOfNetwork(error, at.writing)
}

const failureOfServer = (said: ServerError, lost: 'unknown' | 'none'): ProviderError => {
  // An error inside a session rolled its statement back. One that ends the session may come after the commit.
  const effect = said.fatal || said.state === '40003' ? lost : 'none'
  // The loser of two that change one user at a moment; nothing else that we send meets this.
  if (said.state === 'XX000' && said.routine.startsWith('simple_heap'))
    return new ProviderError('conflict', 'none', 'somebody else changed the user at this moment')
  const row = rows.find(({ states }) => states.some((state) => said.state.startsWith(state)))
  const { kind, detail, hint } = row ?? { kind: 'permanent', detail: 'PostgreSQL refused it' }
  return new ProviderError(kind, effect, `${detail} (SQLSTATE ${said.state})`, hint ? { hint } : {})
}

/** What is wrong with a certificate, by the codes of OpenSSL and Node. Nothing was sent but the wish for TLS. */
const certificates: readonly {
  readonly codes: RegExp
  readonly detail: string
  readonly hint: string
}[] = [
  {
    codes: /^ERR_TLS_CERT_ALTNAME/,
    detail: 'the server’s certificate is for another host',
    hint: 'set `host` to a name that it is for; tls.mode verify-ca takes one of the right authority for whatever host',
  },
  {
    codes: /^CERT_(?:HAS_EXPIRED|NOT_YET_VALID)/,
    detail: 'the server’s certificate is not valid now',
    hint: 'renew it at the server, and look at the clocks of both',
  },
  {
    codes: /^(?:CERT_|ERR_TLS_CERT|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|INVALID_CA|PATH_LENGTH)/,
    detail: 'nobody whom Rekey trusts vouches for the server’s certificate',
    hint: 'give the authority that signed it as tls.ca, in PEM (one that signed itself is its own)',
  },
]

const neverConnected = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH'])

const failureOfNetwork = (error: unknown, writing: boolean): ProviderError => {
  const { code, message } = Object(error) as { readonly code?: unknown; readonly message?: unknown }
  const name = typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code) ? code : 'unknown'
  const certificate = certificates.find(({ codes }) => codes.test(name))
  if (certificate !== undefined)
    return new ProviderError('precondition', 'none', `${certificate.detail} (${name})`, {
      hint: certificate.hint,
    })
  // pg's own words, of which there are no codes.
  if (typeof message === 'string' && /does not support SSL/.test(message))
    return new ProviderError('precondition', 'none', 'the server does not speak TLS', {
      hint: 'switch ssl on in its configuration; beyond this machine Rekey goes without only where tls.mode is off and insecure is true',
    })
  if (neverConnected.has(name))
    return new ProviderError('transient', 'none', `PostgreSQL cannot be reached (${name})`, {
      hint: 'check `host`, `port`, DNS and the firewall',
    })
  return new ProviderError(
    writing ? 'outcomeUnknown' : 'transient',
    writing ? 'unknown' : 'none',
    'the connection to PostgreSQL broke before the answer',
  )
}
