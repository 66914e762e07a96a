// The OpenAPI document as a page for people: no script, nothing from elsewhere, and so nothing that a strict policy or a
// machine without a network would lack. `find in page` opens what is folded.

import { errors } from '#domain/errors.ts'
import { recordOf, type Schema } from './input.ts'
import { escapeHtml, page } from './page.ts'
import { fieldsHtml, typeHtml } from './schema-html.ts'

/** `document` as openapi.ts makes it: what is read here is there. */
export const docsPage = (document: Schema): string => {
  const { title, version, description } = recordOf(document['info'])
  const operations = operationsIn(document)
  const byTag = Map.groupBy(operations, ({ operation }) => String(list(operation['tags'])[0]))
  const tags = [...byTag].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const about = new Map(
    list(document['tags'])
      .map(recordOf)
      .map((tag) => [tag['name'], tag['description']]),
  )
  return page(
    'API',
    `<h1>${text(title)} API ${text(version)}</h1>
<p>${text(description)}</p>
<p>As data: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1). Send <code>Authorization: Bearer rekey_…</code>.</p>
${manner}
<nav aria-label="Operations">${tags.map(([tag, group]) => indexHtml(tag, group)).join('')}
<h2><a href="#schemas">schemas</a>, <a href="#codes">error codes</a></h2></nav>
${tags.map(([tag, group]) => `<h2 id="${text(tag)}">${text(tag)}</h2>\n<p>${text(about.get(tag))}</p>\n${group.map(operationHtml).join('\n')}`).join('\n')}
<h2 id="schemas">Schemas</h2>
${Object.entries(recordOf(recordOf(document['components'])['schemas']))
  .map(schemaHtml)
  .join('\n')}
<h2 id="codes">Error codes</h2>
<table><thead><tr><th>Code</th><th>Status</th><th>Meaning</th></tr></thead><tbody>
${Object.entries(errors).map(codeHtml).join('\n')}
</tbody></table>`,
  )
}

interface Placed {
  readonly method: string
  readonly path: string
  readonly operation: Schema
  readonly document: Schema
}

const operationsIn = (document: Schema): readonly Placed[] =>
  Object.entries(recordOf(document['paths'])).flatMap(([path, methods]) =>
    Object.entries(recordOf(methods)).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      operation: recordOf(operation),
      document,
    })),
  )

const manner = `<details><summary>What holds for every operation</summary><dl>
<dt>Dry run</dt><dd><code>?dryRun=all</code> on a write: the same checks and rights, nothing is done.</dd>
<dt>Repeating</dt><dd><code>Idempotency-Key</code> on a POST: the same request with the same key has one effect, for 24 hours.</dd>
<dt>Revisions</dt><dd>Reading gives an <code>ETag</code>; PUT, PATCH and DELETE of what exists need it as <code>If-Match</code>.</dd>
<dt>Lists</dt><dd><code>?limit=</code> and <code>?cursor=</code>; <code>nextCursor</code> is null on the last page.</dd>
<dt>Receipts</dt><dd><code>audit</code> in the reply of a write proves that a record was promised.</dd>
<dt>Refusals</dt><dd>RFC 9457 problems with a <a href="#codes">code</a>, where in the request the fault is, and what to do.</dd>
</dl></details>`

const indexHtml = (tag: string, group: readonly Placed[]): string =>
  `<h2><a href="#${text(tag)}">${text(tag)}</a></h2><ul>${group
    .map(
      ({ method, path, operation }) =>
        `<li><a href="#${text(operation['operationId'])}"><span class="method">${method}</span> <code>${text(path)}</code></a> ${text(operation['summary'])}</li>`,
    )
    .join('')}</ul>`

