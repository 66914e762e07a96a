// HashiCorp Vault and OpenBao: secrets in KV version 2, keys in transit, passwords of databases, secret_ids
// of AppRoles, root issuers of PKI.

import { Type } from 'typebox'
import { generateSecret, generateSecretSchema } from '#domain/generate-secret.ts'
import type { Json } from '#domain/json.ts'
import type { KeyType, Provider, TypeTraits } from '#domain/provider.ts'
import { issuerRights } from './issuer-rights.ts'
import { kv2InventoryRights, kv2Rights } from './kv2-rights.ts'
import { objectIdOf } from './object-id.ts'
import {
  issuerRefSchema,
  kv2RefSchema,
  readIssuerRef,
  readKv2Ref,
  readSecretIdRef,
  readStaticRoleRef,
  readTransitRef,
  secretIdRefSchema,
  staticRoleRefSchema,
  transitRefSchema,
} from './refs.ts'
import { hclByName, sessionRights } from './rights.ts'
import { secretIdInventoryRights, secretIdRights, tokenRights } from './secret-id-rights.ts'
import { connect } from './session.ts'
import { credentialSchema, endpointsOf, maxRequestMs, settingsSchema } from './settings.ts'
import { staticRoleInventoryRights, staticRoleRights } from './static-role-rights.ts'
import { transitInventoryRights, transitRights } from './transit-rights.ts'

// Of a connection that does not say `maxRequestDuration`.
const lateEffectMs = maxRequestMs({})

// One node answers its own writes at once; behind a load balancer a standby may lag by moments.
const consistency = { delayMs: 1_000, confirmations: 2 }

const kv2Traits: TypeTraits = {
  slot: 'multi',
  staging: 'none',
  undo: 'rollForward',
  authority: 'store',
  revokes: 'version',
  suspend: true,
  exactlyOnce: 'cas',
  attribution: 'exact',
  usage: null,
  lateEffectMs,
  consistency,
  limits: { maxLiveVersions: 10 },
  deliver: false,
  material: 'ours',
  publishTarget: true,
  publishable: true,
  verifies: ['roundTrip'],
  operations: [],
}

const transitTraits: TypeTraits = {
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
  consistency,
  limits: {},
  deliver: false,
  material: 'provider',
  publishTarget: false,
  publishable: false,
  verifies: ['roundTrip', 'oldDataReadable'],
  operations: [],
}

const staticRoleTraits: TypeTraits = {
  slot: 'single',
  staging: 'none',
  undo: 'none',
  authority: 'self',
  revokes: 'version',
  suspend: false,
  exactlyOnce: 'probe',
  attribution: 'goalMet',
  usage: null,
  lateEffectMs,
  consistency,
  limits: {},
  deliver: false,
  material: 'provider',
  publishTarget: false,
  publishable: true,
  verifies: ['roundTrip'],
  operations: [],
}

const secretIdTraits: TypeTraits = {
  slot: 'multi',
  staging: 'overlap',
  undo: 'reactivate',
  authority: 'self',
  revokes: 'version',
  suspend: false,
  exactlyOnce: 'chosenId',
  attribution: 'exact',
  usage: null,
  lateEffectMs,
  consistency,
  limits: {},
  deliver: true,
  material: 'ours',
  publishTarget: false,
  publishable: true,
  verifies: ['roundTrip', 'login'],
  operations: [],
}

const issuerTraits: TypeTraits = {
  slot: 'multi',
  staging: 'native',
  undo: 'pointer',
  authority: 'self',
  revokes: 'version',
  suspend: true,
  exactlyOnce: 'chosenId',
  attribution: 'exact',
  usage: null,
  lateEffectMs,
  consistency,
  limits: {},
  // The certificate.
  deliver: true,
  material: 'provider',
  publishTarget: false,
  publishable: true,
  verifies: ['roundTrip'],
  operations: [],
}

const noParameters = Type.Object({}, { additionalProperties: false })

