// Reads of keys and versions, limited to the actor's scope in the query itself.

import type { Actor } from '#domain/actor.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Clock, KeyFilter, Ledger, Page, Paged } from '#domain/ports.ts'
import { type KeyStatus, statusesOf } from './key-status.ts'
import { mustSee, notFound } from './rights.ts'

export interface ListKeysDeps {
  readonly ledger: Pick<Ledger, 'read'>
  readonly clock: Clock
}

export interface SeenKey {
  readonly key: Key
  readonly status: KeyStatus
}

export const listKeys =
  ({ ledger, clock }: ListKeysDeps) =>
  (actor: Actor, filter: Omit<KeyFilter, 'scope'>, page: Page): Promise<Paged<SeenKey>> =>
    ledger.read(async (db) => {
      const found = await db.keys.list({ ...filter, scope: actor.scope }, page)
      const statuses = await statusesOf(db, found.items, clock.now())
      return { items: found.items.map((key) => seen(key, statuses)), next: found.next }
    })

export const getKey =
  ({ ledger, clock }: ListKeysDeps) =>
  (actor: Actor, name: string): Promise<SeenKey> =>
    ledger.read(async (db) => {
      const key = mustSee(actor, await db.keys.byName(name), 'key', name)
      return seen(key, await statusesOf(db, [key], clock.now()))
    })

export const listVersions =
  ({ ledger }: Pick<ListKeysDeps, 'ledger'>) =>
  (actor: Actor, name: string): Promise<readonly Version[]> =>
    ledger.read(async (db) => {
      const key = mustSee(actor, await db.keys.byName(name), 'key', name)
      return db.versions.of(key.id)
    })

const seen = (key: Key, statuses: ReadonlyMap<string, KeyStatus>): SeenKey => {
  const status = statuses.get(key.id)
  if (!status) throw notFound('key', key.name)
  return { key, status }
}
