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

/** As Vitest's `toMatchObject` takes it. */
export const expected = (answers: unknown, matching: (pattern: RegExp) => unknown): unknown => {
  if (answers instanceof RegExp) return matching(answers)
  if (Array.isArray(answers)) return answers.map((item) => expected(item, matching))
  if (typeof answers !== 'object' || answers === null) return answers
  return Object.fromEntries(
    Object.entries(answers).map(([name, value]) => [name, expected(value, matching)]),
  )
}
