import { jwks } from '#providers/jwks/provider.ts'
import { local } from '#providers/local/provider.ts'
import { startStored } from './stored-peer.ts'
import { providerContract } from './suite.ts'

const without = ['inventory', 'foreign', 'faults', 'rights', 'names'] as const
providerContract({
  provider: local,
  type: 'local.secret',
  start: startStored(local, 'local.secret'),
  without,
})
providerContract({
  provider: local,
  type: 'local.key',
  start: startStored(local, 'local.key'),
  without,
})
providerContract({
  provider: jwks,
  type: 'jwks.signing',
  start: startStored(jwks, 'jwks.signing', {
    settings: { issuer: 'https://id.example.com' },
    ref: { audiences: ['https://orders.example.com'] },
  }),
  without,
})
