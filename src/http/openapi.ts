// The OpenAPI 3.1 document, made from the same declarations that serve the requests. What every operation of a kind has (its
// problems, headers, parameters) follows from the kind, so no route can forget it. Schemas with an `$id` are components.

import { errors, type ErrorCode } from '#domain/errors.ts'
import { allowedBy, roleList } from './access.ts'
import { yamlMediaTypes } from './body.ts'
import { problemsOf } from './documented.ts'
import { eventStreamType } from './events.ts'
import {
  bodySchema,
  mapNamed,
  paramsSchema,
  propertiesOf,
  querySchema,
  recordOf,
  type Schema,
} from './input.ts'
import { problemMediaType, problemSchema } from './problem.ts'
import type { Route } from './route.ts'
import { receiptSchema } from './schemas.ts'

export interface About {
  readonly version: string
  readonly perMinute: number
}

/** A JSON document; what it holds is checked by the tests against the specification's own schema. */
export const openapiOf = (routes: readonly Route[], about: About): Schema => {
  const components = new Map<string, Schema>()
  const refer = (schema: unknown): unknown =>
    mapNamed(schema, (id, copy) => {
      components.set(id, copy)
      return { $ref: `#/components/schemas/${id}` }
    })
  const paths = Map.groupBy(routes, (route) => route.path)
  return {
    openapi: '3.1.0',
    info: {
      title: 'Rekey',
      version: about.version,
      description: `Rotate every key on schedule, and revoke any of them without guessing. ${about.perMinute} requests a minute a principal.`,
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map((route) => route.tag))].toSorted().map((name) => ({ name })),
    paths: Object.fromEntries(
      [...paths].map(([path, operations]) => [
        path,
        Object.fromEntries(
          operations.map((route) => [route.method.toLowerCase(), operationOf(route, refer)]),
        ),
      ]),
    ),
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'rekey_<type>_<30 base62><6 CRC-32>',
        },
      },
      schemas: Object.fromEntries([...components].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    },
  }
}

type Refer = (schema: unknown) => unknown

const operationOf = (route: Route, refer: Refer): Schema => {
  const body = route.body === null ? null : bodySchema(route)
  return {
    operationId: route.operationId,
    summary: route.summary,
    ...describe(route),
    tags: [route.tag],
    security: route.access === 'public' ? [] : [{ token: [] }],
    parameters: parametersOf(route, refer),
    ...(body === null
      ? {}
      : { requestBody: { required: true, content: bodyContent(route, refer(body)) } }),
    responses: { ...successes(route, refer), ...problems(route, refer) },
  }
}

const describe = (route: Route): Schema => {
  const allowed = allowedBy(route)
  const rights =
    allowed === 'everybody'
      ? 'Needs no token.'
      : allowed === 'any token'
        ? 'Any valid token.'
        : `Roles: ${roleList(allowed).join(', ')}.`
  return {
    description: [route.description, rights].filter((part) => part !== undefined).join('\n\n'),
  }
}

const bodyContent = (route: Route, schema: unknown): Schema =>
  Object.fromEntries(
    ['application/json', ...(route.yaml ? yamlMediaTypes.slice(0, 1) : [])].map((type) => [
      type,
      { schema },
    ]),
  )

const parametersOf = (route: Route, refer: Refer): readonly Schema[] => {
  const at = (where: 'path' | 'query', schema: unknown): Schema[] => {
    const { required: names } = recordOf(schema)
    const required: readonly unknown[] = Array.isArray(names) ? names : []
    return Object.entries(propertiesOf(schema)).map(([name, value]) => ({
      name,
      in: where,
      required: where === 'path' || required.includes(name),
      schema: refer(value),
    }))
  }
  const header = (name: string, required: boolean, description: string): Schema => ({
    name,
    in: 'header',
    required,
    description,
    schema: { type: 'string' },
  })
  return [
    ...at('path', paramsSchema(route)),
    ...at('query', querySchema(route)),
    ...(route.idempotency === 'none'
      ? []
      : [
          header(
            'Idempotency-Key',
            route.idempotency === 'required',
            'the same request with the same key has one effect',
          ),
        ]),
    ...(route.ifMatch
      ? [
          header(
            'If-Match',
            route.method !== 'PUT',
            'the ETag that was read; needed where the resource exists',
          ),
        ]
      : []),
    ...(route.ifMatch && route.method === 'PUT'
      ? [header('If-None-Match', false, '*: create only')]
      : []),
    ...(route.answer.kind === 'events'
      ? [header('Last-Event-ID', false, 'send what follows this event')]
      : []),
  ]
}

