// Static roles of the real Vault over a real PostgreSQL: versions are counted there, in the log of what Vault had it do.

import type { ObjectAddress } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { addDatabase } from '#test/peers/vault-database.ts'
import type { VaultKind } from '#test/peers/vault.ts'
import { plainPorts, type ContractPeer } from './peer.ts'
import { doneAt, exactly, refText, share, vaultAddress, writeFixtures } from './vault-peer.ts'

const addressOf = (role: string): ObjectAddress =>
  vaultAddress('vault.database.staticRole', { mount: 'database', role })

export const startStaticRoles = async (kind?: VaultKind): Promise<ContractPeer> => {
  const shared = await share(kind)
  const { vault, faulty } = shared
  const database = await addDatabase(vault)
  const roleOf = (object: ObjectAddress): string => refText(object, 'role')
  const rotatePath = (object: ObjectAddress): string => `database/rotate-role/${roleOf(object)}`
  const settings = { ...shared.settings, databases: [database.settings] }
  return {
    settings,
    credential: new Secret(vault.token),
    ports: plainPorts(),
    beyondOnePage: 60,
    newObject: async () => addressOf(await database.role()),
    unborn: () => addressOf(`unborn-${crypto.randomUUID()}`),
    versions: (object) => database.passwordsOf(roleOf(object)),
    writes: async (object) =>
      doneAt(vault, [rotatePath(object), `database/static-roles/${roleOf(object)}`]),
    foreign: async (object) => {
      await vault.api('POST', rotatePath(object), {})
    },
    faults: {
      proxy: faulty,
      settings: { ...settings, address: faulty.address },
      mint: (object) => exactly(rotatePath(object)),
      fixtures: writeFixtures,
    },
    rights: {
      grant: shared.grant,
      always: ['check', 'token'],
      needed: {
        inventory: /list on database\/static-roles/,
        describe: /read on database\/static-roles\//,
        rotate: /update on database\/rotate-role\//,
        verify: /read on database\/static-creds\//,
      },
    },
    stop: async () => {
      await shared.stop()
      await database.stop()
    },
  }
}
