import type { JsonObject } from '#domain/json.ts'
import { objectPath } from './paths.ts'
import { readSettings } from './settings.ts'
import { textOf } from '../untyped-json.ts'

/** What of a ref names the object below its mount. A secret without its field: one secret is one object. */
const names = {
  'vault.kv2.secret': 'path',
  'vault.transit.key': 'name',
  'vault.database.staticRole': 'role',
  'vault.approle.secretId': 'role',
  // A mount has one default.
  'vault.pki.issuer': null,
} as const
/** Vault keeps names of AppRoles in lower case. */
const caseless: ReadonlySet<string> = new Set(['vault.approle.secretId'])

/** `vault.kv2.secret:host:8200/namespace/mount/path`. */
export const objectIdOf = (
  type: keyof typeof names,
  settings: JsonObject,
  ref: JsonObject,
): string => {
  const field = names[type]
  const name = field === null ? [] : [textOf(ref[field])]
  const told = caseless.has(type) ? name.map((one) => one.toLowerCase()) : name
  return `${type}:${objectPath(readSettings(settings), textOf(ref['mount']), ...told)}`
}
