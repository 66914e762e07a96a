import { azure } from '#providers/azure/provider.ts'
import { startAzureKeys, startAzureSecrets } from './azure-peer.ts'
import { providerContract } from './suite.ts'

providerContract({ provider: azure, type: 'azure.keyvault.secret', start: startAzureSecrets })
providerContract({ provider: azure, type: 'azure.keyvault.key', start: startAzureKeys })
