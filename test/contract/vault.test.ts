import { vault } from '#providers/vault/provider.ts'
import { peer } from '#test/support/peers.ts'
import { providerContract } from './suite.ts'
import { startIssuers } from './vault-issuer-peer.ts'
import { startKv2, startTransit } from './vault-peer.ts'
import { startSecretIds } from './vault-secret-id-peer.ts'
import { startStaticRoles } from './vault-static-role-peer.ts'

peer('vault').describe('HashiCorp Vault', () => {
  providerContract({ provider: vault, type: 'vault.kv2.secret', start: () => startKv2() })
  providerContract({ provider: vault, type: 'vault.transit.key', start: () => startTransit() })
  providerContract({
    provider: vault,
    type: 'vault.approle.secretId',
    start: () => startSecretIds(),
  })
  providerContract({
    provider: vault,
    type: 'vault.pki.issuer',
    start: () => startIssuers(),
    // Nobody has said whose the first authority of a mount is to be.
    without: ['create', 'names'],
  })
  providerContract({
    provider: vault,
    type: 'vault.database.staticRole',
    start: () => startStaticRoles(),
    // A static role needs a user of a database: nothing is made.
    without: ['create', 'names'],
  })
})
