// What an operation answers: every status, with headers, content, an example, and the links that lead on from it.

import { errors, type ErrorCode } from '#domain/errors.ts'
import { problemsOf } from './documented.ts'
import { eventStreamType } from './events.ts'
import { exampleIfAny } from './examples.ts'
import { propertiesOf, recordOf, type Schema } from './input.ts'
import { exampleProblem, problemMediaType, problemSchema } from './problem.ts'
import type { Route } from './route.ts'
import { receiptSchema } from './schemas.ts'

/** What an operation needs to know of the document that it stands in. */
export interface Surroundings {
  /** A schema with its named parts moved to the components. */
  readonly refer: (schema: unknown) => unknown
  /** A reference to a reply of that name, which is made at its first use. */
  readonly shareReply: (name: string, make: () => Schema) => Schema
  readonly routes: readonly Route[]
}

export const repliesOf = (route: Route, around: Surroundings): Schema => ({
  ...successes(route, around),
  ...problems(route, around),
})

interface HeaderRow {
  readonly description: string
  readonly pattern?: string
  /** There on every reply that names it. */
  readonly always?: true
}

const headers = {
  'X-Request-Id': { description: 'names this request in the log and the audit log', always: true },
  'RateLimit-Policy': {
    description: '"bucket";q=requests;w=seconds',
    pattern: '^"[A-Za-z]+";q=[0-9]+;w=[0-9]+$',
  },
  RateLimit: {
    description: '"bucket";r=requests left;t=seconds until all are back',
    pattern: '^"[A-Za-z]+";r=[0-9]+;t=[0-9]+$',
  },
  'WWW-Authenticate': { description: 'how to authenticate', pattern: '^Bearer ', always: true },
  'Retry-After': { description: 'seconds to wait', pattern: '^[0-9]+$' },
  ETag: { description: 'names this revision, for If-Match', pattern: '^"[0-9]+"$' },
  Location: { description: 'where it is', pattern: '^/v1/', always: true },
  'Idempotency-Replayed': { description: 'on a repeated reply', pattern: '^true$' },
  Allow: { description: 'the methods that the path takes', always: true },
} as const satisfies Record<string, HeaderRow>

type HeaderName = keyof typeof headers

const referHeaders = (names: readonly HeaderName[]): Schema =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))

const usualHeaders = (
  route: Route,
  status: number,
  codes: readonly ErrorCode[] = [],
): readonly HeaderName[] => [
  'X-Request-Id',
  ...(route.access === 'public' ? [] : (['RateLimit-Policy', 'RateLimit'] as const)),
  ...(status === 401 ? (['WWW-Authenticate'] as const) : []),
  ...(codes.some((code) => errors[code].retry) ? (['Retry-After'] as const) : []),
]

const successes = (route: Route, around: Surroundings): Schema => {
  const { refer } = around
  const declared = Object.entries(route.replies).map(([status, schema]) => {
    const code = Number(status)
    const described: Schema = {
      description: recordOf(schema)['description'] ?? phrases[code] ?? 'Done',
      headers: referHeaders([
        ...usualHeaders(route, code),
        ...(tagged(route, code, around) ? (['ETag'] as const) : []),
        ...(code === 201 ? (['Location'] as const) : []),
        ...(route.idempotency === 'none' ? [] : (['Idempotency-Replayed'] as const)),
      ]),
      content: successContent(route, withReceipt(route, schema), refer),
      ...linksOf(route, code, around),
    }
    return [status, described] as const
  })
  const all: Record<string, Schema> = Object.fromEntries(declared)
  return route.dryRun ? { ...all, 200: orRehearsed(route, all['200'], refer) } : all
}

/** Whether the reply carries a revision: of a write under If-Match, of a creation, of a resource that is read to be written. */
const tagged = (route: Route, status: number, { routes }: Surroundings): boolean =>
  route.ifMatch ||
  status === 201 ||
  (route.method === 'GET' && routes.some((other) => other.path === route.path && other.ifMatch))

const orRehearsed = (
  route: Route,
  done: Schema | undefined,
  refer: Surroundings['refer'],
): Schema => {
  const rehearsed = refer(rehearsedSchema)
  const declared = route.replies[200]
  const content =
    declared === undefined
      ? { schema: rehearsed, example: { dryRun: true, ...dryExample(route) } }
      : {
          schema: { anyOf: [refer(withReceipt(route, declared)), rehearsed] },
          ...exampleIfAny(withReceipt(route, declared)),
        }
  return {
    description: done === undefined ? 'What would happen (dryRun=all)' : done['description'],
    headers: done?.['headers'] ?? referHeaders(usualHeaders(route, 200)),
    content: { 'application/json': content },
    ...(done?.['links'] === undefined ? {} : { links: done['links'] }),
  }
}

/** Beside these it holds what the success would. */
const rehearsedSchema: Schema = {
  $id: 'Rehearsed',
  type: 'object',
  properties: { dryRun: { const: true }, audit: receiptSchema },
  required: ['dryRun'],
  additionalProperties: true,
}

/** What the first of the documented successes would hold. */
const dryExample = (route: Route): Schema => {
  const [schema] = Object.values(route.replies)
  return recordOf(exampleIfAny(schema).example)
}

