import { postgres } from '#providers/postgres/provider.ts'
import { startPostgresUsers } from './postgres-peer.ts'
import { providerContract } from './suite.ts'

providerContract({
  provider: postgres,
  type: 'postgres.user',
  start: startPostgresUsers,
  without: ['http'],
})
