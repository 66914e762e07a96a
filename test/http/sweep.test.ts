// What holds for every operation alike, asked of each: the list is the OpenAPI document, the resources are those of its
// examples, so that a new route is swept without a line here.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  operationsOf,
  resolve,
  urlOf,
  type Example,
  type Json,
  type Operation,
} from '../support/examples.ts'
import { openApi, type Answer, type Api } from '../support/http.ts'

let api: Api
let document: Json
let operations: readonly Operation[]
/** By the path that an id stands in, what was made there. */
const made: Record<string, Json> = {}

/** What makes the resources that the others are about, in this order. */
const makers = [
  'putConnection',
  'putConsumer',
  'registerKey',
  'putPolicy',
  'putFreeze',
  'putFloors',
  'putSink',
  'createApiKey',
  'makePlan',
  'openIncident',
  'putPlaybook',
  'startRotation',
] as const

beforeAll(async () => {
  api = await openApi({ readiness: [{ name: 'database', ready: async () => true }] })
  document = (await api.call('GET', '/openapi.json', { token: null })).json
  operations = operationsOf(document)
  for (const id of makers) {
    const operation = operations.find((one) => one.id === id)
    if (operation === undefined) throw new Error(`no operation ${id}`)
    for (const example of operation.examples) {
      const answer = await send(operation, example) // oxlint-disable-line no-await-in-loop -- in order
      expect(answer.status, `${id}: ${answer.text}`).toBeLessThan(300)
      if (answer.json.id !== undefined) made[operation.path] = answer.json
    }
  }
})
afterAll(() => api.close())

/** `/v1/rotations` for `/v1/rotations/{id}/cancel`. */
const madeAt = (path: string): Json => made[path.split('/{id}')[0] ?? '']

const urlFor = (operation: Operation, example: Example, query: Json = {}): string => {
  const id = operation.path.includes('{id}') ? { id: madeAt(operation.path)?.id ?? '' } : {}
  return urlOf(operation.path, { ...example.params, ...id }, { ...example.query, ...query })
}

const bodyFor = (operation: Operation, { body }: Example): Json => {
  if (body === undefined) return undefined
  const thing = operation.path.includes('{id}') ? madeAt(operation.path) : undefined
  const said = body as Record<string, Json>
  return {
    ...said,
    ...(said['hash'] === undefined ? {} : { hash: thing?.hash }),
    ...(said['planHash'] === undefined ? {} : { planHash: thing?.planHash }),
  }
}

const send = async (
  operation: Operation,
  example: Example,
  { query = {}, method = operation.method }: { query?: Json; method?: string } = {},
): Promise<Answer> => {
  const url = urlFor(operation, example, query)
  const headers = { ...example.headers }
  delete headers['If-Match']
  // What is there is changed as whoever has just read it changes it.
  if (method === operation.method && example.headers['If-Match'] !== undefined) {
    const { headers: seen } = await api.call('GET', url.split('?')[0] ?? '')
    if (seen['etag'] !== undefined) headers['If-Match'] = seen['etag']
  }
  if (headers['Idempotency-Key'] !== undefined) headers['Idempotency-Key'] = api.house.ids.next()
  const body = method === operation.method ? bodyFor(operation, example) : undefined
  return api.call(method, url, { headers, ...(body === undefined ? {} : { body }) })
}

const firstExample = ({ examples: [example] }: Operation): Example => {
  if (example === undefined) throw new Error('every operation has an example')
  return example
}

const parametersOf = ({ path, method }: Operation): readonly Json[] =>
  document.paths[path][method.toLowerCase()].parameters.map((one: Json) => resolve(document, one))
const takes = (operation: Operation, name: string): boolean =>
  parametersOf(operation).some((one: Json) => one.in === 'query' && one.name === name)

const each = async (
  chosen: readonly Operation[],
  ask: (operation: Operation) => Promise<unknown>,
): Promise<void> => {
  expect(chosen.length).toBeGreaterThan(0)
  for (const operation of chosen) await ask(operation) // oxlint-disable-line no-await-in-loop -- one server
}

