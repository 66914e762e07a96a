// What the schemas of files cannot say: fields that depend on each other, and secrets, which no file may hold.

import { Check } from 'typebox/value'
import { type ConnectionDocument, connectionDocumentSchema } from './connection-schema.ts'
import { below, type Checked, type Issue } from './issue.ts'
import { checkPolicy } from './policy-rules.ts'
import { policyDocumentSchema } from './policy-schema.ts'

const invalid = (pointer: string, detail: string, hint?: string): Issue => ({
  code: 'request.invalid',
  pointer,
  detail,
  ...(hint === undefined ? {} : { hint }),
})

export const checkPolicyDocument = (document: unknown, now: Date): Checked => {
  if (!Check(policyDocumentSchema, document)) return { issues: [], warnings: [] }
  const { issues, warnings } = checkPolicy(document.spec, now)
  return { issues: below('/spec', issues), warnings }
}

type Credential = NonNullable<ConnectionDocument['spec']['credential']>

/** Which field names the credential, by where it comes from. */
const named = {
  none: null,
  default: null,
  env: 'name',
  file: 'path',
  key: 'key',
} as const satisfies Record<Credential['from'], keyof Credential | null>

export const checkConnectionDocument = (document: unknown): Checked => {
  if (!Check(connectionDocumentSchema, document)) return { issues: [], warnings: [] }
  const { credential } = document.spec
  if (credential === undefined) return { issues: [], warnings: [] }
  const wanted = named[credential.from]
  const at = '/spec/credential'
  const issues = (['name', 'path', 'key'] as const).flatMap((field) => {
    if (field === wanted) {
      return credential[field] === undefined
        ? [invalid(at, `a credential from ${credential.from} needs ${field}`)]
        : []
    }
    if (credential[field] === undefined) return []
    const from = Object.entries(named).find(([, of]) => of === field)?.[0]
    return [
      invalid(
        `${at}/${field}`,
        `a credential from ${credential.from} has no ${field}`,
        `${field} belongs to from: ${from}`,
      ),
    ]
  })
  return { issues, warnings: [] }
}

export const connectionSecrets = (document: unknown): readonly Issue[] => {
  const credential = member(member(document, 'spec'), 'credential')
  if (member(credential, 'from') !== 'value' && member(credential, 'value') === undefined) return []
  return [
    invalid(
      '/spec/credential',
      'a file holds no secret values',
      'name it by from: env, file or key; or leave credential out, and send it once with PUT /v1/connections/NAME: it then stays',
    ),
  ]
}

export const consumerSecrets = (document: unknown): readonly Issue[] =>
  member(member(member(document, 'spec'), 'reload'), 'secret') === undefined
    ? []
    : [
        invalid(
          '/spec/reload/secret',
          'a file holds no secret values',
          'leave it out, and send it once with PUT /v1/consumers/NAME: it then stays',
        ),
      ]

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined
