// Routes that secrets, keys and certificates of Key Vault have alike: the lists, and what soft delete asks for.

import type { JsonObject } from '#domain/json.ts'
import type { Route } from './routes.ts'
import type { Item, makeShelf } from './shelf.ts'
import { pageOf } from './wire.ts'

type Shelf<V> = ReturnType<typeof makeShelf<V>>
type Kind = 'secrets' | 'keys' | 'certificates'

export const newestOf = <V>({ versions }: Item<V>): Item<V>['versions'][number] => {
  const found = versions.at(-1)
  if (found === undefined) throw new TypeError('what is on the shelf has a version')
  return found
}

/** All objects by their newest version, and all versions of one. */
export const listRoutes = <V>(
  kind: Kind,
  action: string,
  shelf: Shelf<V>,
  itemOf: (base: string, name: string, id: string | null, value: V) => JsonObject,
): readonly Route[] => [
  {
    method: 'GET',
    path: new RegExp(`^${kind}$`),
    action,
    run: (asked) =>
      pageOf(
        asked,
        shelf.all().map((item) => ({
          key: item.name,
          item: itemOf(asked.base, item.name, null, newestOf(item).value),
        })),
      ),
  },
  {
    method: 'GET',
    path: new RegExp(`^${kind}/[^/]+/versions$`),
    action,
    run: (asked) => {
      const item = shelf.find(asked.path[1] ?? '')
      return pageOf(
        asked,
        (item?.versions ?? []).map(({ id, value }) => ({
          key: id,
          item: itemOf(asked.base, item?.name ?? '', id, value),
        })),
      )
    },
  },
]

/** Delete, read what is deleted, recover, purge. */
export const softDeleteRoutes = <V>(
  kind: Kind,
  reads: string,
  shelf: Shelf<V>,
  bundleOf: (base: string, name: string, id: string, value: V) => JsonObject,
): readonly Route[] => {
  const bundle = (base: string, item: Item<V>): JsonObject => {
    const { id, value } = newestOf(item)
    return bundleOf(base, item.name, id, value)
  }
  const bundleOfDeleted = (base: string, item: Item<V>, at: number): JsonObject => ({
    recoveryId: `${base}/deleted${kind}/${item.name}`,
    deletedDate: Math.floor(at / 1000),
    scheduledPurgeDate: Math.floor(at / 1000) + 90 * 86_400,
    ...bundle(base, item),
  })
  return [
    {
      method: 'DELETE',
      path: new RegExp(`^${kind}/[^/]+$`),
      action: `${kind}/delete`,
      changes: true,
      run: ({ base, path: [, name = ''] }) => ({
        status: 200,
        body: bundleOfDeleted(base, shelf.remove(name), Date.now()),
      }),
    },
    {
      method: 'GET',
      path: new RegExp(`^deleted${kind}/[^/]+$`),
      action: reads,
      run: ({ base, path: [, name = ''] }) => {
        const { item, at } = shelf.gone(name)
        return { status: 200, body: bundleOfDeleted(base, item, at) }
      },
    },
    {
      method: 'POST',
      path: new RegExp(`^deleted${kind}/[^/]+/recover$`),
      action: `${kind}/recover/action`,
      changes: true,
      run: ({ base, path: [, name = ''] }) => ({
        status: 200,
        body: bundle(base, shelf.recover(name)),
      }),
    },
    {
      method: 'DELETE',
      path: new RegExp(`^deleted${kind}/[^/]+$`),
      action: `${kind}/purge/action`,
      changes: true,
      run: ({ path: [, name = ''] }) => {
        shelf.purge(name)
        return { status: 204 }
      },
    },
  ]
}
