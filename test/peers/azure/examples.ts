// Requests and answers of the specification's own examples (Azure/azure-rest-api-specs, specification/keyvault/data-plane,
// …/2025-07-01/examples; those that it shares with 2026-04-01 from there), one for each route at least, in an order in which
// each finds what it needs. The file that each is from is its name. Ids and times are compared by their form, and names are as
// in the examples but where one of them must be there already.

import type { JsonObject } from '#domain/json.ts'

export interface Example {
  /** Of the specification: `SetSecret-example.json`. */
  readonly file: string
  readonly method: string
  readonly path: string
  readonly query?: string
  readonly body?: JsonObject
  readonly status?: number
  /** Of the answer: what must be in it; a RegExp for what is compared by its form. */
  readonly answers: Readonly<Record<string, unknown>> | null
}

const id = '[0-9a-f]{32}'
const at = { created: /^\d{10}$/, updated: /^\d{10}$/ }
const attributes = { enabled: true, ...at, recoveryLevel: 'Recoverable+Purgeable' }
/** `{version}` stands for the one that was made last. */
export const secretExamples: readonly Example[] = [
  {
    file: 'SetSecret-example.json',
    method: 'PUT',
    path: 'secrets/crpsecret',
    body: { value: 'mysecretvalue' },
    answers: {
      value: 'mysecretvalue',
      id: new RegExp(`^https?://[^/]+/secrets/crpsecret/${id}$`),
      attributes,
    },
  },
  {
    file: 'SetSecret-example.json',
    method: 'PUT',
    path: 'secrets/crpsecret',
    body: { value: 'mysecretvalue' },
    answers: { value: 'mysecretvalue', previousVersion: new RegExp(`^${id}$`), attributes },
  },
  {
    file: 'UpdateSecret-example.json',
    method: 'PATCH',
    path: 'secrets/crpsecret/{version}',
    body: {
      tags: { mytag: 'myvalue' },
      contentType: 'myContentType',
      attributes: { enabled: true },
    },
    answers: {
      id: new RegExp(`/secrets/crpsecret/${id}$`),
      contentType: 'myContentType',
      attributes,
      tags: { mytag: 'myvalue' },
    },
  },
  {
    file: 'GetSecret-example.json',
    method: 'GET',
    path: 'secrets/crpsecret/{version}',
    answers: { value: 'mysecretvalue', id: new RegExp(`/secrets/crpsecret/${id}$`), attributes },
  },
  {
    file: 'GetSecretVersions-example.json',
    method: 'GET',
    path: 'secrets/crpsecret/versions',
    query: 'maxresults=1',
    answers: {
      value: [
        { id: new RegExp(`/secrets/crpsecret/${id}$`), attributes: { enabled: true, ...at } },
      ],
      nextLink: /\/secrets\/crpsecret\/versions\?api-version=[^&]+&\$skiptoken=[^&]+&maxresults=1$/,
    },
  },
  {
    file: 'GetSecrets-example.json',
    method: 'GET',
    path: 'secrets',
    query: 'maxresults=1',
    answers: {
      value: [
        {
          contentType: 'myContentType',
          id: /^https?:\/\/[^/]+\/secrets\/crpsecret$/,
          attributes: { enabled: true, ...at },
        },
      ],
    },
  },
  {
    file: 'DeleteSecret-example.json',
    method: 'DELETE',
    path: 'secrets/crpsecret',
    answers: {
      recoveryId: /\/deletedsecrets\/crpsecret$/,
      deletedDate: /^\d{10}$/,
      scheduledPurgeDate: /^\d{10}$/,
      id: new RegExp(`/secrets/crpsecret/${id}$`),
      attributes,
    },
  },
  {
    file: 'GetDeletedSecret-example.json',
    method: 'GET',
    path: 'deletedsecrets/crpsecret',
    answers: {
      recoveryId: /\/deletedsecrets\/crpsecret$/,
      deletedDate: /^\d{10}$/,
      scheduledPurgeDate: /^\d{10}$/,
      attributes,
    },
  },
  {
    file: 'RecoverDeletedSecret-example.json',
    method: 'POST',
    path: 'deletedsecrets/crpsecret/recover',
    answers: { id: new RegExp(`/secrets/crpsecret/${id}$`), attributes },
  },
  {
    file: 'DeleteSecret-example.json',
    method: 'DELETE',
    path: 'secrets/crpsecret',
    answers: { recoveryId: /\/deletedsecrets\/crpsecret$/ },
  },
  {
    file: 'PurgeDeletedSecret-example.json',
    method: 'DELETE',
    path: 'deletedsecrets/crpsecret',
    status: 204,
    answers: null,
  },
]

