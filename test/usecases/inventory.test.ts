// The inventory of a connection is walked in pages, of our keys and of what the provider lists.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ProviderError, type Session } from '#domain/provider.ts'
import { type Found, inventoryConnection, type Wanted } from '#usecases/inventory-connection.ts'
import { admin, codeOf, type House, openHouse, scoped } from '#test/support/house.ts'
import { makeShelf, pathIn } from '#test/support/shelf.ts'

const shelf = makeShelf()
let house: House
/** Cursors with which the provider's listing was asked, and paths that were looked at. */
const asked = { listed: [] as (string | null)[], described: [] as string[] }
let forbidden: ReadonlySet<string> = new Set()
const providersPage = 50

/** The shelf lists everything at once; here it does so in pages, by name, as providers do. */
const inPages = (session: Session): Session => ({
  ...session,
  inventory: async (type, cursor, call) => {
    const { items } = await session.inventory(type, null, call)
    if (type === 'shelf.value') asked.listed.push(cursor)
    const after = items
      .toSorted((a, b) => (a.objectId < b.objectId ? -1 : 1))
      .filter(({ objectId }) => cursor === null || objectId > cursor)
    const page = after.slice(0, providersPage)
    return {
      items: page,
      next: after.length > page.length ? (page.at(-1)?.objectId ?? null) : null,
    }
  },
  describe: async (object, call) => {
    const path = pathIn(object.ref)
    asked.described.push(path)
    if (forbidden.has(path)) throw new ProviderError('forbidden', 'none', 'the provider said 403')
    return session.describe(object, call)
  },
})

const pad = (n: number): string => String(n).padStart(4, '0')

beforeAll(async () => {
  house = await openHouse({ providers: [shelf.provider], wrap: inPages })
  await house.connection('stock', {
    provider: 'shelf',
    labels: { team: 'even' },
    grants: [{ matchLabels: { team: 'even' }, refs: ['shelf:at/00*'] }],
  })
  for (let n = 0; n < 230; n++) shelf.put(`at/${pad(n)}`, 'a value')
  for (let n = 0; n < 12; n++)
    await house.register(`mine-${pad(n)}`, {
      connection: 'stock',
      type: 'shelf.value',
      ref: { path: `at/${pad(n * 19)}` },
      labels: { team: n % 2 === 0 ? 'even' : 'odd' },
    })
})
afterAll(() => house.shut())
beforeEach(() => {
  asked.listed = []
  asked.described = []
  forbidden = new Set()
})

const walk = async (
  wanted: Omit<Wanted, 'name'>,
  limit: number,
  { actor = admin, between = async (_page: number): Promise<void> => {} } = {},
): Promise<readonly Found[]> => {
  const items: Found[] = []
  let after: string | null = null
  let pages = 0
  do {
    const page: Awaited<ReturnType<ReturnType<typeof inventoryConnection>>> =
      await inventoryConnection(house.deps)(actor, { name: 'stock', ...wanted }, { limit, after })
    expect(page.items.length).toBeLessThanOrEqual(limit)
    items.push(...page.items)
    after = page.next
    await between(++pages)
  } while (after !== null)
  return items
}
const value = { type: 'shelf.value' } as const
const count = (items: readonly Found[]) =>
  Object.fromEntries(
    [...Map.groupBy(items, ({ state }) => state)].map(([state, all]) => [state, all.length]),
  )

test('everything once, and each page of the provider is asked for once, whatever the number of pages', async () => {
  const items = await walk(value, 50)
  expect(count(items)).toEqual({ managed: 12, unmanaged: 218 })
  expect(new Set(items.map(({ objectId }) => objectId)).size).toBe(230)
  expect(asked.described).toHaveLength(12)
  // A page of ours ends within one of the provider's: that one is read again, from where it ended.
  expect(new Set(asked.listed).size).toBe(5)
  expect(asked.listed.length).toBeLessThanOrEqual(10)
})

test('a page smaller than one of the provider loses and repeats nothing, while others come and go', async () => {
  const items = await walk(value, 7, {
    between: async (page) => {
      shelf.put(`at/${pad(page)}-new`, 'a value')
    },
  })
  const ids = items.map(({ objectId }) => objectId)
  expect(new Set(ids).size).toBe(ids.length)
  for (let n = 0; n < 230; n++) expect(ids).toContain(`shelf:at/${pad(n)}`)
})

test('who asks for one state makes the provider work for that alone', async () => {
  const free = await walk({ ...value, state: 'unmanaged' }, 200)
  expect(Object.keys(count(free))).toEqual(['unmanaged'])
  expect(asked.described).toEqual([])
  asked.listed = []
  expect(count(await walk({ ...value, state: 'managed' }, 200))).toEqual({ managed: 12 })
  expect(await walk({ ...value, state: 'gone' }, 200)).toEqual([])
  expect(asked.listed).toEqual([])
})

test('one key that may not be looked at keeps nobody from the others; a provider that is away is told', async () => {
  forbidden = new Set(['at/0019'])
  const items = await walk({ ...value, state: 'managed' }, 200)
  expect(items).toHaveLength(12)
  expect(items.find(({ key }) => key === 'mine-0001')?.facts).toEqual({
    unseen: 'the provider said 403',
  })
  const away = inventoryConnection({
    ...house.deps,
    sessions: {
      open: () => Promise.reject(new ProviderError('transient', 'none', 'it is away')),
    },
  })
  expect(await codeOf(away(admin, { name: 'stock' }, { limit: 5, after: null }))).toBe(
    'provider.unavailable',
  )
})

test('with a scope, one’s own keys and what a grant opens', async () => {
  const even = scoped({ matchLabels: { team: 'even' }, connections: ['stock'] }, 'operator')
  const items = await walk(value, 200, { actor: even })
  expect(count(items)['managed']).toBe(6)
  const free = items.filter(({ state }) => state === 'unmanaged')
  expect(free.length).toBeGreaterThan(50)
  expect(free.every(({ objectId }) => objectId.startsWith('shelf:at/00'))).toBe(true)
})
