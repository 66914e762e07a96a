// Creation with faults between Rekey and the provider. Effects are counted in the vault, never at the client.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ProviderError, type Session } from '#domain/provider.ts'
import { admin, codeOf, type House, openHouse, refusal } from '../support/house.ts'

type Create = Session['create']
type Fault = (
  order: Parameters<Create>[0],
  call: Parameters<Create>[1],
  real: Create,
) => ReturnType<Create>

let house: House
let fault: Fault | null = null
let died: 'before' | 'after' | null = null

beforeAll(async () => {
  house = await openHouse({
    wrap: (session) => ({
      ...session,
      create: async (order, call) => {
        if (fault) return fault(order, call, (o, c) => session.create(o, c))
        return session.create(order, call)
      },
      probeMint: async (order, call) => {
        if (died) throw new Killed()
        return session.probeMint(order, call)
      },
    }),
  })
  await house.connection('vault')
})
afterAll(() => house.shut())
beforeEach(() => {
  fault = null
  died = null
})

/** Stands for the end of the process: nothing after it runs, nobody handles it. */
class Killed extends Error {}

const objects = async (name: string): Promise<number> => {
  const rows = await house.sql(`SELECT id FROM app.key WHERE name = $1`, [name])
  const counts = await Promise.all(
    rows.map(async ({ id }) => (await house.vault.list(String(id))).length),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

const outcome = async (name: string): Promise<void> => {
  const { key, status } = await house.key(name)
  expect(status.primaryVersion).toBe(1)
  expect(await objects(name)).toBe(1)
  const intents = await house.ledger.read((db) => db.intents.ofCreation(key.id))
  expect(intents.filter((intent) => !intent.closed)).toEqual([])
}

test('a lost reply is probed, adopted and finished within the request', async () => {
  fault = async (order, call, real) => {
    await real(order, call)
    throw new ProviderError('timeout', 'unknown', 'no reply')
  }
  await house.register('lost-reply')
  await outcome('lost-reply')
  const outcomes = (await house.events({ key: 'lost-reply', action: 'effect.create' })).map(
    (event) => event.outcome,
  )
  expect(outcomes).toEqual(['succeeded', 'unknown', 'intent'])
})

test('a kill between intent and effect is finished by the same POST again, with one object', async () => {
  fault = async () => {
    throw new Killed()
  }
  await expect(house.register('killed-before')).rejects.toThrow(Killed)
  expect(await objects('killed-before')).toBe(0)
  expect((await house.key('killed-before')).status.why).toContain('still being made')
  fault = null
  await house.register('killed-before')
  await outcome('killed-before')
})

test('a kill between effect and outcome is finished by the same POST again, with one object', async () => {
  fault = async (order, call, real) => {
    await real(order, call)
    throw new Killed()
  }
  await expect(house.register('killed-after')).rejects.toThrow(Killed)
  expect(await objects('killed-after')).toBe(1)
  fault = null
  await house.register('killed-after')
  await outcome('killed-after')
})

test('while the fate is unknown the caller hears so, deleting is refused, and a repeat finds out', async () => {
  fault = async () => {
    throw new ProviderError('timeout', 'unknown', 'no reply')
  }
  const error = await refusal(house.register('unknown-fate'))
  expect(error.code).toBe('provider.unavailable')
  expect(error.hint).toContain('Repeat')
  expect(await codeOf(house.deleteKey('unknown-fate'))).toBe('key.busy')
  fault = null
  await house.register('unknown-fate')
  await outcome('unknown-fate')
})

test('a half-made key does not rotate, whatever policy selects it', async () => {
  fault = async () => {
    throw new Killed()
  }
  await expect(house.register('half', { labels: { half: 'yes' } })).rejects.toThrow(Killed)
  await house.policy('half', {
    selector: { matchLabels: { half: 'yes' } },
    schedule: { cron: '* * * * *', timezone: 'UTC' },
  })
  expect((await house.key('half')).status.nextRotationAt).toBeNull()
  fault = null
  await house.register('half', { labels: { half: 'yes' } })
  expect((await house.key('half')).status.nextRotationAt).not.toBeNull()
})

test('a definite refusal withdraws the key: name and object are free again, history stays', async () => {
  fault = async () => {
    throw new ProviderError('quota', 'none', 'no room')
  }
  expect(await codeOf(house.register('refused'))).toBe('provider.rejected')
  expect(await codeOf(house.key('refused'))).toBe('resource.notFound')
  fault = null
  await house.register('refused')
  await outcome('refused')
  const rows = await house.sql(`SELECT count(*)::int AS n FROM app.key WHERE name = 'refused'`)
  expect(rows[0]?.['n']).toBe(2)
})

test('another POST of the same name does not take over what was begun', async () => {
  fault = async () => {
    throw new Killed()
  }
  await expect(house.register('begun')).rejects.toThrow(Killed)
  fault = null
  expect(await codeOf(house.register('begun', { type: 'local.key' }))).toBe('resource.exists')
  expect(await codeOf(house.register('begun', { create: false }))).toBe('resource.exists')
  expect(await codeOf(house.register('begun', { labels: { other: 'x' } }))).toBe('resource.exists')
})

test('two repeats at once make one object and one version', async () => {
  fault = async () => {
    throw new Killed()
  }
  await expect(house.register('twice')).rejects.toThrow(Killed)
  fault = null
  const both = await Promise.all([house.register('twice'), house.register('twice')])
  expect(both[0].value.id).toBe(both[1].value.id)
  await outcome('twice')
})

test('two first POSTs at once make one key', async () => {
  const both = await Promise.allSettled([house.register('race'), house.register('race')])
  expect(both.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
  await outcome('race')
})

test('a kill while the fate is being asked leaves everything to be asked again', async () => {
  fault = async (order, call, real) => {
    await real(order, call)
    throw new ProviderError('timeout', 'unknown', 'no reply')
  }
  died = 'before'
  await expect(house.register('probe-killed', {}, admin)).rejects.toThrow()
  died = null
  fault = null
  await house.register('probe-killed')
  await outcome('probe-killed')
})

test('every intent has exactly one final outcome in the log, whatever happened above', async () => {
  const rows = await house.sql(
    `SELECT i.event_id AS id, i.closed,
            (SELECT count(*)::int FROM audit.event e
             WHERE e.body::jsonb ->> 'causationId' = i.event_id::text AND (e.facets).outcome IN ('succeeded', 'failed', 'denied')) AS finals
     FROM app.intent i WHERE i.effect = 'create'`,
  )
  expect(rows.length).toBeGreaterThan(8)
  for (const row of rows)
    expect([row['id'], row['finals']]).toEqual([row['id'], row['closed'] ? 1 : 0])
})
