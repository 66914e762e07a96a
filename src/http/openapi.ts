// The OpenAPI 3.1 document, made from the same declarations that serve the requests. What every operation of a kind has (its
// problems, headers, parameters) follows from the kind, so no route can forget it. Schemas with an `$id` are components.

import { allowedBy, roleList } from './access.ts'
import { yamlMediaTypes } from './body.ts'
import { sessionCookie } from './cookies.ts'
import { etagPattern } from './preconditions.ts'
import { exampleParams } from './examples.ts'
import {
  mapNamed,
  paramsSchema,
  propertiesOf,
  querySchema,
  recordOf,
  type Schema,
} from './input.ts'
import { methodRefusal, repliesOf, sharedComponents, type Surroundings } from './openapi-replies.ts'
import { idempotencyKeyPattern } from './replay.ts'
import type { Route } from './route.ts'
import { tags } from './tags.ts'

export interface About {
  readonly version: string
  readonly perMinute: number
}

/** A JSON document; what it holds is checked by the tests against the specification's own schema. */
export const openapiOf = (routes: readonly Route[], about: About): Schema => {
  const components = new Map<string, Schema>()
  const refer = (schema: unknown): unknown =>
    mapNamed(schema, (id, copy) => {
      const other = components.get(id)
      if (other !== undefined && JSON.stringify(other) !== JSON.stringify(copy))
        throw new Error(`two schemas have the name ${id}`)
      components.set(id, copy)
      return { $ref: `#/components/schemas/${id}` }
    })
  const responses = new Map<string, Schema>([['MethodNotAllowed', methodRefusal(refer)]])
  const around: Surroundings = {
    refer,
    routes,
    shareReply: (name, make) => {
      if (!responses.has(name)) responses.set(name, make())
      return { $ref: `#/components/responses/${name}` }
    },
  }
  const paths = Map.groupBy(routes, (route) => route.path)
  return {
    openapi: '3.1.0',
    info: {
      title: 'Rekey',
      version: about.version,
      summary: 'Rotate every key on schedule, and revoke any of them without guessing.',
      description: `${about.perMinute} requests a minute a principal. HEAD is answered wherever GET is, but for streams of events; any other method that a path does not name is 405 with \`Allow\`. Unknown query parameters and body fields are 400. Each example works as it stands once those before it were sent; ids, ETags and hashes are what the server gave.`,
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map((route) => route.tag))]
      .toSorted()
      .map((name) => ({ name, description: tags[name] })),
    paths: Object.fromEntries(
      [...paths].map(([path, operations]) => [
        path,
        Object.fromEntries(
          operations.map((route) => [route.method.toLowerCase(), operationOf(route, around)]),
        ),
      ]),
    ),
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description:
            'rekey_<type>_<30 base62><6 CRC-32>, or a JWT of an issuer that is believed here',
        },
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: sessionCookie,
          description:
            'of a browser that has logged in (`/v1/login/{name}`); what changes something counts only with the `Origin` of Rekey itself. A token that is sent beside it counts alone',
        },
      },
      ...sharedComponents(),
      responses: Object.fromEntries(responses),
      schemas: Object.fromEntries([...components].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    },
  }
}

const operationOf = (route: Route, around: Surroundings): Schema => {
  const body = route.shownBody
  return {
    operationId: route.operationId,
    summary: route.summary,
    description: describe(route),
    tags: [route.tag],
    security: route.access === 'public' ? [] : [{ token: [] }, { session: [] }],
    parameters: parametersOf(route, around),
    ...(body === null
      ? {}
      : { requestBody: { required: true, content: bodyContent(route, around.refer(body)) } }),
    responses: repliesOf(route, around),
  }
}

const describe = (route: Route): string => {
  const allowed = allowedBy(route)
  const rights =
    allowed === 'everybody'
      ? 'Needs no token.'
      : allowed === 'any token'
        ? 'Any valid token.'
        : `Roles: ${roleList(allowed).join(', ')}.`
  const reach = route.unscoped ? 'Not with a scope.' : undefined
  return [route.description, rights, reach].filter((part) => part !== undefined).join('\n\n')
}

const bodyContent = (route: Route, schema: unknown): Schema => {
  const bodies = route.examples.filter((example) => example.body !== undefined)
  const examples = Object.fromEntries(
    bodies.map(({ summary, body }, i) => [
      String(i + 1),
      { ...(summary === undefined ? {} : { summary }), value: body },
    ]),
  )
  const content = bodies.length === 0 ? { schema } : { schema, examples }
  const [yaml] = yamlMediaTypes
  return {
    'application/json': content,
    ...(route.yaml === true ? { [yaml]: content } : {}),
    ...(route.yaml === 'stream'
      ? { [yaml]: { schema: { type: 'string', description: 'a stream of documents' } } }
      : {}),
  }
}

const parametersOf = (route: Route, { refer }: Surroundings): readonly Schema[] => {
  const inPath = exampleParams(route)
  const at = (where: 'path' | 'query', schema: unknown): Schema[] => {
    const { required: names } = recordOf(schema)
    const required: readonly unknown[] = Array.isArray(names) ? names : []
    return Object.entries(propertiesOf(schema)).map(([name, value]) => {
      const example = where === 'path' ? inPath[name] : route.examples[0]?.query?.[name]
      return {
        name,
        in: where,
        required: where === 'path' || required.includes(name),
        ...(typeof value['description'] === 'string' ? { description: value['description'] } : {}),
        schema: refer(value),
        ...(example === undefined ? {} : { example }),
      }
    })
  }
  return [
    ...at('path', paramsSchema(route)),
    ...at('query', querySchema(route)),
    ...headersOf(route),
  ]
}

interface HeaderRow {
  readonly name: string
  readonly on: (route: Route) => boolean
  readonly required?: (route: Route) => boolean
  readonly description: string
  readonly schema: Schema
}

const writesResource = (route: Route): boolean => route.ifMatch

const headers: readonly HeaderRow[] = [
  {
    name: 'Idempotency-Key',
    on: (route) => route.idempotency !== 'none',
    required: (route) => route.idempotency === 'required',
    description: 'the same request with the same key has one effect',
    schema: { type: 'string', pattern: idempotencyKeyPattern, maxLength: 257 },
  },
  {
    name: 'If-Match',
    on: writesResource,
    required: (route) => route.method !== 'PUT',
    description: 'the ETag that was read, or *; needed where the resource exists',
    schema: { type: 'string', pattern: etagPattern, maxLength: 1000 },
  },
  {
    name: 'If-None-Match',
    on: (route) => writesResource(route) && route.method === 'PUT',
    description: 'create only; excludes If-Match',
    schema: { type: 'string', enum: ['*'] },
  },
  {
    name: 'Last-Event-ID',
    on: (route) => route.answer.kind === 'events',
    description: 'send what follows this event',
    schema: { type: 'string', format: 'uuid' },
  },
]

const headersOf = (route: Route): readonly Schema[] =>
  headers
    .filter(({ on }) => on(route))
    .map(({ name, required, description, schema }) => {
      const needed = required?.(route) ?? false
      return {
        name,
        in: 'header',
        required: needed,
        description,
        schema,
        ...(needed || name === 'If-Match' ? { example: exampleHeaders[name] } : {}),
      }
    })

const exampleHeaders: Readonly<Record<string, string>> = {
  'Idempotency-Key': '0d9e2c7b-6a3f-4f0e-9a55-3f6f0f1f7c11',
  'If-Match': '"1"',
}
