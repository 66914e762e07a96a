// Connections that hang, at their door or in their requests, hold as many keys as a process has room for, and keep nobody waiting. One
// that cannot be opened ends what was asked of it.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Connection } from '#domain/connection.ts'
import { openEngine, type Engine } from '#test/support/engine.ts'
import { shutSessions } from '#test/support/faults.ts'
import { withIncidents } from '#test/support/incidents.ts'
import { makeShelf } from '#test/support/shelf.ts'

const gate = (() => {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open: () => open(), opened }
})()

let engine: Engine
let incidents: ReturnType<typeof withIncidents>
beforeAll(async () => {
  engine = await openEngine({
    providers: ['door', 'slow', 'fine'].map((id) => ({ ...makeShelf().provider, id })),
    wrap: (session) => ({
      ...session,
      suspend: async (object, version, call) => {
        if (object.keyName.startsWith('slow')) await gate.opened
        return session.suspend(object, version, { ...call, signal: new AbortController().signal })
      },
    }),
  })
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())

let made = 0
const keysOf = async (connection: string, count: number): Promise<readonly string[]> => {
  const names = Array.from({ length: count }, () => `${connection}-${++made}`)
  for (const name of names)
    await engine.key(name, { connection, type: 'shelf.pass', ref: { path: name } })
  return names
}
const inHand = async (): Promise<number> => {
  const [row] = await engine.sql(
    'SELECT count(*)::int AS count FROM app.incident_key_timer WHERE lease_owner IS NOT NULL',
  )
  return Number(row?.['count'])
}

test('two connections hang, and the keys of a third are refused meanwhile', async () => {
  const hanging = [...(await keysOf('door', 6)), ...(await keysOf('slow', 6))]
  const fine = await keysOf('fine', 5)
  const { world } = engine.deps
  const sessions = {
    ...world.sessions,
    open: async (connection: Connection) => {
      if (connection.name === 'door') await gate.opened
      return world.sessions.open(connection)
    },
  }
  const worker = incidents.worker(
    'w',
    { world: { ...world, sessions } },
    { inAll: 8, ofOne: 4, atOnce: 4, ofFresh: 2 },
  )
  const first = await incidents.begin('revokeOnly', hanging)
  const pass = worker()
  await expect.poll(inHand, { timeout: 60_000 }).toBe(8)

  const second = await incidents.begin('revokeOnly', fine)
  const states = async () => (await incidents.keys(second)).map(({ state }) => state)
  await expect.poll(states, { timeout: 60_000 }).toEqual(fine.map(() => 'refused'))
  for (const { state } of await incidents.keys(first)) expect(state).not.toBe('refused')
  gate.open()
  await pass
  expect((await incidents.settle(first)).state).toBe('contained')
})

test('what cannot be switched on again, since its connection cannot be opened, is asked for by a person once more', async () => {
  const keys = await keysOf('fine', 1)
  const incident = await incidents.settle(await incidents.begin('disable', keys))
  await incidents.restore(incident)
  const { world } = engine.deps
  const shut = incidents.worker('shut', {
    world: { ...world, sessions: shutSessions(world.sessions) },
  })
  for (let turn = 0; turn < 10; turn++) {
    await shut()
    await engine.clock.advance(30_000)
  }
  expect(await incidents.get(incident)).toMatchObject({ state: 'partly' })
  expect(await incidents.keys(incident)).toMatchObject([
    { restoration: 'failed', detail: expect.stringContaining('no door') },
  ])
  await incidents.restore(incident)
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect(await incidents.keys(incident)).toMatchObject([{ state: 'restored', restoration: 'done' }])
})
