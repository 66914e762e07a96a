import { namePattern as serverPattern } from '#domain/names.ts'
import { parseAllDocuments } from 'yaml'
import { describe, expect, test } from 'vitest'
import { namePattern } from '#cli/reference.ts'
import { aKey, aRotation } from './stand-in.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()

const manyKeys = (count: number): void => {
  for (let i = 0; i < count; i++) {
    stage.server.keys.set(
      `key-${i}`,
      aKey({ name: `key-${i}`, labels: { team: i % 2 === 0 ? 'payments' : 'orders' } }),
    )
  }
}

test('every page is followed, and each record is one line', async () => {
  manyKeys(5)
  const ran = await (await stage.terminal()).run('get', 'keys')
  expect(ran.exit).toBe(0)
  const [head, ...rows] = ran.stdout.trimEnd().split('\n')
  expect(head).toMatch(/^NAME +TYPE +CONNECTION +STATE +PRIMARY +POLICY +NEXT$/)
  expect(rows).toHaveLength(5)
  expect(rows[0]).toMatch(/^key-0 +local\.key +local +ready +v3 +– +–$/)
  expect(stage.server.seen).toHaveLength(3)
})

test('labels are selected by the server, over all pages', async () => {
  manyKeys(7)
  const ran = await (await stage.terminal()).run('get', 'keys', '-l', 'team=payments', '-o', 'name')
  expect(ran.stdout).toBe('key/key-0\nkey/key-2\nkey/key-4\nkey/key-6\n')
})

test('labels are selected here where the server has no such filter', async () => {
  stage.server.things['consumers'] = [
    { name: 'orders-api', owner: 'orders', labels: { tier: '1' }, keys: [] },
    { name: 'batch', owner: 'orders', labels: {}, keys: [] },
    { name: 'web', owner: 'web', labels: { tier: '1' }, keys: ['a', 'b'] },
  ]
  const ran = await (await stage.terminal()).run('get', 'consumers', '-l', 'tier=1', '-o', 'name')
  expect(ran.stdout).toBe('consumer/orders-api\nconsumer/web\n')
})

test('--limit stops reading pages', async () => {
  manyKeys(9)
  const ran = await (await stage.terminal()).run('get', 'keys', '--limit', '3', '-o', 'name')
  expect(ran.stdout.split('\n')).toHaveLength(4)
  expect(stage.server.seen).toHaveLength(2)
})

test('filters of rotations are sent as the API names them', async () => {
  await (
    await stage.terminal()
  ).run('get', 'rotations', '--key', 'a', '--phase', 'stalled,planned', '--trigger', 'manual')
  const [seen] = stage.server.seen
  expect(seen?.query.getAll('phase')).toEqual(['stalled', 'planned'])
  expect(seen?.query.get('key')).toBe('a')
})

test('nothing found: stdout stays empty, stderr says so, exit 0', async () => {
  const ran = await (await stage.terminal()).run('get', 'keys')
  expect(ran).toMatchObject({ exit: 0, stdout: '', stderr: 'there are no such keys\n' })
  const json = await (await stage.terminal()).run('get', 'keys', '-o', 'json')
  expect(json).toMatchObject({ exit: 0, stderr: '' })
  expect(JSON.parse(json.stdout)).toEqual({ items: [] })
})

test('a thing by its name; several by theirs; one that is not there is 3', async () => {
  manyKeys(2)
  const terminal = await stage.terminal()
  expect(JSON.parse((await terminal.run('get', 'key/key-0', '-o', 'json')).stdout)).toMatchObject({
    name: 'key-0',
  })
  const two = await terminal.run('get', 'key/key-1', 'key/key-0', '-o', 'json')
  expect(JSON.parse(two.stdout)).toMatchObject({ items: [{ name: 'key-1' }, { name: 'key-0' }] })
  expect(await terminal.run('get', 'key/nope')).toMatchObject({ exit: 3, stdout: '' })
})

