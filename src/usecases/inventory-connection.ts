// What is at the provider, beside what Rekey manages: managed and gone (managed, and not there any more) from our own keys,
// each asked about; unmanaged from the provider's listing. Types follow each other, and of each our keys come first.
//
// A cursor says how far the walk has come in our keys or in the provider's own pages: a page costs what is on it, however
// many pages there are, and nothing is kept between two of them.

import type { Actor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { Clock, Ledger, Page, Paged, Sessions } from '#domain/ports.ts'
import { type InventoryItem, ProviderError, type Session } from '#domain/provider.ts'
import { asking } from './provider-failures.ts'
import { callMs } from './prove-version.ts'
import { addressOf, findType, type Providers } from './registration.ts'
import { grants, mustSee } from './rights.ts'

export interface InventoryDeps {
  readonly ledger: Ledger
  readonly sessions: Pick<Sessions, 'open'>
  readonly providers: Providers
  readonly clock: Clock
}

export const foundStates = ['managed', 'unmanaged', 'gone'] as const

export interface Found {
  readonly type: string
  readonly ref: JsonObject
  readonly objectId: string
  readonly state: (typeof foundStates)[number]
  readonly key: string | null
  readonly facts: JsonObject
}

export interface Wanted {
  /** Of the connection. */
  readonly name: string
  readonly type?: string
  readonly state?: Found['state']
}

/** How far a walk has come. `past`: the last object that was given out of the provider's page at `cursor`. */
type Place =
  | { readonly type: string; readonly part: 'ours'; readonly after: string | null }
  | {
      readonly type: string
      readonly part: 'listed'
      readonly cursor: string | null
      readonly past: string | null
    }

/** From then on a page ends where it is; the walk goes on with the next one. */
const mostMsOfPage = 15_000
/** A provider's rate limit is not ours to spend. */
const atOnce = 5

export const inventoryConnection =
  (deps: InventoryDeps) =>
  async (actor: Actor, wanted: Wanted, page: Page): Promise<Paged<Found>> => {
    const { name, type } = wanted
    const seen = await deps.ledger.read((db) => db.connections.get(name))
    const connection = mustSee(actor, seen && { ...seen, connection: name }, 'connection', name)
    const types =
      type === undefined
        ? typesOf(deps.providers, connection)
        : [findType(deps.providers, connection, type).type]
    const session = await asking(() => deps.sessions.open(connection))
    const walk: Walk = { ...deps, actor, connection, session, state: wanted.state }
    const until = deps.clock.now().getTime() + mostMsOfPage
    const items: Found[] = []
    let place = page.after === null ? startOf(types[0]) : placeFrom(page.after)
    while (place !== null && items.length < page.limit && deps.clock.now().getTime() < until) {
      // oxlint-disable-next-line no-await-in-loop -- each part says where the next one begins
      const part: Part = await partAt(walk, place, page.limit - items.length)
      items.push(...part.items)
      place = part.next ?? following(types, place)
    }
    if (page.after === null) {
      await deps.ledger.note(actor, {
        action: 'connection.inventoried',
        target: { id: name, name },
        outcome: 'succeeded',
        after: { types },
      })
    }
    return { items, next: place && JSON.stringify(place) }
  }

const typesOf = (providers: Providers, connection: Connection): readonly string[] =>
  (providers.get(connection.provider)?.types ?? []).map(({ type }) => type)

const startOf = (type: string | undefined): Place | null =>
  type === undefined ? null : { type, part: 'ours', after: null }

/** Made here: a cursor carries a code of ours that says so (http/paging.ts). */
const placeFrom = (cursor: string): Place => JSON.parse(cursor) as Place

const following = (types: readonly string[], { type, part }: Place): Place | null =>
  part === 'ours'
    ? { type, part: 'listed', cursor: null, past: null }
    : startOf(types[types.indexOf(type) + 1])

interface Walk extends InventoryDeps {
  readonly actor: Actor
  readonly connection: Connection
  readonly session: Session
  readonly state: Found['state'] | undefined
}

interface Part {
  readonly items: readonly Found[]
  /** Null: there is no more of this. */
  readonly next: Place | null
}

const nothing: Part = { items: [], next: null }

const partAt = (walk: Walk, place: Place, limit: number): Promise<Part> | Part => {
  const { state } = walk
  if (place.part === 'ours') return state === 'unmanaged' ? nothing : ours(walk, place, limit)
  return state === undefined || state === 'unmanaged' ? listed(walk, place, limit) : nothing
}

const ours = async (
  walk: Walk,
  { type, after }: Extract<Place, { part: 'ours' }>,
  limit: number,
): Promise<Part> => {
  const { items: keys, next } = await walk.ledger.read((db) =>
    db.keys.list(
      { connection: walk.connection.name, type, scope: walk.actor.scope },
      { limit: Math.min(limit, atOnce), after },
    ),
  )
  const found = await Promise.all(keys.map((key) => askedAbout(walk, key)))
  return {
    items: found.filter(({ state }) => walk.state === undefined || walk.state === state),
    next: next === null ? null : { type, part: 'ours', after: next },
  }
}

const askedAbout = (walk: Walk, key: Key): Promise<Found> => {
  const { type, ref, objectId, name } = key
  const told = (state: Found['state'], facts: JsonObject): Found => ({
    ...{ type, ref, objectId, state, facts },
    key: name,
  })
  return asking(async () => {
    try {
      const signal = walk.clock.deadline(callMs)
      const { facts } = await walk.session.describe(addressOf(key), { signal })
      return told('managed', facts)
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
      if (error.kind === 'notFound') return told('gone', {})
      if (error.retryable || error.kind === 'auth') throw error
      // One that may not be looked at keeps nobody from seeing the others.
      return told('managed', { unseen: error.message })
    }
  })
}

const listed = async (
  walk: Walk,
  { type, cursor, past }: Extract<Place, { part: 'listed' }>,
  limit: number,
): Promise<Part> => {
  const { items: all, next } = await asking(() => listPage(walk, type, cursor))
  // Where the last one is gone meanwhile, the page begins anew: rather twice than never.
  const rest = past === null ? all : all.slice(all.findIndex((one) => one.objectId === past) + 1)
  const managed = new Set(
    await walk.ledger.read((db) => db.keys.managed(rest.map(({ objectId }) => objectId))),
  )
  const free = rest.filter(({ objectId }) => !managed.has(objectId) && maySee(walk, objectId))
  const items = free
    .slice(0, limit)
    .map((item): Found => ({ ...item, state: 'unmanaged', key: null }))
  const last = items.at(-1)
  if (free.length > limit && last)
    return { items, next: { type, part: 'listed', cursor, past: last.objectId } }
  return { items, next: next === null ? null : { type, part: 'listed', cursor: next, past: null } }
}

const listPage = async (
  { session, clock }: Walk,
  type: string,
  cursor: string | null,
): Promise<{ readonly items: readonly InventoryItem[]; readonly next: string | null }> => {
  try {
    return await session.inventory(type, cursor, { signal: clock.deadline(callMs) })
  } catch (error) {
    // The built-in vault holds nothing but keys.
    if (error instanceof ProviderError && error.kind === 'unsupported')
      return { items: [], next: null }
    throw error
  }
}

/** With a scope: the objects that a grant opens to keys with its labels. */
const maySee = ({ actor, connection }: Walk, objectId: string): boolean =>
  !actor.scope || grants(connection, actor.scope.matchLabels ?? {}, objectId)
