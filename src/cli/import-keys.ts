// From what is at a provider to documents of keys: which objects, under which names. What nobody can know from the provider
// (who owns a key, what it is for) is said by a person.

import { documentApiVersion } from '#domain/api-version.ts'
import { globMatches } from '#domain/glob.ts'
import type { JsonObject } from '#domain/json.ts'
import { usage } from './failure.ts'
import { at, isList, isObject, objectAt, textAt } from './read-json.ts'

/** What a person says of all keys that are imported at once. */
export interface Said {
  readonly purpose?: string
  readonly keyOwner?: string
  readonly environment?: string
  readonly labels: Readonly<Record<string, string>>
}

/** Those of `free` that one of the patterns names; all of them where there is no pattern. Of `keys` each manages an object. */
export const chosen = (
  free: readonly JsonObject[],
  patterns: readonly string[],
  keys: readonly JsonObject[] = [],
): readonly JsonObject[] => {
  const known = [
    ...free.map((item) => textAt(item, 'objectId')),
    ...keys.map((key) => textAt(key, 'status', 'objectId')),
  ]
  for (const pattern of patterns) {
    if (!known.some((objectId) => globMatches(pattern, objectId)))
      throw usage(`nothing there matches ${pattern}`, {
        hint: 'patterns are about the column OBJECT; * stands for any text, ? for one character',
      })
  }
  const found = free.filter(
    (item) =>
      patterns.length === 0 ||
      patterns.some((pattern) => globMatches(pattern, textAt(item, 'objectId'))),
  )
  // In one order, so that the same objects get the same names again.
  found.sort((a, b) => (textAt(a, 'objectId') < textAt(b, 'objectId') ? -1 : 1))
  if (found.length > most)
    throw usage(`there are ${found.length} such objects, and ${most} are imported at once`, {
      hint: 'narrow it by --type or by patterns',
    })
  return found
}

/** As many documents as a plan takes. */
const most = 1_000

/** One document an object, each under a name that is free. */
export const documentsOf = (
  connection: string,
  objects: readonly JsonObject[],
  taken: ReadonlySet<string>,
  said: Said,
): readonly JsonObject[] => {
  const names = new Set(taken)
  return objects.map((object) => {
    const name = freeName(nameFrom(object), names)
    names.add(name)
    return {
      apiVersion: documentApiVersion,
      kind: 'Key',
      metadata: { name, ...(Object.keys(said.labels).length === 0 ? {} : { labels: said.labels }) },
      spec: {
        connection,
        type: textAt(object, 'type'),
        ref: objectAt(object, 'ref'),
        ...(said.purpose === undefined ? {} : { purpose: said.purpose }),
        ...(said.keyOwner === undefined ? {} : { owner: said.keyOwner }),
        ...(said.environment === undefined ? {} : { environment: said.environment }),
      },
    }
  })
}

const longest = 63

/** `{mount: secret, path: app/db, field: password}` → `secret-app-db-password`. */
const nameFrom = (object: JsonObject): string => {
  const ref = at(object, 'ref')
  const parts = isObject(ref)
    ? Object.values(ref).flatMap((value) => (isList(value) ? value : [value]))
    : []
  const words = parts.map((part) => textAt(part)).filter((word) => word !== '')
  const text = (words.length > 0 ? words.join('-') : textAt(object, 'objectId'))
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    // The end says more than the beginning: mounts and accounts come first.
    .slice(-longest)
    .replaceAll(/^-+|-+$/g, '')
  return text === '' ? 'key' : text
}

const freeName = (wanted: string, taken: ReadonlySet<string>): string => {
  for (let n = 1; ; n++) {
    const end = n === 1 ? '' : `-${n}`
    const name = `${wanted.slice(0, longest - end.length).replace(/-+$/, '')}${end}`
    if (!taken.has(name)) return name
  }
}
