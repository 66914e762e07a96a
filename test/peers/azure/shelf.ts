// Objects with versions, and what soft delete does to them (Key Vault: always on). Names have no case. While an object is
// being deleted or recovered, and until it is purged, its name answers 409 to whoever would make it again; the window has no
// end that the API tells of.

import { randomBytes } from 'node:crypto'
import { Refused } from './wire.ts'

export interface Item<V> {
  readonly name: string
  /** The newest one last. */
  readonly versions: { readonly id: string; readonly value: V }[]
}

interface Deleted<V> {
  readonly item: Item<V>
  readonly at: number
}

export interface Windows {
  /** How long a deletion and a recovery take. */
  ms: number
}

export const newVersionId = (): string => randomBytes(16).toString('hex')

/** `Secret`, `Key`, `Certificate`: as the errors name them. */
export const makeShelf = <V>(kind: string, windows: Windows) => {
  const live = new Map<string, Item<V>>()
  const deleted = new Map<string, Deleted<V>>()
  const recovering = new Map<string, number>()
  const keyOf = (name: string): string => name.toLowerCase()
  const lacks = (name: string): Refused =>
    new Refused(
      404,
      `${kind}NotFound`,
      `A ${kind.toLowerCase()} with (name/id) ${name} was not found in this key vault.`,
    )
  const conflict = (name: string, inner: string, how: string): Refused =>
    new Refused(409, 'Conflict', `${kind} ${name} is currently ${how}.`, { inner })
  const isOver = (since: number): boolean => Date.now() - since >= windows.ms

  const mustBeFree = (name: string): void => {
    const gone = deleted.get(keyOf(name))
    if (gone !== undefined)
      throw isOver(gone.at)
        ? conflict(
            name,
            'ObjectIsDeletedButRecoverable',
            'in a deleted but recoverable state, and its name cannot be reused; in this state, it can only be recovered or purged',
          )
        : conflict(name, 'ObjectIsBeingDeleted', 'being deleted')
    const since = recovering.get(keyOf(name))
    if (since === undefined) return
    if (!isOver(since)) throw conflict(name, 'ObjectIsBeingRecovered', 'being recovered')
    recovering.delete(keyOf(name))
  }

  const find = (name: string): Item<V> | undefined => live.get(keyOf(name))
  const get = (name: string): Item<V> => {
    const item = find(name)
    if (item === undefined) throw lacks(name)
    return item
  }
  return {
    all: (): readonly Item<V>[] => [...live.values()],
    find,
    get,
    /** The newest where none is named. */
    version: (name: string, id: string): Item<V>['versions'][number] => {
      const { versions } = get(name)
      const found = id === '' ? versions.at(-1) : versions.find((version) => version.id === id)
      if (found === undefined) throw lacks(`${name}/${id}`)
      return found
    },
    mustBeFree,
    add: (name: string, value: V, id = newVersionId()): string => {
      mustBeFree(name)
      const item = find(name) ?? { name, versions: [] }
      live.set(keyOf(name), item)
      item.versions.push({ id, value })
      return id
    },
    remove: (name: string): Item<V> => {
      mustBeFree(name)
      const item = get(name)
      live.delete(keyOf(name))
      deleted.set(keyOf(name), { item, at: Date.now() })
      return item
    },
    gone: (name: string): Deleted<V> => {
      const found = deleted.get(keyOf(name))
      if (found === undefined || !isOver(found.at)) throw lacks(name)
      return found
    },
    recover: (name: string): Item<V> => {
      const found = deleted.get(keyOf(name))
      if (found === undefined) throw lacks(name)
      if (!isOver(found.at)) throw conflict(name, 'ObjectIsBeingDeleted', 'being deleted')
      deleted.delete(keyOf(name))
      live.set(keyOf(name), found.item)
      recovering.set(keyOf(name), Date.now())
      return found.item
    },
    purge: (name: string): void => {
      const found = deleted.get(keyOf(name))
      if (found === undefined) throw lacks(name)
      if (!isOver(found.at)) throw conflict(name, 'ObjectIsBeingDeleted', 'being deleted')
      deleted.delete(keyOf(name))
    },
  }
}
