// Envelope encryption: each sealed row has a data key of its own, wrapped by the key-encryption key (KEK) of this installation.
// Both keys live in files outside the database, so that a copy of the database opens nothing:
//   <data>/kek     `rekey-kek-v1 <base64 of 32 bytes>`
//   <data>/pepper  `rekey-pepper-v1 <number> <base64 of 32 bytes>`; a KEK may change, fingerprints must stay comparable
// A box: nonce (12) ‖ ciphertext ‖ tag (16), AES-256-GCM; the KEK's id and the context are authenticated in both layers.

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
} from 'node:crypto'
import type { Keyring, SealedBox } from '#domain/ports.ts'
import { Secret, revealBytes } from '#domain/secret.ts'
import { readKeyFile, readOrMakeKeyFile } from './key-file.ts'

export interface OpenKeyring extends Keyring {
  /** Fingerprint of the KEK, as it is named in every sealed row. */
  readonly kekId: string
  /** Fingerprint of the pepper: another one makes other fingerprints of the same material. */
  readonly pepperId: string
}

interface KeyFiles {
  readonly kekFile: string
  readonly pepperFile: string
}

const kekForm = {
  what: 'key-encryption key',
  pattern: /^rekey-kek-v1 ([A-Za-z0-9+/]{43}=)\s*$/,
  make: () => `rekey-kek-v1 ${randomBytes(32).toString('base64')}\n`,
}
const pepperForm = {
  what: 'fingerprint pepper',
  pattern: /^rekey-pepper-v1 1 ([A-Za-z0-9+/]{43}=)\s*$/,
  make: () => `rekey-pepper-v1 1 ${randomBytes(32).toString('base64')}\n`,
}

/** Opens the key files, or makes them at the first start. Throws when somebody else can read one. */
export const openKeyring = async (files: KeyFiles): Promise<OpenKeyring> => {
  const kek = await readOrMakeKeyFile(files.kekFile, kekForm)
  const pepper = await readOrMakeKeyFile(files.pepperFile, pepperForm)
  return makeKeyring(Buffer.from(kek, 'base64'), Buffer.from(pepper, 'base64'))
}

/** Fingerprints of the keys that are there; null for one that is not. Makes none. */
export const keyringIds = async (
  files: KeyFiles,
): Promise<{ readonly kekId: string | null; readonly pepperId: string | null }> => {
  const kek = await readKeyFile(files.kekFile, kekForm)
  const pepper = await readKeyFile(files.pepperFile, pepperForm)
  return {
    kekId: kek === null ? null : nameOf('kek', Buffer.from(kek, 'base64')),
    pepperId: pepper === null ? null : nameOf('pepper', Buffer.from(pepper, 'base64')),
  }
}

export const makeKeyring = (kek: Uint8Array, pepper: Uint8Array): OpenKeyring => {
  if (kek.length !== 32 || pepper.length !== 32)
    throw new RangeError('keys of the keyring are 32 bytes')
  const kekId = nameOf('kek', kek)
  const pepperId = nameOf('pepper', pepper)
  // The first byte names the pepper: after a change of pepper, old fingerprints still say what they were made with.
  const fingerprintOf = (digest: Uint8Array): Uint8Array =>
    new Uint8Array([1, ...createHmac('sha256', pepper).update(digest).digest()])
  return {
    kekId,
    pepperId,
    seal: (material, context) => {
      const dataKey = randomBytes(32)
      try {
        return {
          kekId,
          wrappedKey: encrypt(kek, dataKey, layer('key', kekId, context)),
          ciphertext: encrypt(dataKey, revealBytes(material), layer('material', kekId, context)),
        }
      } finally {
        dataKey.fill(0)
      }
    },
    open: (box, context) => {
      if (box.kekId !== kekId) throw new WrongKek(box, kekId)
      const dataKey = decrypt(kek, box.wrappedKey, layer('key', kekId, context))
      try {
        return new Secret(decrypt(dataKey, box.ciphertext, layer('material', kekId, context)))
      } finally {
        dataKey.fill(0)
      }
    },
    fingerprint: (material) =>
      fingerprintOf(createHash('sha256').update(revealBytes(material)).digest()),
    fingerprintOf,
    mac: (purpose, text) => {
      const key = Buffer.from(
        hkdfSync('sha256', kek, new Uint8Array(), `rekey-mac\n${purpose}`, 32),
      )
      return new Uint8Array(createHmac('sha256', key).update(text, 'utf8').digest())
    },
  }
}

const nameOf = (what: 'kek' | 'pepper', key: Uint8Array): string =>
  createHash('sha256').update(`rekey-${what}-id\n`).update(key).digest('hex').slice(0, 16)

export class WrongKek extends Error {
  constructor(box: Pick<SealedBox, 'kekId'>, ours: string) {
    super(`sealed under the key-encryption key ${box.kekId}, but the one in use is ${ours}`)
    this.name = 'WrongKek'
  }
}

const layer = (name: 'key' | 'material', kekId: string, context: string): Uint8Array =>
  new TextEncoder().encode(`rekey-seal-v1\n${name}\n${kekId}\n${context}`)

const encrypt = (key: Uint8Array, plain: Uint8Array, aad: Uint8Array): Uint8Array => {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad)
  const body = Buffer.concat([cipher.update(plain), cipher.final()])
  return new Uint8Array(Buffer.concat([nonce, body, cipher.getAuthTag()]))
}

const decrypt = (key: Uint8Array, box: Uint8Array, aad: Uint8Array): Uint8Array => {
  if (box.length < 28) throw new RangeError('a sealed box is at least 28 bytes')
  const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(0, 12), { authTagLength: 16 })
    .setAAD(aad)
    .setAuthTag(box.subarray(box.length - 16))
  const body = decipher.update(box.subarray(12, box.length - 16))
  return new Uint8Array(Buffer.concat([body, decipher.final()]))
}
