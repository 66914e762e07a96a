import { beforeEach, expect, test } from 'vitest'
import { aRotation, problem, type Thing } from './stand-in.ts'
import { eventually } from './terminal.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()
const rotation = '0193a1b2-0000-7000-8000-000000000001'
let count = 0

const happen = (action: string, more: Thing = {}): void => {
  count += 1
  stage.server.audit.push({
    id: `event-${String(count).padStart(3, '0')}`,
    at: new Date(Date.now() - 60_000 + count).toISOString(),
    actor: { type: 'user', id: 'u1', name: 'ada' },
    action,
    target: { kind: 'rotation', id: rotation, name: 'payments-db' },
    outcome: 'succeeded',
    reason: null,
    correlationId: rotation,
    after: { phase: 'minting' },
    ...more,
  })
}

beforeEach(() => {
  count = 0
})

test('events of all pages, oldest first, one a line', async () => {
  for (const action of [
    'rotation.planned',
    'rotation.advanced',
    'rotation.promoted',
    'rotation.completed',
  ])
    happen(action, { reason: 'because' })
  const ran = await (await stage.terminal()).run('logs')
  expect(ran.exit).toBe(0)
  const lines = ran.stdout.trimEnd().split('\n')
  expect(lines).toHaveLength(4)
  expect(lines[0]).toMatch(
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ {2}succeeded {2}rotation\.planned +rotation\/payments-db {2}by ada {2}phase=minting {2}reason="because"$/,
  )
  expect(lines[3]).toContain('rotation.completed')
  expect(stage.server.seen[0]?.query.get('from')).not.toBeNull()
})

test('filters are sent; a rotation is read from its beginning', async () => {
  await (
    await stage.terminal()
  ).run('logs', '--rotation', rotation, '--action', 'rotation.promoted', '--outcome', 'failed')
  expect(Object.fromEntries(stage.server.seen[0]?.query ?? [])).toEqual({
    rotation,
    action: 'rotation.promoted',
    outcome: 'failed',
    limit: '200',
  })
})

test('--tail keeps the last ones', async () => {
  for (const action of ['a.a', 'b.b', 'c.c']) happen(action)
  const ran = await (await stage.terminal()).run('logs', '--tail', '2')
  expect(
    ran.stdout
      .trimEnd()
      .split('\n')
      .map((line) => /[a-c]\.[a-c]/.exec(line)?.[0]),
  ).toEqual(['b.b', 'c.c'])
})

test('with -o json every line is an event', async () => {
  happen('rotation.planned')
  happen('rotation.promoted')
  const ran = await (await stage.terminal()).run('logs', '-o', 'json')
  expect(
    ran.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).action),
  ).toEqual(['rotation.planned', 'rotation.promoted'])
})

test('--follow shows each event once, and survives an outage', async () => {
  happen('rotation.planned')
  const started = (await stage.terminal()).start('logs', '--follow')
  await eventually(() => started.stdout().includes('rotation.planned'))
  stage.server.interfere(
    'GET',
    '/v1/audit/events',
    ...Array.from({ length: 12 }, () => 'drop before' as const),
  )
  await eventually(() => started.stderr().includes('still trying'))
  happen('rotation.promoted')
  await eventually(() => started.stdout().includes('rotation.promoted'))
  started.interrupt()
  const ran = await started.ended
  expect(ran.exit).toBe(130)
  expect(ran.stdout.trimEnd().split('\n')).toHaveLength(2)
})

test('one rotation is followed over its own stream, after the last event that was seen, until it is over', async () => {
  stage.server.rotations.set(rotation, aRotation({ id: rotation }))
  stage.server.move(rotation, { phase: 'minting' })
  const started = (await stage.terminal()).start('logs', '-f', '--rotation', `rotation/${rotation}`)
  await eventually(() => started.stdout().includes('phase=minting'))
  stage.server.interfere('GET', `/v1/rotations/${rotation}/events`, 'drop before')
  stage.server.breakStreams()
  stage.server.move(rotation, { phase: 'overlapping' })
  await eventually(() => started.stdout().includes('phase=overlapping'))
  expect(stage.server.streams).toEqual([undefined, '1'])
  stage.server.move(rotation, { phase: 'completed', endedAt: '2026-11-24T00:00:00Z' })
  const ran = await started.ended
  expect(ran.exit).toBe(0)
  expect(
    ran.stdout
      .trimEnd()
      .split('\n')
      .map((line) => /phase=(\w+)/.exec(line)?.[1]),
  ).toEqual(['minting', 'overlapping', 'completed'])
})

test('following a rotation that is not there is 3', async () => {
  stage.server.interfere('GET', `/v1/rotations/${rotation}/events`, problem('resource.notFound'))
  expect(
    (await (await stage.terminal()).run('logs', '--follow', '--rotation', rotation)).exit,
  ).toBe(3)
})

test('Ctrl-C ends following with 130 and says how to go on', async () => {
  happen('rotation.planned')
  const started = (await stage.terminal()).start('logs', '--follow')
  await eventually(() => started.stdout().includes('rotation.planned'))
  started.interrupt()
  const ran = await started.ended
  expect(ran.exit).toBe(130)
  expect(ran.stderr).toContain('run the same command again')
})
