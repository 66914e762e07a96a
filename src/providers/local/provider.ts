// The built-in vault as a provider: envelope-encrypted material in Postgres behind `VaultStore`.
// It is the reference for all others: exactly once by primary key (the operation id), a pointer moved by compare-and-swap,
// suspension and destruction that are really refused afterwards.

import { Type } from 'typebox'
import { generateSecret } from '#domain/generate-secret.ts'
import type { JsonObject } from '#domain/json.ts'
import { requestsPerSecondSchema } from '#domain/pace.ts'
import {
  type ConnectArgs,
  type Described,
  type MintOrder,
  type Provider,
  ProviderError,
  type ProviderPorts,
  type Session,
  type VaultRow,
  type Verdict,
  type VerifyOrder,
} from '#domain/provider.ts'
import { revealBytes, Secret } from '#domain/secret.ts'
import { handedOut, missingObject, type NewMaterial, storedVersions } from '../stored-versions.ts'
import {
  decryptWith,
  encryptWith,
  generateKey,
  signWith,
  verifyWith,
  versionOf,
} from './cryptography.ts'
import { type Algorithm, algorithms, localKey, localSecret } from './types.ts'

export const local: Provider = {
  id: 'local',
  title: 'Built-in vault',
  settingsSchema: Type.Object(
    { requestsPerSecond: Type.Optional(requestsPerSecondSchema) },
    { additionalProperties: false },
  ),
  credentialSchema: null,
  types: [localSecret, localKey],
  sharesDatabase: true,
  endpoints: () => [],
  connect: ({ ports }: ConnectArgs) => localSession(ports),
}

type Found = NonNullable<Awaited<ReturnType<ProviderPorts['vault']['look']>>>

const localSession = ({ vault, random, now }: ProviderPorts): Session => {
  const { session, row } = storedVersions(vault, (order) => newMaterial(order, random))
  const describe = async (keyId: string): Promise<Described> => {
    const rows = await vault.list(keyId)
    if (rows.length === 0) throw missingObject()
    return {
      versions: rows.map((of) => ({
        id: String(of.version),
        state: of.state,
        current: of.current,
        createdAt: of.createdAt,
      })),
      facts: publicFacts(rows.find(({ current }) => current)),
    }
  }

  return {
    ...session,
    describe: (object) => describe(object.keyId),
    async prepare(object) {
      const { versions } = await describe(object.keyId)
      return { preImage: { versions: versions.map((version) => version.id) }, risks: [] }
    },
    async verify(order) {
      const { object, providerVersion, how } = order
      const found = await vault.look(
        object.keyId,
        Number(providerVersion),
        how === 'oldDataReadable',
      )
      if (!found) return { ok: how === 'refused', detail: 'there is no such version', facts: {} }
      return how === 'refused' ? refusal(found) : use(order, found)
    },
    async readMaterial(object, version, call) {
      if (object.type !== 'local.secret') {
        throw new ProviderError('unsupported', 'none', 'key material does not leave the vault')
      }
      const material = handedOut(await vault.open(object.keyId, Number(version)))
      if (call.delivery) await vault.used(object.keyId, Number(version), now())
      return material
    },
    async operate(object, version, operation, input) {
      if (object.type !== 'local.key') {
        throw new ProviderError('unsupported', 'none', 'a secret neither signs nor encrypts')
      }
      // A ciphertext names its version; old data opens with an old, even disabled, version until it is destroyed.
      const number = operation === 'decrypt' ? versionOf(input) : Number(version)
      const found = number === null ? null : await row(object.keyId, number)
      if (!found || !isAlgorithm(found.algorithm)) {
        throw new ProviderError('permanent', 'none', 'the input was not made with this key')
      }
      const material = handedOut(
        await vault.open(object.keyId, found.version, operation === 'decrypt'),
      )
      const output =
        operation === 'sign'
          ? signWith(found.algorithm, material, input)
          : operation === 'encrypt'
            ? encryptWith(found.algorithm, material, found.version, input, random)
            : decryptWith(found.algorithm, material, input)
      await vault.used(object.keyId, found.version, now())
      return output
    },
  }

  function use(order: VerifyOrder, { material, ...found }: Found): Verdict {
    const facts = { version: found.version, algorithm: found.algorithm }
    if (!material) return { ok: false, detail: `version ${found.version} is ${found.state}`, facts }
    if (!isAlgorithm(found.algorithm)) {
      const expected = order.material && revealBytes(order.material)
      const same =
        !expected || Buffer.compare(Buffer.from(expected), Buffer.from(material.reveal())) === 0
      return same ? { ok: true, facts } : { ok: false, detail: 'it holds another value', facts }
    }
    const sample = random(32)
    const works =
      found.publicKey === null
        ? Buffer.compare(
            Buffer.from(sample),
            Buffer.from(
              decryptWith(
                found.algorithm,
                material,
                encryptWith(found.algorithm, material, found.version, sample, random),
              ),
            ),
          ) === 0
        : verifyWith(
            found.algorithm,
            found.publicKey,
            sample,
            signWith(found.algorithm, material, sample),
          )
    return works ? { ok: true, facts } : { ok: false, detail: 'a round trip failed', facts }
  }

  /** Tries to use it, as a consumer would, and tells whether that was refused. */
  function refusal({ material, version, state }: Found): Verdict {
    const facts = { operation: 'open', state }
    return material
      ? { ok: false, detail: `version ${version} is still handed out`, facts }
      : { ok: true, facts }
  }
}

const newMaterial = (order: MintOrder, random: (bytes: number) => Uint8Array): NewMaterial => {
  if (order.object.type === 'local.key') {
    const wanted = order.generate['algorithm'] ?? 'aes256'
    if (!isAlgorithm(wanted)) {
      throw new ProviderError('permanent', 'none', 'there is no such algorithm', {
        hint: `use one of ${algorithms.join(', ')}`,
      })
    }
    return { algorithm: wanted, ...generateKey(wanted, random) }
  }
  const material = order.material ?? generateSecret(order.generate, random)
  return { algorithm: 'secret', material: new Secret(revealBytes(material)), publicKey: null }
}

const isAlgorithm = (name: unknown): name is Algorithm =>
  algorithms.some((algorithm) => algorithm === name)

const publicFacts = (current: VaultRow | undefined): JsonObject =>
  current ? { algorithm: current.algorithm, publicKey: current.publicKey } : {}
