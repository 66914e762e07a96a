import { beforeEach, expect, test } from 'vitest'
import { aKey, aRotation, problem } from './stand-in.ts'
import { eventually } from './terminal.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()
beforeEach(() => {
  stage.server.keys.set('payments-db', aKey())
})

const rotate = ['rotate', 'key/payments-db', '--reason', 'quarter close'] as const
const onlyRotation = (): string => [...stage.server.rotations.keys()].join(' ')
const posts = () => stage.server.seen.filter(({ method }) => method === 'POST')

test('a rotation is started, with its reason, and the next command is told', async () => {
  const ran = await (await stage.terminal()).run(...rotate)
  const id = onlyRotation()
  expect(ran.exit).toBe(0)
  expect(ran.stdout).toBe(`rotation/${id}  key/payments-db  v3 → new  planned\n`)
  expect(ran.stderr).toBe(`next: rekey get rotation/${id} --watch\n`)
  expect(posts()[0]?.body).toEqual({ key: 'payments-db', reason: 'quarter close' })
})

test('a dry run starts nothing', async () => {
  const ran = await (await stage.terminal()).run(...rotate, '--dry-run')
  expect(ran.exit).toBe(0)
  expect(ran.stdout).toContain('key/payments-db  v3 → new  would be rotated; nothing was changed')
  expect(stage.server.rotations.size).toBe(0)
})

test('with -o json stdout is the rotation and stderr is empty', async () => {
  const ran = await (await stage.terminal()).run(...rotate, '-o', 'json')
  expect(JSON.parse(ran.stdout)).toMatchObject({ key: 'payments-db', phase: 'planned' })
  expect(ran.stderr).toBe('')
})

test('a lost reply is asked for again with the same Idempotency-Key: one rotation', async () => {
  stage.server.interfere('POST', '/v1/rotations', 'drop after', 'drop before', 'drop before')
  const ran = await (await stage.terminal()).run(...rotate)
  expect(ran.exit).toBe(0)
  expect(stage.server.rotations.size).toBe(1)
  expect(posts()).toHaveLength(4)
  expect(new Set(posts().map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
  expect(ran.stderr).toContain('the reply was lost')
})

test('while the first request is still at work, the repeated one waits for its answer', async () => {
  stage.server.interfere(
    'POST',
    '/v1/rotations',
    'drop after',
    problem('idempotency.running'),
    problem('idempotency.running'),
  )
  const ran = await (await stage.terminal()).run(...rotate, '-o', 'name')
  expect([ran.exit, ran.stdout]).toEqual([0, `rotation/${onlyRotation()}\n`])
})

test('a reply that never comes ends with 9, says that the outcome is unknown, and the command it names finishes the work', async () => {
  stage.server.interfere(
    'POST',
    '/v1/rotations',
    'drop after',
    ...Array.from({ length: 5 }, () => 'drop before' as const),
  )
  const terminal = await stage.terminal()
  const ran = await terminal.run(...rotate)
  expect(ran.exit).toBe(9)
  expect(ran.stderr).toMatch(/changed +unknown: the request was sent and no reply came/)
  const key = /--idempotency-key (\S+)/.exec(ran.stderr)?.[1] ?? ''
  const again = await terminal.run(...rotate, '--idempotency-key', key)
  expect(again.exit).toBe(0)
  expect(again.stdout).toContain(onlyRotation())
  expect(stage.server.rotations.size).toBe(1)
})

test('an open rotation is a conflict, and the answer names it', async () => {
  const open = aRotation({ phase: 'overlapping' })
  stage.server.rotations.set(String(open['id']), open)
  const ran = await (await stage.terminal()).run(...rotate)
  expect(ran.exit).toBe(5)
  expect(ran.stderr).toContain(`next     rekey describe rotation/${String(open['id'])}`)
  expect(ran.stderr).toMatch(/changed +nothing/)
})

const step = (phase: string, outcome: string | null, detail: string | null = null) => ({
  phase,
  attempt: 1,
  operationId: `r:${phase}:1`,
  startedAt: '2026-11-24T01:00:00.000Z',
  endedAt: outcome === null ? null : '2026-11-24T01:00:01.000Z',
  outcome,
  detail,
})

test('--follow shows every phase and step once, as they come, and ends with the rotation', async () => {
  const started = (await stage.terminal()).start(...rotate, '--follow')
  await eventually(() => stage.server.streams.length === 1)
  const id = onlyRotation()
  stage.server.move(id, { phase: 'minting', steps: [step('minting', null)] })
  await eventually(() => started.stderr().includes('minting  (v3'))
  stage.server.move(id, {
    phase: 'overlapping',
    toVersion: 4,
    steps: [step('minting', 'succeeded')],
    waitingFor: {
      gate: 'acknowledgement',
      since: '',
      missing: ['orders-api'],
      text: 'consumers must acknowledge',
    },
  })
  await eventually(() => started.stderr().includes('waits'))
  stage.server.move(id, {
    phase: 'completed',
    waitingFor: null,
    endedAt: '2026-11-24T02:00:00.000Z',
  })
  const ran = await started.ended
  expect(ran.exit).toBe(0)
  expect(ran.stdout).toBe(`rotation/${id}  key/payments-db  v3 → v4  completed\n`)
  const lines = ran.stderr
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\d\d:\d\d:\d\dZ {2}/, ''))
  expect(lines).toEqual([
    `started rotation/${id}  key/payments-db  v3 → new  planned`,
    'planned  (v3 → new)',
    'minting',
    'minting  (v3 → new)',
    'minting: succeeded',
    'overlapping  (v3 → v4)',
    'waits: acknowledgement: consumers must acknowledge; missing orders-api',
    'completed  (v3 → v4)',
  ])
})