/** A fingerprint of every table, but of when a token was used last and which time it was: any request may tell these. */
const picture = async (): Promise<Readonly<Record<string, unknown>>> => {
  const tables = await api.house.sql(
    `SELECT schemaname || '.' || tablename AS name FROM pg_tables
     WHERE schemaname IN ('app', 'vault') AND tablename NOT IN ('api_key_use', 'browser_session_use', 'observed_clock')`,
  )
  const prints = tables.map(
    ({ name }) =>
      `SELECT '${String(name)}' AS name, md5(string_agg(t::text, '|' ORDER BY t::text)) AS print FROM ${String(name)} t`,
  )
  const rows = await api.house.sql(prints.join(' UNION ALL '))
  return Object.fromEntries(rows.map(({ name, print }) => [String(name), print]))
}

describe('what is read can be written back', () => {
  test('as it is: no new revision, and nothing is other than before', async () => {
    const paths = Map.groupBy(operations, ({ path }) => path)
    const both = [...paths.values()].flatMap((all) => {
      const put = all.find(({ method }) => method === 'PUT')
      return put !== undefined && all.some(({ method }) => method === 'GET') ? [put] : []
    })
    await each(both, async (put) => {
      const url = urlFor(put, firstExample(put)).split('?')[0] ?? ''
      const before = await api.call('GET', url)
      expect(before.status, url).toBe(200)
      const told = await api.house.events()
      const seen = await picture()
      const again = await api.call('PUT', url, {
        body: before.json,
        headers: { 'if-match': before.headers['etag'] ?? '' },
      })
      expect([url, again.status, again.text]).toEqual([url, 200, again.text])
      expect([url, again.headers['etag']]).toEqual([url, before.headers['etag']])
      expect((await api.call('GET', url)).json).toEqual(before.json)
      expect([url, await picture()]).toEqual([url, seen])
      // Whoever wrote is on record and has a receipt; the record says that nothing is other than before.
      const events = (await api.house.events()).slice(0, -told.length)
      expect([url, events.length <= 1]).toEqual([url, true])
      for (const { before: was, after } of events) expect(after).toMatchObject(was as Json)
    })
  })
})

describe('?dryRun=all', () => {
  /** Of another thing than the example's, which is there already or in use. */
  const instead: Readonly<Record<string, { readonly params?: Json; readonly body?: Json }>> = {
    registerKey: { body: { name: 'rehearsed' } },
    startRotation: { body: { key: 'orders-data' } },
    deleteKey: { params: { name: 'orders-data' } },
    deleteConnection: { params: { name: 'spare' } },
  }
  /** What only a worker, another person or a restore brings about; access.test.ts rehearses each from there. */
  const refused: Readonly<Record<string, string>> = {
    abandonRotation: 'rotation.wrongPhase',
    acceptRecovery: 'recovery.notActive',
    acknowledgeRotation: 'request.impossible',
    adoptVersion: 'request.impossible',
    approveApiKey: 'rotation.selfApproval',
    approveIncident: 'incident.wrongState',
    approvePlan: 'rotation.selfApproval',
    approveRotation: 'rotation.wrongPhase',
    confirmContainment: 'incident.wrongState',
    confirmStep: 'rotation.wrongPhase',
    endSession: 'request.impossible',
    executeIncident: 'incident.confirmationWrong',
    overrideRotation: 'rotation.wrongPhase',
    restoreIncident: 'incident.wrongMode',
    resumeRotation: 'rotation.wrongPhase',
    reviewIncident: 'incident.wrongState',
    reviewPlaybook: 'playbook.selfApproval',
    rollBackRotation: 'rotation.wrongPhase',
    tickIncidentStep: 'incident.wrongState',
  }

  test('of every write does nothing but record that it was tried', async () => {
    await api.call('PUT', '/v1/connections/spare', { body: { provider: 'local' } })
    const writes = operations.filter((operation) => takes(operation, 'dryRun'))
    const results: Record<string, string> = {}
    await each(writes, async (operation) => {
      const before = await picture()
      const told = (await api.house.events()).length
      const { params, body } = instead[operation.id] ?? {}
      const first = firstExample(operation)
      const example: Example = {
        ...first,
        params: { ...first.params, ...params },
        body: body === undefined ? first.body : { ...(first.body as Json), ...body },
      }
      const answer = await send(operation, example, { query: { dryRun: 'all' } })
      results[operation.id] = answer.status === 200 ? 'ok' : String(answer.json?.code)
      if (answer.status === 200)
        expect([operation.id, answer.json.dryRun]).toEqual([operation.id, true])
      expect([operation.id, await picture()]).toEqual([operation.id, before])
      const grown = (await api.house.events()).length - told
      expect([operation.id, grown <= 1]).toEqual([operation.id, true])
    })
    expect(Object.fromEntries(Object.entries(results).filter(([, code]) => code !== 'ok'))).toEqual(
      refused,
    )
  })

  /** They compute, and are a POST for the sake of what they are given. */
  const computing = ['signWithKey', 'encryptWithKey', 'decryptWithKey']

  test('is taken by every write, and by no read', () => {
    const wrong = operations.filter(
      (operation) => (operation.method !== 'GET') !== takes(operation, 'dryRun'),
    )
    expect(wrong.map(({ id }) => id)).toEqual(computing)
  })
})

