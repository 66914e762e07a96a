// `vault.transit.key`: a key inside Vault's transit engine. Rotating adds a version; Vault keeps the old ones for what was
// made with them, so rotation revokes nothing. The current version cannot be moved back, and no single old version can be
// switched off: there is nothing to undo, suspend or retire.
//
// `rotate` takes no token and no check-and-set. It is sent once, only while `latest_version` is what the pre-image says;
// after a lost answer the probe looks whether it grew. Who made it grow cannot be told: `goalMet`.

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
  type ProviderVersion,
  type Verdict,
  type VerifyOrder,
} from '#domain/provider.ts'
import { readTransitRef, type TransitRef } from './refs.ts'
import { requireRights } from './rights.ts'
import type { Ask, ObjectType } from './session.ts'
import { makeTransitUse, useOf, type Proof } from './transit-use.ts'
import { transitRights } from './transit-rights.ts'
import { fieldsOf, numberOf, textOf, type Fields } from '../untyped-json.ts'
import { versionNumber } from './values.ts'

export const makeTransit = (ask: Ask, random: (bytes: number) => Uint8Array): ObjectType => {
  const use = makeTransitUse(ask, random)

  const readKey = async (ref: TransitRef, call: Call): Promise<Fields | null> => {
    const reply = await ask({ verb: 'read', path: ref.keyPath, accept: [404] }, call)
    if (reply.status !== 404) return reply.data
    if (reply.errors.length === 0) return null
    throw new ProviderError('notFound', 'none', 'nothing in Vault answers at this path', {
      hint: `check that transit is mounted at ${ref.mount}/, and the namespace`,
    })
  }

  const keyOf = async (ref: TransitRef, call: Call): Promise<Fields> => {
    const key = await readKey(ref, call)
    if (key === null)
      throw new ProviderError('notFound', 'none', 'there is no such transit key', {
        hint: `nothing is at ${ref.keyPath}`,
      })
    return key
  }

  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const key = await keyOf(readTransitRef(object.ref), call)
    return { versions: versionsOf(key), facts: factsOf(key) }
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const ref = readTransitRef(object.ref)
    const key = current === null ? await readKey(ref, call) : await keyOf(ref, call)
    if (key === null) {
      await requireRights(
        ask,
        transitRights(ref).filter((r) => r.name === 'create'),
        call,
      )
      return { preImage: { latest: 0 }, risks: [] }
    }
    const latest = numberOf(key['latest_version'])
    const kind = useOf(key)
    await requireRights(
      ask,
      transitRights(ref, kind).filter((r) => ['rotate', 'verify'].includes(r.name)),
      call,
    )
    // Made with the version in use: afterwards it proves that old data can still be read.
    const proof = await use.make(ref, key, latest, call)
    return {
      preImage: { latest, proof: proof as unknown as JsonObject, ...factsOf(key) },
      risks: risksOf(key, current),
    }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = readTransitRef(order.object.ref)
    const pre = latestIn(order)
    if (pre === 0) return create(order, call)
    const before = numberOf((await keyOf(ref, call))['latest_version'])
    if (before !== pre)
      throw new ProviderError(
        'conflict',
        'none',
        `the key is at version ${before}, and was at ${pre}`,
      )
    const reply = await ask({ verb: 'write', path: ref.rotatePath, body: {}, changes: true }, call)
    // Newer servers answer with the key; older ones with 204.
    const told = numberOf(reply.data['latest_version'])
    return minted(told === 0 ? await latestAfter(ref, call) : told)
  }

  const create = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = readTransitRef(order.object.ref)
    const found = await readKey(ref, call)
    if (found !== null) {
      // Preflight saw no key, so this is ours asked twice, or somebody made the same one meanwhile: the goal is met.
      const latest = numberOf(found['latest_version'])
      if (latest === 1 && fieldsOf(order.preImage)['latest'] === 0) return minted(latest)
      throw new ProviderError('conflict', 'none', 'the key exists already', {
        hint: `something is at ${ref.keyPath}: register it without \`create\``,
      })
    }
    await ask(
      {
        verb: 'write',
        path: ref.keyPath,
        body: { type: 'aes256-gcm96' },
        changes: true,
      },
      call,
    )
    return minted(1)
  }

  // The effect is done: a failure to read what it made leaves it unknown, and the probe finds it.
  const latestAfter = async (ref: TransitRef, call: Call): Promise<number> => {
    try {
      return numberOf((await keyOf(ref, call))['latest_version'])
    } catch (error) {
      const kind =
        error instanceof ProviderError && error.kind === 'timeout' ? 'timeout' : 'outcomeUnknown'
      throw new ProviderError(
        kind,
        'unknown',
        'the key was rotated, but its version could not be read',
      )
    }
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const ref = readTransitRef(order.object.ref)
    const pre = latestIn(order)
    const key = await readKey(ref, call)
    if (key === null)
      return pre === 0
        ? { answer: 'absent' }
        : { answer: 'foreign', detail: `the key, at version ${pre} before, was deleted` }
    const latest = numberOf(key['latest_version'])
    if (latest === pre) return { answer: 'absent' }
    if (latest < pre)
      return {
        answer: 'foreign',
        detail: `the key is at version ${latest}, and was at ${pre}: it was restored or made again`,
      }
    return { answer: 'goalMet', value: minted(latest) }
  }

  const verify = async (order: VerifyOrder, call: Call): Promise<Verdict> => {
    const ref = readTransitRef(order.object.ref)
    const version = versionNumber(order.providerVersion)
    switch (order.how) {
      case 'roundTrip': {
        const key = await keyOf(ref, call)
        const { verdict } = await use.roundTrip(ref, key, version, call)
        return verdict
      }
      case 'oldDataReadable': {
        const proof = proofIn(order.preImage)
        return proof === null
          ? { ok: false, detail: 'preflight left nothing made with the old version', facts: {} }
          : use.holds(ref, proof, call)
      }
      case 'refused': {
        const key = await keyOf(ref, call)
        const { verdict, refused } = await use.roundTrip(ref, key, version, call)
        const facts = { ...verdict.facts, status: refused }
        if (refused === null)
          return { ok: false, detail: `version ${version} is still accepted`, facts }
        // It makes nothing new; what it made before must not open either.
        const proof = proofIn(order.preImage)
        const old =
          proof === null || proof.version !== version ? null : await use.holds(ref, proof, call)
        return old?.ok === true
          ? { ok: false, detail: `what version ${version} made is still accepted`, facts }
          : { ok: true, facts }
      }
      case 'login':
        throw unsupported('logging in with a transit key')
    }
  }

  return {
    // What verifying needs depends on what the key can do; without the right to read it, encryption is assumed.
    rights: async (object, call) => {
      const ref = readTransitRef(object.ref)
      const reply = await ask({ verb: 'read', path: ref.keyPath, accept: [403, 404] }, call)
      const kind = reply.status === 200 ? useOf(reply.data) : 'encryption'
      return transitRights(ref, kind).filter(({ name }) => name !== 'create')
    },
    describe,
    prepare,
    mint,
    create,
    probeMint,
    verify,
    promote: async () => {
      throw unsupported('choosing the current version of a transit key')
    },
    probePromote: async () => {
      throw unsupported('choosing the current version of a transit key')
    },
    suspend: async () => {
      throw unsupported('switching off one version of a transit key')
    },
    reinstate: async () => {
      throw unsupported('switching on one version of a transit key')
    },
    retire: async () => {
      throw unsupported('retiring one version of a transit key')
    },
    stateOf: async (object, providerVersion, call) => {
      const key = await readKey(readTransitRef(object.ref), call)
      return key === null ? 'absent' : stateIn(key, versionNumber(providerVersion))
    },
    lastUsed: async () => null,
    readMaterial: async () => {
      throw unsupported('reading the material of a transit key')
    },
    operate: async () => {
      throw unsupported('using a transit key through Rekey')
    },
  }
}

