// The envelope of every document in a file.

import { Type, type TSchema } from 'typebox'
import { documentApiVersion } from './api-version.ts'
import { field, maybe, strict } from './fields.ts'
import { annotationsSchema, labelsSchema, nameSchema } from './names.ts'

const named = {
  name: field('what it is called: unique among its kind', nameSchema),
  labels: maybe(
    'labels, by which selectors and scopes find it; some of them decide who may do what',
    labelsSchema,
  ),
}

const envelope = <Kind extends string, Metadata extends TSchema, Spec extends TSchema>(
  kind: Kind,
  metadata: Metadata,
  spec: Spec,
) =>
  strict({
    apiVersion: field('the version of the format', Type.Literal(documentApiVersion)),
    kind: field('what the document describes', Type.Literal(kind)),
    metadata,
    spec,
  })

export const documentSchema = <Kind extends string, Spec extends TSchema>(kind: Kind, spec: Spec) =>
  envelope(kind, strict(named), spec)

export const annotatedSchema = <Kind extends string, Spec extends TSchema>(
  kind: Kind,
  spec: Spec,
) =>
  envelope(
    kind,
    strict({
      ...named,
      annotations: maybe('notes for people and tools; nothing depends on them', annotationsSchema),
    }),
    spec,
  )
