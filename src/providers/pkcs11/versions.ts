// What the token's objects say of a key. CKA_LABEL is the pointer: applications find a key by its label, so the version that
// they are to use has exactly that label, and every other one has the label, a `#` and its own id. CKA_ID names the version
// for good; it is chosen from the operation that asked for it.

import { createHash } from 'node:crypto'
import { ProviderError, type ProviderVersion } from '#domain/provider.ts'
import { failureOf } from './failures.ts'
import { type Algorithm, ckk, type Extra, type KeyObject } from './protocol.ts'

/** 16 bytes, hex. */
export const idFor = (operationId: string): string =>
  createHash('sha256').update(operationId, 'utf8').digest('hex').slice(0, 32)

/** Those of the attempts before this one. */
export const earlierIds = (operationId: string): readonly string[] => {
  const [, stem = '', attempt = '1'] = /^(.*:)(\d+)$/s.exec(operationId) ?? []
  return Array.from({ length: Number(attempt) - 1 }, (_, n) => idFor(`${stem}${n + 1}`))
}

export const asideLabel = (label: string, id: string): string => `${label}#${id}`

/** The label that a key is found by, without what sets a version aside. */
export const plainLabel = (label: string): string => label.replace(/#.*$/s, '')

/** Fails closed: an id that two objects have names none of them. */
export const checked = (objects: readonly KeyObject[]): readonly KeyObject[] => {
  const seen = new Set<string>()
  for (const { id } of objects) {
    if (id === '') {
      throw new ProviderError('precondition', 'none', 'a key of this label has no CKA_ID', {
        hint: 'give it one: an object without an id cannot be told from another',
      })
    }
    if (seen.has(id)) throw failureOf({ kind: 'twoObjects', id }, 'objects')
    seen.add(id)
  }
  return objects
}

/** Whether it makes anything new. */
export const isEnabled = ({ usage }: KeyObject): boolean =>
  usage.sign || usage.encrypt || usage.wrap

export const versionOf = (object: KeyObject, label: string): ProviderVersion => ({
  id: object.id,
  state: isEnabled(object) ? 'enabled' : 'disabled',
  current: object.label === label,
})

export type Kind = 'RSA' | 'EC' | 'AES' | 'other'
export const kindOf = ({ keyType }: KeyObject): Kind =>
  keyType === ckk.rsa ? 'RSA' : keyType === ckk.ec ? 'EC' : keyType === ckk.aes ? 'AES' : 'other'

export const kindMade: Readonly<Record<Algorithm, Kind>> = {
  aes256: 'AES',
  ecP256: 'EC',
  ecP384: 'EC',
  rsa2048: 'RSA',
  rsa3072: 'RSA',
  rsa4096: 'RSA',
}

/** What it may do beside that for which each key of its kind is made. */
export const extrasOf = ({ kind, usage }: KeyObject): readonly Extra[] => [
  ...(kind === 'secret' && (usage.sign || usage.verify) ? (['sign'] as const) : []),
  ...(kind === 'private' && usage.decrypt ? (['encrypt'] as const) : []),
  ...(usage.wrap || usage.unwrap ? (['wrap'] as const) : []),
]

/** What a new version is made as where nobody says: as the present one. Null: it is not known, or not made. */
export const likeIt = (
  object: KeyObject,
  publicKey: { readonly kty: string; readonly crv?: string; readonly n?: string } | null,
): Algorithm | null => {
  const kind = kindOf(object)
  if (kind === 'AES') return 'aes256'
  if (kind === 'EC') {
    return publicKey?.crv === 'P-384' ? 'ecP384' : publicKey?.crv === 'P-256' ? 'ecP256' : null
  }
  if (kind !== 'RSA' || publicKey?.n === undefined) return null
  const bits = Buffer.from(publicKey.n, 'base64url').length * 8
  return bits > 3072 ? 'rsa4096' : bits > 2048 ? 'rsa3072' : 'rsa2048'
}
