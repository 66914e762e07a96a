import type { JsonObject } from '#domain/json.ts'
import { objectPath } from './paths.ts'
import { readSettings } from './settings.ts'
import { textOf } from './values.ts'

/** `vault.kv2.secret:host:8200/namespace/mount/path`. Without the field: one secret is one object. */
export const objectIdOf = (type: string, settings: JsonObject, ref: JsonObject): string => {
  const name = textOf(ref[type === 'vault.transit.key' ? 'name' : 'path'])
  return `${type}:${objectPath(readSettings(settings), textOf(ref['mount']), name)}`
}
