// The command line against the real server, on a real database; a worker is a loop over what is due.

import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { keyTypes } from '#providers/registry.ts'
import { systemClock } from '#runtime/clock.ts'
import { createLooks } from '#store/looks.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { makeCompareKeys } from '#usecases/compare-keys.ts'
import { openApi, type Api } from '#test/support/http.ts'
import { blastTree } from '#cli/blast-tree.ts'
import { eventually, openTerminal, type Terminal } from './terminal.ts'

let api: Api
let url: string
const stopped = new AbortController()
let worker: Promise<void>

beforeAll(async () => {
  api = await openApi()
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`
  const { house } = api
  const advance = makeAdvanceRotation(
    {
      ledger: house.ledger,
      timers: house.timers,
      world: {
        sessions: house.sessions,
        types: keyTypes,
        fetch: globalThis.fetch,
        send: makeSendToWebhook({ fetch: globalThis.fetch, clock: systemClock }),
      },
      clock: house.clock,
      ids: house.ids,
    },
    { instance: 'w1', bell: { ring: async () => undefined }, report: () => undefined },
  )
  worker = (async () => {
    while (!stopped.signal.aborted) {
      for (const id of await house.timers.due(10)) await advance(id)
      await systemClock.pause(50, stopped.signal)
    }
  })()
  await house.connection('vault')
  await house.consumer('orders-api', { labels: { uses: 'payments' } })
})

afterAll(async () => {
  stopped.abort()
  await worker
  await api.close()
})

const terminal = (token = api.adminToken, more = {}): Promise<Terminal> =>
  openTerminal({ env: { REKEY_URL: url, REKEY_TOKEN: token }, ...more })

test('a rotation from start to end, followed; then its story by describe and logs', async () => {
  await api.house.register('payments-db', { labels: { app: 'follow' } })
  await api.house.policy('follow', {
    selector: { matchLabels: { app: 'follow' } },
    manual: true,
    overlap: { min: '0s' },
    soak: '0s',
  })
  const shell = await terminal()
  const ran = await shell.run(
    'rotate',
    'key/payments-db',
    '--reason',
    'quarter close',
    '--follow',
    '--timeout',
    '20m',
  )
  expect(ran.stderr).toContain('minting')
  expect([ran.exit, ran.stdout.trim().split(/ {2,}/).slice(1)]).toEqual([
    0,
    ['key/payments-db', 'v1 → v2', 'completed'],
  ])
  const [reference = ''] = ran.stdout.split(' ')
  const told = await shell.run('describe', reference)
  expect(told.stdout).toMatch(/minting +\S+ +1 +succeeded/)
  const id = reference.replace('rotation/', '')
  const events = await shell.run('logs', '--rotation', id)
  expect(events.stdout).toContain('rotation.planned')
  expect(events.stdout).toContain('rotation.completed')
  const streamed = await shell.run('logs', '--follow', '--rotation', id)
  expect(streamed.exit).toBe(0)
  expect(streamed.stdout.split('\n')).toHaveLength(events.stdout.split('\n').length)
  const key = JSON.parse((await shell.run('describe', 'key/payments-db', '-o', 'json')).stdout)
  expect(
    key.versions.map(({ version, state, primary }: Record<string, unknown>) => [
      version,
      state,
      primary,
    ]),
  ).toContainEqual([2, 'active', true])
  expect(
    (
      await shell.run(
        'get',
        'rotations',
        '--key',
        'payments-db',
        '--phase',
        'completed,stalled',
        '-o',
        'name',
      )
    ).stdout,
  ).toBe(`${reference}\n`)
})

test('an approval and an acknowledgement are waited for, named with their commands, and given', async () => {
  await api.house.register('orders', { labels: { app: 'asked' }, consumers: ['orders-api'] })
  await api.house.policy('asked', {
    selector: { matchLabels: { app: 'asked' } },
    manual: true,
    overlap: { min: '0s' },
    soak: '0s',
    approval: { required: 1 },
    consumers: { acknowledgement: { required: 'all', timeout: '1h' } },
  })
  const operator = await terminal(await api.token(['operator', 'viewer']))
  const started = await operator.run(
    'rotate',
    'key/orders',
    '--reason',
    'test',
    '--wait',
    '--timeout',
    '1s',
  )
  expect(started.exit).toBe(7)
  const [reference = ''] = started.stdout.split(' ')
  const rotation = JSON.parse((await operator.run('get', reference, '-o', 'json')).stdout)
  expect((await operator.run('describe', 'key/orders')).stdout).toContain(
    `rekey approve ${reference}`,
  )
  expect((await operator.run('approve', reference, '--plan-hash', rotation.planHash)).exit).toBe(4)
  const approver = await terminal(await api.token(['approver']), { answers: ['yes'] })
  expect(await approver.run('approve', reference)).toMatchObject({
    exit: 0,
    stdout: `${reference}  approved\n`,
  })
  const following = operator.start('logs', '--follow', '--rotation', reference)
  await eventually(() => following.stdout().includes('rotation.promoted'))
  let told = ''
  for (let i = 0; i < 100 && !told.includes('rekey ack'); i++) {
    told = (await operator.run('describe', reference)).stdout
    await systemClock.pause(50)
  }
  expect(told).toContain(`rekey ack ${reference} --consumer orders-api --version 2`)
  const application = await terminal(
    await api.token(['consumer'], { type: 'ack', consumer: 'orders-api' }),
  )
  expect((await application.run('ack', reference, '--consumer', 'orders-api')).exit).toBe(4)
  expect(
    (await application.run('ack', reference, '--consumer', 'orders-api', '--version', '2')).exit,
  ).toBe(0)
  expect((await following.ended).exit).toBe(0)
})

test('a rotation is rolled back by its id typed out, and cannot be cancelled any more', async () => {
  await api.house.register('held', { labels: { app: 'held' } })
  await api.house.policy('held', {
    selector: { matchLabels: { app: 'held' } },
    manual: true,
    overlap: { min: '1h' },
    soak: '0s',
  })
  const shell = await terminal()
  const [reference = ''] = (await shell.run('rotate', 'key/held', '--reason', 'test')).stdout.split(
    ' ',
  )
  const id = reference.replace('rotation/', '')
  let phase = ''
  for (let i = 0; i < 200 && phase !== 'overlapping'; i++) {
    phase = JSON.parse((await shell.run('get', reference, '-o', 'json')).stdout).phase
    await systemClock.pause(25)
  }
  expect((await shell.run('rotate', 'key/held', '--reason', 'again')).stderr).toContain(
    `next     rekey describe ${reference}`,
  )
  expect((await shell.run('cancel', reference, '--reason', 'test')).exit).toBe(5)
  expect((await shell.run('override', reference, '--reason', 'test', '--confirm', id)).exit).toBe(0)
  expect((await shell.run('override', reference, '--reason', 'test', '--confirm', id)).exit).toBe(5)
  const dry = await shell.run('rollback', reference, '--reason', 'test', '--dry-run')
  expect([dry.exit, dry.stdout.startsWith('would be: ')]).toEqual([0, true])
  const typed = await (
    await terminal(api.adminToken, { answers: [id] })
  ).run('rollback', reference, '--reason', 'test')
  expect(typed.exit).toBe(0)
  const ended = await shell.run('logs', '--follow', '--rotation', id)
  expect(ended.stdout).toContain('rotation.rolledBack')
})

test('doctor looks at everything, and says by its exit whether something failed', async () => {
  const shell = await terminal()
  const { exit, stdout } = await shell.run('doctor')
  expect(stdout).toMatch(/^CHECK +STATE +DETAIL +NEXT\nserver +ok +ready/)
  expect(stdout).toMatch(/\nrecovery +ok +not in recovery mode/)
  expect(stdout).toMatch(/\nconnection\/vault +(ok|warn) /)
  expect(exit).toBe(/ fail /.test(stdout) ? 1 : 0)
  const as = await shell.run('doctor', '-o', 'json')
  expect(JSON.parse(as.stdout).items[0]).toEqual({
    check: 'server',
    state: 'ok',
    detail: 'ready',
    next: '',
  })
  expect(await shell.run('doctor', '--accept-restore')).toMatchObject({ exit: 2 })
  expect((await shell.run('doctor', '--accept-restore', '--reason', 'test')).exit).toBe(5)
})

test('doctor --deep also looks at every key, and says which is not as it must be', async () => {
  const shell = await terminal()
  const well = await shell.run('doctor', '--deep')
  expect(well.stdout).toMatch(/\nevery key +ok +\d+ looked at: every invariant holds/)
  await api.house.register('shaken')
  const { id } = (await api.house.key('shaken')).key
  await api.house.vault.setState(id, 1, 'disabled')
  const ill = await shell.run('doctor', '--deep')
  await api.house.vault.setState(id, 1, 'enabled')
  expect(ill.exit).toBe(1)
  expect(ill.stdout).toMatch(/\nevery key +fail +\d+ looked at: 1 with a fault, 0 not wholly known/)
  expect(ill.stdout).toContain('version 1 is handed out, and is disabled at the provider (I1)')
})

test('what somebody did at the provider is in get, describe and doctor, with what helps', async () => {
  const { database, ledger, sessions, keyring, clock, vault } = api.house
  await api.house.register('drifting')
  const { id } = (await api.house.key('drifting')).key
  await vault.setState(id, 1, 'disabled')
  const looks = createLooks(database)
  const compare = makeCompareKeys({ ledger, looks, sessions, types: keyTypes, keyring, clock }, 1)
  const shell = await terminal()
  const stateOf = async () => {
    await compare(() => false)
    return (await api.house.key('drifting')).status.drift?.state
  }
  await expect.poll(stateOf).toBe('lost')
  expect((await shell.run('get', 'keys', '--drifted')).stdout).toMatch(
    /^NAME .*\ndrifting +local\.secret +vault +drifted \(lost\) [^\n]*\n$/,
  )
  const described = (await shell.run('describe', 'key/drifting')).stdout
  expect(described).toContain(
    'It is not what it was at its provider: Version 1, which serves here,',
  )
  expect(described).toMatch(
    /at the provider\n {2}lost since .*\n {2}Version 1.*\n {2}Bring it back/,
  )
  const doctor = await shell.run('doctor')
  expect(doctor.exit).toBe(1)
  expect(doctor.stdout).toMatch(
    /\nkey\/drifting +fail +lost: Version 1.* rekey describe key\/drifting/,
  )
  await vault.setState(id, 1, 'enabled')
  await expect.poll(stateOf).toBeUndefined()
  expect((await shell.run('get', 'keys', '--drifted', '-o', 'name')).stdout).toBe('')
})

test('the other verbs: whoami, schedule, freeze, lists, checks', async () => {
  const shell = await terminal()
  expect((await shell.run('whoami')).stdout).toMatch(/roles +admin/)
  expect((await shell.run('schedule')).exit).toBe(0)
  expect((await shell.run('schedule', '-o', 'ical')).stdout).toContain('BEGIN:VCALENDAR')
  expect(
    (await shell.run('freeze', 'set', '--until', '1h', '--reason', 'test', '-l', 'app=nothing'))
      .exit,
  ).toBe(0)
  expect(
    (await shell.run('freeze', 'set', '--until', '2h', '--reason', 'test', '-l', 'app=nothing'))
      .exit,
  ).toBe(0)
  expect((await shell.run('freeze', 'clear', '--dry-run')).exit).toBe(0)
  expect((await shell.run('freeze')).stdout).toMatch(/keys +app=nothing/)
  expect((await shell.run('freeze', 'clear')).exit).toBe(0)
  for (const kind of [
    'policies',
    'keys',
    'rotations',
    'connections',
    'consumers',
    'sinks',
    'api-keys',
  ]) {
    expect([kind, (await shell.run('get', kind, '-o', 'wide')).exit]).toEqual([kind, 0])
  }
  expect((await shell.run('get', 'keys', '-l', 'app=held', '-o', 'name')).stdout).toBe('key/held\n')
  expect((await shell.run('get', 'keys', '--overdue')).exit).toBe(0)
  expect((await shell.run('describe', 'connection/vault', '--check')).stdout).toContain('rights')
  expect((await shell.run('describe', 'consumer/orders-api')).exit).toBe(0)
  expect((await shell.run('describe', 'policy/held')).exit).toBe(0)
  expect(
    (await shell.run('logs', '--key', 'held', '--tail', '3')).stdout.trimEnd().split('\n'),
  ).toHaveLength(3)
})

test('refusals have their exit codes', async () => {
  const shell = await terminal()
  expect((await shell.run('get', 'key/nope')).exit).toBe(3)
  expect((await shell.run('rotate', 'key/nope', '--reason', 'test')).exit).toBe(3)
  expect((await shell.run('logs', '--action', 'no.such')).exit).toBe(2)
  expect((await (await terminal('rekey_pat_nonsense')).run('whoami')).exit).toBe(4)
  const viewer = await terminal(await api.token(['viewer']))
  expect((await viewer.run('rotate', 'key/held', '--reason', 'test')).exit).toBe(4)
  const denied = await viewer.run('get', 'sinks', '-o', 'json')
  expect(JSON.parse(denied.stderr)).toMatchObject({ code: 'auth.denied', status: 403, exitCode: 4 })
})

test('the blast radius is a tree: each branch says how it is known, and what nobody knows is a branch too', async () => {
  await api.house.connection('till')
  await api.house.register('till-token', { connection: 'till', consumers: ['orders-api'] })
  const shell = await terminal()
  const { exit, stdout } = await shell.run('blast-radius', 'key/till-token')
  expect([exit, stdout.replace(/, \d+m?s ago/, '')]).toEqual([
    0,
    ['key/till-token', '└─ consumer/orders-api', '   · declared: named on the key', ''].join('\n'),
  ])
  const drawn = await shell.run('blast-radius', 'key/till-token', '-o', 'dot')
  expect(drawn.stdout).toContain('"key/till-token" -> "consumer/orders-api"')
  const json = JSON.parse((await shell.run('blast-radius', 'key/till-token', '-o', 'json')).stdout)
  expect(json.edges).toHaveLength(1)
  expect((await shell.run('blast-radius', 'key/till-token', '-o', 'name')).stdout).toBe(
    'consumer/orders-api\n',
  )
  expect((await shell.run('blast-radius', 'key/no-such')).exit).toBe(3)
})

test('a tree names the readers of a place that is published to, and ends where it began', () => {
  const node = (kind: string, name: string) => ({ kind, name })
  const edge = (from: object, to: object | null, detail: string, age: string | null = null) =>
    ({ from, to, detail, age, confidence: to === null ? 'unknown' : 'declared' }) as never
  const target = node('publishTarget', 'db')
  const key = node('key', 'orders')
  expect(
    blastTree({
      key: 'orders',
      edges: [
        edge(key, target, 'kv2 at vault'),
        edge(target, null, 'Who reads it is not known here.'),
        edge(target, key, 'written back'),
        edge(key, node('consumer', 'shop'), 'named on the key', '3d'),
      ],
    }),
  ).toBe(`key/orders
├─ publishTarget/db
│  · declared: kv2 at vault
│  ├─ unknown: Who reads it is not known here.
│  └─ key/orders
│     · declared: written back
└─ consumer/shop
   · declared: named on the key, 3d ago
`)
  expect(blastTree({ key: 'orders', edges: [] })).toContain('nothing that Rekey knows of')
})
