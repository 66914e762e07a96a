// What the built-in vault declares. It is the reference: every capability that its slot allows.

import { Type } from 'typebox'
import { alphabets } from '#domain/generate-secret.ts'
import type { KeyType, TypeTraits } from '#domain/provider.ts'

const traits: TypeTraits = {
  slot: 'multi',
  staging: 'native',
  undo: 'pointer',
  authority: 'store',
  revokes: 'version',
  suspend: true,
  exactlyOnce: 'chosenId',
  attribution: 'exact',
  usage: { source: 'Rekey itself, which hands out every use', lagMs: 0 },
  lateEffectMs: 0,
  consistency: { delayMs: 0, confirmations: 1 },
  limits: {},
  deliver: true,
  material: 'provider',
  publishTarget: false,
  publishable: true,
  verifies: ['roundTrip', 'login', 'oldDataReadable'],
  operations: [],
}

/** What is asked at once is one statement (store/vault-store.ts): the more, the fewer. */
const requestsAtOnce = 256

const emptyRef = Type.Object({}, { additionalProperties: false })

/** `aes256` encrypts and decrypts, `rsa3072` does both and signs, the others sign. */
export const algorithms = ['aes256', 'ed25519', 'ecP256', 'rsa3072'] as const
export type Algorithm = (typeof algorithms)[number]

export const localSecret: KeyType = {
  type: 'local.secret',
  title: 'A secret in the built-in vault',
  traits,
  refSchema: emptyRef,
  generateSchema: Type.Object(
    {
      length: Type.Optional(Type.Integer({ minimum: 16, maximum: 1024 })),
      alphabet: Type.Optional(Type.Union(Object.keys(alphabets).map((name) => Type.Literal(name)))),
    },
    { additionalProperties: false },
  ),
  objectId: ({ keyName }) => `local:${keyName}`,
  leastPrivilege: () => ({}),
  incident: { requestsAtOnce },
}

export const localKey: KeyType = {
  type: 'local.key',
  title: 'A cryptographic key in the built-in vault',
  traits: {
    ...traits,
    authority: 'self',
    deliver: false,
    publishable: false,
    operations: ['sign', 'encrypt', 'decrypt'],
  },
  incident: {
    requestsAtOnce,
    truth: ['While it is off, nobody decrypts or checks what it made either.'],
  },
  refSchema: emptyRef,
  generateSchema: Type.Object(
    {
      algorithm: Type.Optional(Type.Union(algorithms.map((name) => Type.Literal(name)))),
    },
    { additionalProperties: false },
  ),
  objectId: ({ keyName }) => `local:${keyName}`,
  leastPrivilege: () => ({}),
}