test('a broken stream is opened again after the last event that was seen', async () => {
  const started = (await stage.terminal()).start(...rotate, '--follow')
  await eventually(() => stage.server.streams.length === 1)
  const id = onlyRotation()
  stage.server.move(id, { phase: 'preflight' })
  stage.server.move(id, { phase: 'minting' })
  await eventually(() => started.stderr().includes('minting'))
  stage.server.breakStreams()
  await eventually(() => stage.server.streams.length === 2)
  expect(stage.server.streams[1]).toBe('2')
  stage.server.move(id, { phase: 'completed' })
  expect((await started.ended).exit).toBe(0)
})

test('what happened while the stream was broken is not missed', async () => {
  const started = (await stage.terminal()).start(...rotate, '--wait')
  await eventually(() => stage.server.streams.length === 1)
  const path = `/v1/rotations/${onlyRotation()}/events`
  stage.server.interfere('GET', path, 'drop before', 'drop before')
  stage.server.breakStreams()
  stage.server.move(onlyRotation(), { phase: 'completed' })
  expect((await started.ended).exit).toBe(0)
})

test('a server that restarts while it is followed is waited for', async () => {
  const started = (await stage.terminal()).start(...rotate, '--wait')
  await eventually(() => stage.server.streams.length === 1)
  const path = `/v1/rotations/${onlyRotation()}`
  stage.server.interfere(
    'GET',
    path,
    problem('service.unavailable'),
    'drop before',
    problem('service.unavailable'),
  )
  stage.server.move(onlyRotation(), { phase: 'overlapping' })
  await eventually(() => started.stderr().includes('the server is away'))
  stage.server.move(onlyRotation(), { phase: 'completed' })
  expect((await started.ended).exit).toBe(0)
})

test('a server without streams is asked again and again', async () => {
  stage.server.rotations.clear()
  const terminal = await stage.terminal({
    fetch: async (url, init) =>
      new Request(url).url.endsWith('/events')
        ? new Response('{}', { status: 406 })
        : fetch(url, init),
  })
  const started = terminal.start(...rotate, '--wait')
  await eventually(() => stage.server.rotations.size === 1)
  await eventually(() => stage.server.seen.length > 3)
  stage.server.move(onlyRotation(), { phase: 'completed' })
  expect((await started.ended).exit).toBe(0)
  expect(stage.server.streams).toEqual([])
})

test('--timeout ends with 7 and says what it still waits for, and how to come back', async () => {
  const started = (await stage.terminal()).start(...rotate, '--wait', '--timeout', '1s')
  await eventually(() => stage.server.streams.length === 1)
  const id = onlyRotation()
  stage.server.move(id, {
    phase: 'awaitingApproval',
    waitingFor: {
      gate: 'approval',
      since: '',
      missing: ['approver'],
      text: 'one approval is missing',
    },
  })
  const ran = await started.ended
  expect(ran.exit).toBe(7)
  expect(ran.stdout).toContain('awaitingApproval')
  expect(ran.stderr).toContain('it is still awaitingApproval: one approval is missing')
  expect(ran.stderr).toContain(`rekey get rotation/${id} --watch`)
})

test('Ctrl-C detaches: 130, the rotation goes on, and how to come back', async () => {
  const started = (await stage.terminal()).start(...rotate, '--follow')
  await eventually(() => stage.server.streams.length === 1)
  started.interrupt()
  const ran = await started.ended
  expect(ran.exit).toBe(130)
  expect(ran.stderr).toContain('the rotation goes on at the server')
  expect(ran.stderr).toContain(`rekey describe rotation/${onlyRotation()}`)
  expect(posts()).toHaveLength(1)
})

test.each([
  ['rolledBack', 'the old version is primary again'],
  ['cancelled', 'nothing at the provider'],
  ['abandoned', 'stays as it is'],
  ['stalled', 'everything stays valid'],
])('a rotation that ends %s ends with 1 and says what was changed', async (phase, changed) => {
  const started = (await stage.terminal()).start(...rotate, '--wait', '-o', 'json')
  await eventually(() => stage.server.streams.length === 1)
  stage.server.move(onlyRotation(), {
    phase,
    steps: [step('verifying', 'failed', 'the new version was refused')],
  })
  const ran = await started.ended
  expect(ran.exit).toBe(1)
  expect(JSON.parse(ran.stdout)).toMatchObject({ phase })
  const said = JSON.parse(ran.stderr)
  expect(said).toMatchObject({
    code: `cli.${phase}`,
    detail: 'the new version was refused',
    exitCode: 1,
  })
  expect(said.changed).toContain(changed)
})
