import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorHelp } from '#domain/error-help.ts'
import { errors, type ErrorCode } from '#domain/errors.ts'
import { checkRoutes } from '#http/check-routes.ts'
import { statusesOf } from '#http/documented.ts'
import { route, type Route } from '#http/route.ts'
import { strict } from '#http/schemas.ts'
import { readYaml } from '#domain/yaml-document.ts'
import { newAjv, type Json } from '../support/examples.ts'
import { openApi, productRoutes, type Api } from '../support/http.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api.close())

// oxlint-disable-next-line typescript/no-explicit-any -- a document, read as JSON
const document = async (): Promise<any> =>
  (await api.call('GET', '/openapi.json', { token: null })).json

describe('the OpenAPI document', () => {
  test('is valid OpenAPI 3.1', async () => {
    const result = await new Validator().validate(await document())
    expect(result).toMatchObject({ valid: true })
  })

  test('names every operation once, with summary, tag, security and statuses', async () => {
    const { paths } = await document()
    const ids: string[] = []
    for (const [path, operations] of Object.entries<Record<string, Record<string, unknown>>>(
      paths,
    )) {
      for (const [method, operation] of Object.entries(operations)) {
        const where = `${method} ${path}`
        ids.push(String(operation['operationId']))
        expect(operation['summary'], where).toMatch(/\S/)
        expect(operation['tags'], where).toHaveLength(1)
        expect(operation['security'], where).toBeInstanceOf(Array)
        const statuses = Object.keys(operation['responses'] as object)
        expect(statuses, where).not.toContain('default')
        expect(
          statuses.some((s) => /^[23]/.test(s)),
          where,
        ).toBe(true)
        expect(statuses, where).toContain('500')
        const open = Array.isArray(operation['security']) && operation['security'].length === 0
        // Either of them will do.
        if (!open) expect(operation['security'], where).toEqual([{ token: [] }, { session: [] }])
        if (path.startsWith('/v1/'))
          for (const status of ['400', '429', '503', ...(open ? [] : ['401'])])
            expect(statuses, where).toContain(status)
      }
    }
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('says of each group of operations what it is about', async () => {
    const { tags } = (await document()) as unknown as {
      readonly tags: readonly { readonly name: string; readonly description: string }[]
    }
    expect(tags.filter(({ description }) => !/\S/.test(description))).toEqual([])
    expect(tags.map(({ name }) => name)).toContain('rotations')
  })

  test('has a name for what is shown in more than one place, with and without a receipt', async () => {
    const all = await document()
    const names = ['Rotation', 'RotationWithReceipt', 'Policy', 'PolicyWithReceipt', 'Rehearsed']
    for (const name of names) expect(all.components.schemas).toHaveProperty([name])
    // A client that is generated from it keeps what a rehearsal holds beside this.
    expect(all.components.schemas['Rehearsed']).toMatchObject({ additionalProperties: true })
    const { get } = all.paths['/v1/rotations/{id}'] ?? {}
    expect(get).toHaveProperty(['responses', '200', 'content', 'application/json', 'schema'], {
      $ref: '#/components/schemas/Rotation',
    })
  })

  test('resolves every reference that it makes', async () => {
    const all = await document()
    const references = [
      ...JSON.stringify(all).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g),
    ].map(([, name]) => name ?? '')
    expect(references.length).toBeGreaterThan(0)
    for (const name of references) expect(all.components.schemas).toHaveProperty([name])
    expect(JSON.stringify(all)).not.toContain('"$id"')
  })
})

const isPublic = ({ access }: Route): boolean => access === 'public'

describe('every route', () => {
  test('says who may use it, and only what says so is public', () => {
    const routes = productRoutes(api.house)
    expect(routes.length).toBeGreaterThan(20)
    expect(routes.filter(isPublic).map(({ operationId }) => operationId)).toEqual([
      'listLogins',
      'beginLogin',
      'finishLogin',
      'getJwks',
    ])
    for (const { access, operationId } of routes.filter((one) => !isPublic(one))) {
      expect(
        access === 'authenticated' || (Array.isArray(access) && access.length > 0),
        operationId,
      ).toBe(true)
    }
    expect(() => checkRoutes(routes)).not.toThrow()
  })

  test('without a token answers 401, unless it is public', async () => {
    for (const { method, path } of productRoutes(api.house).filter((one) => !isPublic(one))) {
      const url = path.replaceAll(/\{[A-Za-z]+\}/g, 'x')
      // oxlint-disable-next-line no-await-in-loop -- one server
      const answer = await api.call(method, url, { token: null })
      expect(answer.status, `${method} ${path}`).toBe(401)
      expect(answer.headers['www-authenticate']).toContain('Bearer')
    }
  })

  test('with a token without roles for it answers 403 before it looks at the request', async () => {
    const token = await api.token(['consumer'], { consumer: 'nobody' })
    for (const { method, path, access } of productRoutes(api.house)) {
      if (access === 'authenticated' || access === 'public' || access.includes('consumer')) continue
      // oxlint-disable-next-line no-await-in-loop -- one server
      const answer = await api.call(method, path.replaceAll(/\{[A-Za-z]+\}/g, 'x'), { token })
      expect(answer.status, `${method} ${path}`).toBe(403)
    }
  })

  test('documents the statuses of its kind', () => {
    for (const one of productRoutes(api.house).filter((route) => !isPublic(route))) {
      const statuses = statusesOf(one)
      const where = `${one.method} ${one.path}`
      for (const status of [400, 401, 429, 500, 503]) expect(statuses, where).toContain(status)
      if (one.access !== 'authenticated') expect(statuses, where).toContain(403)
      if (one.path.includes('{')) expect(statuses, where).toContain(404)
      if (one.method !== 'GET')
        for (const status of [200, 413, 415]) expect(statuses, where).toContain(status)
      if (one.idempotency !== 'none')
        for (const status of [409, 422]) expect(statuses, where).toContain(status)
      if (one.ifMatch) for (const status of [412, 428]) expect(statuses, where).toContain(status)
    }
  })
})

describe('the server does not start with', () => {
  const good = route({
    method: 'GET',
    path: '/v1/things',
    operationId: 'listThings',
    tag: 'keys',
    summary: 'Things',
    access: ['viewer'],
    replies: { 200: strict({}) },
    handler: async () => ({ status: 200, body: {} }),
  })
  const broken: readonly (readonly [string, Route])[] = [
    ['a route without roles', { ...good, access: [] as never }],
    ['a route with a role that is none', { ...good, access: ['boss'] as never }],
    ['a route without access', { ...good, access: undefined as never }],
    ['a parameter that is not declared', { ...good, path: '/v1/things/{name}' }],
    ['no documented reply', { ...good, replies: {} }],
    ['a body that takes anything', { ...good, method: 'POST', body: { type: 'object' } }],
    ['an operation twice', { ...good, path: '/v1/others' }],
  ]
  test.each(broken)('%s', (_what, bad) => {
    expect(() => checkRoutes([good, bad])).toThrow(/cannot be served/)
  })
})

/** What a reader sees of a page. */
const textOf = (html: string): string =>
  html
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')

describe('pages', () => {
  test('every code has one, without a token', async () => {
    const offline = readFileSync('docs/reference/errors.md', 'utf8')
    for (const code of Object.keys(errors) as ErrorCode[]) {
      const answer = await api.call('GET', `/problems/${code}`, { token: null })
      expect(answer.status, code).toBe(200)
      expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
      expect(answer.text).toContain(code)
      // What is said here is said offline too.
      const said = textOf(answer.text)
      for (const part of [errorHelp[code].why, errorHelp[code].todo]) {
        expect(said, code).toContain(part.replaceAll('`', ''))
        expect(offline, code).toContain(part)
      }
    }
    expect((await api.call('GET', '/problems/constructor', { token: null })).status).toBe(404)
  })

  test('are served with a policy that lets nothing in from elsewhere', async () => {
    const { text, headers, status } = await api.call('GET', '/docs', { token: null })
    expect(status).toBe(200)
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-/)
    expect(text).not.toMatch(/<(?:script|link|img|iframe|object|base|form)|\ssrc=|@import|url\(/)
    for (const [, target] of text.matchAll(/href="([^"]*)"/g)) expect(target).toMatch(/^[/#]/)
    for (const { path } of productRoutes(api.house)) expect(text).toContain(path)
  })

  test('the schema of policies is where editors look for it', async () => {
    const { json, status } = await api.call('GET', '/schemas/policy.v1.json', { token: null })
    expect(status).toBe(200)
    expect(json.$schema).toBe('https://json-schema.org/draft/2020-12/schema')
    expect(json.properties.spec.properties).toHaveProperty('schedule')
    expect((await api.call('GET', '/schemas/nothing.v1.json', { token: null })).status).toBe(404)
  })
})

describe('the schemas for editors', () => {
  const schemaOf = async (name: string): Promise<Json> =>
    (await api.call('GET', `/schemas/${name}.v1.json`, { token: null })).json
  const samples = readdirSync('policies').map((file) => join('policies', file))

  test('accept every file in policies/, each under its own kind and as one of all', async () => {
    expect(samples.length).toBeGreaterThan(1)
    const any = newAjv().compile(await schemaOf('document'))
    for (const file of samples) {
      for (const { value } of readYaml(readFileSync(file, 'utf8')).documents) {
        const kind = (value as Json).kind === 'RotationPolicy' ? 'policy' : (value as Json).kind
        const own = newAjv().compile(await schemaOf(kind.toLowerCase()))
        expect(own(value), `${file}: ${JSON.stringify(own.errors)}`).toBe(true)
        expect(any(value), file).toBe(true)
      }
    }
  })

  const monthly = () => readYaml(readFileSync('policies/monthly.yaml', 'utf8')).documents[0]?.value
  const typos: readonly (readonly [string, (policy: Json) => void])[] = [
    ['a field of the spec', (p) => (p.spec.soke = '1h')],
    ['a nested field', (p) => (p.spec.overlap = { mim: '24h' })],
    ['a field beside it', (p) => (p.sepc = {})],
    ['a duration', (p) => (p.spec.soak = '1 hour')],
    ['a bare number', (p) => (p.spec.soak = 3600)],
    ['a choice', (p) => (p.spec.retire = 'disabled')],
    ['the kind', (p) => (p.kind = 'RotationPolcy')],
    ['a name', (p) => (p.metadata.name = 'Monthly_1')],
    ['a missing selector', (p) => delete p.spec.selector],
  ]
  test.each(typos)('refuse a typing error in %s', async (_what, spoil) => {
    const policy = structuredClone(monthly())
    spoil(policy)
    for (const name of ['policy', 'document'])
      expect(newAjv().compile(await schemaOf(name))(policy), name).toBe(false)
  })

  test('say what each field is, and where they are', async () => {
    for (const name of ['policy', 'key', 'connection', 'consumer', 'document']) {
      const { $id: id, description, ...schema } = await schemaOf(name)
      expect(id).toBe(`/schemas/${name}.v1.json`)
      expect(description).toMatch(/yaml-language-server/)
      expect(undescribed(schema)).toEqual([])
    }
  })
})

/** Fields of which a reader learns nothing but the name. */
const undescribed = (schema: Json, at = ''): string[] => {
  if (typeof schema !== 'object' || schema === null) return []
  const silent = Object.entries<Json>(schema.properties ?? {})
    .filter(([, field]) => !field.title && !field.description && at !== '')
    .map(([name]) => `${at}/${name}`)
  const below = Object.entries<Json>(schema.properties ?? {}).flatMap(([name, field]) =>
    undescribed(field, `${at}/${name}`),
  )
  const inside = [schema.items, ...(schema.anyOf ?? [])].flatMap((part) => undescribed(part, at))
  return [...silent, ...below, ...inside]
}

describe('health', () => {
  test('livez answers', async () => {
    expect(await api.call('GET', '/livez', { token: null })).toMatchObject({
      status: 200,
      json: { live: true },
    })
  })

  test('readyz is 200 only when every named check is', async () => {
    let ready: true | string = 'migrations are missing'
    const other = await openApi({
      readiness: [
        { name: 'database', ready: async () => true },
        { name: 'migrations', ready: async () => ready },
        {
          name: 'worker',
          ready: async () => {
            if (ready !== true) throw new Error('connect ECONNREFUSED 10.1.2.3:5432')
            return true
          },
        },
      ],
    })
    const before = await other.call('GET', '/readyz', { token: null })
    expect(before.status).toBe(503)
    expect(before.json.checks).toEqual([
      { name: 'database', ready: true },
      { name: 'migrations', ready: false, detail: 'migrations are missing' },
      { name: 'worker', ready: false, detail: 'The check failed.' },
    ])
    ready = true
    expect(await other.call('GET', '/readyz', { token: null })).toMatchObject({
      status: 200,
      json: { ready: true },
    })
    await other.close()
  })
})

test('providers say what they need', async () => {
  const { json, status } = await api.call('GET', '/v1/providers')
  expect(status).toBe(200)
  const ids = json.items.map((item: { id: string }) => item.id)
  expect(ids).toContain('local')
  for (const provider of json.items) {
    for (const type of provider.types) {
      expect(type.traits).toHaveProperty('slot')
      expect(type.refSchema).toMatchObject({ type: 'object' })
      expect(type.leastPrivilege).toBeTypeOf('object')
    }
  }
})
