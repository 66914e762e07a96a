// Where the `type` of a problem leads: a page for every code of the catalogue.

import { Type } from 'typebox'
import { errors, RekeyError, type ErrorCode } from '#domain/errors.ts'
import { escapeHtml, htmlMediaType, page, pageHeaders } from '../page.ts'
import { publicRoute, type Route } from '../route.ts'
import { strict } from '../schemas.ts'

const isCode = (code: string): code is ErrorCode => Object.hasOwn(errors, code)

export const problemRoutes: readonly Route[] = [
  publicRoute({
    public: true,
    method: 'GET',
    path: '/problems/{code}',
    operationId: 'getProblem',
    tag: 'documents',
    summary: 'What an error code means',
    params: strict({ code: Type.String({ maxLength: 100 }) }),
    replies: { 200: Type.String() },
    mediaTypes: ['text/html'],
    handler: async ({ params }) => {
      const { code } = params
      if (!isCode(code)) {
        throw new RekeyError('resource.notFound', {
          detail: 'There is no such code.',
          hint: 'All codes: /docs#codes',
        })
      }
      return {
        status: 200,
        mediaType: htmlMediaType,
        headers: pageHeaders,
        body: problemPage(code),
      }
    },
  }),
]

const problemPage = (code: ErrorCode): string => {
  const { title, status, retry } = errors[code]
  const repeat = retry
    ? 'The same request may succeed later: wait as long as <code>Retry-After</code> says.'
    : 'The same request will fail again: change it, or what it is about, first.'
  return page(
    code,
    `<h1><code>${escapeHtml(code)}</code></h1>
<p>${escapeHtml(title)}. Status ${status}.</p>
<p>${repeat}</p>
<p>In the problem itself, <code>detail</code> says what happened, <code>hint</code> what to do next, <code>errors</code> where in the request, and <code>requestId</code> what to look for in the log.</p>
<p><a href="/docs#codes">All codes</a></p>`,
  )
}
