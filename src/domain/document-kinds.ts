// The kinds of documents that files may hold: one line each.

import type { TSchema } from 'typebox'
import { Check } from 'typebox/value'
import { below, type Checked } from './issue.ts'
import { policyDocumentSchema } from './policy-schema.ts'
import { checkPolicy } from './policy-rules.ts'

export interface DocumentKind {
  /** Of the whole document: apiVersion, kind, metadata, spec. */
  readonly schema: TSchema
  /** What the schema cannot say. Only called with what the schema accepts; pointers are relative to the document. */
  readonly check: (document: unknown, now: Date) => Checked
}

export const documentKinds: Readonly<Record<string, DocumentKind>> = {
  RotationPolicy: {
    schema: policyDocumentSchema,
    check: (document, now) => checkRotationPolicy(document, now),
  },
}

const checkRotationPolicy = (document: unknown, now: Date): Checked => {
  if (!Check(policyDocumentSchema, document)) return { issues: [], warnings: [] }
  const { issues, warnings } = checkPolicy(document.spec, now)
  return { issues: below('/spec', issues), warnings }
}
