// `rekey adopt`, through the command line against the real server, with a version that somebody made beside Rekey.

import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, openApi } from '#test/support/http.ts'
import { makeShelf } from '#test/support/shelf.ts'
import { openTerminal, type TerminalOptions } from './terminal.ts'

const shelf = makeShelf()
let api: Api
let url: string

beforeAll(async () => {
  api = await openApi({ providers: [shelf.provider] })
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`
  await api.house.connection('stock', { provider: 'shelf' })
})
afterAll(() => api.close())

const terminal = (more: TerminalOptions = {}, token = api.adminToken) =>
  openTerminal({ ...more, env: { REKEY_URL: url, REKEY_TOKEN: token } })

/** Its version 1 serves, 2 is of somebody else. */
const withStranger = async (name: string): Promise<void> => {
  shelf.put(name, 'ours')
  const ref = { path: name }
  await api.house.register(name, { connection: 'stock', type: 'shelf.pass', ref })
  shelf.put(name, 'of a stranger')
}
const versions = async (name: string) =>
  JSON.parse((await (await terminal()).run('describe', `key/${name}`, '-o', 'json')).stdout)
    .versions

test('without a terminal it waits for nobody, and a rehearsal changes nothing', async () => {
  await withStranger('orders')
  const bare = await (await terminal()).run('adopt', 'key/orders', '2')
  expect([bare.exit, bare.stderr]).toEqual([2, expect.stringContaining('add --confirm orders')])
  const wrong = await (await terminal()).run('adopt', 'key/orders', '2', '--confirm', 'other')
  expect(wrong.exit).toBe(2)
  const rehearsed = await (await terminal()).run('adopt', 'key/orders', '2', '--dry-run')
  expect([rehearsed.exit, rehearsed.stdout]).toEqual([
    0,
    'would be: version 2 of key/orders, retired by a rotation\n',
  ])
  expect(await versions('orders')).toHaveLength(1)
})

test('a person types the name; the version becomes an old one, and a rotation retires it', async () => {
  await withStranger('shop')
  const no = await (await terminal({ answers: ['yes'] })).run('adopt', 'key/shop', '2')
  expect([no.exit, (await versions('shop')).length]).toEqual([2, 1])
  const ran = await (await terminal({ answers: ['shop'] })).run('adopt', 'key/shop', '2')
  expect([ran.exit, ran.questions]).toEqual([0, ['Type shop to go on']])
  expect(ran.stdout).toMatch(/^version 2 of key\/shop {2}retired by rotation\/[0-9a-f-]{36}\n$/)
  expect(await versions('shop')).toMatchObject([
    { version: 1, primary: true },
    { version: 2, primary: false, providerVersions: ['2'] },
  ])
  const again = await (await terminal()).run('adopt', 'key/shop', '2', '--confirm', 'shop')
  expect([again.exit, again.stderr]).toEqual([5, expect.stringContaining('rotation')])
})

test('in a script: the rotation’s name; what cannot be is refused with its own exit code', async () => {
  await withStranger('batch')
  const shell = await terminal()
  const confirm = ['--confirm', 'batch'] as const
  const none = await shell.run('adopt', 'key/batch', '9', ...confirm)
  expect([none.exit, none.stderr]).toEqual([2, expect.stringContaining('no such version')])
  expect((await shell.run('adopt', 'key/nobody', '2', '--confirm', 'nobody')).exit).toBe(3)
  const viewer = await terminal({}, await api.token(['viewer']))
  expect((await viewer.run('adopt', 'key/batch', '2', ...confirm)).exit).toBe(4)
  const served = await shell.run('adopt', 'key/batch', '1', ...confirm)
  expect([served.exit, served.stderr]).toEqual([5, expect.stringContaining('primary')])
  const ran = await shell.run('adopt', 'key/batch', '2', ...confirm, '-o', 'name')
  expect([ran.exit, ran.stdout]).toEqual([0, expect.stringMatching(/^rotation\/\S+\n$/)])
})
