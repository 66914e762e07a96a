// All that a preview is drawn from, in a few reads for all keys at once. Thousands of keys have few policies, and hang under few floors:
// what these come to is worked out once for each.

import type { Connection, Consumer, Policy } from '#domain/connection.ts'
import { type Floor, floorsFor, tighten } from '#domain/floor.ts'
import type { Key, Version } from '#domain/key.ts'
import { defaultPolicy, type ResolvedPolicy, resolveStored } from '#domain/policy.ts'
import type { HashJson, Reads } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'
import { addressOf } from './as-shown.ts'
import { isConsumerOf } from './consumers-of-key.ts'
import { everything } from './rights.ts'

export interface World {
  readonly versions: ReadonlyMap<string, readonly Version[]>
  readonly refused: ReadonlySet<string>
  readonly rotations: ReadonlyMap<string, Rotation>
  readonly connections: ReadonlyMap<string, Connection & { readonly address: string }>
  /** By the key that is their credential. */
  readonly logins: ReadonlyMap<string, readonly string[]>
  readonly rulingOf: (key: Key) => Ruling
  /** By the keys that they name. */
  readonly naming: ReadonlyMap<string, readonly string[]>
  /** Those that another incident has, and whether it is switching them on again. */
  readonly incidents: ReadonlyMap<string, 'held' | 'restoring'>
}

/** What the keys of one policy, under the same floors, have in common. */
interface Ruling {
  /** With every floor obeyed. */
  readonly policy: ResolvedPolicy
  readonly revision: number | null
  /** Consumers whose labels it asks for. */
  readonly consumers: readonly string[]
}

/** Thousands of keys have few policies between them. */
const makeRulingOf = (
  policies: readonly Policy[],
  floors: readonly Floor[],
  consumers: readonly Consumer[],
): World['rulingOf'] => {
  const byName = new Map(policies.map((policy) => [policy.name, policy]))
  const known = new Map<string, Ruling>()
  return (key) => {
    const over = floorsFor(floors, key.labels)
    const id = JSON.stringify([key.policy, over.map((floor) => floors.indexOf(floor))])
    const seen = known.get(id)
    if (seen) return seen
    const stored = key.policy === null ? undefined : byName.get(key.policy)
    const policy = tighten(stored ? resolveStored(stored) : defaultPolicy, over)
    const nobody = { name: '', consumers: [] }
    const made: Ruling = {
      policy,
      revision: stored?.revision ?? null,
      consumers: consumers
        .filter(({ name, labels }) => isConsumerOf({ name, labels, keys: [] }, nobody, policy))
        .map(({ name }) => name),
    }
    known.set(id, made)
    return made
  }
}

export const worldOf = async (
  db: Reads,
  keys: readonly Key[],
  hashJson: HashJson,
): Promise<World> => {
  const ids = keys.map(({ id }) => id)
  const versions = await db.versions.ofKeys(ids)
  const refused = await db.incidents.refused(ids)
  const rotations = await db.rotations.openOfKeys(ids)
  const connections = await everything((after) => db.connections.list({ limit: 200, after }))
  const logins = Map.groupBy(
    connections.flatMap(({ name, credential }) =>
      credential.from === 'key' ? [{ name, key: credential.key }] : [],
    ),
    ({ key }) => key,
  )
  const policies = await db.policies.all()
  const consumers = await db.consumers.all()
  const used = new Set(keys.map(({ connection }) => connection))
  return {
    versions: Map.groupBy(versions, ({ keyId }) => keyId),
    refused: new Set(refused.map(({ keyId, version }) => `${keyId}/${version}`)),
    rotations: new Map(rotations.map((rotation) => [rotation.keyId, rotation])),
    connections: new Map(
      connections
        .filter(({ name }) => used.has(name))
        .map((one) => [one.name, { ...one, address: addressOf(hashJson, one) }]),
    ),
    logins: new Map([...logins].map(([key, users]) => [key, users.map(({ name }) => name)])),
    rulingOf: makeRulingOf(policies, (await db.floors.get()).items, consumers),
    naming: namingOf(consumers),
    incidents: elsewhereOf(await db.incidents.openOfKeys(ids)),
  }
}

const namingOf = (consumers: readonly Consumer[]): World['naming'] => {
  const found = new Map<string, string[]>()
  for (const { name, keys } of consumers)
    for (const key of keys) found.set(key, [...(found.get(key) ?? []), name])
  return found
}

const elsewhereOf = (
  open: Awaited<ReturnType<Reads['incidents']['openOfKeys']>>,
): World['incidents'] => {
  const found = new Map<string, 'held' | 'restoring'>()
  for (const { keyId, restoration } of open)
    if (restoration === 'asked') found.set(keyId, 'restoring')
    else if (!found.has(keyId)) found.set(keyId, 'held')
  return found
}
