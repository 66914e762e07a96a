// What the token can see. KV lists names folder by folder; the cursor is the last name that was given out, and the walk is
// in the order of names, so that a page neither loses nor repeats a secret when others come and go meanwhile.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call, type InventoryItem } from '#domain/provider.ts'
import { objectIdOf } from './object-id.ts'
import { vaultPath } from './paths.ts'
import type { Ask } from './session.ts'
import { fieldsOf, textOf, textsOf } from '../untyped-json.ts'

const pageSize = 50
/** Fields of a page's secrets are asked for a few at a time. */
const together = 5

interface Place {
  readonly mount: string
  readonly path: string
}

interface At {
  readonly ask: Ask
  readonly settings: JsonObject
}

export const inventory = async (
  at: At,
  type: string,
  cursor: string | null,
  call: Call,
): Promise<{ readonly items: readonly InventoryItem[]; readonly next: string | null }> => {
  const kind = kinds[type]
  if (kind === undefined)
    throw new ProviderError('unsupported', 'none', 'the vault provider has no such key type')
  const after = cursor === null ? null : decode(cursor)
  const places: Place[] = []
  let more = false
  for (const mount of await mountsOf(at.ask, kind, call)) {
    if (more) break
    if (after !== null && mount < after.mount) continue
    const from = after !== null && mount === after.mount ? after.path : null
    for await (const path of pathsIn(at.ask, kind, mount, from, call)) {
      if (places.length === pageSize) {
        more = true
        break
      }
      places.push({ mount, path })
    }
  }
  const items: InventoryItem[] = []
  for (let i = 0; i < places.length; i += together) {
    const few = places.slice(i, i + together)
    items.push(...(await Promise.all(few.map((place) => kind.item(at, place, call)))))
  }
  const last = places.at(-1)
  return { items, next: more && last !== undefined ? encode(last) : null }
}

interface Kind {
  /** What is listed of the mounts: engines unless told. */
  readonly among?: 'auth'
  readonly isMount: (mount: Readonly<Record<string, unknown>>) => boolean
  /** Null: the mount itself is the object. */
  readonly folder: string | null
  readonly item: (at: At, place: Place, call: Call) => Promise<InventoryItem>
}

const kinds: Readonly<Record<string, Kind>> = {
  'vault.kv2.secret': {
    isMount: (mount) => mount['type'] === 'kv' && fieldsOf(mount['options'])['version'] === '2',
    folder: 'metadata',
    item: async (at, place, call) => {
      const fields = await fieldNames(at.ask, place, call)
      const [only] = fields ?? []
      // With one field the ref is whole; with several a person chooses.
      const ref: JsonObject =
        fields?.length === 1 && only !== undefined ? { ...place, field: only } : { ...place }
      return {
        type: 'vault.kv2.secret',
        ref,
        objectId: objectIdOf('vault.kv2.secret', at.settings, ref),
        facts: fields === null ? {} : { fields },
      }
    },
  },
  'vault.transit.key': {
    isMount: (mount) => mount['type'] === 'transit',
    folder: 'keys',
    item: async (at, { mount, path }) => {
      const ref = { mount, name: path }
      return {
        type: 'vault.transit.key',
        ref,
        objectId: objectIdOf('vault.transit.key', at.settings, ref),
        facts: {},
      }
    },
  },
  'vault.database.staticRole': {
    isMount: (mount) => mount['type'] === 'database',
    folder: 'static-roles',
    item: roleItem('vault.database.staticRole'),
  },
  'vault.approle.secretId': {
    among: 'auth',
    isMount: (mount) => mount['type'] === 'approle',
    folder: 'role',
    item: roleItem('vault.approle.secretId'),
  },
  'vault.pki.issuer': {
    isMount: (mount) => mount['type'] === 'pki',
    folder: null,
    item: async (at, { mount }) => {
      const ref = { mount }
      const objectId = objectIdOf('vault.pki.issuer', at.settings, ref)
      return { type: 'vault.pki.issuer', ref, objectId, facts: {} }
    },
  },
}

function roleItem(type: 'vault.database.staticRole' | 'vault.approle.secretId'): Kind['item'] {
  return async (at, { mount, path }) => {
    const ref = { mount, role: path }
    return { type, ref, objectId: objectIdOf(type, at.settings, ref), facts: {} }
  }
}

/** Needs no right of its own: Vault shows the mounts below which the token may do anything at all. */
const mountsOf = async (
  ask: Ask,
  { isMount, among }: Kind,
  call: Call,
): Promise<readonly string[]> => {
  const reply = await ask({ verb: 'read', path: 'sys/internal/ui/mounts' }, call)
  return Object.entries(fieldsOf(reply.data[among ?? 'secret']))
    .filter(([, mount]) => isMount(fieldsOf(mount)))
    .map(([path]) => path.replace(/\/$/, ''))
    .toSorted()
}

async function* pathsIn(
  ask: Ask,
  { among, folder }: Kind,
  mount: string,
  after: string | null,
  call: Call,
): AsyncGenerator<string> {
  if (folder === null) {
    if (after === null) yield ''
    return
  }
  const root = vaultPath(...(among === undefined ? [] : [among]), mount, folder)
  yield* walk(ask, root, '', keysOf(after), call)
}

/** Depth first, in the order of names; `after` are the names on the way to the last one seen. */
async function* walk(
  ask: Ask,
  root: string,
  folder: string,
  after: readonly string[],
  call: Call,
): AsyncGenerator<string> {
  const path = folder === '' ? root : vaultPath(root, folder)
  const reply = await ask({ verb: 'list', path, accept: [404] }, call)
  const [head, ...rest] = after
  for (const key of textsOf(reply.data['keys']).toSorted()) {
    if (head !== undefined && key < head) continue
    const isFolder = key.endsWith('/')
    if (isFolder) yield* walk(ask, root, folder + key, key === head ? rest : [], call)
    else if (key !== head) yield folder + key
  }
}

/** `a/b/c` → `a/`, `b/`, `c`: as Vault lists them. */
const keysOf = (path: string | null): readonly string[] =>
  path === null ? [] : path.split(/(?<=\/)/)

/** Names only, never values. Null where the token may not see them, or the current version is gone. */
const fieldNames = async (
  ask: Ask,
  { mount, path }: Place,
  call: Call,
): Promise<readonly string[] | null> => {
  const reply = await ask(
    { verb: 'read', path: vaultPath(mount, 'subkeys', path), query: 'depth=1', accept: [403, 404] },
    call,
  )
  return reply.status === 200 ? Object.keys(fieldsOf(reply.data['subkeys'])).toSorted() : null
}

const encode = (place: Place): string => Buffer.from(JSON.stringify(place)).toString('base64url')

const decode = (cursor: string): Place => {
  try {
    const place = fieldsOf(JSON.parse(Buffer.from(cursor, 'base64url').toString()))
    const mount = textOf(place['mount'])
    const path = textOf(place['path'])
    if (mount !== '' && typeof place['path'] === 'string') return { mount, path }
  } catch {
    // Falls through: not one of ours.
  }
  throw new ProviderError('permanent', 'none', 'the cursor is not one of this inventory')
}
