// Microsoft Azure: secrets in Key Vault.

import { generateSecret, generateSecretSchema } from '#domain/generate-secret.ts'
import type { KeyType, Provider, TypeTraits } from '#domain/provider.ts'
import { nameIn, objectIdOf, refSchema } from './refs.ts'
import { documentsOf } from './rights.ts'
import { secretInventoryRight, secretRights } from './secret-rights.ts'
import { connect } from './session.ts'
import { credentialSchema, endpointsOf, settingsSchema } from './settings.ts'

/** Key Vault promises nothing here; its front end ends a request after a minute. */
const lateEffectMs = 2 * 60_000

const secretTraits: TypeTraits = {
  slot: 'multi',
  staging: 'none',
  undo: 'rollForward',
  authority: 'store',
  revokes: 'version',
  suspend: true,
  exactlyOnce: 'probe',
  attribution: 'exact',
  usage: null,
  lateEffectMs,
  consistency: { delayMs: 5_000, confirmations: 3 },
  limits: { requestsPerSecond: 50 },
  deliver: false,
  material: 'ours',
  publishTarget: true,
  publishable: true,
  verifies: ['roundTrip'],
  operations: [],
}

const secret: KeyType = {
  type: 'azure.keyvault.secret',
  title: 'Secret in Azure Key Vault',
  traits: secretTraits,
  refSchema,
  generateSchema: generateSecretSchema,
  objectId: (at) => objectIdOf('azure.keyvault.secret', at),
  leastPrivilege: (ref) => documentsOf([...secretRights(nameIn(ref)), secretInventoryRight]),
  generate: generateSecret,
}

export const azure: Provider = {
  id: 'azure',
  title: 'Microsoft Azure',
  settingsSchema,
  credentialSchema,
  types: [secret],
  endpoints: endpointsOf,
  connect,
}
