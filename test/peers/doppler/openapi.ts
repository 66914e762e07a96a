// Doppler's own OpenAPI document judges every request that reaches the stand-in and every answer that leaves it. It comes with
// Doppler's MCP server (npm @dopplerhq/mcp-server, Apache-2.0) and is got by `npm run peers`.
//
// Where the document contradicts its own prose, the prose counts; `corrected` is all of it. A 4xx has no schema there.

import { readFileSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

interface Parameter {
  readonly name: string
  readonly in: 'query' | 'path' | 'header'
  readonly required?: boolean
  readonly schema?: Readonly<Record<string, unknown>>
}
interface Content {
  readonly schema?: Readonly<Record<string, unknown>>
  readonly examples?: Readonly<Record<string, { readonly value: string }>>
}
interface Operation {
  readonly operationId: string
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Readonly<Record<string, Content>> }
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, Content>> }>
  >
}
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>

export interface Judge {
  /** Null: there is no such route in the document. */
  readonly route: (method: string, path: string) => Operation | null
  /** What is wrong with the request; empty: nothing. */
  readonly request: (
    operation: Operation,
    query: URLSearchParams,
    body: unknown,
  ) => readonly string[]
  readonly response: (operation: Operation, status: number, body: unknown) => readonly string[]
  /** The document's own answer of a route. */
  readonly example: (method: string, path: string, status?: number) => unknown
}

export const openJudge = (file: string): Judge => {
  const paths = corrected(JSON.parse(readFileSync(file, 'utf8')) as { readonly paths: Paths })
  const ajv = new Ajv2020({ strict: false, allErrors: true, coerceTypes: false })
  addFormats.default(ajv)
  const compiled = new Map<unknown, ValidateFunction>()
  const faultsOf = (schema: Readonly<Record<string, unknown>>, value: unknown): string[] => {
    const validate = compiled.get(schema) ?? ajv.compile(schema)
    compiled.set(schema, validate)
    if (validate(value)) return []
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
  }
  return {
    route: (method, path) => paths[path]?.[method.toLowerCase()] ?? null,
    request: (operation, query, body) => {
      const { parameters = [], requestBody } = operation
      const declared = parameters.filter((one) => one.in === 'query')
      const schema = requestBody?.content['application/json']?.schema
      return [
        ...[...query.keys()]
          .filter((name) => !declared.some((one) => one.name === name))
          .map((name) => `the query has no parameter ${name}`),
        ...declared.flatMap(({ name, required, schema: of = {} }) => {
          const text = query.get(name)
          if (text === null) return required === true ? [`the query lacks ${name}`] : []
          return faultsOf(of, typed(text, of['type'])).map((fault) => `${name}: ${fault}`)
        }),
        ...(schema === undefined
          ? body === undefined
            ? []
            : ['the route takes no body']
          : [...faultsOf(schema, body), ...strangers(schema, body, '')]),
      ]
    },
    response: ({ responses }, status, body) => {
      if (status >= 400) return faultsOf(failureSchema, body)
      const found = responses[String(status)]
      if (found === undefined) return [`the document has no answer ${status}`]
      const schema = found.content?.['application/json']?.schema
      return schema === undefined ? [] : faultsOf(schema, body)
    },
    example: (method, path, status = 200) => {
      const responses = paths[path]?.[method.toLowerCase()]?.responses
      const content = responses?.[String(status)]?.content?.['application/json']
      const text = content?.examples?.['Result']?.value
      if (text === undefined) throw new Error(`the document has no example of ${method} ${path}`)
      return text === '' ? undefined : JSON.parse(text)
    },
  }
}

const failureSchema = {
  type: 'object',
  required: ['messages', 'success'],
  properties: {
    messages: { type: 'array', minItems: 1, items: { type: 'string' } },
    success: { const: false },
  },
  additionalProperties: false,
}

const typed = (text: string, type: unknown): unknown => {
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return type === 'integer' && /^\d+$/.test(text) ? Number(text) : text
}

/** Fields that the document does not know: a typing error would else be left out in silence. */
const strangers = (
  schema: Readonly<Record<string, unknown>>,
  value: unknown,
  at: string,
): readonly string[] => {
  const { properties, items } = schema as {
    readonly properties?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
    readonly items?: Readonly<Record<string, unknown>>
  }
  if (Array.isArray(value))
    return items === undefined ? [] : value.flatMap((one, i) => strangers(items, one, `${at}/${i}`))
  if (properties === undefined || typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, of]) => {
    const known = properties[name]
    return known === undefined
      ? [`${at}/${name} is not in the document`]
      : strangers(known, of, `${at}/${name}`)
  })
}

/** `secrets-update` types `originalName` and `value` as strings, and says of both when they are null. */
const corrected = ({ paths }: { readonly paths: Paths }): Paths => {
  const text = JSON.stringify(paths)
  const copy = JSON.parse(text) as Record<string, Record<string, Operation>>
  const body = copy['/v3/configs/config/secrets']?.['post']?.requestBody?.content[
    'application/json'
  ]?.schema as {
    properties: {
      change_requests: {
        items: { properties: Record<string, { type: unknown }>; required: string[] }
      }
    }
  }
  const change = body.properties.change_requests.items
  for (const name of ['originalName', 'value']) {
    const property = change.properties[name]
    if (property === undefined) throw new Error(`the document has no ${name} any more`)
    property.type = ['string', 'null']
  }
  change.required = ['name']
  return copy
}
