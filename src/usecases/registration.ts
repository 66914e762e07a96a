// What is asked before a key is registered, by adoption or creation: names, shapes, rights, and that its object is free.

import type { Actor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { Registration } from '#domain/key-schema.ts'
import type { Clock, Ids, Ledger, Reads, Sessions } from '#domain/ports.ts'
import { type KeyType, type ObjectAddress, type Provider, ProviderError } from '#domain/provider.ts'
import { checkShape } from './check-shape.ts'
import { checkLabels, mustBeGranted, mustStayInScope } from './rights.ts'

export type Providers = ReadonlyMap<string, Provider>

export interface RegisterKeyDeps {
  readonly ledger: Ledger
  readonly sessions: Pick<Sessions, 'open'>
  readonly providers: Providers
  readonly clock: Clock
  readonly ids: Ids
}

export interface Place {
  readonly connection: Connection
  readonly type: KeyType
  readonly ref: JsonObject
  readonly objectId: string
}

export const findType = (providers: Providers, connection: Connection, name: string): KeyType => {
  const types = providers.get(connection.provider)?.types ?? []
  const type = types.find((candidate) => candidate.type === name)
  if (type) return type
  throw new RekeyError('request.invalid', {
    detail: `The connection "${connection.name}" has no keys of type "${name}".`,
    hint: `Its types: ${types.map((candidate) => candidate.type).join(', ')}.`,
    errors: [{ pointer: '/type', detail: 'not a type of this connection' }],
  })
}

/** The rights of the actor, and the place that the registration names. Asked before the provider is, and again in the commit. */
export const placeOf = async (
  db: Reads,
  providers: Providers,
  actor: Actor,
  input: Registration,
): Promise<Place> => {
  const labels = input.labels ?? {}
  mustStayInScope(actor, { labels, connection: input.connection })
  const connection = await db.connections.get(input.connection)
  if (!connection) {
    throw new RekeyError('request.impossible', {
      detail: `There is no connection "${input.connection}".`,
      errors: [{ pointer: '/connection', detail: 'does not exist' }],
    })
  }
  const type = findType(providers, connection, input.type)
  checkShape(type.refSchema, input.ref ?? {}, '/ref')
  if (input.generate) checkShape(type.generateSchema, input.generate, '/generate')
  // Checked above: what a provider's own schema accepts is JSON.
  const ref = (input.ref ?? {}) as JsonObject
  const objectId = objectIdOf(
    type,
    { settings: connection.settings, ref, keyName: input.name },
    '/ref',
  )
  mustBeGranted(actor, connection, labels, objectId)
  await checkLabels(db, actor, null, labels)
  return { connection, type, ref, objectId }
}

/** The object's name over the installation. A ref that names another place than it says (`../`) is malformed. */
export const objectIdOf = (
  type: KeyType,
  at: Parameters<KeyType['objectId']>[0],
  pointer: string,
): string => {
  try {
    return type.objectId(at)
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    throw new RekeyError('request.invalid', {
      detail: `The ref names no object: ${error.message}.`,
      errors: [{ pointer, detail: error.message }],
    })
  }
}

/** One object, one key; one name, one key. */
export const mustBeFree = async (db: Reads, name: string, objectId: string): Promise<void> => {
  if (await db.keys.byName(name)) {
    throw new RekeyError('resource.exists', { detail: `There is a key "${name}" already.` })
  }
  const taken = await db.keys.byObject(objectId)
  if (taken) {
    throw new RekeyError('key.objectTaken', {
      detail: 'The object is managed by another key: one object, one key.',
      errors: [{ pointer: '/ref', detail: 'managed already' }],
    })
  }
}

export const addressOf = (key: Pick<Key, 'id' | 'name' | 'type' | 'ref'>): ObjectAddress => ({
  type: key.type,
  ref: key.ref,
  keyId: key.id,
  keyName: key.name,
})

export const keyOf = (
  id: string,
  input: Registration,
  place: Place,
  selected: Pick<Key, 'policy' | 'policySelectedAt' | 'managedBy'>,
  now: Date,
): Key => ({
  id,
  name: input.name,
  connection: input.connection,
  type: input.type,
  ref: place.ref,
  objectId: place.objectId,
  purpose: input.purpose,
  owner: input.owner,
  environment: input.environment,
  labels: input.labels ?? {},
  consumers: input.consumers ?? [],
  usableBy: input.usableBy ?? [],
  observe: input.observe ?? null,
  generate: (input.generate ?? null) as JsonObject | null,
  ...selected,
  revision: 1,
  createdAt: now,
  updatedAt: now,
  deletedAt: null,
})

/** For the audit log: what a key says about itself. */
export const toldKey = (key: Key): JsonObject => ({
  connection: key.connection,
  type: key.type,
  objectId: key.objectId,
  purpose: key.purpose,
  owner: key.owner,
  environment: key.environment,
  labels: key.labels,
  consumers: key.consumers,
  usableBy: key.usableBy,
  observe: key.observe,
  generate: key.generate,
  policy: key.policy,
  managedBy: key.managedBy,
  revision: key.revision,
})
