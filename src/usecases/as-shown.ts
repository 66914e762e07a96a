// What was executed once goes on later, tried again or restored: by then a connection may have been pointed elsewhere, or a key be
// gone. What is sent goes where it was shown to go, or nowhere (I11).

import { type Actor, inScope } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { ContainedKey } from '#domain/incident.ts'
import type { Key } from '#domain/key.ts'
import type { HashJson, Tx } from '#domain/ports.ts'

/** Where requests of a connection go, as a hash: what it logs in with may change, and revisions with that. */
export const addressOf = (
  hashJson: HashJson,
  { provider, settings }: Pick<Connection, 'provider' | 'settings'>,
): string => hashJson({ provider, settings })

/** Whoever points a connection elsewhere, or rotates, deletes or changes one of the keys, waits from here on, or was before us and
 *  is seen. */
export const holdPlaces = async (tx: Tx, plans: readonly ContainedKey[]): Promise<void> => {
  for (const name of connectionsOf(plans)) {
    await tx.lock(`connection:${name}`) // oxlint-disable-line no-await-in-loop -- in one order, or two would wait for each other
  }
  await tx.holdKeys(plans.map(({ keyId }) => keyId))
}

/** Holds them, and throws `incident.previewStale` with the names of those that are elsewhere or gone, be it from the actor's scope. */
export const mustBeWhereShown = async (
  tx: Tx,
  actor: Actor,
  plans: readonly ContainedKey[],
  hashJson: HashJson,
): Promise<void> => {
  await holdPlaces(tx, plans)
  const addresses = new Map<string, string>()
  for (const name of connectionsOf(plans)) {
    const connection = await tx.connections.get(name) // oxlint-disable-line no-await-in-loop -- few, on one connection
    if (connection) addresses.set(name, addressOf(hashJson, connection))
  }
  const found = await tx.keys.byIds(plans.map(({ keyId }) => keyId))
  const keys = new Map(
    found.filter((key) => key.deletedAt === null && inScope(actor, key)).map((k) => [k.id, k]),
  )
  const removed = plans.filter(({ keyId }) => !keys.has(keyId))
  const changed = plans.filter((plan) => {
    const key = keys.get(plan.keyId)
    return key !== undefined && !isWhereShown(plan, key, addresses.get(plan.connection))
  })
  if (removed.length + changed.length === 0) return
  const some = (of: readonly ContainedKey[]) => of.slice(0, 100).map(({ key }) => key)
  throw new RekeyError('incident.previewStale', {
    detail:
      'What was shown is elsewhere by now: a connection was pointed to another address, or a key is gone, or not in your scope any more. Nothing was sent.',
    hint: 'Point the connection back, or open another incident for what is there now.',
    extra: { added: [], removed: some(removed), changed: some(changed) },
  })
}

const connectionsOf = (plans: readonly ContainedKey[]): readonly string[] =>
  [...new Set(plans.map(({ connection }) => connection))].toSorted()

const isWhereShown = (plan: ContainedKey, key: Key, address: string | undefined): boolean =>
  key.connection === plan.connection &&
  key.type === plan.type &&
  key.objectId === plan.objectId &&
  address === plan.basis.address
