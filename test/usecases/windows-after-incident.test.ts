// An incident replaces at once, whatever the window says; what comes after it is the policy's again: its next occurrence, in its window,
// and nothing that it missed meanwhile.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Engine, openEngine } from '#test/support/engine.ts'
import { withIncidents } from '#test/support/incidents.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
let engine: Engine
let incidents: ReturnType<typeof withIncidents>
beforeAll(async () => {
  engine = await openEngine()
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())

/** Every night from three to five, in UTC. */
const nightly = async (name: string) => {
  const labels = { set: name }
  await engine.key(name, { labels })
  await engine.policy(name, {
    selector: { matchLabels: labels },
    manual: false,
    schedule: { cron: '0 3 * * *', timezone: 'Etc/UTC', window: '2h' },
  })
}

/** To an hour of the night that is to come, whatever the time is now; then whoever is due is rung for. */
const goTo = async (hour: number): Promise<void> => {
  const now = engine.clock.now().getTime()
  const today = Math.floor(now / dayMs) * dayMs + hour * hourMs
  await engine.clock.advance((today > now ? today : today + dayMs) - now)
  await engine.drain()
}

/** Of each rotation of the key: why it began, the hour that it was for, how it ended, and whether its window was open when it did. */
const rotationsOf = async (name: string) => {
  const rows = await engine.sql(
    'SELECT id FROM app.rotation WHERE key_name = $1 ORDER BY created_at',
    [name],
  )
  const all = await Promise.all(rows.map(({ id }) => engine.rotation(String(id))))
  return all.map(({ trigger, phase, plan, createdAt }) => {
    const nominal = plan.nominal === null ? null : new Date(plan.nominal)
    const late = nominal === null ? 0 : createdAt.getTime() - nominal.getTime()
    return [trigger, phase, nominal?.getUTCHours() ?? null, late >= 0 && late < 2 * hourMs]
  })
}
const replaced = ['incident', 'completed', null, true]
const inWindow = ['schedule', 'completed', 3, true]

test('replaced outside of its window, it is rotated in the next one, and not before', async () => {
  await nightly('replaced')
  await goTo(12)
  const incident = await incidents.begin('revokeFirst', ['replaced'])
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect(await rotationsOf('replaced')).toEqual([replaced])
  await goTo(2.9)
  expect(await rotationsOf('replaced')).toEqual([replaced])
  await goTo(3.1)
  expect(await rotationsOf('replaced')).toEqual([replaced, inWindow])
  await goTo(2.9)
  expect(await rotationsOf('replaced')).toEqual([replaced, inWindow])
  await goTo(3.1)
  expect(await rotationsOf('replaced')).toEqual([replaced, inWindow, inWindow])
})

test('held over its window, it waits for the next one: what it missed is not caught up on outside', async () => {
  await nightly('held')
  await goTo(12)
  const incident = await incidents.settle(await incidents.begin('disable', ['held']))
  expect(incident.state).toBe('contained')
  await goTo(3.1)
  expect(await rotationsOf('held')).toEqual([])
  await goTo(6)
  await incidents.restore(incident)
  expect((await incidents.settle(incident)).state).toBe('contained')
  await goTo(12)
  expect(await rotationsOf('held')).toEqual([])
  await goTo(3.1)
  expect(await rotationsOf('held')).toEqual([inWindow])
})

test('replaced in the middle of its window, it is not rotated once more in that one', async () => {
  await nightly('within')
  await goTo(2.9)
  const incident = await incidents.begin('disable', ['within'])
  expect((await incidents.settle(incident)).state).toBe('contained')
  await goTo(3.1)
  const leak = await incidents.settle(await incidents.begin('revokeFirst', ['within']))
  expect(leak.state).toBe('contained')
  expect(await rotationsOf('within')).toEqual([replaced])
  await goTo(4.9)
  expect(await rotationsOf('within')).toEqual([replaced])
})
