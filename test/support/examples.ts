// The OpenAPI document as its readers see it: operations, their examples, and what their replies must be like.

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

// oxlint-disable-next-line typescript/no-explicit-any -- a document, read as JSON
export type Json = any

export interface Operation {
  readonly id: string
  /** Nobody is asked for a token. */
  readonly isPublic: boolean
  readonly method: string
  readonly path: string
  readonly examples: readonly Example[]
  readonly responses: Readonly<Record<string, Json>>
}

export interface Example {
  readonly title: string
  readonly params: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

export const operationsOf = (document: Json): readonly Operation[] =>
  Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
    Object.entries<Json>(methods).map(([method, operation]) => ({
      id: operation.operationId,
      isPublic: operation.security?.length === 0,
      method: method.toUpperCase(),
      path,
      examples: examplesOf(operation),
      responses: Object.fromEntries(
        Object.entries(operation.responses).map(([status, reply]) => [
          status,
          resolve(document, reply),
        ]),
      ),
    })),
  )

const examplesOf = (operation: Json): readonly Example[] => {
  const of = (where: string): Record<string, string> =>
    Object.fromEntries(
      operation.parameters
        .filter((p: Json) => p.in === where && p.example !== undefined)
        .map((p: Json) => [p.name, p.example]),
    )
  const more = { params: of('path'), query: of('query'), headers: of('header') }
  const bodies = Object.entries<Json>(
    operation.requestBody?.content['application/json']?.examples ?? {},
  )
  if (bodies.length === 0) return [{ title: '', ...more, body: undefined }]
  return bodies.map(([title, { value }]) => ({ title, ...more, body: value }))
}

export const resolve = (document: Json, part: Json): Json =>
  typeof part?.$ref === 'string'
    ? part.$ref
        .slice(2)
        .split('/')
        .reduce((at: Json, name: string) => at[name], document)
    : part

export const urlOf = (
  path: string,
  params: Readonly<Record<string, string>>,
  query: Readonly<Record<string, unknown>> = {},
): string => {
  const filled = path.replaceAll(/\{([A-Za-z]+)\}/g, (_all, name: string) =>
    encodeURIComponent(params[name] ?? ''),
  )
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map((one): [string, string] => [name, String(one)]),
  )
  return pairs.length === 0 ? filled : `${filled}?${new URLSearchParams(pairs).toString()}`
}

/** Draft 2020-12, as OpenAPI 3.1 says, and strict: a keyword that nobody knows is a fault of the schema. */
export const newAjv = (): Ajv2020 => {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
  // Its types describe another export than the one that Node gives.
  ;(addFormats as unknown as typeof addFormats.default)(ajv)
  return ajv
}

/** What is wrong with a reply, by the document alone; nothing when it is as documented. */
export const makeReplyChecker = (document: Json) => {
  const ajv = newAjv()
  ajv.addKeyword('components')
  const compiled = new Map<string, ValidateFunction>()
  return (operation: Operation, status: number, type: string, body: unknown): string[] => {
    const reply = operation.responses[String(status)]
    if (reply === undefined) return [`status ${status} is not documented`]
    const media = type.split(';')[0]?.trim() ?? ''
    const content = reply.content?.[media]
    if (content === undefined) return [`${media} is not documented for ${status}`]
    if (!media.endsWith('json')) return []
    const name = `${operation.id} ${status}`
    // The schema with the components that its references lead to.
    const schema = { ...content.schema, components: { schemas: document.components.schemas } }
    const check = compiled.get(name) ?? ajv.compile(schema)
    compiled.set(name, check)
    if (check(body)) return []
    return (check.errors ?? []).map(({ instancePath, message }) => `${instancePath}: ${message}`)
  }
}
