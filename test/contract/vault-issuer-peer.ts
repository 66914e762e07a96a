// Root issuers of the real Vault, each mount one object; counted by its list.

import { randomUUID } from 'node:crypto'
import type { ObjectAddress } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { addPki, issuersOf } from '#test/peers/vault-pki.ts'
import type { VaultKind } from '#test/peers/vault.ts'
import { plainPorts, type ContractPeer } from './peer.ts'
import { exactly, refText, share, vaultAddress, writeFixtures } from './vault-peer.ts'

const addressOf = (mount: string): ObjectAddress => vaultAddress('vault.pki.issuer', { mount })
const changes = new Set(['create', 'update', 'patch', 'delete'])

export const startIssuers = async (kind?: VaultKind): Promise<ContractPeer> => {
  const shared = await share(kind)
  const { vault, faulty, settings } = shared
  const bare = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const mount = `bare-${randomUUID()}`
      await vault.api('POST', `sys/mounts/${mount}`, { type: 'pki' })
      return mount
    }),
  )
  const mountOf = (object: ObjectAddress): string => refText(object, 'mount')
  return {
    settings,
    credential: new Secret(vault.token),
    ports: plainPorts(),
    beyondOnePage: 52,
    newObject: async () => addressOf(await addPki(vault)),
    unborn: () => addressOf(bare.pop() ?? 'no more'),
    versions: async (object) => (await issuersOf(vault, mountOf(object))).length,
    writes: async (object) =>
      vault
        .auditLog()
        .filter(
          ({ type, error, request: { operation, path } }) =>
            type === 'response' &&
            error === undefined &&
            changes.has(operation) &&
            path.startsWith(`${mountOf(object)}/`) &&
            !path.includes('/issue/'),
        ).length,
    foreign: async (object) => {
      await vault.api('POST', `${mountOf(object)}/issuers/generate/root/internal`, {
        common_name: 'Somebody Else',
        key_type: 'ec',
      })
    },
    faults: {
      proxy: faulty,
      settings: { ...settings, address: faulty.address },
      mint: (object) => exactly(`${mountOf(object)}/issuers/generate/root/internal`),
      fixtures: writeFixtures,
    },
    rights: {
      grant: shared.grant,
      always: ['check', 'token'],
      needed: {
        describe: /(list|read) on pki-[^/]+\/(issuers|issuer\/|config\/issuers)/,
        rotate: /update on pki-[^/]+\/(issuers\/generate\/root\/internal|config\/issuers)/,
        verify: /update on pki-[^/]+\/issuer\/[^/]+\/issue\/rekey-check/,
        suspend: /patch on pki-[^/]+\/issuer\//,
        destroy: /(delete|list) on pki-[^/]+\/(issuer\/|keys?)/,
      },
    },
    stop: shared.stop,
  }
}
