import { aws } from '#providers/aws/provider.ts'
import { peer } from '#test/support/peers.ts'
import { startAccessKeys, startAliases, startSecrets, startSymmetric } from './aws-peer.ts'
import { providerContract } from './suite.ts'

peer('moto').describe('AWS', () => {
  providerContract({ provider: aws, type: 'aws.secretsmanager.secret', start: startSecrets })
  providerContract({
    provider: aws,
    type: 'aws.iam.accessKey',
    start: startAccessKeys,
    // Rekey makes no users.
    without: ['create'],
  })
  providerContract({
    provider: aws,
    type: 'aws.kms.symmetric',
    start: startSymmetric,
    // A key is asked for by the id that KMS gave it; ids that cannot be are in the tests of the provider.
    without: ['create', 'names'],
  })
  providerContract({
    provider: aws,
    type: 'aws.kms.alias',
    start: startAliases,
    // The first key of an alias is somebody's decision.
    without: ['create'],
  })
})
