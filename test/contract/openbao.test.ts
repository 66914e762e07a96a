// The types of Vault at OpenBao, which began as a fork of it and goes its own way since.

import { vault } from '#providers/vault/provider.ts'
import { peer } from '#test/support/peers.ts'
import { providerContract } from './suite.ts'
import { startIssuers } from './vault-issuer-peer.ts'
import { startKv2, startTransit } from './vault-peer.ts'
import { startSecretIds } from './vault-secret-id-peer.ts'
import { startStaticRoles } from './vault-static-role-peer.ts'

const at = 'openbao'

peer('openbao').describe('OpenBao', () => {
  providerContract({ provider: vault, type: 'vault.kv2.secret', at, start: () => startKv2(at) })
  providerContract({
    provider: vault,
    type: 'vault.transit.key',
    at,
    start: () => startTransit(at),
  })
  providerContract({
    provider: vault,
    type: 'vault.approle.secretId',
    at,
    start: () => startSecretIds(at),
  })
  providerContract({
    provider: vault,
    type: 'vault.pki.issuer',
    at,
    start: () => startIssuers(at),
    // Nobody has said whose the first authority of a mount is to be.
    without: ['create', 'names'],
  })
  providerContract({
    provider: vault,
    type: 'vault.database.staticRole',
    at,
    start: () => startStaticRoles(at),
    // A static role needs a user of a database: nothing is made.
    without: ['create', 'names'],
  })
})
