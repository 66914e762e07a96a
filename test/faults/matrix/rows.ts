// The rows of the matrix: types of every slot under a policy, where their keys are made, and how one looks at the peer what
// is there. What a type declares is read from its declaration.

import type { Key } from '#domain/key.ts'
import type { KeyType } from '#domain/provider.ts'
import { jwksSigning } from '#providers/jwks/types.ts'
import { localKey, localSecret } from '#providers/local/types.ts'
import { vault } from '#providers/vault/provider.ts'
import type { VaultPeer } from '#test/peers/vault.ts'
import type { Engine } from '#test/support/engine.ts'
import { makeShelf, type Shelf } from '#test/support/shelf.ts'
import type { Shape } from './machine-says.ts'

export interface Row extends Shape {
  readonly name: string
  readonly provider: 'built-in' | 'shelf' | 'vault'
}

export interface Peers {
  readonly engine: Engine
  readonly shelf: Shelf
  readonly vault: VaultPeer | null
}

const declared = new Map(
  [localSecret, localKey, jwksSigning, ...makeShelf().provider.types, ...vault.types].map(
    (type): [string, KeyType] => [type.type, type],
  ),
)

const row = (
  name: string,
  provider: Row['provider'],
  type: string,
  more: Partial<Shape> & Pick<Shape, 'retire'>,
): Row => {
  const traits = declared.get(type)?.traits
  if (!traits) throw new Error(`no type ${type}`)
  return {
    name,
    provider,
    type,
    traits,
    shownOnce: false,
    pointed: true,
    approval: false,
    targets: [],
    consumer: false,
    ...more,
  }
}

export const rows: readonly Row[] = [
  row('local.secret', 'built-in', 'local.secret', { retire: 'disable' }),
  row('local.key, kept', 'built-in', 'local.key', { retire: 'keep', consumer: true }),
  row('jwks.signing', 'built-in', 'jwks.signing', { retire: 'destroy' }),
  row('shelf.value', 'shelf', 'shelf.value', { retire: 'disable' }),
  row('shelf.pass', 'shelf', 'shelf.pass', { retire: 'destroy', shownOnce: true, pointed: false }),
  row('shelf.slot', 'shelf', 'shelf.slot', { retire: 'disable' }),
  row('shelf.pair', 'shelf', 'shelf.pair', { retire: 'disable', pointed: false }),
  row('shelf.ring', 'shelf', 'shelf.ring', { retire: 'disable' }),
  row('local.secret, published', 'built-in', 'local.secret', {
    retire: 'destroy',
    approval: true,
    targets: [
      { name: 'first', held: true },
      { name: 'second', held: false },
    ],
    consumer: true,
  }),
  row('vault.kv2.secret', 'vault', 'vault.kv2.secret', { retire: 'destroy' }),
  row('vault.transit.key', 'vault', 'vault.transit.key', { retire: 'disable' }),
]

/** Where a key of the row is made. */
export const placeOf = (
  { provider, type }: Row,
  name: string,
): Partial<Parameters<Engine['key']>[1]> => {
  switch (provider) {
    case 'built-in':
      return type === 'jwks.signing'
        ? { connection: 'tokens', type, ref: { audiences: ['https://orders.example.com'] } }
        : { type }
    case 'shelf':
      return { connection: 'shelf', type, ref: { path: name } }
    case 'vault':
      return type === 'vault.transit.key'
        ? { connection: 'peer', type, ref: { mount: 'transit', name } }
        : { connection: 'peer', type, ref: { mount: 'secret', path: name, field: 'password' } }
  }
}

/** Every version at the peer, oldest first, by the peer's own word: `destroyed`, `enabled current`. */
export const atPeer = async (
  { engine, shelf, vault: server }: Peers,
  row: Row,
  key: Key,
): Promise<readonly string[]> => {
  const shown = (state: string, current: boolean) => `${state}${current ? ' current' : ''}`
  if (row.provider === 'built-in') {
    const current = await engine.vault.current(key.id)
    const found = await engine.vault.list(key.id)
    return found.map(({ state, version }) => shown(state, version === current))
  }
  if (row.provider === 'shelf') {
    const found = shelf.rows(key.name)
    return found.map((one, n) => shown(one.state, row.pointed && n === found.length - 1))
  }
  if (!server) throw new Error('no Vault')
  if (row.type === 'vault.transit.key') {
    const { data } = await server.api('GET', `transit/keys/${key.name}`)
    const latest = Number(data['latest_version'])
    return Array.from({ length: latest }, (_, n) => shown('enabled', n + 1 === latest))
  }
  const { data } = await server.api('GET', `secret/metadata/${key.name}`)
  const found: Readonly<Record<string, { destroyed: boolean; deletion_time: string }>> = Object(
    data['versions'],
  )
  return Object.entries(found)
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([id, { destroyed, deletion_time: deleted }]) =>
      shown(
        destroyed ? 'destroyed' : deleted === '' ? 'enabled' : 'disabled',
        Number(id) === data['current_version'],
      ),
    )
}
