import { isIP } from 'node:net'
import { Type, type Static } from 'typebox'
import { Check } from 'typebox/value'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import type { Secret } from '#domain/secret.ts'

const modes = ['verify-full', 'verify-ca', 'off'] as const

const isHost = (text: string): boolean =>
  isIP(text) !== 0 || /^[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?\.?$/i.test(text)

export const settingsSchema = Type.Object(
  {
    host: Type.Refine(
      Type.String({
        description:
          'The server that takes writes, by name or address: no scheme, no port, no pooler.',
        minLength: 1,
        maxLength: 253,
        examples: ['db.example.com'],
      }),
      isHost,
      () => 'is the name or the address of a host, without scheme and port',
    ),
    port: Type.Optional(
      Type.Integer({ description: '5432 unless told.', minimum: 1, maximum: 65_535 }),
    ),
    database: Type.String({
      description:
        'The database that Rekey and the users log in to. Users are those of the whole server.',
      pattern: '^[^\\x00]+$',
      minLength: 1,
      maxLength: 63,
    }),
    tls: Type.Optional(
      Type.Object(
        {
          mode: Type.Optional(
            Type.Enum([...modes], {
              description:
                'verify-full, where not told: the certificate is for this host. verify-ca: it is of the authority, for whatever host. off, where not told and the host is this machine: no TLS.',
            }),
          ),
          ca: Type.Optional(
            Type.String({
              description: 'PEM of the authorities to trust, in place of those that Node knows.',
              pattern: '^\\s*-----BEGIN CERTIFICATE-----',
              maxLength: 262_144,
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    insecure: Type.Optional(
      Type.Boolean({
        description:
          'With tls.mode off beyond this machine: everybody on the way reads what is asked, though never a password.',
      }),
    ),
  },
  { additionalProperties: false },
)

type Given = Static<typeof settingsSchema>

export interface PostgresSettings {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly tls: (typeof modes)[number]
  readonly ca: string | null
}

/** Settings that the schema has accepted. */
export const readSettings = (settings: JsonObject): PostgresSettings => {
  const { host, port = 5432, database, tls = {} } = settings as unknown as Given
  if (typeof host !== 'string' || typeof database !== 'string')
    throw new ProviderError('unsupported', 'none', 'these settings cannot be used')
  const mode = modes.find((one) => one === tls.mode)
  return {
    host: host.replace(/\.$/, '').toLowerCase(),
    port,
    database,
    tls: mode ?? (isThisMachine(host) ? 'off' : 'verify-full'),
    ca: tls.ca ?? null,
  }
}

/** Without asking DNS: what everybody calls by a loopback name or address. */
const isThisMachine = (host: string): boolean =>
  /^(?:(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|::1)\.?$/i.test(host)

export const schemeOf = ({ tls }: PostgresSettings): 'tcp:' | 'tls:' =>
  tls === 'off' ? 'tcp:' : 'tls:'

/** `host:port`, an IPv6 address in brackets. */
export const addressOf = ({ host, port }: Pick<PostgresSettings, 'host' | 'port'>): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`

const name = Type.String({ minLength: 1 })

/** `username` is how other tools, and Rekey's own published values, call it. */
export const credentialSchema = Type.Union([
  Type.Object({ user: name, password: name }, { additionalProperties: false }),
  Type.Object({ username: name, password: name }),
])

export interface Login {
  readonly user: string
  readonly password: string
}

export const readCredential = (credential: Secret<string> | null): Login => {
  const value = credential === null ? null : parse(credential.reveal())
  if (Check(credentialSchema, value))
    return { user: 'user' in value ? value.user : value.username, password: value.password }
  throw new ProviderError(
    'auth',
    'none',
    'the connection has no user and password to log in with',
    {
      hint: 'the credential is JSON: {"user": "rekey", "password": "…"}',
    },
  )
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
