import { azure } from '#providers/azure/provider.ts'
import { startAzureCertificates, startAzureKeys, startAzureSecrets } from './azure-peer.ts'
import { providerContract } from './suite.ts'

providerContract({ provider: azure, type: 'azure.keyvault.secret', start: startAzureSecrets })
providerContract({ provider: azure, type: 'azure.keyvault.key', start: startAzureKeys })
providerContract({
  provider: azure,
  type: 'azure.keyvault.certificate',
  start: startAzureCertificates,
  // It has no policy of its own to make a first version by; names are those of secrets and keys.
  without: ['create', 'names'],
})
