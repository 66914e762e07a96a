// A store in memory that behaves as its traits say, for shapes of key types that the built-in vault does not have: a place
// that a write overwrites, a value that is handed out with the very write, a credential shown once. Not a mock: it keeps
// versions, refuses what it has switched off, and finds what it was told before by the operation's id.

import { Type } from 'typebox'
import { generateSecret, generateSecretSchema } from '#domain/generate-secret.ts'
import type { JsonObject } from '#domain/json.ts'
import {
  type KeyType,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Provider,
  ProviderError,
  type Session,
  type TypeTraits,
} from '#domain/provider.ts'
import { revealText, Secret } from '#domain/secret.ts'

export interface ShelfRow {
  readonly id: string
  state: 'enabled' | 'disabled' | 'destroyed'
  value: string
  /** Null: somebody else made it. */
  readonly operationId: string | null
  /** What the usage source says; null: it does not know. */
  lastUsed: Date | null
  /** `shelf.pair`: whose password it is. */
  readonly user: User | null
}
type User = 'a' | 'b'
interface Place {
  rows: ShelfRow[]
  next: number
}

export interface Shelf {
  readonly provider: Provider
  /** What is at a path, oldest first. */
  rows(path: string): readonly ShelfRow[]
  row(path: string, id: string): ShelfRow
  /** Somebody who is not Rekey adds a version. */
  put(path: string, value: string): ShelfRow
  /** Nothing is at the path, as before anybody put something there. */
  clear(path: string): void
}

const base: TypeTraits = {
  slot: 'multi',
  staging: 'none',
  undo: 'rollForward',
  authority: 'store',
  revokes: 'version',
  suspend: true,
  exactlyOnce: 'cas',
  attribution: 'exact',
  usage: { source: 'the shelf', lagMs: 0 },
  lateEffectMs: 0,
  consistency: { delayMs: 0, confirmations: 1 },
  limits: {},
  deliver: true,
  material: 'ours',
  publishTarget: true,
  publishable: true,
  verifies: ['roundTrip'],
  operations: [],
}

/** `shelf.value`: the newest version is what readers get. `shelf.slot`: one place. `shelf.pass`: several at once, shown once.
 *  `shelf.badge`: several at once, there or gone.
 *  `shelf.pair`: two users in turn, the password of one is set over what it was. `shelf.ring`: keeps its old versions by
 *  itself. */
const traitsOf = {
  'shelf.value': base,
  'shelf.slot': { ...base, slot: 'single', suspend: false, authority: 'self' },
  'shelf.pass': {
    ...base,
    staging: 'overlap',
    undo: 'reactivate',
    authority: 'self',
    material: 'provider',
    publishTarget: false,
  },
  'shelf.badge': {
    ...base,
    staging: 'overlap',
    undo: 'reactivate',
    authority: 'self',
    suspend: false,
    publishTarget: false,
  },
  'shelf.pair': {
    ...base,
    slot: 'pair',
    staging: 'overlap',
    undo: 'reactivate',
    authority: 'self',
    publishTarget: false,
  },
  'shelf.ring': {
    ...base,
    slot: 'internal',
    undo: 'none',
    authority: 'self',
    suspend: false,
    usage: null,
    material: 'provider',
    publishTarget: false,
  },
} as const satisfies Record<string, TypeTraits>
export type ShelfType = keyof typeof traitsOf

