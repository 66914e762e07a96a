// The emergency as it is typed: on the real server, with workers that contain, rotate and restore.

import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keyTypes } from '#providers/registry.ts'
import { systemClock } from '#runtime/clock.ts'
import { hashJson } from '#runtime/hash.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { createIncidentTimers } from '#store/incident-timers.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { makeContainKeys } from '#usecases/contain-keys.ts'
import { makeReplaceKey } from '#usecases/replace-contained.ts'
import { restoreKey } from '#usecases/restore-contained.ts'
import { openApi, type Api } from '#test/support/http.ts'
import { openTerminal, type Terminal, type TerminalOptions } from './terminal.ts'

let api: Api
let url: string
let rosa: string
let anna: string
const stopped = new AbortController()
let working: Promise<void>
/** While false nobody works. */
let atWork = true

beforeAll(async () => {
  api = await openApi()
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`
  const { ledger, clock, ids, sessions, database, timers } = api.house
  const send = makeSendToWebhook({ fetch: globalThis.fetch, clock: systemClock })
  const world = { sessions, types: keyTypes, fetch: globalThis.fetch, send }
  const advance = makeAdvanceRotation(
    { ledger, timers, clock, ids, world },
    { instance: 'w1', bell: { ring: async () => undefined }, report: () => undefined },
  )
  const mine = { ledger, clock, ids, world, timers: createIncidentTimers(database) }
  const contain = makeContainKeys(mine, {
    instance: 'c1',
    replace: makeReplaceKey({ ...mine, types: keyTypes, hashJson }, 'c1'),
    restore: restoreKey,
    report: () => undefined,
  })
  working = (async () => {
    while (!stopped.signal.aborted) {
      if (atWork) {
        await contain()
        for (const id of await timers.due(10)) await advance(id)
      }
      await clock.advance(1_000)
      await systemClock.pause(30, stopped.signal)
    }
  })()
  await api.house.connection('vault')
  rosa = await api.token(['responder', 'viewer'])
  anna = await api.token(['approver'])
})
afterAll(async () => {
  stopped.abort()
  await working
  await api.close()
})

const terminal = (token: string, more: TerminalOptions = {}): Promise<Terminal> =>
  openTerminal({ env: { REKEY_URL: url, REKEY_TOKEN: token }, ...more })

const register = (name: string, more: object = {}) =>
  api.house.register(name, { connection: 'vault', ...more })
const stateOf = async (key: string, version: number): Promise<string> =>
  (await api.call('GET', `/v1/keys/${key}/versions`)).json.items.find(
    (one: { version: number }) => one.version === version,
  ).state
const idIn = (text: string): string => /incident\/([0-9a-f-]{36})/.exec(text)?.[1] ?? ''

test('revoke waits for somebody else, who approves what was shown; then it is executed, and the report handed over', async () => {
  await register('stolen')
  const asked = await (
    await terminal(rosa)
  ).run('revoke', 'key/stolen', '--reason', 'a laptop was lost')
  expect([asked.exit, asked.stdout]).toEqual([7, ''])
  expect(asked.stderr).toMatch(
    /1 key, revokeFirst[\s\S]*stolen +v1 +switched off +no +refused +a new version/,
  )
  expect(asked.stderr).toMatch(/An outage/)
  const id = idIn(asked.stderr)

  const approver = await terminal(anna, { answers: ['yes'] })
  const approved = await approver.run('approve', `incident/${id}`)
  expect([approved.exit, approved.stdout]).toEqual([2, ''])
  const agreed = await approver.run('incident', 'approve', `incident/${id}`)
  expect([agreed.exit, agreed.stderr]).toEqual([
    0,
    expect.stringMatching(/stolen +v1 +switched off/),
  ])

  const shell = await terminal(rosa, { answers: ['wrong', id] })
  const wrong = await shell.run('incident', 'execute', `incident/${id}`)
  expect(wrong.exit).toBe(2)
  const done = await (
    await terminal(rosa)
  ).run('incident', 'execute', `incident/${id}`, '--confirm', id)
  expect([done.exit, done.stderr]).toEqual([0, expect.stringContaining('executing')])
  expect(done.stdout).toMatch(/revokeFirst {2}contained .*1 replaced\n$/)
  expect(await stateOf('stolen', 1)).toBe('compromised')
  expect((await api.call('GET', '/v1/keys/stolen')).json.status.primaryVersion).toBe(2)

  const report = await shell.run('incident', 'report', `incident/${id}`)
  expect(report.stdout).toMatch(/# Revoke stolen\n[\s\S]*\| stolen \| 1 \| refused \| suspend \|/)
  const json = JSON.parse(
    (await shell.run('incident', 'report', `incident/${id}`, '-o', 'json')).stdout,
  )
  expect(json.keys[0].versions[0]).toMatchObject({ state: 'refused' })
  expect(json.keys[0].versions[0].operation).not.toBeNull()
  expect((await shell.run('incident', 'timeline', `incident/${id}`)).stdout).toMatch(
    /opened[\s\S]*agreed to it[\s\S]*had it done[\s\S]* Rekey  came to rest, contained/,
  )
  const told = await shell.run('incident', 'timeline', `incident/${id}`, '-o', 'json')
  expect(JSON.parse(told.stdout).items.at(-1)).toMatchObject({ actor: 'c1', byRekey: true })
  const closed = await shell.run('incident', 'close', `incident/${id}`, '--reason', 'replaced')
  expect([closed.exit, closed.stdout]).toEqual([0, expect.stringContaining('closed')])
})

test('what was only switched off comes back', async () => {
  await register('suspect', { labels: { app: 'suspect' } })
  await register('innocent', { labels: { app: 'suspect' } })
  const shell = await terminal(rosa)
  const opened = await shell.run(
    'incident',
    'open',
    '--title',
    'A strange login',
    '--reason',
    'x',
    '--mode',
    'disable',
    '-l',
    'app=suspect',
  )
  const about = `incident/${idIn(opened.stdout)}`
  const drawn = await shell.run('incident', 'preview', about, '-o', 'json')
  const { hash } = JSON.parse(drawn.stdout)
  expect(
    (await (await terminal(anna)).run('incident', 'approve', about, '--preview-hash', hash)).exit,
  ).toBe(0)
  const executed = await shell.run('incident', 'execute', about, '--confirm', about.slice(9))
  expect([executed.exit, executed.stdout]).toEqual([0, expect.stringContaining('2 refused')])
  expect(await stateOf('innocent', 1)).toBe('suspended')
  const some = await shell.run(
    'incident',
    'restore',
    about,
    '--key',
    'innocent',
    '--reason',
    'not it',
  )
  expect([some.exit, some.stdout]).toEqual([0, expect.stringContaining('1 restored')])
  expect([await stateOf('innocent', 1), await stateOf('suspect', 1)]).toEqual([
    'active',
    'suspended',
  ])
  const described = await shell.run('describe', about)
  expect(described.stdout).toMatch(/rekey incident restore/)
})

test('a pasted secret is hashed here: neither it nor anything of it is sent or shown', async () => {
  await register('pasted')
  const reader = await api.token(['consumer'], { consumer: 'x', keys: ['pasted'] })
  const { value } = (await api.call('GET', '/v1/keys/pasted/value', { token: reader })).json
  const bodies: string[] = []
  const spy: typeof globalThis.fetch = (input, init) => {
    bodies.push(JSON.stringify([input, init?.body, init?.headers]))
    return globalThis.fetch(input, init)
  }
  const shell = await terminal(rosa, { input: `${value}\nnot-a-secret-of-ours\n`, fetch: spy })
  const ran = await shell.run(
    'incident',
    'open',
    '--title',
    'In a log',
    '--reason',
    'x',
    '--mode',
    'revokeFirst',
    '--secret-stdin',
    '-o',
    'json',
  )
  expect(JSON.parse(ran.stdout).selector).toEqual({ versions: [{ key: 'pasted', version: 1 }] })
  expect([...bodies, ran.stdout, ran.stderr].join('\n')).not.toContain(value)
  const none = await (
    await terminal(rosa, { input: '\n' })
  ).run('incident', 'open', '--title', 'x', '--reason', 'x', '--mode', 'disable', '--secret-stdin')
  expect(none.exit).toBe(2)
})

describe('while it goes on', () => {
  test('Ctrl-C leaves it and says how to come back; many keys are one screen', async () => {
    for (let i = 0; i < 30; i++) await register(`many-${i}`, { labels: { app: 'many' } })
    const shell = await terminal(rosa, { size: { columns: 100, rows: 24 } })
    const opened = await shell.run(
      'incident',
      'open',
      '--title',
      'All',
      '--reason',
      'x',
      '--mode',
      'revokeOnly',
      '-l',
      'app=many',
    )
    const about = `incident/${idIn(opened.stdout)}`
    const { hash } = JSON.parse(
      (await shell.run('incident', 'preview', about, '-o', 'json')).stdout,
    )
    await (await terminal(anna)).run('incident', 'approve', about, '--preview-hash', hash)
    atWork = false
    const executing = shell.start('incident', 'execute', about, '--confirm', about.slice(9))
    for (let n = 0; n < 1_000 && !executing.stderr().includes('30 at rest'); n++)
      await systemClock.pause(20)
    expect(executing.stderr()).toMatch(/0 of 30 at rest[\s\S]*pending +30[\s\S]*left at vault: 30/)
    executing.interrupt()
    const left = await executing.ended
    expect([left.exit, left.stderr]).toEqual([
      130,
      expect.stringContaining(`rekey incident watch ${about}`),
    ])
    const late = await shell.run('incident', 'watch', about, '--timeout', '0s')
    expect([late.exit, late.stdout]).toEqual([7, ''])
    atWork = true
    const watched = await (await terminal(rosa)).run('incident', 'watch', about)
    expect([watched.exit, watched.stdout]).toEqual([0, expect.stringContaining('30 refused')])
  })
})

test.each([
  [
    ['incident', 'open', '--title', 'x', '--reason', 'x', '--mode', 'disable'],
    2,
    'say what it is about',
  ],
  [
    ['incident', 'open', '--title', 'x', '--reason', 'x', '--mode', 'gently', '--key', 'a'],
    2,
    'gently',
  ],
  [
    [
      'incident',
      'open',
      '--title',
      'x',
      '--reason',
      'x',
      '--mode',
      'disable',
      '--key-version',
      'a',
    ],
    2,
    'not a version',
  ],
  [
    ['incident', 'open', '--title', 'x', '--reason', 'x', '--mode', 'disable', '--key', 'no-such'],
    2,
    'no-such',
  ],
  [
    ['incident', 'execute', 'incident/01a214c2-32c0-7051-b212-1106795cc6da', '--confirm', 'x'],
    3,
    'no incident',
  ],
  [['incident', 'execute', 'key/orders'], 2, 'incident/ID'],
  [['revoke', 'orders', '--reason', 'x'], 2, 'key/orders'],
  [['revoke', 'key/orders'], 2, '--reason'],
])('%j is refused', async (argv, exit, said) => {
  const ran = await (await terminal(rosa)).run(...argv)
  expect([ran.exit, ran.stderr]).toEqual([exit, expect.stringContaining(said)])
})

test('an approver sees in full what is approved, and nothing is approved unseen', async () => {
  await register('unseen')
  const shell = await terminal(rosa)
  const opened = await shell.run(
    'incident',
    'open',
    '--title',
    'x',
    '--reason',
    'why not',
    '--mode',
    'disable',
    '--key',
    'unseen',
  )
  const about = `incident/${idIn(opened.stdout)}`
  await shell.run('incident', 'preview', about)
  const blind = await (await terminal(anna)).run('incident', 'approve', about)
  expect([blind.exit, blind.stderr]).toEqual([2, expect.stringContaining('--preview-hash')])
  const own = await shell.run(
    'incident',
    'approve',
    about,
    '--preview-hash',
    /--preview-hash (\S+),/.exec(blind.stderr)?.[1] ?? '',
  )
  expect(own.exit).toBe(4)
  const waits = await shell.run('incident', 'execute', about, '--confirm', about.slice(9))
  expect([waits.exit, waits.stderr]).toEqual([7, expect.stringContaining('incident approve')])
})
