// Doppler: secrets of a config, and its service tokens.

import { Type } from 'typebox'
import { generateSecret, generateSecretSchema } from '#domain/generate-secret.ts'
import type { KeyType, Provider, TypeTraits } from '#domain/provider.ts'
import { singleValueTraits } from '../single-value.ts'
import { secretIdOf, secretRefSchema, tokenRefSchema, tokensIdOf } from './refs.ts'
import { secretRights, tokenRights } from './rights.ts'
import { connect } from './session.ts'
import { apiUrlOf, credentialSchema, settingsSchema } from './settings.ts'

// Doppler says nothing of how long it works on a request whose caller is gone; no gateway keeps one for longer.
const lateEffectMs = 60_000
const consistency = { delayMs: 2_000, confirmations: 2 }

const secretTraits: TypeTraits = {
  ...singleValueTraits,
  exactlyOnce: 'cas',
  lateEffectMs,
  consistency,
  limits: {},
}

const tokenTraits: TypeTraits = {
  slot: 'multi',
  staging: 'overlap',
  undo: 'reactivate',
  authority: 'self',
  revokes: 'version',
  suspend: false,
  exactlyOnce: 'probe',
  attribution: 'exact',
  usage: null,
  lateEffectMs,
  consistency,
  limits: {},
  deliver: false,
  material: 'provider',
  publishTarget: false,
  publishable: true,
  verifies: ['roundTrip', 'login'],
  operations: [],
}

const secret: KeyType = {
  type: 'doppler.secret',
  title: 'Secret in a Doppler config',
  traits: secretTraits,
  refSchema: secretRefSchema,
  generateSchema: generateSecretSchema,
  objectId: ({ settings, ref }) => secretIdOf(settings, ref),
  leastPrivilege: () => secretRights,
  generate: generateSecret,
}

const serviceToken: KeyType = {
  type: 'doppler.serviceToken',
  title: 'Service token of a Doppler config',
  traits: tokenTraits,
  refSchema: tokenRefSchema,
  generateSchema: Type.Object({}, { additionalProperties: false }),
  objectId: ({ settings, ref }) => tokensIdOf(settings, ref),
  leastPrivilege: () => tokenRights,
  incident: {
    proof: 'material',
    truth: ['It is deleted: Doppler cannot switch it off for a while.'],
  },
}

export const doppler: Provider = {
  id: 'doppler',
  title: 'Doppler',
  settingsSchema,
  credentialSchema,
  types: [secret, serviceToken],
  endpoints: (settings) => [apiUrlOf(settings)],
  connect,
}
