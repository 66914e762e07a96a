// A fuzzer that nobody here wrote, over the API as it is served: whatever it sends, with whatever rights, the answer is one
// that the document describes, and never a failure of ours. `npm run fuzz` is the whole of it; here is a part that is quick.

import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { operationsOf, urlOf, type Json, type Operation } from '../support/examples.ts'
import { fuzz, type Fuzzed, type FuzzOptions } from '../support/fuzz.ts'
import { peer } from '../support/peers.ts'
import { openRekey, type RekeyProcess } from '../support/rekey-process.ts'

const whole = process.env['REKEY_TEST_FUZZ'] !== undefined
const examples = Number(process.env['REKEY_TEST_FUZZ'] ?? '2')
const phases: FuzzOptions['phases'] = whole
  ? ['examples', 'coverage', 'fuzzing', 'stateful']
  : ['examples', 'fuzzing']
const timeout = whole ? 14_400_000 : 600_000

peer('schemathesis').describe('the fuzzer', () => {
  let rekey: RekeyProcess
  let operations: readonly Operation[]
  beforeAll(async () => {
    rekey = await openRekey()
    await rekey.start()
    operations = operationsOf(await rekey.ask('GET', '/openapi.json'))
    await furnish(rekey, operations)
  })
  afterAll(() => rekey.stop())

  const run = async (roles: readonly string[] | null): Promise<Fuzzed> => {
    const token =
      roles === null
        ? null
        : (await rekey.ask('POST', '/v1/api-keys', { name: 'fuzzer', type: 'svc', roles })).token
    const fuzzed = await fuzz({ url: rekey.url, token, examples, phases }).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}\nthe server said:\n${rekey.output()}`, { cause: error })
      },
    )
    expect((await rekey.call('GET', '/livez')).status, rekey.output()).toBe(200)
    expect(fuzzed.failures, fuzzed.failures.join('\n')).toEqual([])
    return fuzzed
  }

  test('with the right to read finds nothing, and changes nothing', { timeout }, async () => {
    const before = await picture(rekey, operations)
    await run(['viewer'])
    expect(await picture(rekey, operations)).toEqual(before)
  })

  test('without a token finds nothing, and reads only what is public', { timeout }, async () => {
    const { statuses } = await run(null)
    const open = new Set(
      operations.filter((one) => one.isPublic).map(({ method, path }) => `${method} ${path}`),
    )
    const inside = [...statuses].filter(
      ([operation, seen]) => !open.has(operation) && [...seen].some((status) => status < 300),
    )
    expect(inside).toEqual([])
    expect([...open].filter((operation) => operation.includes(' /v1/'))).toEqual([
      'GET /v1/login',
      'GET /v1/login/{name}',
      'GET /v1/login/{name}/callback',
    ])
  })

  test('with all rights finds nothing, and is let in almost everywhere', { timeout }, async () => {
    const { statuses, requests } = await run(['admin'])
    expect(requests).toBeGreaterThan(operations.length)
    const done = operations.filter(({ method, path }) =>
      [...(statuses.get(`${method} ${path}`) ?? [])].some((status) => status < 300),
    )
    const refused = operations.filter((one) => !done.includes(one)).map(({ id }) => id)
    expect(done.length / operations.length, refused.join(', ')).toBeGreaterThanOrEqual(
      whole ? 0.8 : 0.7,
    )
  })
})

/** Something of everything, by the examples of the document, and rotations in some of their phases. */
const furnish = async (rekey: RekeyProcess, operations: readonly Operation[]): Promise<void> => {
  for (const id of furniture) {
    const operation = operations.find((one) => one.id === id)
    if (operation === undefined) throw new Error(`no operation ${id}`)
    const { method, path } = operation
    // The last of several is left for the fuzzer to send.
    const several = operation.examples.length > 1
    for (const { params, query, body } of operation.examples.slice(0, several ? -1 : 1))
      await patiently(() => rekey.ask(method, urlOf(path, params, query), body))
  }
  const [example] = operations.find(({ id }) => id === 'registerKey')?.examples ?? []
  await patiently(() =>
    rekey.ask('POST', '/v1/keys', { ...(example?.body as object), name: 'moving' }),
  )
  await rekey.ask('PUT', '/v1/policies/two-people', {
    selector: { type: 'local.key', matchLabels: { team: 'shop' } },
    priority: 5,
    manual: true,
    approval: { required: 1 },
  })
  for (const key of ['orders-signing', 'moving'])
    await rekey.ask('POST', '/v1/rotations', { key, reason: 'something to look at' })
}

/** On a busy machine what is asked of a provider may take longer than it is given: then it says that it can be repeated. */
const patiently = async (work: () => Promise<unknown>): Promise<void> => {
  for (let tries = 0; ; tries += 1) {
    try {
      await work()
      return
    } catch (error) {
      if (tries > 20 || !String(error).includes(': 503 ')) throw error
      await pause(2_000)
    }
  }
}

const furniture = [
  'putConnection',
  'putConsumer',
  'registerKey',
  'putPolicy',
  'putFreeze',
  'putSink',
] as const

/** The names and revisions of all resources. */
const picture = async (rekey: RekeyProcess, operations: readonly Operation[]): Promise<Json> => {
  const lists = operations.filter(
    ({ method, path }) => method === 'PUT' && /^\/v1\/[a-z-]+\/\{name\}$/.test(path),
  )
  const found: Record<string, unknown> = {}
  for (const { path } of lists) {
    const list = path.replace('/{name}', '')
    found[list] = (await rekey.list(`${list}?limit=200`)).map(({ name, status }: Json) => [
      name,
      status.revision,
    ])
  }
  return found
}