test('an API key is found by its id in the list', async () => {
  const id = '0193a1b2-0000-7000-8000-000000000001'
  stage.server.things['api-keys'] = [{ id, name: 'ci', type: 'svc', roles: ['operator', 'viewer'] }]
  const terminal = await stage.terminal()
  expect((await terminal.run('get', `api-key/${id}`)).stdout).toContain('operator,viewer')
  const other = '0193a1b2-0000-7000-8000-000000000002'
  expect((await terminal.run('get', `api-key/${other}`)).exit).toBe(3)
})

test('of a log without end the newest are shown, and that there are more is said', async () => {
  stage.server.pageSize = 60
  for (let i = 0; i < 130; i++)
    stage.server.audit.push({ id: String(i), at: '2026-11-25T00:00:00Z', action: 'key.put' })
  const terminal = await stage.terminal()
  const ran = await terminal.run('get', 'audit-events', '--since', '1h', '--action', 'key.put')
  expect(ran.stdout.trimEnd().split('\n')).toHaveLength(101)
  expect(ran.stderr).toBe('there are more: the newest 100 are shown; see --limit\n')
  const [seen] = stage.server.seen
  expect(seen?.query.get('from')).toMatch(/Z$/)
  const more = await terminal.run('get', 'audit-events', '--limit', '120', '-o', 'name')
  expect([more.stdout.trimEnd().split('\n').length, more.stderr]).toEqual([120, ''])
})

test('compliance is one reply, in groups or key by key; neither has names', async () => {
  stage.server.things['compliance'] = [
    { group: 'monthly', keys: 12, percent: 91, compliant: 11, overdue: 1, stalled: 0, unruled: 0 },
    { group: null, keys: 1, percent: 0, compliant: 0, overdue: 0, stalled: 0, unruled: 1 },
  ]
  const terminal = await stage.terminal()
  const ran = await terminal.run('get', 'compliance', '--by', 'label:team', '-l', 'env=prod')
  expect(ran.stdout.replaceAll(/ +/g, ' ')).toBe(
    'GROUP KEYS PERCENT COMPLIANT OVERDUE STALLED UNRULED\nmonthly 12 91 11 1 0 0\n– 1 0 0 0 0 1\n',
  )
  expect((await terminal.run('get', 'group/monthly')).exit).toBe(2)
  expect((await terminal.run('get', 'plans', '-l', 'a=b')).exit).toBe(2)
})

test('a policy as YAML is the document that apply takes', async () => {
  stage.server.policies.set('p', {
    revision: 3,
    resource: {
      name: 'p',
      labels: { a: 'b' },
      annotations: {},
      manual: true,
      selector: { connection: 'x' },
      status: { revision: 3 },
    },
  })
  const ran = await (await stage.terminal()).run('get', 'policies', '-o', 'yaml')
  const [document] = parseAllDocuments(ran.stdout)
  expect(document?.toJS()).toEqual({
    apiVersion: 'rekey.dev/v1',
    kind: 'RotationPolicy',
    metadata: { name: 'p', labels: { a: 'b' } },
    spec: { manual: true, selector: { connection: 'x' } },
  })
})

test('text from elsewhere cannot paint the terminal', async () => {
  stage.server.rotations.set(
    'a',
    aRotation({
      reason: '\u001b[2Jgone\u202e',
      waitingFor: { gate: 'person', since: '', missing: [], text: 'x' },
    }),
  )
  const ran = await (await stage.terminal()).run('get', 'rotations', '-o', 'wide')
  expect(ran.stdout).toContain('\\u001b[2Jgone\\u202e')
  expect(ran.stdout).not.toContain('\u001b')
})

describe('forms', () => {
  test('wide says more than table', async () => {
    manyKeys(1)
    const terminal = await stage.terminal()
    const narrow = await terminal.run('get', 'keys')
    const wide = await terminal.run('get', 'keys', '-o', 'wide')
    expect(narrow.stdout).not.toContain('WHY')
    expect(wide.stdout).toContain('No policy selects it')
  })

  test('names here are names at the server', () => {
    expect(namePattern).toBe(serverPattern)
  })
})
