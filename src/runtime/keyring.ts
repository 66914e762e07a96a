// Envelope encryption: each sealed row has a data key of its own, wrapped by the key-encryption key (KEK) of this installation.
// The keys live in files outside the database, so that a copy of the database opens nothing:
//   <data>/kek     a line for each KEK, `rekey-kek-v1 <base64 of 32 bytes>`
//   <data>/pepper  `rekey-pepper-v1 <number> <base64 of 32 bytes>`; a KEK may change, fingerprints must stay comparable
// A box: nonce (12) ‖ ciphertext ‖ tag (16), AES-256-GCM; the KEK's id and the context are authenticated in both layers.
//
// Every KEK of the file opens; which one seals is said by the database, where all processes read it (usecases/follow-keks.ts).
// The file is read again now and then, and at once where a row names a KEK that was not in it: so a process that stood still
// while the KEK was changed opens what the others sealed meanwhile. What was read once is kept until the database says that it
// is retired: a line that somebody took out too early stops the next start, and not what runs.

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
} from 'node:crypto'
import { RekeyError } from '#domain/errors.ts'
import type { KekFile, KekRing, KekWord, Keyring, SealedBox } from '#domain/ports.ts'
import { Secret, revealBytes } from '#domain/secret.ts'
import { readKeyFile, readOrMakeKeyFile, replaceKeyFile } from './key-file.ts'

export interface OpenKeyring extends Keyring, KekRing {
  /** Fingerprints of all KEKs that open. */
  readonly kekIds: readonly string[]
  /** Fingerprint of the pepper: another one makes other fingerprints of the same material. */
  readonly pepperId: string
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
const pepperForm = {
  what: 'fingerprint pepper',
  pattern: /^rekey-pepper-v1 1 ([A-Za-z0-9+/]{43}=)\s*$/,
  make: () => `rekey-pepper-v1 1 ${randomBytes(32).toString('base64')}\n`,
}

type ReadKeks = () => readonly Uint8Array[]

const keksIn = (text: string | null): readonly Uint8Array[] =>
  [...(text ?? '').matchAll(/^rekey-kek-v1 (\S+)/gm)].map((line) =>
    Buffer.from(line[1] ?? '', 'base64'),
  )

/** Opens the key files, or makes them at the first start. Throws when somebody else can read one. */
export const openKeyring = async (files: KeyFiles): Promise<OpenKeyring> => {
  await readOrMakeKeyFile(files.kekFile, kekForm)
  const pepper = await readOrMakeKeyFile(files.pepperFile, pepperForm)
  return keyringOver(
    () => keksIn(readKeyFile(files.kekFile, kekForm)),
    Buffer.from(pepper, 'base64'),
  )
}

/** Fingerprints of the keys that are there; none, and null, where there is no file. Makes none. */
export const keyringIds = (
  files: KeyFiles,
): { readonly kekIds: readonly string[]; readonly pepperId: string | null } => {
  const pepper = readKeyFile(files.pepperFile, pepperForm)
  return {
    kekIds: keksIn(readKeyFile(files.kekFile, kekForm)).map((kek) => nameOf('kek', kek)),
    pepperId: pepper === null ? null : nameOf('pepper', Buffer.from(pepper, 'base64')),
  }
}

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
  keyringOver(() => [kek], pepper)

export const keyringOver = (read: ReadKeks, pepper: Uint8Array): OpenKeyring => {
  const keks = makeKeks(read)
  const pepperId = nameOf('pepper', sound(pepper))
  // The first byte names the pepper: after a change of pepper, old fingerprints still say what they were made with.
  const fingerprintOf = (digest: Uint8Array): Uint8Array =>
    new Uint8Array([1, ...createHmac('sha256', pepper).update(digest).digest()])
  const mac = (kek: Uint8Array, purpose: string, text: string): Uint8Array => {
    const key = Buffer.from(hkdfSync('sha256', kek, new Uint8Array(), `rekey-mac\n${purpose}`, 32))
    return new Uint8Array(createHmac('sha256', key).update(text, 'utf8').digest())
  }
  return {
    get kekId() {
      return keks.sealing
    },
    get kekIds() {
      return keks.all()
    },
    get fileKekIds() {
      return keks.inFile
    },
    pepperId,
    reread: () => keks.reread(),
    obey: (word) => keks.obey(word),
    seal: (material, context) => {
      const kekId = keks.sealing
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
    fingerprint: (material) =>
      fingerprintOf(createHash('sha256').update(revealBytes(material)).digest()),
    fingerprintOf,
    mac: (purpose, text) => mac(keks.find(keks.sealing), purpose, text),
    macs: (purpose, text) => {
      const others = keks.all().filter((id) => id !== keks.sealing)
      const of = (id: string): Uint8Array => mac(keks.find(id), purpose, text)
      return [of(keks.sealing), ...others.map(of)]
    },
  }
}

/** The KEKs that open, and the one that seals: the first of the file, until the database says another. */
const makeKeks = (read: ReadKeks) => {
  const known = new Map<string, Uint8Array>()
  const retired = new Set<string>()
  let inFile: readonly string[] = []
  const reread = (): void => {
    const found = read().map((kek) => [nameOf('kek', sound(kek)), kek] as const)
    inFile = found.map(([id]) => id)
    for (const [id, kek] of found) if (!retired.has(id)) known.set(id, kek)
  }
  reread()
  let sealing = inFile[0] ?? ''
  const find = (id: string): Uint8Array => {
    const kek = known.get(id)
    if (kek !== undefined) return kek
    try {
      reread()
    } catch (cause) {
      throw new WrongKek(id, [...known.keys()], cause)
    }
    const come = known.get(id)
    if (come === undefined) throw new WrongKek(id, [...known.keys()])
    return come
  }
  return {
    get sealing() {
      return sealing
    },
    get inFile() {
      return inFile
    },
    all: () => [...known.keys()],
    reread,
    find,
    obey: (word: KekWord): void => {
      if (word.seals !== null) {
        find(word.seals)
        sealing = word.seals
      }
      for (const id of word.retired) {
        retired.add(id)
        if (id !== sealing) known.delete(id)
      }
    },
  }
}

const sound = (key: Uint8Array): Uint8Array => {
  if (key.length !== 32) throw new RangeError('keys of the keyring are 32 bytes')
  return key
}

const nameOf = (what: 'kek' | 'pepper', key: Uint8Array): string =>
  createHash('sha256').update(`rekey-${what}-id\n`).update(key).digest('hex').slice(0, 16)

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
