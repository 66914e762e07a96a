// `azure.keyvault.key`: an RSA or elliptic curve key in Key Vault or a managed HSM.
//
// A new version is what callers get at once who name none; callers who name one, and what was signed or encrypted before, are
// not touched. The current version cannot be moved back: there is no undo. Made by `create` with the shape of the version
// before, and not by `rotate`, since only `create` takes tags: by the operation's id in one of them a version is known for
// ours. As with secrets, no write can be made conditional (see secret.ts).

import type { JsonObject } from '#domain/json.ts'
import {
  ProviderError,
  type Call,
  type Described,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Prepared,
  type Probe,
  type ProviderPorts,
  type Verdict,
  type VerifyOrder,
} from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import {
  readAutoRotation,
  readKey,
  readKeyVersion,
  readKeyVersions,
  type HeldKey,
  type KeyRow,
} from './key-read.ts'
import { keyRights } from './key-rights.ts'
import { switchKey } from './key-switch.ts'
import { isKeyRefused, makeProof, proofHolds, useOf, type Proof } from './key-use.ts'
import { nameIn } from './refs.ts'
import { requireRights } from './rights.ts'
import type { ObjectSession } from '../session-by-type.ts'
import { unsupported } from './values.ts'
import {
  foreignTags,
  lifetimeMs,
  madeBy,
  tagsFor,
  toVersion,
  versionsDigest,
  switching,
  mustHaveRoom,
} from './versions.ts'

export const makeKey = (
  azure: Azure,
  ports: Pick<ProviderPorts, 'now' | 'random'>,
): ObjectSession => {
  const using = (name: string) => ({ azure, name, random: ports.random })

  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const name = nameIn(object.ref)
    // In this order: what callers get is among the versions that are listed after it.
    const served = await readKey(azure, name, null, call)
    const rows = mustExist(name, await readKeyVersions(azure, name, call, served?.row))
    const autoRotateSeconds = await readAutoRotation(azure, name, call)
    return {
      versions: rows.map((row) => toVersion(row, served?.id ?? null)),
      facts: { ...factsOf(rows, served), autoRotateSeconds },
    }
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const name = nameIn(object.ref)
    const served = await readKey(azure, name, null, call)
    const rows = await readKeyVersions(azure, name, call, served?.row)
    if (current !== null) mustExist(name, rows)
    await requireRights(
      azure,
      keyRights(name).filter(({ asksByWrite }) => asksByWrite === true),
      call,
    )
    if (rows.length === 0) return { preImage: { known: versionsDigest(rows) }, risks: [] }
    const newest = rows.find(({ id }) => id === served?.id)
    if (served === null || newest === undefined)
      throw new ProviderError('precondition', 'none', 'the newest version of the key is disabled', {
        hint: 'enable it: a new version is made after its likeness, and proves itself beside it',
      })
    mustBeOurs(newest)
    if (current !== null && served.id !== current)
      throw new ProviderError('conflict', 'none', `version ${served.id} was not made by Rekey`, {
        hint: `Rekey knows version ${current}: somebody else, or Key Vault itself, has rotated the key; delete it here and register it anew, with version ${served.id}`,
      })
    const use = useOf(served)
    if (use === null)
      throw new ProviderError('unsupported', 'none', 'Rekey cannot prove a key of this use', {
        hint: 'it rotates keys that sign, encrypt and decrypt, or wrap and unwrap',
      })
    const proof = await makeProof(using(name), served, use, call)
    const autoRotateSeconds = await readAutoRotation(azure, name, call)
    return {
      preImage: {
        known: versionsDigest(rows),
        tags: foreignTags(newest.tags),
        lifetimeMs: lifetimeMs(newest),
        shape: shapeOf(served),
        proof: { ...proof },
        ...factsOf(rows, served),
        autoRotateSeconds,
      },
      risks: risksOf(autoRotateSeconds),
    }
  }

  const write = async (order: MintOrder, call: Call): Promise<Minted> => {
    const name = nameIn(order.object.ref)
    const { tags, lifetimeMs: lives, shape } = order.preImage
    const { kty, ...rest } = (shape ?? firstShape(azure)) as unknown as Shape
    const { properties } = await azure.write(
      {
        client: 'keys',
        action: 'keys/create/action',
        scope: `/keys/${name}`,
        send: (keys, options) =>
          keys.createKey(name, kty, {
            ...options,
            ...rest,
            tags: tagsFor((tags ?? {}) as Record<string, string>, order.operationId),
            ...(typeof lives === 'number'
              ? { expiresOn: new Date(ports.now().getTime() + lives) }
              : {}),
          }),
      },
      call,
    )
    if (properties.version === undefined)
      throw new ProviderError(
        'outcomeUnknown',
        'unknown',
        'Key Vault did not say which version it made',
      )
    return { providerVersion: properties.version, facts: { kty } }
  }

  const make = async (order: MintOrder, mayBeNew: boolean, call: Call): Promise<Minted> => {
    const name = nameIn(order.object.ref)
    const rows = await readKeyVersions(azure, name, call)
    const ours = madeBy(rows, order.operationId)
    if (ours !== undefined) return { providerVersion: ours.id, facts: {} }
    const known = order.preImage['known'] ?? (mayBeNew ? versionsDigest([]) : null)
    if (versionsDigest(rows) === known) return write(order, call)
    throw mayBeNew
      ? new ProviderError('conflict', 'none', 'the key is there already', {
          hint: `something is at /keys/${name}: register it without \`create\``,
        })
      : new ProviderError('conflict', 'none', 'somebody else has made a version meanwhile')
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const rows = await readKeyVersions(azure, nameIn(order.object.ref), call)
    const ours = madeBy(rows, order.operationId)
    if (ours !== undefined)
      return { answer: 'ours', value: { providerVersion: ours.id, facts: {} } }
    const known = order.preImage['known'] ?? versionsDigest([])
    if (versionsDigest(rows) === known) return { answer: 'absent' }
    return {
      answer: 'foreign',
      detail: rows.length === 0 ? 'the key was deleted' : 'somebody else has made a version',
    }
  }

  const verify = async (order: VerifyOrder, call: Call): Promise<Verdict> => {
    const name = nameIn(order.object.ref)
    const proof = proofIn(order.preImage)
    switch (order.how) {
      case 'roundTrip':
        return roundTrip(name, order.providerVersion, call)
      case 'oldDataReadable':
        return proof === null
          ? { ok: false, detail: 'preflight left nothing made with the old version', facts: {} }
          : proofHolds(using(name), proof, call)
      case 'refused':
        return isKeyRefused(using(name), order.providerVersion, proof, call)
      case 'login':
        throw unsupported('logging in with a key')
    }
  }

  const roundTrip = async (name: string, version: string, call: Call): Promise<Verdict> => {
    const key = await readKey(azure, name, version, call)
    const use = key === null ? null : useOf(key)
    if (key === null || use === null)
      return { ok: false, detail: `version ${version} cannot be used`, facts: { version } }
    return proofHolds(using(name), await makeProof(using(name), key, use, call), call)
  }

  return {
    describe,
    prepare,
    mint: (order, call) => make(order, false, call),
    create: (order, call) => make(order, true, call),
    probeMint,
    promote: async () => {
      throw unsupported('choosing the current version of a key')
    },
    probePromote: async () => {
      throw unsupported('choosing the current version of a key')
    },
    verify,
    ...switching(
      (name, version, call) => readKeyVersion(azure, name, version, call),
      (at, to, call) => switchKey({ azure, ...at }, to, call),
    ),
    lastUsed: async () => null,
    readMaterial: async () => {
      throw unsupported('reading the material of a key')
    },
    operate: async () => {
      throw unsupported('using a key through Rekey')
    },
  }
}