export const makeShelf = (change: Partial<TypeTraits> = {}): Shelf => {
  const places = new Map<string, Place>()
  const types = Object.entries(traitsOf).map(([type, traits]): KeyType => {
    const changed: TypeTraits = { ...traits, ...change }
    return {
      type,
      title: type,
      traits: changed,
      refSchema: Type.Object({ path: Type.String() }, { additionalProperties: false }),
      generateSchema: generateSecretSchema,
      objectId: ({ ref }) => `shelf:${pathIn(ref)}`,
      leastPrivilege: () => ({}),
      ...(changed.slot === 'pair'
        ? {
            halves: {
              of: () => ['a', 'b'] as const,
              holding: (ref, id) =>
                places.get(pathIn(ref))?.rows.find((row) => row.id === id)?.user ?? null,
            },
          }
        : {}),
      ...(changed.material === 'ours' ? { generate: generateSecret } : {}),
    }
  })
  const slotOf = (type: string) => types.find((one) => one.type === type)?.traits.slot
  let clock = (): Date => new Date(0)

  const add = (
    path: string,
    value: string,
    operationId: string | null,
    user: User | null = null,
  ): ShelfRow => {
    const place = places.get(path) ?? { rows: [], next: 1 }
    places.set(path, place)
    // A user has one password: with the new one the former is none any more.
    for (const row of place.rows) if (user !== null && row.user === user) row.state = 'destroyed'
    const row: ShelfRow = {
      id: String(place.next++),
      state: 'enabled',
      value,
      operationId,
      lastUsed: clock(),
      user,
    }
    place.rows.push(row)
    return row
  }
  /** The user whose turn it is: not the one whose password serves. */
  const standby = (path: string, serving: unknown): User => {
    const rows = places.get(path)?.rows ?? []
    const served = rows.find(({ id }) => id === serving) ?? rows.at(-1)
    return served?.user === 'a' ? 'b' : 'a'
  }
  const pathOf = (object: ObjectAddress): string => pathIn(object.ref)
  const at = (object: ObjectAddress): Place => {
    const place = places.get(pathOf(object))
    if (!place) throw new ProviderError('notFound', 'none', 'nothing is on the shelf there')
    return place
  }
  const rowOf = (object: ObjectAddress, id: string): ShelfRow => {
    const row = at(object).rows.find((one) => one.id === id)
    if (!row) throw new ProviderError('notFound', 'none', `there is no version ${id}`)
    return row
  }
  const setState = async (object: ObjectAddress, id: string, state: ShelfRow['state']) => {
    const row = rowOf(object, id)
    if (row.state === 'destroyed' && state !== 'destroyed')
      throw new ProviderError('precondition', 'none', `version ${id} is destroyed`)
    row.state = state
    return { state }
  }

  const make = async (order: MintOrder): Promise<Minted> => {
    const path = pathOf(order.object)
    const known = places.get(path)?.rows.find((row) => row.operationId === order.operationId)
    const place = places.get(path)
    // One place: what was in it is gone.
    if (!known && place && slotOf(order.object.type) === 'single') place.rows = []
    const shown = order.material === null ? `made ${order.operationId}` : revealText(order.material)
    const pair = slotOf(order.object.type) === 'pair'
    if (pair && !known && place && place.rows.at(-1)?.id !== order.preImage['newest'])
      throw new ProviderError('conflict', 'none', 'somebody set a password meanwhile')
    const serving = order.preImage['serving'] ?? null
    // With none in use it is the first one's turn.
    const user = pair ? (serving === null ? 'a' : standby(path, serving)) : null
    const row = known ?? add(path, shown, order.operationId, user)
    return {
      providerVersion: row.id,
      facts: {},
      ...(order.material === null && !known ? { material: new Secret(shown) } : {}),
    }
  }

  const session: Session = {
    async check() {
      return [{ name: 'reachable', outcome: 'ok', detail: 'it is in this process' }]
    },
    async missingRights() {
      return []
    },
    // A place does not know what type of thing stands there: it is listed once.
    async inventory(type) {
      const paths = type === 'shelf.value' ? [...places.keys()] : []
      const items = paths.map((path) => ({
        type,
        ref: { path },
        objectId: `shelf:${path}`,
        facts: {},
      }))
      return { items, next: null }
    },
    async describe(object) {
      const { rows } = at(object)
      const newest = rows.at(-1)
      const pointed = !['shelf.pass', 'shelf.badge', 'shelf.pair'].includes(object.type)
      const versions = rows.map((row) => ({
        id: row.id,
        state: row.state,
        current: pointed && row === newest,
      }))
      return { versions, facts: {} }
    },
    create: make,
    mint: make,
    async prepare(object, current) {
      const rows = places.get(pathOf(object))?.rows ?? []
      return { preImage: { newest: rows.at(-1)?.id ?? null, serving: current }, risks: [] }
    },
    async probeMint(order) {
      const rows = places.get(pathOf(order.object))?.rows ?? []
      const found = rows.find((row) => row.operationId === order.operationId)
      // An order to create has no pre-image: nothing was there.
      if (!found && (rows.at(-1)?.id ?? null) !== (order.preImage['newest'] ?? null))
        return { answer: 'foreign', detail: `somebody else wrote version ${rows.at(-1)?.id}` }
      if (found?.state !== 'enabled') return { answer: 'absent' }
      const value = { providerVersion: found.id, facts: {} }
      return order.material === null && object(order) === 'shelf.pass'
        ? { answer: 'ours', value, secretLost: true }
        : { answer: 'ours', value }
    },
    async verify(order) {
      const row = places
        .get(pathOf(order.object))
        ?.rows.find((one) => one.id === order.providerVersion)
      const works = row?.state === 'enabled'
      if (order.how === 'refused')
        return works
          ? { ok: false, detail: `version ${row.id} is still accepted`, facts: {} }
          : { ok: true, facts: {} }
      const same = !order.material || row?.value === revealText(order.material)
      return works && same
        ? { ok: true, facts: {} }
        : { ok: false, detail: `version ${order.providerVersion} does not work`, facts: {} }
    },
    promote: () => Promise.reject(new ProviderError('unsupported', 'none', 'no pointer')),
    probePromote: () => Promise.reject(new ProviderError('unsupported', 'none', 'no pointer')),
    suspend: (of, id) => setState(of, id, 'disabled'),
    reinstate: (of, id) => setState(of, id, 'enabled'),
    retire: (of, id, how) => setState(of, id, how === 'destroy' ? 'destroyed' : 'disabled'),
    async stateOf(of, id) {
      return places.get(pathOf(of))?.rows.find((row) => row.id === id)?.state ?? 'absent'
    },
    async lastUsed(of, id) {
      return rowOf(of, id).lastUsed
    },
    async readMaterial(of, id) {
      const row = rowOf(of, id)
      if (row.state !== 'enabled') throw new ProviderError('disabled', 'none', 'it is switched off')
      return new Secret(row.value)
    },
    operate: () => Promise.reject(new ProviderError('unsupported', 'none', 'only kept')),
    async close() {},
  }

  return {
    provider: {
      id: 'shelf',
      title: 'A shelf',
      settingsSchema: Type.Object({}, { additionalProperties: false }),
      credentialSchema: null,
      types,
      endpoints: () => [],
      connect: ({ ports }) => {
        clock = ports.now
        return session
      },
    },
    rows: (path) => places.get(path)?.rows ?? [],
    row: (path, id) => {
      const found = places.get(path)?.rows.find((row) => row.id === id)
      if (!found) throw new Error(`no version ${id} at ${path}`)
      return found
    },
    put: (path, value) => {
      const pair = places.get(path)?.rows.some(({ user }) => user !== null) ?? false
      return add(path, value, null, pair ? standby(path, null) : null)
    },
    clear: (path) => void places.delete(path),
  }
}

const object = (order: MintOrder): string => order.object.type

export const pathIn = ({ path }: JsonObject): string => (typeof path === 'string' ? path : '')
