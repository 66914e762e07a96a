import { Type, type Static } from 'typebox'
import { durationPattern, isDuration, parseDuration } from '#domain/duration.ts'
import type { JsonObject } from '#domain/json.ts'
import { requestsPerSecondSchema } from '#domain/pace.ts'
import { ProviderError } from '#domain/provider.ts'
import { addressOf, schemeOf } from '../postgres/settings.ts'
import { databasesSchema, readDatabases } from './databases.ts'

const methods = ['token', 'appRole', 'kubernetes', 'jwt'] as const
export type LoginMethod = (typeof methods)[number]
const isMethod = (value: unknown): value is LoginMethod => methods.some((one) => one === value)

/** A lost answer holds its rotation for as long: beyond a day it is a typing error. */
const isOfARequest = (ms: number): boolean => ms >= 1_000 && ms <= 86_400_000

export const settingsSchema = Type.Object(
  {
    address: Type.String({
      description: 'Base URL of Vault, for instance https://vault.example.com:8200.',
      // No user, query or fragment: they would be part of every request's address, and of logs.
      pattern: '^https?://[^\\s/?#@]+(/[^\\s?#]*)?$',
      maxLength: 2048,
    }),
    insecure: Type.Optional(
      Type.Boolean({
        description: 'Plain http beyond loopback: everybody on the way reads along.',
      }),
    ),
    namespace: Type.Optional(
      Type.String({
        description: 'Namespace of Vault Enterprise, HCP or OpenBao, without slashes around it.',
        minLength: 1,
        maxLength: 1024,
      }),
    ),
    requestsPerSecond: Type.Optional(requestsPerSecondSchema),
    maxRequestDuration: Type.Optional(
      Type.Refine(
        Type.String({
          description:
            'How long Vault may work on a request whose caller is gone: its max_request_duration. 90s, as Vault has it, unless told. Never shorter than that of any listener; at most 1d.',
          pattern: durationPattern,
          examples: ['90s'],
        }),
        (value) => !isDuration(value) || isOfARequest(parseDuration(value)),
        () => 'is at least 1s, and at most 1d',
      ),
    ),
    databases: Type.Optional(databasesSchema),
    auth: Type.Refine(
      Type.Object(
        {
          method: Type.Refine(
            // No `enum`: its error would stand before the sentence below.
            Type.String({
              examples: [...methods],
              description: `How Rekey logs in: ${methods.join(', ')}.`,
            }),
            isMethod,
            () => `is one of ${methods.join(', ')}`,
          ),
          mount: Type.Optional(
            Type.String({
              description:
                'Where the auth method is mounted, below auth/; approle, kubernetes or jwt unless told.',
              minLength: 1,
              maxLength: 1024,
            }),
          ),
          role: Type.Optional(
            Type.String({
              description: 'Of kubernetes, and of jwt where the method has no default role.',
              minLength: 1,
              maxLength: 1024,
            }),
          ),
          roleId: Type.Optional(
            Type.String({
              description: 'Of appRole, where the credential is the secret_id alone.',
              minLength: 1,
              maxLength: 4096,
            }),
          ),
        },
        { additionalProperties: false },
      ),
      ({ method, role }) => method !== 'kubernetes' || role !== undefined,
      () => 'has no role: a kubernetes login names one',
    ),
  },
  { additionalProperties: false },
)

type Given = Static<typeof settingsSchema>

export interface VaultSettings extends Pick<Given, 'address' | 'namespace'> {
  readonly auth: Given['auth'] & { readonly method: LoginMethod }
}

/** The credential's value: a token, a JWT or (with `auth.roleId`) a secret_id as it is, or the two halves of an AppRole. */
export const credentialSchema = Type.Union([
  Type.String({ minLength: 1 }),
  Type.Object(
    { roleId: Type.String({ minLength: 1 }), secretId: Type.String({ minLength: 1 }) },
    { additionalProperties: false },
  ),
])

/** Vault's own default_max_request_duration. */
const defaultMaxRequestMs = 90_000

/** A request may wait or work in Vault for this long, whoever has given up on it. */
export const maxRequestMs = ({ maxRequestDuration: told }: JsonObject): number =>
  typeof told === 'string' && isDuration(told) ? parseDuration(told) : defaultMaxRequestMs

/** Settings that the schema has accepted. */
export const readSettings = (settings: JsonObject): VaultSettings => {
  const { address, namespace, auth } = settings as unknown as Given
  const method = auth?.method
  if (typeof address !== 'string' || !isMethod(method)) {
    throw new ProviderError('unsupported', 'none', 'these settings cannot be used', {
      hint: `auth.method is one of ${methods.join(', ')}`,
    })
  }
  return { address, auth: { ...auth, method }, ...(namespace === undefined ? {} : { namespace }) }
}

/** Vault, and the databases that Rekey logs in to. */
export const endpointsOf = (settings: JsonObject): readonly string[] => [
  readSettings(settings).address,
  ...readDatabases(settings).map((at) => `${schemeOf(at)}//${addressOf(at)}`),
]
