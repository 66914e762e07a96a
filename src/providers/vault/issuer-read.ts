// The issuers of a PKI mount as Vault tells them, and their certificates.

import { X509Certificate } from 'node:crypto'
import { ProviderError, type Call, type ProviderVersion } from '#domain/provider.ts'
import type { IssuerRef } from './refs.ts'
import type { Ask } from './session.ts'
import { fieldsOf, numberOf, textOf, textsOf, type Fields } from '../untyped-json.ts'

export interface Listed {
  readonly id: string
  readonly name: string
  /** Empty: a certificate of somebody else's, kept for the chain. It issues nothing. */
  readonly keyId: string
  readonly isDefault: boolean
}

export const listIssuers = async (
  ask: Ask,
  ref: IssuerRef,
  call: Call,
): Promise<readonly Listed[]> => {
  const reply = await ask({ verb: 'list', path: ref.listPath, accept: [404] }, call)
  return Object.entries(fieldsOf(reply.data['key_info']))
    .map(([id, info]): Listed => {
      const told = fieldsOf(info)
      return {
        id,
        name: textOf(told['issuer_name']),
        keyId: textOf(told['key_id']),
        isDefault: told['is_default'] === true,
      }
    })
    .filter(({ keyId }) => keyId !== '')
}

export const listKeys = async (
  ask: Ask,
  ref: Pick<IssuerRef, 'keysPath'>,
  call: Call,
): Promise<readonly { readonly id: string; readonly name: string }[]> => {
  const { data } = await ask({ verb: 'list', path: ref.keysPath, accept: [404] }, call)
  return Object.entries(fieldsOf(data['key_info'])).map(([id, info]) => ({
    id,
    name: textOf(fieldsOf(info)['key_name']),
  }))
}

export interface Issuer {
  readonly id: string
  readonly keyId: string
  readonly usage: readonly string[]
  readonly revoked: boolean
  /** What is set for it beside what a new one has: by the names that Vault has for it. */
  readonly own: readonly string[]
  readonly certificate: X509Certificate
}

/** What lets an issuer sign leaves; without it, it still signs its revocation lists. */
export const issuing = 'issuing-certificates'

/** Null: there is none of that id (any more). */
export const readIssuer = async (
  ask: Ask,
  ref: Pick<IssuerRef, 'issuerPath'>,
  id: string,
  call: Call,
): Promise<Issuer | null> => {
  const reply = await ask(
    {
      verb: 'read',
      path: ref.issuerPath(id),
      accept: [404],
      acceptSaying: /unable to find PKI issuer/,
    },
    call,
  )
  if (reply.status !== 200) return null
  return {
    id: textOf(reply.data['issuer_id']),
    keyId: textOf(reply.data['key_id']),
    usage: textOf(reply.data['usage']).split(',').filter(Boolean),
    revoked: reply.data['revoked'] === true,
    own: ownSettings(reply.data),
    certificate: certificateFrom(textOf(reply.data['certificate'])),
  }
}

const ownSettings = (data: Fields): readonly string[] => [
  ...(['err', ''].includes(textOf(data['leaf_not_after_behavior']))
    ? []
    : ['leaf_not_after_behavior']),
  ...['issuing_certificates', 'crl_distribution_points', 'ocsp_servers', 'manual_chain'].filter(
    (name) => textsOf(data[name]).length > 0,
  ),
]

export const certificateFrom = (pem: string): X509Certificate => {
  try {
    return new X509Certificate(pem)
  } catch {
    throw new ProviderError('permanent', 'none', 'Vault told a certificate that is none')
  }
}

export const stateOf = (issuer: Issuer | null): 'enabled' | 'disabled' | 'absent' =>
  issuer === null
    ? 'absent'
    : issuer.usage.includes(issuing) && !issuer.revoked && issuer.keyId !== ''
      ? 'enabled'
      : 'disabled'

export const versionOf = (issuer: Issuer, isDefault: boolean): ProviderVersion => ({
  id: issuer.id,
  state: stateOf(issuer) === 'enabled' ? 'enabled' : 'disabled',
  current: isDefault,
  createdAt: new Date(issuer.certificate.validFrom),
  expiresAt: new Date(issuer.certificate.validTo),
})

export interface IssuersConfig {
  readonly default: string
  /** The newest issuer becomes the default by itself: then nothing can be proven before it is handed out. */
  readonly followsLatest: boolean
}

export const readConfig = async (ask: Ask, ref: IssuerRef, call: Call): Promise<IssuersConfig> => {
  const { data } = await ask({ verb: 'read', path: ref.configPath }, call)
  return {
    default: textOf(data['default']),
    followsLatest: data['default_follows_latest_issuer'] === true,
  }
}

/** The longest life that anything may have that the mount issues. */
export const longestLeafMs = async (ask: Ask, ref: IssuerRef, call: Call): Promise<number> => {
  const { data } = await ask({ verb: 'read', path: ref.mountInfoPath }, call)
  return numberOf(fieldsOf(data['config'])['max_lease_ttl']) * 1000
}
