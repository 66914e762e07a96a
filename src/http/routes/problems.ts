// Where the `type` of a problem leads: a page for every code of the catalogue.

import { Type } from 'typebox'
import { errorHelp } from '#domain/error-help.ts'
import { errors, RekeyError, type ErrorCode } from '#domain/errors.ts'
import { escapeHtml, htmlMediaType, page, pageHeaders } from '../page.ts'
import { exampleProblem } from '../problem.ts'
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
    params: strict({ code: Type.String({ pattern: '^[A-Za-z.]{1,100}$' }) }),
    replies: { 200: Type.String() },
    mediaTypes: ['text/html'],
    examples: [{ params: { code: 'policy.overlap' } }],
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
  const { title, status } = errors[code]
  const { why, todo } = errorHelp[code]
  return page(
    code,
    `<h1><code>${escapeHtml(code)}</code></h1>
<p><strong>${escapeHtml(title)}.</strong> Status ${status}. ${repeatable(code)}</p>
<h2>Why</h2>
<p>${inline(why)}</p>
<h2>What to do</h2>
<p>${inline(todo)}</p>
<h2>Example</h2>
<pre><code>${escapeHtml(JSON.stringify(exampleProblem(code), null, 2))}</code></pre>
<p><code>requestId</code> names the request in the log and in the audit log. <a href="/docs#codes">All codes</a></p>`,
  )
}

/** Also in `docs/reference/errors.md`. */
export const repeatable = (code: ErrorCode): string =>
  errors[code].retry
    ? 'The same request may succeed later: wait as long as Retry-After says.'
    : 'The same request fails again until it, or what it is about, has changed.'

/** Prose with `code` in backquotes. */
const inline = (text: string): string =>
  escapeHtml(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>')
