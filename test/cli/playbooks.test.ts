// Playbooks on the command line, against a real server.

import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openApi, type Api } from '#test/support/http.ts'
import { openTerminal, type Terminal } from './terminal.ts'

let api: Api
let url: string

beforeAll(async () => {
  api = await openApi()
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`
  await api.house.connection('vault')
  await api.house.register('orders', { connection: 'vault' })
})
afterAll(() => api.close())

const terminal = (token = api.adminToken): Promise<Terminal> =>
  openTerminal({ env: { REKEY_URL: url, REKEY_TOKEN: token } })

const file = (title: string): string => `apiVersion: rekey.dev/v1
kind: Playbook
metadata: { name: leak }
spec:
  title: ${title}
  owner: team-security
  steps:
    - { title: Tell the partner, owner: duty manager, within: 1h, command: call 110 }
    - { title: Look who used it }
  reviewEvery: 30d
`

test('a playbook in a file is shown as a change, applied, listed, and printed as it was written', async () => {
  const shell = await terminal()
  await shell.file('leak.yaml', file('A leak'))
  expect((await shell.run('validate', '-f', 'leak.yaml')).stderr).toBe('')
  expect((await shell.run('diff', '-f', 'leak.yaml')).stdout).toContain('+ playbook/leak')
  const applied = await shell.run('apply', '-f', 'leak.yaml', '--yes')
  expect([applied.exit, applied.stdout]).toEqual([0, expect.stringContaining('playbook/leak')])
  expect((await shell.run('diff', '-f', 'leak.yaml', '--exit-code')).exit).toBe(0)
  await shell.file('leak.yaml', file('Another leak'))
  const changed = await shell.run('diff', '-f', 'leak.yaml', '--exit-code')
  expect([changed.exit, changed.stdout]).toEqual([
    10,
    expect.stringContaining('A leak → Another leak'),
  ])
  const listed = await shell.run('get', 'playbooks')
  expect(listed.stdout).toMatch(/leak +team-security +2 +due /)
  const yaml = (await shell.run('get', 'playbook/leak', '-o', 'yaml')).stdout
  await shell.file('printed.yaml', yaml)
  expect((await shell.run('diff', '-f', 'printed.yaml', '--exit-code')).exit).toBe(0)
})

test('a review names the revision that was read, and is refused to its author', async () => {
  const own = await terminal()
  const silent = await own.run('review', 'playbook/leak', '--text', 'read it')
  expect([silent.exit, silent.stderr]).toEqual([2, expect.stringContaining('--revision 1')])
  const self = await own.run('review', 'playbook/leak', '--revision', '1', '--text', 'mine')
  expect([self.exit, self.stderr]).toEqual([4, expect.stringContaining('You wrote this revision')])
  const other = await terminal(await api.token(['responder']))
  const signed = await other.run('review', 'playbook/leak', '--revision', '1', '--text', 'right')
  expect([signed.exit, signed.stdout]).toEqual([0, expect.stringContaining('next review is due')])
  expect((await own.run('describe', 'playbook/leak')).stdout).toMatch(
    /reviewed +by .*revision 1: right/,
  )
})

test('an incident is worked on by one: taken later, ticked off, shown with what is next', async () => {
  const shell = await terminal()
  const about = ['--title', 'A theft', '--reason', 'lost', '--mode', 'disable', '--key', 'orders']
  const opened = await shell.run('incident', 'open', ...about, '-o', 'name')
  expect([opened.exit, opened.stderr]).toEqual([0, expect.stringContaining('next')])
  const incident = opened.stdout.trim()
  const changed = await shell.run('incident', 'change', incident, '--playbook', 'leak')
  expect([changed.exit, changed.stdout]).toEqual([0, expect.stringContaining('Tell the partner')])
  expect(changed.stderr).toContain(`next: rekey incident step ${incident} 1   # by `)
  const done = await shell.run('incident', 'step', incident, '1', '--note', 'called')
  expect([done.exit, done.stdout]).toEqual([0, expect.stringMatching(/1 +done +Tell the partner/)])
  const not = await shell.run('incident', 'step', incident, '2', '--not-done')
  expect([not.exit, not.stderr]).toEqual([2, expect.stringContaining('--note')])
  await shell.run('incident', 'step', incident, '2', '--not-done', '--note', 'no log')
  const told = (await shell.run('describe', incident)).stdout
  expect(told).toMatch(/2 +not done +Look who used it/)
  expect(told).toContain('Step 2 of the playbook leak (team-security) is not done')
  expect((await shell.run('incident', 'timeline', incident)).stdout).toContain(
    'step 1, Tell the partner: done; called',
  )
})
