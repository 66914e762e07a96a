// What the API says about itself: the OpenAPI document, a page of it, and the JSON Schemas of files.

import { Type } from 'typebox'
import { documentKinds } from '#domain/document-kinds.ts'
import { RekeyError } from '#domain/errors.ts'
import { docsPage } from '../docs-page.ts'
import { recordOf, withoutIds } from '../input.ts'
import { openapiOf, type About } from '../openapi.ts'
import { htmlMediaType, pageHeaders } from '../page.ts'
import { jsonMediaType } from '../render.ts'
import { publicRoute, type Route } from '../route.ts'
import { strict } from '../schemas.ts'

/** `others`: all routes but those of this file. */
export const documentRoutes = (others: readonly Route[], about: About): readonly Route[] => {
  const own: readonly Route[] = [
    publicRoute({
      public: true,
      method: 'GET',
      path: '/openapi.json',
      operationId: 'getOpenapi',
      tag: 'documents',
      summary: 'This API as OpenAPI 3.1',
      replies: { 200: Type.Object({}, { additionalProperties: true }) },
      mediaTypes: ['application/json'],
      handler: async () => ({ status: 200, mediaType: jsonMediaType, body: openapi() as never }),
    }),
    publicRoute({
      public: true,
      method: 'GET',
      path: '/docs',
      operationId: 'getDocs',
      tag: 'documents',
      summary: 'This API as a page',
      replies: { 200: Type.String() },
      mediaTypes: ['text/html'],
      handler: async () => ({
        status: 200,
        mediaType: htmlMediaType,
        headers: pageHeaders,
        body: docs(),
      }),
    }),
    publicRoute({
      public: true,
      method: 'GET',
      path: '/schemas/{kind}.v1.json',
      operationId: 'getSchema',
      tag: 'documents',
      summary: 'The JSON Schema of a kind of document, for editors',
      params: strict({ kind: Type.String({ pattern: '^[A-Za-z]{1,100}$' }) }),
      replies: { 200: Type.Object({}, { additionalProperties: true }) },
      examples: [{ params: { kind: 'policy' } }],
      handler: async ({ params }) => ({ status: 200, body: schemaOf(params.kind) }),
    }),
  ]
  const all = [...others, ...own]
  // A few hundred kilobytes that never change: made once.
  let document: ReturnType<typeof openapiOf> | undefined
  const made = () => (document ??= openapiOf(all, about))
  let text: string | undefined
  const openapi = () => (text ??= JSON.stringify(made()))
  let html: string | undefined
  const docs = () => (html ??= docsPage(made()))
  return own
}

interface SchemaFile {
  readonly title: string
  readonly schema: object
}

/** `RotationPolicy` is at `/schemas/policy.v1.json`: the noun of the kind names the file. `document` is for
 *  files that hold several kinds: whichever the `kind` of each says. */
const schemaFiles: ReadonlyMap<string, SchemaFile> = (() => {
  const kinds = Object.entries(documentKinds).map(
    ([title, { noun, schema }]) => [noun, { title, schema: recordOf(withoutIds(schema)) }] as const,
  )
  const every = { anyOf: kinds.map(([, { title, schema }]) => ({ title, ...schema })) }
  return new Map<string, SchemaFile>([...kinds, ['document', { title: 'Document', schema: every }]])
})()

const schemaOf = (name: string): Record<string, unknown> => {
  const file = schemaFiles.get(name)
  if (file === undefined) {
    throw new RekeyError('resource.notFound', {
      detail: 'There is no schema of this kind.',
      hint: `There are: ${[...schemaFiles.keys()].map((kind) => `/schemas/${kind}.v1.json`).join(', ')}`,
    })
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `/schemas/${name}.v1.json`,
    title: file.title,
    description: `For editors: \`# yaml-language-server: $schema=<server>/schemas/${name}.v1.json\` as the first line of a file.`,
    ...file.schema,
  }
}
