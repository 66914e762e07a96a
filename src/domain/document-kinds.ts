// The kinds of documents that files may hold: one line each, in the order in which they are applied.

import type { TSchema } from 'typebox'
import { connectionDocumentSchema } from './connection-schema.ts'
import { consumerDocumentSchema } from './consumer-schema.ts'
import {
  checkConnectionDocument,
  checkPolicyDocument,
  connectionSecrets,
  consumerSecrets,
} from './document-rules.ts'
import type { Checked, Issue } from './issue.ts'
import { keyDocumentSchema } from './key-schema.ts'
import { checkPlaybookDocument, playbookDocumentSchema } from './playbook-schema.ts'
import { policyDocumentSchema } from './policy-schema.ts'

export interface DocumentKindRules {
  /** What the API calls the resources, and the command line one of them. */
  readonly plural: string
  readonly noun: string
  /** Of the whole document: apiVersion, kind, metadata, spec. */
  readonly schema: TSchema
  /** Secret values, which no file may hold. Asked before the schema, so that the answer says so. */
  readonly secrets?: (document: unknown) => readonly Issue[]
  /** What the schema cannot say. Only called with what the schema accepts; pointers are relative to the document. */
  readonly check?: (document: unknown, now: Date) => Checked
}

const kinds = {
  Connection: {
    plural: 'connections',
    noun: 'connection',
    schema: connectionDocumentSchema,
    secrets: connectionSecrets,
    check: checkConnectionDocument,
  },
  Consumer: {
    plural: 'consumers',
    noun: 'consumer',
    schema: consumerDocumentSchema,
    secrets: consumerSecrets,
  },
  Playbook: {
    plural: 'playbooks',
    noun: 'playbook',
    schema: playbookDocumentSchema,
    check: checkPlaybookDocument,
  },
  Key: { plural: 'keys', noun: 'key', schema: keyDocumentSchema },
  RotationPolicy: {
    plural: 'policies',
    noun: 'policy',
    schema: policyDocumentSchema,
    check: checkPolicyDocument,
  },
} as const satisfies Readonly<Record<string, DocumentKindRules>>

export type DocumentKind = keyof typeof kinds
export const documentKinds: Readonly<Record<DocumentKind, DocumentKindRules>> = kinds
export const kindNames = Object.keys(kinds) as readonly DocumentKind[]

export const isDocumentKind = (kind: unknown): kind is DocumentKind =>
  typeof kind === 'string' && Object.hasOwn(kinds, kind)
