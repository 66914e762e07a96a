// Amazon Web Services: secrets in Secrets Manager.

import type { JsonObject } from '#domain/json.ts'
import { generateSecret, generateSecretSchema } from '#domain/generate-secret.ts'
import type { KeyType, Provider, TypeTraits } from '#domain/provider.ts'
import { checkRight, policiesByName } from './rights.ts'
import { secretExtraRights, secretPattern, secretRights } from './secret-rights.ts'
import { secretObjectId, secretRefSchema } from './secret-ref.ts'
import { connect } from './session.ts'
import { credentialSchema, endpointsOf, settingsSchema } from './settings.ts'
import { textIn } from './values.ts'

/** AWS takes a signed request for five minutes: what was sent and lost can come to effect so long, and no longer. */
const lateEffectMs = 5 * 60_000

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
}

/** A ref by ARN is the resource itself. */
const patternOf = (ref: JsonObject): string => {
  const id = textIn(ref, 'secretId')
  return id.startsWith('arn:') ? id : secretPattern({ name: id })
}

export const aws: Provider = {
  id: 'aws',
  title: 'Amazon Web Services',
  settingsSchema,
  credentialSchema,
  types: [secret],
  endpoints: endpointsOf,
  connect,
}
