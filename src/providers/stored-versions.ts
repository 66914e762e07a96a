// Versions that are rows of Rekey's own database, behind `VaultStore`: what the providers that keep their material there have
// in common. Exactly once by primary key (the operation id), a pointer moved by compare-and-swap, states that hold at once.

import type { JsonObject } from '#domain/json.ts'
import {
  type MintOrder,
  type Minted,
  ProviderError,
  type Session,
  type VaultRow,
  type VaultStore,
} from '#domain/provider.ts'
import type { Secret } from '#domain/secret.ts'

export interface NewMaterial {
  readonly algorithm: string
  readonly material: Secret<Uint8Array>
  readonly publicKey: string | null
  readonly notAfter?: Date
}

/** The part of a session that does not depend on what the material is. */
export const storedVersions = (
  vault: VaultStore,
  newMaterial: (order: MintOrder) => NewMaterial,
) => {
  const row = async (keyId: string, version: number): Promise<VaultRow | null> =>
    (await vault.list(keyId)).find((item) => item.version === version) ?? null

  // One statement by primary key (object, operation id): a repeat finds the first one's row and makes nothing.
  const insert = async (order: MintOrder): Promise<Minted> => {
    const made = newMaterial(order)
    const { version } = await vault.insert({
      object: order.object.keyId,
      operationId: order.operationId,
      ...made,
    })
    return { providerVersion: String(version), facts: { algorithm: made.algorithm } }
  }

  const setState = async (
    keyId: string,
    providerVersion: string,
    state: 'enabled' | 'disabled' | 'destroyed',
  ): Promise<JsonObject> => {
    const version = Number(providerVersion)
    if (!(await vault.setState(keyId, version, state))) {
      const present = await row(keyId, version)
      if (present?.state !== state) {
        throw new ProviderError('precondition', 'none', `version ${version} cannot become ${state}`)
      }
    }
    return { state }
  }

  const session = {
    async check() {
      return [{ name: 'reachable', outcome: 'ok', detail: 'the vault is in this database' }]
    },
    async missingRights() {
      return []
    },
    // The vault holds nothing but what Rekey manages: an object is a key.
    async inventory() {
      return { items: [], next: null }
    },
    async create(order) {
      const minted = await insert(order)
      // A crash here leaves version 1 without a pointer; the same order again finds the row and moves it.
      await vault.move(order.object.keyId, null, Number(minted.providerVersion))
      return minted
    },
    mint: async (order, call) => {
      if (call.signal.aborted)
        throw new ProviderError('timeout', 'none', 'the time was over before anything was sent')
      return insert(order)
    },
    async probeMint(order) {
      const version = await vault.find(order.object.keyId, order.operationId)
      return version === null
        ? { answer: 'absent' }
        : { answer: 'ours', value: { providerVersion: String(version), facts: {} } }
    },
    async promote({ object, from, to }) {
      const fromVersion = from === null ? null : Number(from)
      if (!(await vault.move(object.keyId, fromVersion, Number(to)))) {
        if ((await vault.current(object.keyId)) === Number(to)) return { current: to }
        throw new ProviderError('conflict', 'none', `the pointer is not at version ${from}`)
      }
      return { current: to }
    },
    async probePromote({ object, from, to }) {
      const current = await vault.current(object.keyId)
      if (current === Number(to)) return { answer: 'ours', value: null }
      if (current === (from === null ? null : Number(from))) return { answer: 'absent' }
      return { answer: 'foreign', detail: `the pointer is at version ${current}` }
    },
    suspend: (object, version) => setState(object.keyId, version, 'disabled'),
    reinstate: (object, version) => setState(object.keyId, version, 'enabled'),
    retire: (object, version, how) =>
      setState(object.keyId, version, how === 'destroy' ? 'destroyed' : 'disabled'),
    async stateOf(object, version) {
      return (await row(object.keyId, Number(version)))?.state ?? 'absent'
    },
    // A version that nobody used yet counts as used when it was made: the gate waits from there.
    async lastUsed(object, version) {
      const found = await row(object.keyId, Number(version))
      return found && (found.lastUsedAt ?? found.createdAt)
    },
    async close() {},
  } satisfies Partial<Session>
  return { session, row }
}

export const missingObject = (): ProviderError =>
  new ProviderError('notFound', 'none', 'the vault holds no such object', {
    hint: 'register the key with create: true',
  })

/** The row that a caller is to use; refused when it is not handed out. */
export const handedOut = (material: Secret<Uint8Array> | null): Secret<Uint8Array> => {
  if (!material) throw new ProviderError('disabled', 'none', 'this version is not handed out')
  return material
}
