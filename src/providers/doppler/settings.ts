import { Type, type Static } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { requestsPerSecondSchema } from '#domain/pace.ts'

export const settingsSchema = Type.Object(
  {
    apiUrl: Type.Optional(
      Type.String({
        description: 'https://api.doppler.com unless told.',
        pattern: '^https?://[^\\s/?#@]+/?$',
        maxLength: 2048,
      }),
    ),
    insecure: Type.Optional(
      Type.Boolean({
        description: 'Plain http beyond loopback: everybody on the way reads along.',
      }),
    ),
    requestsPerSecond: Type.Optional(requestsPerSecondSchema),
  },
  { additionalProperties: false },
)

/** The credential's value: a token of a service account or of a config. */
export const credentialSchema = Type.String({ minLength: 1, maxLength: 1024 })

export const apiUrlOf = (settings: JsonObject): string => {
  const { apiUrl } = settings as Static<typeof settingsSchema>
  return (apiUrl ?? 'https://api.doppler.com').replace(/\/$/, '')
}