const successContent = (route: Route, schema: Schema, refer: Surroundings['refer']): Schema => {
  if (route.answer.kind === 'events') return { [eventStreamType]: eventContent(schema, refer) }
  const others = Object.fromEntries(
    route.mediaTypes.map((type) => [type, { schema: { type: 'string' } }]),
  )
  if (isText(schema)) return others
  return { ...others, 'application/json': { schema: refer(schema), ...exampleIfAny(schema) } }
}

/** OpenAPI 3.1 has no word for a stream: the schema is of one event, as `itemSchema` of 3.2 is. */
const eventContent = (data: Schema, refer: Surroundings['refer']): Schema => ({
  schema: {
    type: 'object',
    description: 'one event of the stream',
    properties: {
      id: { type: 'string', description: 'for Last-Event-ID' },
      event: { type: 'string' },
      data: {
        type: 'string',
        contentMediaType: 'application/json',
        contentSchema: refer(data),
      },
    },
    required: ['id', 'event', 'data'],
  },
  example: {
    id: '01a214c2-32c0-7051-b212-1106795cc6da',
    event: 'rotation.promoted',
    data: JSON.stringify(exampleIfAny(data).example ?? {}),
  },
})

const isText = (schema: Schema): boolean => schema['type'] === 'string'

/** Replies of writes carry the receipt of their audit event. What has a name keeps one: clients are generated from these. */
export const withReceipt = (route: Route, declared: unknown): Schema => {
  const schema = recordOf(declared)
  const properties = propertiesOf(schema)
  if (route.method === 'GET' || schema['type'] !== 'object' || properties['audit'] !== undefined)
    return schema
  const { $id: name } = schema
  return {
    ...schema,
    ...(typeof name === 'string' ? { $id: `${name}WithReceipt` } : {}),
    properties: { ...properties, audit: receiptSchema },
  }
}

/** From what makes or shows a thing to what may be done with it: `POST /v1/things` → `/v1/things/{id}/…`. */
const linksOf = (route: Route, status: number, { routes }: Surroundings): Schema => {
  const source = recordOf(route.replies[status])
  const [, list, param] = /^(\/v1\/[a-z-]+)(?:\/\{([A-Za-z]+)\})?$/.exec(route.path) ?? []
  if (list === undefined) return {}
  const targets = routes.filter((other) => other !== route && other.path.startsWith(`${list}/{`))
  const links = targets.flatMap((target) => {
    const [, name = ''] = /\{([A-Za-z]+)\}/.exec(target.path) ?? []
    const value = param === undefined ? valueIn(route, source, name) : `$request.path.${name}`
    if (value === null) return []
    const tag = target.ifMatch && param !== undefined && route.method === 'GET'
    const parameters = {
      [name]: value,
      ...(tag ? { 'header.If-Match': '$response.header.ETag' } : {}),
    }
    return [[target.operationId, { operationId: target.operationId, parameters }] as const]
  })
  return links.length === 0 ? {} : { links: Object.fromEntries(links) }
}

const valueIn = (route: Route, reply: Schema, name: string): string | null => {
  if (route.list) return `$response.body#/items/0/${name}`
  return propertiesOf(reply)[name] === undefined ? null : `$response.body#/${name}`
}

const problems = (route: Route, around: Surroundings): Schema =>
  Object.fromEntries(
    [...problemsOf(route)]
      .filter(([status]) => route.replies[status] === undefined)
      .map(([status, codes]) => {
        // The same for most operations: written once, under the codes that it is for.
        const name = [...codes, ...(route.access === 'public' ? ['public'] : [])].join('_')
        return [
          status,
          around.shareReply(name, () => problemReply(route, status, codes, around.refer)),
        ]
      }),
  )

const problemReply = (
  route: Route,
  status: number,
  codes: readonly ErrorCode[],
  refer: Surroundings['refer'],
): Schema => refusal(usualHeaders(route, status, codes), codes, refer)

const refusal = (
  names: readonly HeaderName[],
  codes: readonly ErrorCode[],
  refer: Surroundings['refer'],
): Schema => ({
  description: codes.map((code) => `\`${code}\`: ${errors[code].title}`).join('\n\n'),
  headers: referHeaders(names),
  content: {
    [problemMediaType]: {
      schema: refer(problemSchema),
      examples: Object.fromEntries(
        codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]),
      ),
    },
  },
})

/** What many operations share, by kind of component. */
export const sharedComponents = (): Schema => ({
  headers: Object.fromEntries(
    Object.entries<HeaderRow>(headers).map(([name, { description, pattern, always = false }]) => [
      name,
      {
        description,
        required: always,
        schema: { type: 'string', ...(pattern === undefined ? {} : { pattern }) },
      },
    ]),
  ),
  examples: Object.fromEntries(
    Object.keys(errors).map((code) => [code, { value: exampleProblem(code as ErrorCode) }]),
  ),
})

/** Of every path, for methods that it does not have: no operation could document it. */
export const methodRefusal = (refer: Surroundings['refer']): Schema =>
  refusal(['X-Request-Id', 'Allow'], ['request.method'], refer)

const phrases: Readonly<Record<number, string>> = { 200: 'Done', 201: 'Created', 202: 'Accepted' }
