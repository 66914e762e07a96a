// Amazon Web Services: secrets in Secrets Manager, access keys of IAM users, keys of KMS.

import type { JsonObject } from '#domain/json.ts'
import { generateSecret, generateSecretSchema } from '#domain/generate-secret.ts'
import type { KeyType, Provider, TypeTraits } from '#domain/provider.ts'
import { Type } from 'typebox'
import { accessKeyHandedOut } from './access-key.ts'
import { kmsKeyObjectId, kmsKeyRefSchema } from './kms-ref.ts'
import { kmsAliasObjectId, kmsAliasRefSchema } from './kms-alias-ref.ts'
import {
  aliasExtraRights,
  aliasRights,
  kmsKeyPattern,
  symmetricExtraRights,
  symmetricRights,
} from './kms-rights.ts'
import { symmetricGenerateSchema } from './kms-symmetric.ts'
import { checkRight, policiesByName } from './rights.ts'
import { secretExtraRights, secretPattern, secretRights } from './secret-rights.ts'
import { secretObjectId, secretRefSchema } from './secret-ref.ts'
import { connect } from './session.ts'
import { credentialSchema, endpointsOf, settingsSchema } from './settings.ts'
import { userExtraRights, userPattern, userRights } from './user-rights.ts'
import { userObjectId, userRefSchema } from './user-ref.ts'
import { mostKeys } from './user-read.ts'
import { lateEffectMs, textIn } from './values.ts'

/** AWS leaves nothing to choose. */
const nothing = Type.Object({}, { additionalProperties: false })

const secretTraits: TypeTraits = {
  slot: 'multi',
  staging: 'native',
  undo: 'pointer',
  authority: 'store',
  revokes: 'version',
  suspend: true,
  exactlyOnce: 'token',
  attribution: 'exact',
  usage: null,
  lateEffectMs,
  consistency: { delayMs: 5_000, confirmations: 3 },
  limits: { requestsPerSecond: 20 },
  deliver: false,
  material: 'ours',
  publishTarget: true,
  publishable: true,
  verifies: ['roundTrip'],
  operations: [],
}

const secret: KeyType = {
  type: 'aws.secretsmanager.secret',
  title: 'Secret in AWS Secrets Manager',
  traits: secretTraits,
  refSchema: secretRefSchema,
  generateSchema: generateSecretSchema,
  objectId: ({ settings, ref }) => secretObjectId(settings, ref),
  leastPrivilege: (ref) => {
    const arn = patternOf(ref)
    return policiesByName([checkRight, ...secretRights(arn), ...secretExtraRights(arn)])
  },
  generate: generateSecret,
  incident: { currentStays: true },
}

/** A ref by ARN is the resource itself. */
const patternOf = (ref: JsonObject): string => {
  const id = textIn(ref, 'secretId')
  return id.startsWith('arn:') ? id : secretPattern({ name: id })
}

const hourMs = 3_600_000

const accessKeyTraits: TypeTraits = {
  slot: 'multi',
  staging: 'overlap',
  undo: 'reactivate',
  authority: 'self',
  revokes: 'version',
  suspend: true,
  exactlyOnce: 'probe',
  attribution: 'exact',
  // IAM tells of a use within four hours.
  usage: { source: 'GetAccessKeyLastUsed', lagMs: 4 * hourMs },
  lateEffectMs,
  // Seconds, as a rule; services of the region learn of it one by one.
  consistency: { delayMs: 60_000, confirmations: 4 },
  limits: { requestsPerSecond: 20, maxLiveVersions: mostKeys },
  deliver: false,
  material: 'provider',
  publishTarget: false,
  publishable: true,
  verifies: ['roundTrip', 'login'],
  operations: [],
}

const accessKey: KeyType = {
  type: 'aws.iam.accessKey',
  title: 'Access key of an IAM user',
  traits: accessKeyTraits,
  refSchema: userRefSchema,
  generateSchema: nothing,
  objectId: ({ settings, ref }) => userObjectId(settings, ref),
  leastPrivilege: (ref) => {
    const arn = userPattern({ name: textIn(ref, 'userName') })
    return policiesByName([checkRight, ...userRights(arn), ...userExtraRights(arn)])
  },
  handedOut: accessKeyHandedOut,
  incident: {
    proof: 'material',
    truth: [
      'Every session of the user that was begun until now is denied too, by an inline policy (rekey-revoked-sessions), whichever of its keys began it.',
    ],
  },
}

const symmetricTraits: TypeTraits = {
  slot: 'internal',
  staging: 'none',
  undo: 'none',
  authority: 'self',
  revokes: 'key',
  suspend: false,
  exactlyOnce: 'probe',
  attribution: 'goalMet',
  usage: null,
  lateEffectMs,
  // One good answer of KMS proves nothing: the next host may still use the old material.
  consistency: { delayMs: 60_000, confirmations: 4 },
  limits: { requestsPerSecond: 20 },
  deliver: false,
  material: 'provider',
  publishTarget: false,
  publishable: false,
  verifies: ['roundTrip', 'oldDataReadable'],
  operations: [],
}

const symmetric: KeyType = {
  type: 'aws.kms.symmetric',
  title: 'Symmetric key of AWS KMS, rotated in place',
  traits: symmetricTraits,
  refSchema: kmsKeyRefSchema,
  generateSchema: symmetricGenerateSchema,
  objectId: ({ settings, ref }) => kmsKeyObjectId(settings, ref),
  incident: {
    endedBy: 'key',
    truth: [
      'KMS switches off the whole key and never one material of it: nothing that any of them has encrypted is decrypted until it is on again.',
      'Rotating it revokes nothing: what older material has encrypted stays readable by whoever may use the key.',
    ],
  },
  leastPrivilege: (ref) =>
    policiesByName([
      checkRight,
      ...symmetricRights(kmsKeyPattern(textIn(ref, 'keyId'))),
      ...symmetricExtraRights(kmsKeyPattern(textIn(ref, 'keyId'))),
    ]),
}

const aliasTraits: TypeTraits = {
  slot: 'multi',
  staging: 'native',
  undo: 'pointer',
  authority: 'self',
  revokes: 'version',
  suspend: true,
  exactlyOnce: 'probe',
  attribution: 'exact',
  usage: null,
  lateEffectMs,
  consistency: { delayMs: 60_000, confirmations: 4 },
  limits: { requestsPerSecond: 20 },
  deliver: false,
  material: 'provider',
  publishTarget: false,
  publishable: false,
  verifies: ['roundTrip'],
  operations: [],
}

const alias: KeyType = {
  type: 'aws.kms.alias',
  title: 'Key behind an alias of AWS KMS, replaced by a new one',
  traits: aliasTraits,
  refSchema: kmsAliasRefSchema,
  generateSchema: nothing,
  objectId: ({ settings, ref }) => kmsAliasObjectId(settings, ref),
  incident: { truth: ['While it is off, nothing that it has encrypted is decrypted.'] },
  leastPrivilege: (ref) => {
    const name = textIn(ref, 'alias')
    const at = { alias: name, arn: `arn:aws:kms:*:*:${name}` }
    return policiesByName([
      checkRight,
      ...aliasRights(at, 'arn:aws:kms:*:*:key/*'),
      ...aliasExtraRights(),
    ])
  },
}

export const aws: Provider = {
  id: 'aws',
  title: 'Amazon Web Services',
  settingsSchema,
  credentialSchema,
  types: [secret, accessKey, symmetric, alias],
  endpoints: endpointsOf,
  connect,
}