const limitHeaders: Schema = {
  'RateLimit-Policy': text('"bucket";q=requests;w=seconds'),
  RateLimit: text('"bucket";r=requests left;t=seconds'),
}

const headersOf = (route: Route, status: number): Schema => ({
  'X-Request-Id': text('names this request in the log and the audit log'),
  ...(route.access === 'public' ? {} : limitHeaders),
  ...(status === 401 ? { 'WWW-Authenticate': text('Bearer') } : {}),
  ...(status === 429 ? { 'Retry-After': text('seconds') } : {}),
})

const successes = (route: Route, refer: Refer): Schema => {
  const declared = Object.entries(route.replies).map(([status, schema]) => {
    const code = Number(status)
    const described: Schema = {
      description: recordOf(schema)['description'] ?? phrases[code] ?? 'Done',
      headers: {
        ...headersOf(route, code),
        ...(route.ifMatch || code === 201
          ? { ETag: text('names this revision for If-Match') }
          : {}),
        ...(code === 201 ? { Location: text('where it is') } : {}),
        ...(route.idempotency === 'none'
          ? {}
          : { 'Idempotency-Replayed': text('true on a repeated reply') }),
      },
      content: successContent(route, refer(withReceipt(route, schema))),
    }
    return [status, described] as const
  })
  const all: Record<string, Schema> = Object.fromEntries(declared)
  if (!route.dryRun) return all
  const rehearsed = {
    type: 'object',
    properties: { dryRun: { const: true }, audit: refer(receiptSchema) },
    required: ['dryRun'],
  }
  const done = all['200']
  const schemas =
    route.replies[200] === undefined
      ? rehearsed
      : { anyOf: [refer(withReceipt(route, route.replies[200])), rehearsed] }
  return {
    ...all,
    200: {
      description: done === undefined ? 'What would happen (dryRun=all)' : done['description'],
      headers: done?.['headers'] ?? headersOf(route, 200),
      content: { 'application/json': { schema: schemas } },
    },
  }
}

const successContent = (route: Route, schema: unknown): Schema => {
  if (route.answer.kind === 'events')
    return { [eventStreamType]: { schema: { type: 'string' }, 'x-event-data': schema } }
  const others = Object.fromEntries(
    route.mediaTypes.map((type) => [type, { schema: { type: 'string' } }]),
  )
  return isText(schema) ? others : { 'application/json': { schema }, ...others }
}

const isText = (schema: unknown): boolean =>
  typeof schema === 'object' && schema !== null && 'type' in schema && schema.type === 'string'

/** Replies of writes carry the receipt of their audit event. */
export const withReceipt = (route: Route, declared: unknown): Schema => {
  const schema = recordOf(declared)
  const properties = propertiesOf(schema)
  if (route.method === 'GET' || schema['type'] !== 'object' || properties['audit'] !== undefined)
    return schema
  const { $id: _id, ...copy } = schema
  return { ...copy, properties: { ...properties, audit: receiptSchema } }
}

const problems = (route: Route, refer: Refer): Schema =>
  Object.fromEntries(
    [...problemsOf(route)]
      .filter(([status]) => route.replies[status] === undefined)
      .map(([status, codes]) => [
        status,
        {
          description: codes
            .map((code: ErrorCode) => `\`${code}\`: ${errors[code].title}`)
            .join('\n\n'),
          headers: headersOf(route, status),
          content: { [problemMediaType]: { schema: refer(problemSchema) } },
        },
      ]),
  )

const phrases: Readonly<Record<number, string>> = { 200: 'Done', 201: 'Created', 202: 'Accepted' }

function text(description: string): Schema {
  return { description, schema: { type: 'string' } }
}
