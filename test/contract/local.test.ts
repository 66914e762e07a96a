import { local } from '#providers/local/provider.ts'
import { startLocal } from './local-peer.ts'
import { providerContract } from './suite.ts'

const without = ['inventory', 'foreign', 'faults', 'rights', 'names'] as const
providerContract({
  provider: local,
  type: 'local.secret',
  start: startLocal('local.secret', {}),
  without,
})
providerContract({
  provider: local,
  type: 'local.key',
  start: startLocal('local.key', {}),
  without,
})
