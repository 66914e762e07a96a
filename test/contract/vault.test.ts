import { vault } from '#providers/vault/provider.ts'
import { peer } from '#test/support/peers.ts'
import { providerContract } from './suite.ts'
import { startKv2, startTransit } from './vault-peer.ts'

peer('vault').describe('HashiCorp Vault', () => {
  providerContract({ provider: vault, type: 'vault.kv2.secret', start: startKv2 })
  providerContract({ provider: vault, type: 'vault.transit.key', start: startTransit })
})
