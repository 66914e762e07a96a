// A resource as the document that a file may hold: what the API says about it (`status`, receipts) is left out, and so is
// what would say the same where it was not written. Applying it again changes nothing.

import { documentApiVersion } from './api-version.ts'
import type { DocumentKind } from './document-kinds.ts'
import type { Json, JsonObject } from './json.ts'

/** What is no field of the spec in the API's form of a resource, where the spec lies flat. */
const beside: ReadonlySet<string> = new Set([
  'name',
  'labels',
  'annotations',
  'status',
  'audit',
  'dryRun',
])

/** Fields that mean the same when they are empty and when they are left out. A policy's are kept as they were written. */
const empties: Readonly<Record<DocumentKind, ReadonlySet<string>>> = {
  Connection: new Set(['settings', 'grants']),
  Consumer: new Set(['keys']),
  Playbook: new Set(['appliesTo']),
  Key: new Set(['ref', 'consumers', 'usableBy']),
  RotationPolicy: new Set(),
}

export const specOf = (resource: JsonObject): JsonObject => {
  const { spec } = resource
  return isObject(spec) ? spec : without(resource, beside)
}

export const documentOf = (kind: DocumentKind, resource: JsonObject): JsonObject =>
  envelopeOf(kind, resource, specOf(resource))

/** What a file's document comes to over the one that there is: without what says nothing, with what holds where it is silent. */
export const normalDocument = (
  kind: DocumentKind,
  document: JsonObject,
  live: JsonObject | null,
): JsonObject => {
  const { metadata } = document
  const spec = isObject(document['spec']) ? document['spec'] : {}
  const silent = kind === 'Connection' && spec['credential'] === undefined && !holdsSent(live)
  const said = silent ? { ...spec, credential: { from: 'none' } } : spec
  const fields = kind === 'Key' && live !== null ? without(said, beginnings) : said
  return envelopeOf(kind, isObject(metadata) ? metadata : {}, fields)
}

/** What says how a key begins, and nothing once it is there. */
const beginnings: ReadonlySet<string> = new Set(['adopt', 'create'])

const without = (fields: JsonObject, left: ReadonlySet<string>): JsonObject =>
  Object.fromEntries(Object.entries(fields).filter(([field]) => !left.has(field)))

/** A connection whose credential was sent over REST: its document has none. */
const holdsSent = (live: JsonObject | null): boolean =>
  live !== null && isObject(live['spec']) && live['spec']['credential'] === undefined

const envelopeOf = (kind: DocumentKind, head: JsonObject, spec: JsonObject): JsonObject => ({
  apiVersion: documentApiVersion,
  kind,
  metadata: {
    name: head['name'] ?? '',
    ...nonEmpty('labels', head['labels']),
    ...nonEmpty('annotations', head['annotations']),
  },
  spec: Object.fromEntries(
    Object.entries(spec).filter(([field, value]) => says(kind, field, value)),
  ),
})

const says = (kind: DocumentKind, field: string, value: Json | undefined): boolean => {
  if (value === undefined || (value === null && kind !== 'RotationPolicy')) return false
  if (empties[kind].has(field) && isEmpty(value)) return false
  // It was sent over REST, and stays where a file says nothing of it.
  return !(kind === 'Connection' && field === 'credential' && from(value) === 'value')
}

const from = (credential: Json): Json | undefined =>
  isObject(credential) ? credential['from'] : undefined

const nonEmpty = (name: string, value: Json | undefined): JsonObject =>
  value === undefined || value === null || isEmpty(value) ? {} : { [name]: value }

const isEmpty = (value: Json): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
