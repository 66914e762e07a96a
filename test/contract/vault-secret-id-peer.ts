// secret_ids of the real Vault, counted by their accessors.

import { randomUUID } from 'node:crypto'
import type { ObjectAddress } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import type { VaultKind } from '#test/peers/vault.ts'
import { plainPorts, type ContractPeer } from './peer.ts'
import { doneAt, exactly, refText, share, vaultAddress, writeFixtures } from './vault-peer.ts'

const addressOf = (role: string): ObjectAddress =>
  vaultAddress('vault.approle.secretId', { mount: 'approle', role })

export const startSecretIds = async (kind?: VaultKind): Promise<ContractPeer> => {
  const shared = await share(kind)
  const { vault, faulty, settings } = shared
  const pathOf = (object: ObjectAddress): string =>
    `auth/approle/role/${refText(object, 'role').toLowerCase()}`
  /** A role without a secret_id: nothing is there yet. */
  const role = async (name: string): Promise<string> => {
    await vault.api('POST', `auth/approle/role/${name}`, { token_policies: ['default'] })
    return name
  }
  const good = ['dots.and-dashes_1', 'UPPER', '1']
  for (const name of good) await role(name)
  const bare = await Promise.all(Array.from({ length: 8 }, () => role(`bare-${randomUUID()}`)))
  return {
    settings,
    credential: new Secret(vault.token),
    ports: plainPorts(),
    beyondOnePage: 60,
    newObject: async () => {
      const object = addressOf(await role(`contract-${randomUUID()}`))
      await vault.api('POST', `${pathOf(object)}/secret-id`, {})
      return object
    },
    unborn: () => addressOf(bare.pop() ?? 'no more'),
    versions: async (object) => {
      const { data } = await vault.api('GET', `${pathOf(object)}/secret-id?list=true`)
      return Array.isArray(data['keys']) ? data['keys'].length : 0
    },
    writes: async (object) =>
      doneAt(
        vault,
        ['custom-secret-id', 'secret-id', 'secret-id-accessor/destroy'].map(
          (part) => `${pathOf(object)}/${part}`,
        ),
      ),
    foreign: async (object) => {
      await vault.api('POST', `${pathOf(object)}/secret-id`, {})
    },
    faults: {
      proxy: faulty,
      settings: { ...settings, address: faulty.address },
      mint: (object) => exactly(`${pathOf(object)}/custom-secret-id`),
      fixtures: writeFixtures,
    },
    rights: {
      grant: shared.grant,
      always: ['check', 'token'],
      needed: {
        inventory: /list on auth\/approle\/role/,
        describe: /(read|list|update) on auth\/approle\/role\//,
        rotate: /update on auth\/approle\/role\/.*\/(custom-secret-id|secret-id\/lookup)/,
        verify: /read on auth\/approle\/role\/.*\/role-id/,
        destroy: /update on auth\/approle\/role\/.*\/secret-id-accessor\/destroy/,
      },
    },
    names: {
      good: good.map(addressOf),
      bad: ['../keys/x', 'a/b', 'ключ', '..', 'a%2Fb', '.a', ''].map(addressOf),
    },
    stop: shared.stop,
  }
}
