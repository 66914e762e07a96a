import { aws } from '#providers/aws/provider.ts'
import { peer } from '#test/support/peers.ts'
import { startSecrets } from './aws-peer.ts'
import { providerContract } from './suite.ts'

peer('moto').describe('AWS', () => {
  providerContract({ provider: aws, type: 'aws.secretsmanager.secret', start: startSecrets })
})