describe('methods', () => {
  const isStream = ({ responses }: Operation): boolean =>
    responses['200']?.content?.['text/event-stream'] !== undefined
  const hasHead = (operation: Operation): boolean =>
    operation.method === 'GET' && !isStream(operation)

  test('that a path does not take are 405, with those that it takes', async () => {
    const all = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
    await each([...operations], async (operation) => {
      const here = operations.filter(({ path }) => path === operation.path)
      const taken = here.flatMap((one) => (hasHead(one) ? ['GET', 'HEAD'] : [one.method]))
      const url = urlFor(operation, firstExample(operation)).split('?')[0] ?? ''
      for (const method of all.filter((one) => !taken.includes(one))) {
        const answer = await api.call(method, url) // oxlint-disable-line no-await-in-loop -- one server
        expect([operation.path, method, answer.status, answer.headers['allow']]).toEqual([
          operation.path,
          method,
          405,
          taken.toSorted().join(', '),
        ])
      }
    })
  })

  test('HEAD is GET without its body', async () => {
    await each(operations.filter(hasHead), async (operation) => {
      const example = firstExample(operation)
      const head = await send(operation, example, { method: 'HEAD' })
      const get = await send(operation, example)
      const told = ({ status, headers }: Answer) => [
        status,
        headers['content-type'],
        headers['etag'],
      ]
      expect([operation.id, head.text, told(head)]).toEqual([operation.id, '', told(get)])
    })
  })
})

describe('lists', () => {
  test('refuse a cursor of another list, a mangled one and nonsense, at its place', async () => {
    const lists = operations.filter((operation) => takes(operation, 'cursor'))
    const cursors: Record<string, string> = {}
    await each(lists, async (operation) => {
      const { json } = await send(operation, firstExample(operation), { query: { limit: 1 } })
      if (typeof json?.nextCursor === 'string') cursors[operation.id] = json.nextCursor
    })
    expect(Object.keys(cursors).length).toBeGreaterThan(3)
    await each(lists, async (operation) => {
      const own = cursors[operation.id]
      const foreign = Object.entries(cursors).find(([id]) => id !== operation.id)?.[1] ?? ''
      const bad = [
        foreign,
        'x',
        'AAAA',
        '%00',
        ...(own === undefined ? [] : [`${own}A`, own.slice(1)]),
      ]
      for (const cursor of bad) {
        // oxlint-disable-next-line no-await-in-loop -- one server
        const { status, json } = await send(operation, firstExample(operation), {
          query: { cursor },
        })
        expect([operation.id, cursor, status, json?.code, json?.errors?.[0]?.pointer]).toEqual([
          operation.id,
          cursor,
          400,
          expect.stringMatching(/^(?:cursor\.foreign|request\.invalid)$/),
          '/query/cursor',
        ])
      }
    })
  })
})

test('a query parameter that nobody knows is refused by every operation, and nothing is done', async () => {
  const before = await picture()
  // But for what an issuer sends, who may say more than we know (RFC 6749 4.1.2).
  const ours = operations.filter(({ id }) => id !== 'finishLogin')
  await each(ours, async (operation) => {
    const answer = await send(operation, firstExample(operation), { query: { nope: '1' } })
    expect([operation.id, answer.status, answer.json?.errors?.[0]?.pointer]).toEqual([
      operation.id,
      400,
      '/query/nope',
    ])
  })
  expect(await picture()).toEqual(before)
})
