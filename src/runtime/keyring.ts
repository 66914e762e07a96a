// Envelope encryption: each sealed row has a data key of its own, wrapped by the key-encryption key (KEK) of this installation.
// The keys live in files outside the database, so that a copy of the database opens nothing:
//   <data>/kek     a line for each KEK, `rekey-kek-v1 <base64 of 32 bytes>`
//   <data>/pepper  a line for each pepper, `rekey-pepper-v1 <number> <base64 of 32 bytes>`; what fingerprints are made with
// A box: nonce (12) ‖ ciphertext ‖ tag (16), AES-256-GCM; the KEK's id and the context are authenticated in both layers.
//
// Every KEK of the file opens; which one seals is said by the database, where all processes read it (usecases/follow-own-keys.ts).
// The file is read again now and then, and at once where a row names a KEK that was not in it: so a process that stood still
// while the KEK was changed opens what the others sealed meanwhile. What was read once is kept until the database says that it
// is retired: a line that somebody took out too early stops the next start, and not what runs. The same holds for peppers.

import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { RekeyError } from '#domain/errors.ts'
import type { PepperName } from '#domain/pepper.ts'
import type { KekFile, KekRing, Keyring, SealedBox } from '#domain/ports.ts'
import { Secret, revealBytes } from '#domain/secret.ts'
import { readKeyFile, readOrMakeKeyFile, replaceKeyFile } from './key-file.ts'
import { makeRing, nameOf, sound } from './key-ring.ts'
import {
  makePeppers,
  openPepperFile,
  type OpenPeppers,
  pepperFile,
  type ReadPeppers,
} from './peppers.ts'

export interface OpenKeyring extends Keyring, KekRing {
  /** Fingerprints of all KEKs that open. */
  readonly kekIds: readonly string[]
  readonly peppers: OpenPeppers
}

interface KeyFiles {
  readonly kekFile: string
  readonly pepperFile: string
}

const kekLine = (kek: Uint8Array): string => `rekey-kek-v1 ${Buffer.from(kek).toString('base64')}\n`
const kekForm = {
  what: 'key-encryption key',
  pattern: /^((?:rekey-kek-v1 [A-Za-z0-9+/]{43}=[ \t\r]*(?:\n\s*|$))+)$/,
  make: () => kekLine(randomBytes(32)),
}
type ReadKeks = () => readonly Uint8Array[]

const keksIn = (text: string | null): readonly Uint8Array[] =>
  [...(text ?? '').matchAll(/^rekey-kek-v1 (\S+)/gm)].map((line) =>
    Buffer.from(line[1] ?? '', 'base64'),
  )

/** Opens the key files, or makes them at the first start. Throws when somebody else can read one. */
export const openKeyring = async (files: KeyFiles): Promise<OpenKeyring> => {
  await readOrMakeKeyFile(files.kekFile, kekForm)
  const peppers = await openPepperFile(files.pepperFile)
  return keyringOver(() => keksIn(readKeyFile(files.kekFile, kekForm)), peppers)
}

/** Fingerprints of the keys that are there; none where there is no file. Makes none. */
export const keyringIds = (
  files: KeyFiles,
): { readonly kekIds: readonly string[]; readonly peppers: readonly PepperName[] } => ({
  kekIds: keksIn(readKeyFile(files.kekFile, kekForm)).map((kek) => nameOf('kek', kek)),
  peppers: pepperFile(files.pepperFile).peppers(),
})

/** The file of the KEKs, for the command that changes it. */
export const kekFile = (path: string): KekFile => ({
  path,
  ids: () => keksIn(readKeyFile(path, kekForm)).map((kek) => nameOf('kek', kek)),
  add: async () => {
    const kek = randomBytes(32)
    await replaceKeyFile(path, [...keksIn(readKeyFile(path, kekForm)), kek].map(kekLine).join(''))
    return nameOf('kek', kek)
  },
  remove: async (id) => {
    const keks = keksIn(readKeyFile(path, kekForm))
    const left = keks.filter((kek) => nameOf('kek', kek) !== id)
    if (left.length === keks.length || left.length === 0) return false
    await replaceKeyFile(path, left.map(kekLine).join(''))
    return true
  },
})

export const makeKeyring = (kek: Uint8Array, pepper: Uint8Array): OpenKeyring =>
  keyringOver(
    () => [kek],
    () => [[1, pepper]],
  )

export const keyringOver = (readKeks: ReadKeks, readPeppers: ReadPeppers): OpenKeyring => {
  const keks = makeRing(
    () => readKeks().map((kek) => [nameOf('kek', sound(kek)), kek] as const),
    (id, ours, cause) => new WrongKek(id, ours, cause),
  )
  const peppers = makePeppers(readPeppers)
  const mac = (kek: Uint8Array, purpose: string, text: string): Uint8Array => {
    const key = Buffer.from(hkdfSync('sha256', kek, new Uint8Array(), `rekey-mac\n${purpose}`, 32))
    return new Uint8Array(createHmac('sha256', key).update(text, 'utf8').digest())
  }
  return {
    get kekId() {
      return keks.active
    },
    get kekIds() {
      return keks.all()
    },
    get fileKekIds() {
      return keks.inFile
    },
    peppers: peppers.ring,
    reread: () => keks.reread(),
    obey: ({ seals, retired }) => keks.obey(seals, retired),
    seal: (material, context) => {
      const kekId = keks.active
      const kek = keks.find(kekId)
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
    open: ({ kekId, wrappedKey, ciphertext }, context) => {
      const dataKey = decrypt(keks.find(kekId), wrappedKey, layer('key', kekId, context))
      try {
        return new Secret(decrypt(dataKey, ciphertext, layer('material', kekId, context)))
      } finally {
        dataKey.fill(0)
      }
    },
    get pepper() {
      return peppers.ring.making.number
    },
    ...peppers.fingerprinting,
    mac: (purpose, text) => mac(keks.find(keks.active), purpose, text),
    macs: (purpose, text) => {
      const others = keks.all().filter((id) => id !== keks.active)
      const of = (id: string): Uint8Array => mac(keks.find(id), purpose, text)
      return [of(keks.active), ...others.map(of)]
    },
  }
}

/** 503: another process, or a start with the right file, can do what was asked. */
export class WrongKek extends RekeyError {
  constructor(kekId: SealedBox['kekId'], ours: readonly string[], cause?: unknown) {
    super('service.unavailable', {
      detail: `what is needed is sealed under the key-encryption key ${kekId}, but here is ${ours.join(', ')}`,
      hint: 'See: rekey doctor',
      cause,
    })
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