const operationHtml = (placed: Placed): string => {
  const { method, path, operation } = placed
  return `<details id="${text(operation['operationId'])}"><summary><span class="method">${method}</span> <code>${text(path)}</code> ${text(operation['summary'])}</summary>
${paragraphs(operation['description'])}
${parametersHtml(list(operation['parameters']).map(recordOf))}
${bodyHtml(placed)}
<h4>Replies</h4>
${Object.entries(recordOf(operation['responses']))
  .map(([status, reply]) => replyHtml(status, resolve(placed.document, reply)))
  .join('\n')}
</details>`
}

const parametersHtml = (parameters: readonly Schema[]): string =>
  parameters.length === 0
    ? ''
    : `<table><thead><tr><th>Parameter</th><th>In</th><th>Type</th><th></th></tr></thead><tbody>${parameters
        .map(
          (parameter) =>
            `<tr><td>${text(parameter['name'])}${parameter['required'] === true ? ' <strong>required</strong>' : ''}</td><td>${text(parameter['in'])}</td><td>${typeHtml(parameter['schema'])}</td><td>${text(parameter['description'])}</td></tr>`,
        )
        .join('')}</tbody></table>`

const bodyHtml = ({ method, path, operation }: Placed): string => {
  const content = recordOf(recordOf(operation['requestBody'])['content'])
  const json = recordOf(content['application/json'])
  if (json['schema'] === undefined) return ''
  const also = Object.keys(content).slice(1)
  const examples = Object.values(recordOf(json['examples'])).map(recordOf)
  return `<h4>Body</h4>${also.length > 0 ? `<p>JSON, or ${also.map(text).join(', ')}.</p>` : ''}
${fieldsHtml(json['schema'])}
${examples
  .map(
    ({ summary, value }) =>
      `${summary === undefined ? '' : `<p>${text(summary)}</p>`}<pre><code>${text(`${method} ${path}\n${JSON.stringify(value, null, 2)}`)}</code></pre>`,
  )
  .join('')}`
}

const replyHtml = (status: string, reply: Schema): string => {
  const [entry] = Object.entries(recordOf(reply['content']))
  const [type, media] = entry ?? ['', {}]
  const { schema, example } = recordOf(media)
  if (!status.startsWith('2'))
    return `<p><code>${text(status)}</code> ${prose(reply['description'])}</p>`
  return `<details><summary><code>${text(status)}</code> ${text(reply['description'])} <small>${text(type)}</small></summary>
${fieldsHtml(schema)}
${example === undefined ? '' : `<pre><code>${text(JSON.stringify(example, null, 2))}</code></pre>`}</details>`
}

const schemaHtml = ([name, schema]: readonly [string, unknown]): string =>
  `<details id="schema-${text(name)}"><summary><code>${text(name)}</code> ${text(recordOf(schema)['description'])}</summary>${fieldsHtml(schema)}</details>`

const codeHtml = ([code, { status, title }]: readonly [
  string,
  { readonly status: number; readonly title: string },
]): string =>
  `<tr><td><a href="/problems/${text(code)}">${text(code)}</a></td><td>${status}</td><td>${text(title)}</td></tr>`

const resolve = (document: Schema, part: unknown): Schema => {
  const { $ref: reference } = recordOf(part)
  if (typeof reference !== 'string') return recordOf(part)
  const at = reference.slice(2).split('/')
  return recordOf(at.reduce<unknown>((value, name) => recordOf(value)[name], document))
}

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

const text = (value: unknown): string => escapeHtml(typeof value === 'string' ? value : '')

/** Text with `code` in backquotes; a code of the catalogue leads to its page. */
const prose = (value: unknown): string =>
  text(value)
    .replaceAll(/`([^`]+)`/g, (_all, word: string) =>
      Object.hasOwn(errors, word)
        ? `<a href="/problems/${word}"><code>${word}</code></a>`
        : `<code>${word}</code>`,
    )
    .replaceAll('\n\n', '<br>')

const paragraphs = (value: unknown): string =>
  (typeof value === 'string' ? value : '')
    .split('\n\n')
    .map((part) => `<p>${prose(part)}</p>`)
    .join('')