const allOperations = ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey']
const tags = { purpose: 'unit test', 'test name ': 'CreateGetDeleteKeyTest' }
const kid = new RegExp(`^https?://[^/]+/keys/CreateSoftKeyTest/${id}$`)
const rsa = { kid, kty: 'RSA', key_ops: allOperations, n: /^[\w-]{342}$/, e: 'AQAB' }
const digest =
  'RUE3Nzg4NTQ4QjQ5RjFFN0U2NzAyQzhDNEMwMkJDOTA1MTYyOTUzNjI5NDhBNzZDQTlFOTM1NDA2M0ZGMjk2Mg'
const lifetimeActions = [
  { trigger: { timeAfterCreate: 'P90D' }, action: { type: 'Rotate' } },
  { trigger: { timeBeforeExpiry: 'P30D' }, action: { type: 'Notify' } },
]

/** `{answer}` stands for the value of the answer before. */
export const keyExamples: readonly Example[] = [
  {
    file: 'CreateKey-example.json',
    method: 'POST',
    path: 'keys/CreateSoftKeyTest/create',
    body: { kty: 'RSA', key_size: 2048, key_ops: allOperations, attributes: {}, tags },
    answers: { key: rsa, attributes, tags },
  },
  {
    file: 'RotateKey-example.json',
    method: 'POST',
    path: 'keys/CreateSoftKeyTest/rotate',
    answers: { key: rsa, attributes, tags },
  },
  {
    file: 'sign-example.json',
    method: 'POST',
    path: 'keys/CreateSoftKeyTest/{version}/sign',
    body: { alg: 'RS512', value: digest },
    answers: { kid, value: /^[\w-]{342}$/ },
  },
  {
    file: 'verify-example.json',
    method: 'POST',
    path: 'keys/CreateSoftKeyTest/{version}/verify',
    body: { alg: 'RS512', value: '{answer}', digest },
    answers: { value: true },
  },
  {
    file: 'encrypt-example.json',
    method: 'POST',
    path: 'keys/CreateSoftKeyTest/{version}/encrypt',
    body: { alg: 'RSA-OAEP', value: 'dvDmrSBpjRjtYg' },
    answers: { kid, value: /^[\w-]{342}$/ },
  },
  {
    file: 'decrypt-example.json',
    method: 'POST',
    path: 'keys/CreateSoftKeyTest/{version}/decrypt',
    body: { alg: 'RSA-OAEP', value: '{answer}' },
    answers: { kid, value: 'dvDmrSBpjRjtYg' },
  },
  {
    file: 'wrapKey-example.json',
    method: 'POST',
    path: 'keys/CreateSoftKeyTest/{version}/wrapkey',
    body: { alg: 'RSA-OAEP-256', value: 'ovQIlbB0DgWhZA7sgkPxbg9H-Ly-VlNGPSgGrrZvlIo' },
    answers: { kid, value: /^[\w-]{342}$/ },
  },
  {
    file: 'unwrapKey-example.json',
    method: 'POST',
    path: 'keys/CreateSoftKeyTest/{version}/unwrapkey',
    body: { alg: 'RSA-OAEP-256', value: '{answer}' },
    answers: { kid, value: 'ovQIlbB0DgWhZA7sgkPxbg9H-Ly-VlNGPSgGrrZvlIo' },
  },
  {
    file: 'GetKey-example.json',
    method: 'GET',
    path: 'keys/CreateSoftKeyTest/{version}',
    answers: { key: rsa, attributes, tags },
  },
  {
    file: 'GetKeyVersions-example.json',
    method: 'GET',
    path: 'keys/CreateSoftKeyTest/versions',
    query: 'maxresults=1',
    answers: { value: [{ kid, attributes, tags }], nextLink: /skiptoken=.+&maxresults=1$/ },
  },
  {
    file: 'GetKeys-example.json',
    method: 'GET',
    path: 'keys',
    query: 'maxresults=1',
    answers: { value: [{ kid: /\/keys\/CreateSoftKeyTest$/, attributes }] },
  },
  {
    file: 'UpdateKeyRotationPolicy-example.json',
    method: 'PUT',
    path: 'keys/CreateSoftKeyTest/rotationpolicy',
    body: { lifetimeActions, attributes: { expiryTime: 'P2Y' } },
    answers: {
      id: /\/keys\/CreateSoftKeyTest\/rotationpolicy$/,
      lifetimeActions,
      attributes: { expiryTime: 'P2Y', ...at },
    },
  },
  {
    file: 'GetKeyRotationPolicy-example.json',
    method: 'GET',
    path: 'keys/CreateSoftKeyTest/rotationpolicy',
    answers: { lifetimeActions, attributes: { expiryTime: 'P2Y', ...at } },
  },
  {
    file: 'UpdateKey-example.json',
    method: 'PATCH',
    path: 'keys/CreateSoftKeyTest/{version}',
    body: {
      key_ops: ['decrypt', 'encrypt'],
      attributes: { enabled: false, nbf: 631180800, exp: 662716800 },
    },
    answers: {
      key: { kid, kty: 'RSA', key_ops: ['decrypt', 'encrypt'] },
      attributes: { enabled: false, nbf: 631180800, exp: 662716800 },
    },
  },
  {
    file: 'DeleteKey-example.json',
    method: 'DELETE',
    path: 'keys/CreateSoftKeyTest',
    answers: {
      recoveryId: /\/deletedkeys\/CreateSoftKeyTest$/,
      deletedDate: /^\d{10}$/,
      scheduledPurgeDate: /^\d{10}$/,
    },
  },
  {
    file: 'GetDeletedKey-example.json',
    method: 'GET',
    path: 'deletedkeys/CreateSoftKeyTest',
    answers: { recoveryId: /\/deletedkeys\/CreateSoftKeyTest$/, key: { kid, kty: 'RSA' } },
  },
  {
    file: 'RecoverDeletedKey-example.json',
    method: 'POST',
    path: 'deletedkeys/CreateSoftKeyTest/recover',
    answers: { key: { kid, kty: 'RSA' } },
  },
  {
    file: 'DeleteKey-example.json',
    method: 'DELETE',
    path: 'keys/CreateSoftKeyTest',
    answers: { recoveryId: /\/deletedkeys\/CreateSoftKeyTest$/ },
  },
  {
    file: 'PurgeDeletedKey-example.json',
    method: 'DELETE',
    path: 'deletedkeys/CreateSoftKeyTest',
    status: 204,
    answers: null,
  },
]