interface Shape {
  readonly kty: string
  readonly keyOps?: string[]
  readonly keySize?: number
  readonly curve?: string
}

const shapeOf = ({ kty, jwk, operations }: HeldKey): JsonObject => ({
  kty,
  keyOps: [...operations],
  ...(jwk.n === undefined ? {} : { keySize: jwk.n.length * 8 }),
  ...(jwk.crv === undefined ? {} : { curve: jwk.crv }),
})

const firstShape = ({ settings }: Azure): Shape => ({
  kty: settings.isHsm ? 'RSA-HSM' : 'RSA',
  keySize: 3072,
})

const mustExist = (name: string, rows: readonly KeyRow[]): readonly KeyRow[] => {
  if (rows.length > 0) return rows
  throw new ProviderError('notFound', 'none', 'there is no such key in the vault', {
    hint: `nothing is at /keys/${name}: if it was deleted, recover it`,
  })
}

const mustBeOurs = (newest: KeyRow): void => {
  if (newest.managed)
    throw new ProviderError('precondition', 'none', 'the key belongs to a certificate', {
      hint: 'Key Vault makes it with the certificate: rotate the certificate of this name',
    })
  if (newest.exportable)
    throw new ProviderError('unsupported', 'none', 'the key is exportable', {
      hint: 'a new version needs its release policy, which Rekey does not set: rotate it with Key Vault’s own rotation, and register it with observe: native',
    })
  mustHaveRoom('key', newest.tags)
}

const proofIn = ({ proof }: JsonObject): Proof | null =>
  typeof proof === 'object' && proof !== null && 'made' in proof
    ? (proof as unknown as Proof)
    : null

const factsOf = (rows: readonly KeyRow[], served: HeldKey | null): JsonObject => ({
  versions: rows.length,
  served: served?.id ?? null,
  kty: served?.kty ?? null,
  operations: [...(served?.operations ?? [])],
})

const risksOf = (autoRotateSeconds: number | null): readonly string[] => [
  'Nothing can undo the rotation: callers who name no version use the new one at once.',
  ...(autoRotateSeconds === null || autoRotateSeconds === 0
    ? []
    : [
        `Key Vault rotates this key by itself about every ${Math.round(autoRotateSeconds / 86_400)} days (rotation policy): take the Rotate action out of it, or its rotations will look like somebody else’s.`,
      ]),
]