const kv2: KeyType = {
  type: 'vault.kv2.secret',
  title: 'Secret in Vault KV version 2',
  traits: kv2Traits,
  lateEffectIn: maxRequestMs,
  refSchema: kv2RefSchema,
  generateSchema: generateSecretSchema,
  objectId: ({ settings, ref }) => objectIdOf('vault.kv2.secret', settings, ref),
  leastPrivilege: (ref) => {
    const at = readKv2Ref(ref)
    return documents([...kv2Rights(at), ...kv2InventoryRights(at.mount)])
  },
  generate: generateSecret,
}

const transit: KeyType = {
  type: 'vault.transit.key',
  title: 'Key in Vault transit',
  traits: transitTraits,
  lateEffectIn: maxRequestMs,
  refSchema: transitRefSchema,
  generateSchema: noParameters,
  objectId: ({ settings, ref }) => objectIdOf('vault.transit.key', settings, ref),
  incident: {
    endedBy: 'nobody',
    truth: [
      'Vault switches off neither a transit key nor one version of it, and rotating it revokes nothing: deny its paths (encrypt, decrypt, sign, hmac, rewrap, export) in the policies of those who must not use it.',
    ],
  },
  leastPrivilege: (ref) => {
    const at = readTransitRef(ref)
    const named = (use: 'signing' | 'mac', name: string): Parameters<typeof hclByName>[0] =>
      transitRights(at, use).flatMap((right) =>
        right.name === 'verify' ? [{ ...right, name }] : [],
      )
    return documents([
      ...transitRights(at),
      ...named('signing', 'verifySigningKey'),
      ...named('mac', 'verifyHmacKey'),
      ...transitInventoryRights(at.mount),
    ])
  },
}

const staticRole: KeyType = {
  type: 'vault.database.staticRole',
  title: 'Static role of a database in Vault',
  traits: staticRoleTraits,
  lateEffectIn: maxRequestMs,
  refSchema: staticRoleRefSchema,
  generateSchema: noParameters,
  objectId: ({ settings, ref }) => objectIdOf('vault.database.staticRole', settings, ref),
  incident: {
    endedBy: 'mint',
    truth: ['Sessions that were opened with the old password go on until the database ends them.'],
  },
  leastPrivilege: (ref) => {
    const at = readStaticRoleRef(ref)
    return documents([...staticRoleRights(at), ...staticRoleInventoryRights(at.mount)])
  },
}

const secretId: KeyType = {
  type: 'vault.approle.secretId',
  title: 'secret_id of an AppRole in Vault',
  traits: secretIdTraits,
  lateEffectIn: maxRequestMs,
  refSchema: secretIdRefSchema,
  generateSchema: generateSecretSchema,
  objectId: ({ settings, ref }) => objectIdOf('vault.approle.secretId', settings, ref),
  incident: {
    proof: 'asked',
    truth: [
      'It is destroyed, and so are the tokens that it was exchanged for, but for batch tokens, which go on to their ends.',
    ],
  },
  leastPrivilege: (ref) => {
    const at = readSecretIdRef(ref)
    return documents([
      ...secretIdRights(at),
      ...tokenRights,
      ...secretIdInventoryRights(at.authPath),
    ])
  },
  generate: generateSecret,
}

const issuer: KeyType = {
  type: 'vault.pki.issuer',
  title: 'Root issuer of a PKI mount in Vault',
  traits: issuerTraits,
  lateEffectIn: maxRequestMs,
  refSchema: issuerRefSchema,
  generateSchema: noParameters,
  objectId: ({ settings, ref }) => objectIdOf('vault.pki.issuer', settings, ref),
  incident: {
    truth: [
      'It issues no more. Certificates that it has issued stay valid until their ends, or until whoever checks them stops trusting it.',
    ],
  },
  leastPrivilege: (ref) => documents(issuerRights(readIssuerRef(ref))),
}

const documents = (rights: Parameters<typeof hclByName>[0]): Readonly<Record<string, Json>> =>
  hclByName([...sessionRights, ...rights])

export const vault: Provider = {
  id: 'vault',
  title: 'HashiCorp Vault or OpenBao',
  settingsSchema,
  credentialSchema,
  types: [kv2, transit, staticRole, secretId, issuer],
  endpoints: endpointsOf,
  connect,
}