const cid = new RegExp(`/certificates/selfSignedCert01/${id}$`)
const keyProps = { exportable: true, kty: 'RSA', key_size: 2048, reuse_key: false }
const certificateAttributes = { enabled: true, nbf: /^\d{10}$/, exp: /^\d{10}$/, ...at }
const certificate = {
  id: cid,
  kid: new RegExp(`/keys/selfSignedCert01/${id}$`),
  sid: new RegExp(`/secrets/selfSignedCert01/${id}$`),
  x5t: /^[\w-]{27}$/,
  cer: /^MII/,
  attributes: certificateAttributes,
}
const lifetime = [
  { trigger: { lifetime_percentage: 80 }, action: { action_type: 'EmailContacts' } },
]
const x509 = {
  subject: 'CN=*.microsoft.com',
  sans: { dns_names: ['onedrive.microsoft.com', 'xbox.microsoft.com'] },
}
const changed = {
  key_props: keyProps,
  secret_props: { contentType: 'application/x-pkcs12' },
  x509_props: { subject: 'CN=KeyVaultTest', ekus: [], key_usage: [], validity_months: 297 },
  lifetime_actions: lifetime,
  issuer: { name: 'Self' },
}

export const certificateExamples: readonly Example[] = [
  {
    file: 'CreateCertificate-example.json',
    method: 'POST',
    path: 'certificates/selfSignedCert01/create',
    body: {
      policy: {
        key_props: keyProps,
        secret_props: { contentType: 'application/x-pkcs12' },
        x509_props: x509,
        issuer: { name: 'Self' },
      },
    },
    status: 202,
    answers: {
      id: /\/certificates\/selfSignedCert01\/pending$/,
      issuer: { name: 'Self' },
      csr: /^MII/,
      cancellation_requested: false,
      status: 'inProgress',
      request_id: new RegExp(`^${id}$`),
    },
  },
  {
    file: 'GetCertificateOperation-example.json',
    method: 'GET',
    path: 'certificates/selfSignedCert01/pending',
    answers: {
      id: /\/certificates\/selfSignedCert01\/pending$/,
      issuer: { name: 'Self' },
      csr: /^MII/,
      cancellation_requested: false,
      status: /^(inProgress|completed)$/,
      request_id: new RegExp(`^${id}$`),
    },
  },
  {
    file: 'GetCertificate-example.json',
    method: 'GET',
    path: 'certificates/selfSignedCert01',
    answers: {
      ...certificate,
      policy: { id: /\/certificates\/selfSignedCert01\/policy$/, key_props: keyProps },
    },
  },
  {
    file: 'UpdateCertificate-example.json',
    method: 'PATCH',
    path: 'certificates/selfSignedCert01/{version}',
    body: {
      attributes: { enabled: true, nbf: 1430344421, exp: 2208988799 },
      tags: { department: 'KeyVaultTest' },
    },
    answers: {
      ...certificate,
      attributes: { enabled: true, nbf: 1430344421, exp: 2208988799, ...at },
      tags: { department: 'KeyVaultTest' },
    },
  },
  {
    file: 'GetCertificateVersions-example.json',
    method: 'GET',
    path: 'certificates/selfSignedCert01/versions',
    answers: {
      value: [{ id: cid, x5t: /^[\w-]{27}$/, attributes: certificateAttributes }],
      nextLink: null,
    },
  },
  {
    file: 'GetCertificates-example.json',
    method: 'GET',
    path: 'certificates',
    answers: { value: [{ id: /\/certificates\/selfSignedCert01$/ }] },
  },
  {
    file: 'GetCertificatePolicy-example.json',
    method: 'GET',
    path: 'certificates/selfSignedCert01/policy',
    answers: { id: /\/certificates\/selfSignedCert01\/policy$/, x509_props: x509 },
  },
  {
    file: 'UpdateCertificatePolicy-example.json',
    method: 'PATCH',
    path: 'certificates/selfSignedCert01/policy',
    body: { ...changed, attributes: { enabled: true } },
    answers: {
      id: /\/certificates\/selfSignedCert01\/policy$/,
      ...changed,
      attributes: { enabled: true, ...at },
    },
  },
]

/** As Vitest's `toMatchObject` takes it. */
export const expected = (answers: unknown, matching: (pattern: RegExp) => unknown): unknown => {
  if (answers instanceof RegExp) return matching(answers)
  if (Array.isArray(answers)) return answers.map((item) => expected(item, matching))
  if (typeof answers !== 'object' || answers === null) return answers
  return Object.fromEntries(
    Object.entries(answers).map(([name, value]) => [name, expected(value, matching)]),
  )
}