const latestIn = (order: MintOrder): number => numberOf(fieldsOf(order.preImage)['latest'])

const minted = (version: number): Minted => ({
  providerVersion: String(version),
  facts: { version },
})

const proofIn = (preImage: JsonObject): Proof | null => {
  const proof = fieldsOf(preImage['proof'])
  return textOf(proof['made']) === '' ? null : (proof as unknown as Proof)
}

/** Vault drops versions below `min_available_version` and uses none below `min_decryption_version`. */
const stateIn = (key: Fields, version: number): 'enabled' | 'disabled' | 'destroyed' | 'absent' => {
  if (version > numberOf(key['latest_version'])) return 'absent'
  if (version < numberOf(key['min_available_version'])) return 'destroyed'
  return version < numberOf(key['min_decryption_version']) ? 'disabled' : 'enabled'
}

const versionsOf = (key: Fields): readonly ProviderVersion[] => {
  const latest = numberOf(key['latest_version'])
  const first = Math.max(1, numberOf(key['min_available_version']))
  const rows = fieldsOf(key['keys'])
  return Array.from({ length: Math.max(0, latest - first + 1) }, (_, i) => {
    const version = first + i
    const createdAt = createdIn(rows[String(version)])
    const state = stateIn(key, version)
    return {
      id: String(version),
      state: state === 'enabled' ? 'enabled' : 'disabled',
      current: version === latest,
      ...(createdAt === null ? {} : { createdAt }),
    }
  })
}

/** Seconds since 1970 for symmetric keys, an object with a date for the others. */
const createdIn = (row: unknown): Date | null => {
  if (typeof row === 'number') return new Date(row * 1000)
  const at = new Date(textOf(fieldsOf(row)['creation_time']))
  return Number.isNaN(at.getTime()) ? null : at
}

const factsOf = (key: Fields): JsonObject => ({
  algorithm: textOf(key['type']),
  latestVersion: numberOf(key['latest_version']),
  minDecryptionVersion: numberOf(key['min_decryption_version']),
  minEncryptionVersion: numberOf(key['min_encryption_version']),
  autoRotateSeconds: numberOf(key['auto_rotate_period']),
  exportable: key['exportable'] === true,
  deletionAllowed: key['deletion_allowed'] === true,
})

const risksOf = (key: Fields, current: string | null): readonly string[] => {
  const latest = numberOf(key['latest_version'])
  const auto = numberOf(key['auto_rotate_period'])
  return [
    'Transit rotation revokes nothing: what older versions made stays readable, and nothing can undo the rotation.',
    ...(auto === 0
      ? []
      : [
          `Vault rotates this key by itself every ${auto} s (auto_rotate_period): set it to 0, or its rotations will look like somebody else’s.`,
        ]),
    ...(current !== null && latest > versionNumber(current)
      ? [
          `The key was rotated to version ${latest} by Vault or by somebody else; Rekey knew version ${current}.`,
        ]
      : []),
    ...(key['exportable'] === true
      ? ['The key is exportable: its material may have left Vault.']
      : []),
  ]
}

const unsupported = (what: string): ProviderError =>
  new ProviderError('unsupported', 'none', `${what} is not possible in Vault`)
