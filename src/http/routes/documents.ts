// What the API says about itself: the OpenAPI document, a page of it, and the JSON Schemas of files.

import { Type } from 'typebox'
import { documentKinds } from '#domain/document-kinds.ts'
import { errors, RekeyError } from '#domain/errors.ts'
import { allowedBy, roleList } from '../access.ts'
import { withoutIds } from '../input.ts'
import { openapiOf, type About } from '../openapi.ts'
import { escapeHtml, htmlMediaType, page, pageHeaders } from '../page.ts'
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
      params: strict({ kind: Type.String({ maxLength: 100 }) }),
      replies: { 200: Type.Object({}, { additionalProperties: true }) },
      examples: [{ params: { kind: 'policy' } }],
      handler: async ({ params }) => ({ status: 200, body: schemaOf(params.kind) }),
    }),
  ]
  const all = [...others, ...own]
  // A few hundred kilobytes that never change: written once.
  let text: string | undefined
  const openapi = () => (text ??= JSON.stringify(openapiOf(all, about)))
  let html: string | undefined
  const docs = () => (html ??= docsPage(all, about))
  return own
}

/** `RotationPolicy` is at `/schemas/policy.v1.json`: the last word of the kind, lower-case, names the file. */
const schemaFiles: ReadonlyMap<string, { readonly kind: string; readonly schema: unknown }> =
  new Map(
    Object.entries(documentKinds).map(([kind, { schema }]) => [
      (/[A-Z][a-z]*$/.exec(kind)?.[0] ?? kind).toLowerCase(),
      { kind, schema: withoutIds(schema) },
    ]),
  )

const schemaOf = (name: string): Record<string, unknown> => {
  const file = schemaFiles.get(name)
  if (file === undefined) {
    throw new RekeyError('resource.notFound', {
      detail: 'There is no schema of this kind.',
      hint: `There are: ${[...schemaFiles.keys()].map((kind) => `/schemas/${kind}.v1.json`).join(', ')}`,
    })
  }
  const schema = typeof file.schema === 'object' && file.schema !== null ? file.schema : {}
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `/schemas/${name}.v1.json`,
    title: file.kind,
    ...schema,
  }
}

const docsPage = (routes: readonly Route[], about: About): string => {
  const byTag = [...Map.groupBy(routes, (route) => route.tag)].toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  )
  const sections = byTag.map(
    ([tag, operations]) =>
      `<h2 id="${escapeHtml(tag)}">${escapeHtml(tag)}</h2>\n${operations.map(operationHtml).join('\n')}`,
  )
  const codes = Object.entries(errors).map(
    ([code, { status, title }]) =>
      `<tr><td><a href="/problems/${escapeHtml(code)}">${escapeHtml(code)}</a></td><td>${status}</td><td>${escapeHtml(title)}</td></tr>`,
  )
  return page(
    'API',
    `<h1>Rekey API ${escapeHtml(about.version)}</h1>
<p>The full description is <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1). Send <code>Authorization: Bearer rekey_…</code>.</p>
${sections.join('\n')}
<h2 id="codes">Error codes</h2>
<table><thead><tr><th>Code</th><th>Status</th><th>Meaning</th></tr></thead><tbody>
${codes.join('\n')}
</tbody></table>`,
  )
}

const operationHtml = (route: Route): string => {
  const allowed = allowedBy(route)
  const rights = typeof allowed === 'string' ? allowed : roleList(allowed).join(', ')
  const notes = [
    `<p>${escapeHtml(route.description ?? route.summary)}</p>`,
    `<p>Roles: ${escapeHtml(rights)}. Replies: ${Object.keys(route.replies).join(', ')}.</p>`,
    ...(route.dryRun
      ? ['<p><code>?dryRun=all</code> does the same checks and nothing else.</p>']
      : []),
    ...(route.idempotency === 'required' ? ['<p>Needs an <code>Idempotency-Key</code>.</p>'] : []),
  ]
  return `<details><summary><span class="method">${route.method}</span> <code>${escapeHtml(route.path)}</code> ${escapeHtml(route.summary)}</summary>${notes.join('')}</details>`
}
