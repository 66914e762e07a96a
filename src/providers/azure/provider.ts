// Microsoft Azure: secrets, keys and certificates in Key Vault, keys in managed HSMs.

import { Type } from 'typebox'
import { generateSecret, generateSecretSchema } from '#domain/generate-secret.ts'
import type { KeyType, Provider, TypeTraits } from '#domain/provider.ts'
import { certificateInventoryRight, certificateRights } from './certificate-rights.ts'
import { keyExtraRights, keyInventoryRight, keyRights } from './key-rights.ts'
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
  // A vault makes twenty keys in ten seconds, and a rotation asks for a dozen things: what a connection sends at most.
  limits: { requestsPerSecond: 20 },
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

const keyTraits: TypeTraits = {
  ...secretTraits,
  undo: 'none',
  authority: 'self',
  material: 'provider',
  publishTarget: false,
  publishable: false,
  verifies: ['roundTrip', 'oldDataReadable'],
}

const key: KeyType = {
  type: 'azure.keyvault.key',
  title: 'Key in Azure Key Vault or a managed HSM',
  traits: keyTraits,
  refSchema,
  generateSchema: Type.Object({}, { additionalProperties: false }),
  objectId: (at) => objectIdOf('azure.keyvault.key', at),
  incident: { truth: ['While it is off, nobody decrypts, unwraps or checks what it made.'] },
  leastPrivilege: (ref) =>
    documentsOf([...keyRights(nameIn(ref)), ...keyExtraRights(nameIn(ref)), keyInventoryRight]),
}

const certificate: KeyType = {
  type: 'azure.keyvault.certificate',
  title: 'Certificate in Azure Key Vault',
  // Who accepts it trusts its issuer, and asks no vault.
  traits: { ...keyTraits, authority: 'store', verifies: ['roundTrip'] },
  refSchema,
  generateSchema: Type.Object({}, { additionalProperties: false }),
  objectId: (at) => objectIdOf('azure.keyvault.certificate', at),
  incident: {
    truth: ['Whoever holds the certificate goes on using it until its issuer revokes it.'],
  },
  leastPrivilege: (ref) =>
    documentsOf([...certificateRights(nameIn(ref)), certificateInventoryRight]),
}

export const azure: Provider = {
  id: 'azure',
  title: 'Microsoft Azure',
  settingsSchema,
  credentialSchema,
  types: [secret, key, certificate],
  endpoints: endpointsOf,
  connect,
}
