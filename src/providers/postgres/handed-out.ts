import type { JsonObject } from '#domain/json.ts'
import { type Material, ProviderError } from '#domain/provider.ts'
import { revealText, Secret } from '#domain/secret.ts'
import { readSettings } from './settings.ts'

/** A password is of no use without its user, and the user changes with each rotation. JSON as AWS Secrets Manager keeps
 *  credentials of databases, so that what reads those reads these. */
export const handedOut = (
  at: { readonly settings: JsonObject; readonly providerVersion: string },
  material: Material,
): Material => {
  const { host, port, database } = readSettings(at.settings)
  const username = at.providerVersion.replace(/#[0-9a-f]{12}$/, '')
  if (username === '') throw new ProviderError('permanent', 'none', 'the version names no user')
  const password = revealText(material)
  return new Secret(
    JSON.stringify({ engine: 'postgres', host, port, dbname: database, username, password }),
  )
}
