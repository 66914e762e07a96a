import { randomUUID } from 'node:crypto'
import type { VaultPeer } from './vault.ts'

/** A PKI mount of its own with a root issuer, and the role by which Rekey tries issuers. */
export const addPki = async (
  vault: VaultPeer,
  mount: string = `pki-${randomUUID()}`,
  root: object = {},
): Promise<string> => {
  await vault.api('POST', `sys/mounts/${mount}`, {
    type: 'pki',
    config: { max_lease_ttl: '17520h' },
  })
  await vault.api('POST', `${mount}/issuers/generate/root/internal`, {
    common_name: 'Example Root',
    organization: ['Example', 'Tests'],
    country: 'DE',
    key_type: 'ec',
    key_bits: 256,
    max_path_length: 1,
    ttl: '70h',
    ...root,
  })
  await vault.api('POST', `${mount}/roles/rekey-check`, {
    allowed_domains: 'rekey-check.invalid',
    allow_bare_domains: true,
    no_store: true,
    max_ttl: '60s',
    key_type: 'ec',
    key_bits: 256,
  })
  return mount
}

export const issuersOf = async (
  vault: VaultPeer,
  mount: string,
): Promise<
  readonly { readonly id: string; readonly name: string; readonly isDefault: boolean }[]
> => {
  const { data } = await vault.api('GET', `${mount}/issuers?list=true`)
  const rows: Readonly<
    Record<string, { readonly issuer_name: string; readonly is_default: boolean }>
  > = Object(data['key_info'])
  return Object.entries(rows).map(([id, { issuer_name: name, is_default: isDefault }]) => ({
    id,
    name,
    isDefault,
  }))
}
