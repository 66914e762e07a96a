// `rekey doctor` of this version against servers that do not know all of its questions.

import { expect, test } from 'vitest'
import { type Answer, problem } from './stand-in.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()

const answers = (body: unknown): Answer => ({ status: 200, body })
const none = answers({ items: [], nextCursor: null })
const unknownQuery = problem('request.invalid', {
  errors: [{ pointer: '/drifted', detail: 'unknown query parameter; did you mean overdue?' }],
})

const older = (): void => {
  const { server } = stage
  server.interfere('GET', '/readyz', answers({ ready: true, checks: [] }))
  server.interfere('GET', '/v1/checks', problem('resource.notFound'))
  server.interfere('GET', '/v1/recovery', answers({ active: false }))
  server.interfere('GET', '/v1/rotations', none)
  server.interfere('GET', '/v1/keys', none, unknownQuery)
  server.interfere('GET', '/v1/sinks', none)
  server.interfere('GET', '/v1/connections', none)
  server.interfere('GET', '/v1/checks/keys', problem('resource.notFound'))
}

test('what an older server does not know is unknown, and no fault', async () => {
  older()
  const { exit, stdout } = await (await stage.terminal()).run('doctor', '--deep', '-o', 'json')
  const { items } = JSON.parse(stdout) as { readonly items: readonly Record<string, string>[] }
  const unknown = items.filter(({ state }) => state === 'unknown')
  expect(unknown.map(({ check }) => check)).toEqual(['installation', 'drift', 'every key'])
  expect(new Set(unknown.map(({ detail }) => detail))).toEqual(
    new Set(['the server is older than this command']),
  )
  expect([exit, items.filter(({ state }) => state === 'fail')]).toEqual([0, []])
})

test('a question that is refused for another reason is a fault', async () => {
  stage.server.interfere('GET', '/v1/checks', problem('request.invalid'))
  older()
  const { exit, stdout } = await (await stage.terminal()).run('doctor')
  expect(stdout).toMatch(/\ninstallation +fail /)
  expect(exit).toBe(1)
})

test('a server without its database says so in the table, and what is not asked any more', async () => {
  const full = 'Nothing is done without an audit record, and none can be written now'
  stage.server.interfere('GET', '/readyz', {
    status: 503,
    body: { ready: false, checks: [{ name: 'audit', ready: false, detail: full }] },
  })
  stage.server.interfere(
    'GET',
    '/v1/checks',
    problem('service.unavailable', { detail: 'The disk of the database is full' }),
  )
  const { exit, stdout, stderr } = await (await stage.terminal()).run('doctor')
  expect(stdout).toMatch(new RegExp(`\\nserver audit +fail +${full} +docs/runbooks/`))
  expect(stdout).toMatch(/\ninstallation +fail +The disk of the database is full +docs\/runbooks\//)
  expect(stdout).toMatch(/\nthe rest +unknown /)
  expect([exit, stderr]).toEqual([1, ''])
})

test('a token that has ended is a fault, so that a daily job does not go on saying that all is well', async () => {
  stage.server.interfere('GET', '/readyz', answers({ ready: true, checks: [] }))
  stage.server.interfere('GET', '/v1/checks', problem('auth.invalid'))
  const { exit, stdout } = await (await stage.terminal()).run('doctor')
  expect(stdout).toMatch(/\ninstallation +fail .*rekey whoami/)
  expect(exit).toBe(1)
})

test('of thousands alike twenty are shown, and all of them as data', async () => {
  const overdue = Array.from({ length: 150 }, (_, n) => ({ name: `key-${n}` }))
  const ask = async (...argv: readonly string[]) => {
    stage.server.interfere('GET', '/v1/keys', answers({ items: overdue, nextCursor: null }))
    older()
    return (await stage.terminal()).run('doctor', ...argv)
  }
  const { stdout } = await ask()
  expect(stdout.match(/^key\/key-\d+ +warn /gm)).toHaveLength(20)
  expect(stdout).toMatch(/\nkey +warn +and 130 more like these; -o json has all/)
  const data = JSON.parse((await ask('-o', 'json')).stdout) as {
    readonly items: readonly unknown[]
  }
  expect(data.items.length).toBeGreaterThan(150)
})
