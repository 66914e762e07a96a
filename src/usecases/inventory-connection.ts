// What is at the provider, beside what Rekey manages: managed, unmanaged, and gone (managed, and not there any more). A type
// that cannot list (the built-in vault holds nothing but keys) is asked about each managed object instead.

import { type Actor, inScope } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { Clock, Ledger, Page, Paged, Sessions } from '#domain/ports.ts'
import { type InventoryItem, ProviderError, type Session } from '#domain/provider.ts'
import { RekeyError } from '#domain/errors.ts'
import { asking } from './provider-failures.ts'
import { callMs } from './prove-version.ts'
import { addressOf, findType, type Providers } from './registration.ts'
import { everything, grants, mustSee } from './rights.ts'

export interface InventoryDeps {
  readonly ledger: Ledger
  readonly sessions: Pick<Sessions, 'open'>
  readonly providers: Providers
  readonly clock: Clock
}

export interface Found {
  readonly type: string
  readonly ref: JsonObject
  readonly objectId: string
  readonly state: 'managed' | 'unmanaged' | 'gone'
  readonly key: string | null
  readonly facts: JsonObject
}

/** An account with more objects of one type is asked by type and looked at with the provider's own tools. */
const mostItems = 10_000

export const inventoryConnection =
  (deps: InventoryDeps) =>
  async (
    actor: Actor,
    { name, type }: { readonly name: string; readonly type?: string },
    page: Page,
  ): Promise<Paged<Found>> => {
    const { connection, keys } = await deps.ledger.read(async (db) => {
      const found = await db.connections.get(name)
      return {
        connection: mustSee(actor, found && { ...found, connection: name }, 'connection', name),
        keys: await everything((after) =>
          db.keys.list(
            { connection: name, ...(type === undefined ? {} : { type }) },
            { limit: 200, after },
          ),
        ),
      }
    })
    const types =
      type === undefined
        ? typesOf(deps.providers, connection)
        : [findType(deps.providers, connection, type).type]
    const session = await asking(() => deps.sessions.open(connection))
    const listed = (await Promise.all(types.map((one) => listType(deps, session, one)))).flat()
    const all = [...(await merge(deps, session, listed, keys))]
      .filter((item) => maySee(actor, connection, item, keys))
      .toSorted((a, b) => compare(placeOf(a), placeOf(b)))
    if (page.after === null) {
      await deps.ledger.note(actor, {
        action: 'connection.inventoried',
        target: { id: name, name },
        outcome: 'succeeded',
        after: { types, found: listed.length },
      })
    }
    const { after } = page
    const rest = after === null ? all : all.filter((item) => compare(placeOf(item), after) > 0)
    const items = rest.slice(0, page.limit)
    const last = items.at(-1)
    return { items, next: rest.length > items.length && last ? placeOf(last) : null }
  }

const typesOf = (providers: Providers, connection: Connection): readonly string[] =>
  (providers.get(connection.provider)?.types ?? []).map(({ type }) => type)

const placeOf = (item: Found): string => `${item.type} ${item.objectId}`
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const listType = async (
  deps: InventoryDeps,
  session: Session,
  type: string,
): Promise<readonly InventoryItem[]> => {
  const items: InventoryItem[] = []
  let cursor: string | null = null
  do {
    const from: string | null = cursor
    // oxlint-disable-next-line no-await-in-loop -- a page names the next one
    const page: Listed = await asking(() => listPage(session, type, from, deps))
    items.push(...page.items)
    if (items.length > mostItems) {
      throw new RekeyError('request.impossible', {
        detail: `There are more than ${mostItems} objects of type ${type}.`,
      })
    }
    cursor = page.next
  } while (cursor !== null)
  return items
}

type Listed = Awaited<ReturnType<Session['inventory']>>

const listPage = async (
  session: Session,
  type: string,
  cursor: string | null,
  deps: InventoryDeps,
): Promise<Listed> => {
  try {
    return await session.inventory(type, cursor, { signal: deps.clock.deadline(callMs) })
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'unsupported')
      return { items: [], next: null }
    throw error
  }
}

const merge = async (
  deps: InventoryDeps,
  session: Session,
  listed: readonly InventoryItem[],
  keys: readonly Key[],
): Promise<readonly Found[]> => {
  const byObject = new Map(keys.map((key) => [key.objectId, key]))
  const there = listed.map((item): Found => {
    const key = byObject.get(item.objectId)
    return { ...item, state: key ? 'managed' : 'unmanaged', key: key?.name ?? null }
  })
  const seen = new Set(listed.map((item) => item.objectId))
  const rest: Found[] = []
  for (const key of keys.filter((one) => !seen.has(one.objectId))) {
    // oxlint-disable-next-line no-await-in-loop -- a provider's rate limit is not ours to spend
    const exists = await isThere(deps, session, key)
    rest.push({
      type: key.type,
      ref: key.ref,
      objectId: key.objectId,
      state: exists ? 'managed' : 'gone',
      key: key.name,
      facts: {},
    })
  }
  return [...there, ...rest]
}

const isThere = (deps: InventoryDeps, session: Session, key: Key): Promise<boolean> =>
  asking(async () => {
    try {
      await session.describe(addressOf(key), { signal: deps.clock.deadline(callMs) })
      return true
    } catch (error) {
      if (error instanceof ProviderError && error.kind === 'notFound') return false
      throw error
    }
  })

/** With a scope: one's own keys, and the objects that a grant opens to keys with the labels of the scope. */
const maySee = (
  actor: Actor,
  connection: Connection,
  item: Found,
  keys: readonly Key[],
): boolean => {
  if (!actor.scope) return true
  const key = keys.find((one) => one.name === item.key)
  if (key) return inScope(actor, key)
  return grants(connection, actor.scope.matchLabels ?? {}, item.objectId)
}
