// What a new issuer is asked for, so that it is like the one that it follows: subject, kind of key, life, path length. What
// cannot be carried over is refused rather than left out: a certificate without its name constraints may sign for everybody.

import type { X509Certificate } from 'node:crypto'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import type { Issuer } from './issuer-read.ts'

/** Names of X.509 as Node writes them, and as Vault calls them. */
const subjectFields: Readonly<Record<string, string>> = {
  CN: 'common_name',
  O: 'organization',
  OU: 'ou',
  C: 'country',
  L: 'locality',
  ST: 'province',
  street: 'street_address',
  postalCode: 'postal_code',
}

/** `parent`: the certificate of whoever signs it; null: a root, which signs itself. */
export const likenessOf = (
  { certificate, own }: Pick<Issuer, 'certificate' | 'own'>,
  parent: X509Certificate | null,
  now: Date,
): JsonObject => {
  const signedItself =
    certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey)
  if (parent === null && !signedItself)
    throw unlike('it is an intermediate: say in ref.parent which authority of this Vault signs it')
  if (parent !== null && signedItself)
    throw unlike('it is a root, which ref.parent does not sign: leave that out')
  if (own.length > 0) throw unlike(`it has settings of its own (${own.join(', ')}): unset them`)
  const hex = certificate.raw.toString('hex')
  // 2.5.29.30, name constraints.
  if (hex.includes('0603551d1e')) throw unlike('it has name constraints')
  const leftMs = parent === null ? Infinity : new Date(parent.validTo).getTime() - now.getTime()
  if (leftMs <= 0) throw unlike('the certificate of ref.parent is over: renew that first')
  const life = new Date(certificate.validTo).getTime() - new Date(certificate.validFrom).getTime()
  return {
    ...subjectOf(certificate),
    ...keyOf(certificate),
    ...pathLengthIn(hex),
    // Nobody outlives whoever vouches for them.
    ttl: `${Math.floor(Math.min(life, leftMs) / 1000)}s`,
    exclude_cn_from_sans: true,
  }
}

const subjectOf = ({ subject }: X509Certificate): JsonObject => {
  const told: Record<string, string[]> = {}
  // A line a part; several values of one part stand side by side. A plus sign or backslash of a value is escaped.
  for (const part of subject.split(/\n| \+ /)) {
    const at = part.indexOf('=')
    const field = subjectFields[part.slice(0, at)]
    if (field === undefined) throw unlike(`its subject has ${part.slice(0, at)}`)
    told[field] = [...(told[field] ?? []), part.slice(at + 1).replaceAll(/\\(.)/g, '$1')]
  }
  const { common_name: names = [], ...others } = told
  const [name] = names
  if (name === undefined || names.length > 1)
    throw unlike('its subject has no common name of its own')
  return { ...others, common_name: name }
}

const curves: Readonly<Record<string, number>> = {
  secp224r1: 224,
  prime256v1: 256,
  secp384r1: 384,
  secp521r1: 521,
}

const keyOf = ({ publicKey }: X509Certificate): JsonObject => {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = publicKey
  if (type === 'rsa') return { key_type: 'rsa', key_bits: details.modulusLength ?? 0 }
  const bits = curves[details.namedCurve ?? '']
  if (type === 'ec' && bits !== undefined) return { key_type: 'ec', key_bits: bits }
  if (type === 'ed25519') return { key_type: 'ed25519' }
  throw unlike(`its key is of the kind ${type}`)
}

/** 2.5.29.19, basic constraints: critical, of an authority, with a path length. */
const pathLengthIn = (hex: string): JsonObject => {
  const length = /0603551d130101ff04083006?0101ff0201([0-7][0-9a-f])/.exec(hex)?.[1]
  return length === undefined ? {} : { max_path_length: Number.parseInt(length, 16) }
}

const unlike = (why: string): ProviderError =>
  new ProviderError('unsupported', 'none', 'Rekey cannot make an issuer like the present one', {
    hint: `${why}; or make the next one by hand`,
  })
