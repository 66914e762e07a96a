// What the token's objects say of a key. CKA_LABEL is the pointer: applications find a key by its label, so the version that
// they are to use has exactly that label, and every other one has the label, a `#` and its own id. CKA_ID names the version
// for good; it is chosen from the operation that asked for it.

import { createHash } from 'node:crypto'
import { ProviderError, type ProviderVersion } from '#domain/provider.ts'
import { failureOf } from './failures.ts'
import { type Algorithm, ckk, type KeyObject } from './protocol.ts'

/** 16 bytes, hex. */
export const idFor = (operationId: string): string =>
  createHash('sha256').update(operationId, 'utf8').digest('hex').slice(0, 32)

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

export const kindOf = ({ keyType }: KeyObject): 'RSA' | 'EC' | 'AES' | 'other' =>
  keyType === ckk.rsa ? 'RSA' : keyType === ckk.ec ? 'EC' : keyType === ckk.aes ? 'AES' : 'other'

/** What a new version is made as where nobody says: as the present one. */
export const likeIt = (
  object: KeyObject,
  publicKey: { readonly kty: string; readonly crv?: string; readonly n?: string } | null,
): Algorithm | null => {
  const kind = kindOf(object)
  if (kind === 'AES') return 'aes256'
  if (kind === 'EC') {
    return publicKey?.crv === 'P-384' ? 'ecP384' : publicKey?.crv === 'P-256' ? 'ecP256' : null
  }
  if (kind !== 'RSA') return null
  const bits = Buffer.from(publicKey?.n ?? '', 'base64url').length * 8
  return bits > 3072 ? 'rsa4096' : 'rsa3072'
}
