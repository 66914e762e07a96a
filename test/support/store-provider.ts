// A declaration of types that the built-in vault does not have: one slot, and a place to publish to. Tests that use it never
// connect: they ask what policies and grants say about such types.

import { Type } from 'typebox'
import { type KeyType, type Provider, ProviderError } from '#domain/provider.ts'
import { local } from '#providers/local/provider.ts'

const [model] = local.types
if (!model) throw new Error('the built-in vault has no type')

const base: KeyType = {
  ...model,
  refSchema: Type.Object({ path: Type.String() }, { additionalProperties: false }),
  objectId: ({ ref }) => `store:${JSON.stringify(ref['path']).slice(1, -1)}`,
}

export const vaultLike: Provider = {
  id: 'storeLike',
  title: 'Types for tests of declarations',
  settingsSchema: Type.Object({}, { additionalProperties: false }),
  credentialSchema: null,
  endpoints: () => [],
  types: [
    {
      ...base,
      type: 'storeLike.secret',
      title: 'a store',
      traits: { ...base.traits, publishTarget: true, verifies: ['roundTrip'] },
    },
    {
      ...base,
      type: 'storeLike.single',
      title: 'one slot',
      traits: { ...base.traits, slot: 'single', staging: 'none' },
    },
  ],
  connect: () => {
    throw new ProviderError('unsupported', 'none', 'only declared')
  },
}
