// A token to break glass with, armed from the terminal: by a second admin, who has seen what it is.

import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { actorOf } from '../support/house.ts'
import { openApi, type Api } from '../support/http.ts'
import { openTerminal, type TerminalOptions } from './terminal.ts'

let api: Api
let url: string
let id: string
let ada: string
let bob: string

beforeAll(async () => {
  api = await openApi()
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`
  ada = await api.token(['admin'], { by: actorOf('x', ['admin']) })
  bob = await api.token(['admin'], { by: actorOf('y', ['admin']) })
  const { json } = await api.call('POST', '/v1/api-keys', {
    token: ada,
    body: { name: 'envelope-1', type: 'brk', expiresIn: '365d' },
  })
  id = json.id
})
afterAll(() => api.close())

const terminal = (token: string, more: TerminalOptions = {}) =>
  openTerminal({ env: { REKEY_URL: url, REKEY_TOKEN: token }, ...more })
const approvedBy = async (): Promise<string | null> => {
  const { json } = await api.call('GET', '/v1/api-keys?limit=200')
  return json.items.find((key: { id: string }) => key.id === id).breakGlass.approvedBy
}

test('what waits is seen in the list, and is approved by another admin, who types its name', async () => {
  const waiting = await (await terminal(bob)).run('get', 'api-keys')
  expect(waiting.stdout).toMatch(/envelope-1 .*waits for an admin who did not make it/)

  const own = await (await terminal(ada)).run('approve', `api-key/${id}`, '--confirm', 'envelope-1')
  expect([own.exit, own.stdout]).toEqual([4, ''])

  const blind = await (await terminal(bob)).run('approve', `api-key/${id}`)
  expect([blind.exit, blind.stderr]).toEqual([2, expect.stringContaining('--confirm envelope-1')])
  const slip = await terminal(bob, { answers: ['envelope-2'] })
  expect((await slip.run('approve', `api-key/${id}`)).exit).toBe(2)
  const rehearsed = await (await terminal(bob)).run('approve', `api-key/${id}`, '--dry-run')
  expect(rehearsed.stdout).toBe(`api-key/${id}  would be approved\n`)
  expect(await approvedBy()).toBeNull()

  const typed = await terminal(bob, { answers: ['envelope-1'] })
  const done = await typed.run('approve', `api-key/${id}`)
  expect([done.exit, done.stdout]).toEqual([0, `api-key/${id}  approved\n`])
  expect(done.stderr).toContain('envelope-1: brk, viewer, responder')
  expect(done.stderr).toContain('told to no sink')
  expect(await approvedBy()).toBe('t-admin')
  const armed = await (await terminal(bob)).run('get', 'api-keys')
  expect(armed.stdout).toMatch(/envelope-1 .*t-admin/)
})

test('what is no token, or no token of that kind, is not approved', async () => {
  const console = await terminal(bob)
  const none = await console.run('approve', 'api-key/01890000-0000-7000-8000-000000000000')
  expect([none.exit, none.stderr]).toEqual([3, expect.stringContaining('rekey get api-keys')])
  expect((await console.run('approve', 'api-key/envelope-1')).exit).toBe(2)
  expect((await console.run('approve', `api-key/${id}`, '--plan-hash', 'x')).exit).toBe(2)
  expect((await console.run('approve', `rotation/${id}`, '--confirm', 'x')).exit).toBe(2)
  const { json } = await api.call('GET', '/v1/api-keys?limit=200')
  const plain = json.items.find((key: { type: string }) => key.type === 'pat')
  const refused = await console.run('approve', `api-key/${plain.id}`, '--confirm', plain.name)
  expect(refused.exit).toBe(2)
})
