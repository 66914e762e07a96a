// Keys from what is at a provider, through the command line against the real server. The shelf holds what nobody manages yet.

import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chosen } from '#cli/import-keys.ts'
import { openApi, type Api } from '#test/support/http.ts'
import { makeShelf } from '#test/support/shelf.ts'
import { openTerminal, type TerminalOptions } from './terminal.ts'

const shelf = makeShelf()
let api: Api
let url: string
const said = ['--purpose', 'signs in', '--key-owner', 'team-shop', '--environment', 'prod']

beforeAll(async () => {
  api = await openApi({ providers: [shelf.provider] })
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`
  await api.house.connection('stock', { provider: 'shelf' })
  for (const path of ['shop/db', 'shop/mail', 'shop-mail', 'orders/DB', '☃'])
    shelf.put(path, `value of ${path}`)
  await api.house.register('mine', {
    connection: 'stock',
    type: 'shelf.value',
    ref: { path: 'orders/DB' },
  })
})
afterAll(() => api.close())

const terminal = (more: TerminalOptions = {}, token = api.adminToken) =>
  openTerminal({ ...more, env: { REKEY_URL: url, REKEY_TOKEN: token } })
const from = ['import', '-c', 'stock'] as const
const keys = async () => (await (await terminal()).run('get', 'keys', '-o', 'name')).stdout

test('the inventory is shown, and nothing is imported by looking', async () => {
  const shell = await terminal()
  const listed = await shell.run(...from, '--list')
  const rows = listed.stdout.trimEnd().split('\n')
  expect([listed.exit, rows[0]?.split(/ +/)]).toEqual([0, ['STATE', 'TYPE', 'OBJECT', 'KEY']])
  expect(rows).toContainEqual(
    expect.stringMatching(/^managed +shelf.value +shelf:orders\/DB +mine/),
  )
  expect(rows).toContainEqual(expect.stringMatching(/^unmanaged +shelf.value +shelf:shop\/db +–/))
  const json = JSON.parse((await shell.run(...from, '--list', '-o', 'json')).stdout)
  expect(json.items).toHaveLength(5)
  const rehearsed = await shell.run(...from, '*', ...said, '--dry-run')
  expect([rehearsed.exit, rehearsed.stdout]).toEqual([
    0,
    expect.stringContaining('plan: 4 to create, 0 to update, 0 to delete, 0 unchanged'),
  ])
  expect(await keys()).toBe('key/mine\n')
})

test('without a terminal it never waits: it names what must be said', async () => {
  const shell = await terminal()
  const bare = await shell.run(...from)
  expect([bare.exit, bare.stderr]).toEqual([
    2,
    expect.stringContaining('add --purpose … --key-owner … --environment …'),
  ])
  const unsure = await shell.run(...from, ...said)
  expect([unsure.exit, unsure.stderr]).toEqual([2, expect.stringContaining('add --yes')])
  const json = await (await terminal({ answers: [] })).run(...from, '-o', 'json')
  expect([json.exit, json.questions, JSON.parse(json.stderr).code]).toEqual([2, [], 'cli.usage'])
  expect(await keys()).toBe('key/mine\n')
})

test('what cannot be is refused with the reason', async () => {
  const shell = await terminal()
  const none = await shell.run(...from, 'shelf:shop/nothing*', ...said)
  expect([none.exit, none.stderr]).toEqual([2, expect.stringContaining('nothing there matches')])
  expect((await shell.run('import', '-c', 'nowhere', '--list')).exit).toBe(3)
  expect((await shell.run(...from, '--list', '--type', 'no.such')).exit).toBe(2)
  expect((await shell.run(...from, '-o', 'yaml', '--yes')).exit).toBe(2)
  expect((await shell.run('import')).stderr).toContain('--connection')
  const viewer = await terminal({}, await api.token(['viewer']))
  expect((await viewer.run(...from, '--list')).exit).toBe(4)
})

test('more than a plan takes is refused before anything is asked, with how to narrow it', () => {
  const many = Array.from({ length: 1_001 }, (_, i) => ({
    state: 'unmanaged',
    objectId: `shelf:${i}`,
  }))
  expect(() => chosen(many, [])).toThrow('1001 such objects')
  expect(chosen(many, ['shelf:1*'])).toHaveLength(112)
})

test('documents are printed that apply takes, under names that are free', async () => {
  const shell = await terminal()
  const bare = await shell.run(...from, '-o', 'yaml')
  expect(bare.stderr).toBe('each of these still needs: purpose, owner, environment\n')
  const printed = await shell.run(
    ...from,
    'shelf:shop*',
    ...said,
    '--labels',
    'team=shop',
    '-o',
    'yaml',
  )
  expect([printed.exit, printed.stderr]).toEqual([0, ''])
  expect(printed.stdout.match(/name: .*/g)).toEqual([
    'name: shop-mail',
    'name: shop-db',
    'name: shop-mail-2',
  ])
  await shell.file('keys.yaml', printed.stdout)
  expect((await shell.run('validate', '-f', 'keys.yaml')).exit).toBe(0)
  const diff = await shell.run('diff', '-f', 'keys.yaml')
  expect(diff.stdout).toContain('plan: 3 to create')
  expect(await keys()).toBe('key/mine\n')
})

test('a person is asked for what no provider knows, sees the plan, and agrees', async () => {
  const answers = ['signs in at the shop', 'team-shop', 'prod', 'yes']
  const ran = await (await terminal({ answers })).run(...from, 'shelf:shop/*')
  expect(ran.questions).toHaveLength(4)
  expect(ran.stderr).toContain('+ key/shop-db')
  expect([ran.exit, ran.stdout.replaceAll(/ +/g, ' ')]).toEqual([
    0,
    'KEY RESULT\nkey/shop-db imported\nkey/shop-mail imported\n',
  ])
  const shell = await terminal()
  const key = JSON.parse((await shell.run('get', 'key/shop-db', '-o', 'json')).stdout)
  expect(key).toMatchObject({
    purpose: 'signs in at the shop',
    owner: 'team-shop',
    ref: { path: 'shop/db' },
    status: { primaryVersion: 1 },
  })
  // Nothing was written there.
  expect(shelf.rows('shop/db')).toHaveLength(1)
})

test('a script takes over the rest; the same again has nothing to do', async () => {
  const shell = await terminal()
  const ran = await shell.run(...from, ...said, '--owner', 'shop', '--yes', '-o', 'name')
  expect([ran.exit, ran.stdout]).toEqual([0, expect.stringMatching(/^(key\/[a-z0-9-]+\n){2}$/)])
  expect(JSON.parse((await shell.run(...from, '--list', '-o', 'json')).stdout).items).toEqual(
    Array.from({ length: 5 }, () => expect.objectContaining({ state: 'managed' })),
  )
  const again = await shell.run(...from, ...said, '--yes')
  expect([again.exit, again.stdout, again.stderr]).toEqual([
    0,
    '',
    expect.stringContaining('managed already'),
  ])
})

test('plans, providers, audit events and compliance are listed like everything', async () => {
  const shell = await terminal()
  const [plan = ''] = (
    await shell.run('get', 'plans', '--state', 'applied', '-o', 'name')
  ).stdout.split('\n')
  expect((await shell.run('get', 'plans')).stdout).toMatch(/\+2 ~0 -0/)
  expect((await shell.run('get', plan, '-o', 'json')).exit).toBe(0)
  expect((await shell.run('describe', plan)).stdout).toMatch(/state +applied/)
  expect((await shell.run('get', 'providers')).stdout).toMatch(/^local .*local\.secret/m)
  expect((await shell.run('get', 'provider/shelf', '-o', 'json')).stdout).toContain('shelf.value')
  expect((await shell.run('get', 'provider/none')).exit).toBe(3)
  const events = await shell.run('get', 'audit-events', '--action', 'plan.applied', '--since', '1d')
  expect(events.stdout).toMatch(/plan\.applied +plan\//)
  const three = await shell.run('get', 'audit-events', '--limit', '3', '-o', 'wide')
  expect(three.stdout.trimEnd().split('\n')).toHaveLength(4)
  expect((await shell.run('get', 'compliance')).stdout).toMatch(/^– +5 +0 +0 +0 +0 +5$/m)
  expect((await shell.run('get', 'compliance', '--by', 'owner', '-o', 'name')).stdout).toContain(
    'team-shop',
  )
  expect((await shell.run('get', 'compliance-keys', '-o', 'wide')).stdout).toMatch(
    /^shop-db +unruled/m,
  )
  expect((await shell.run('get', 'compliance', '--phase', 'stalled')).exit).toBe(2)
  expect((await shell.run('get', 'audit-event/0193a1b2-0000-7000-8000-000000000001')).exit).toBe(2)
})
