// The beginnings and ends of keys: what may be rotated, retired and deleted, and by how many at once.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Key } from '#domain/key.ts'
import { ProviderError, type Provider, type Session } from '#domain/provider.ts'
import { local } from '#providers/local/provider.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { makeStartRotation } from '#usecases/start-rotation.ts'
import { makeCancel } from '#usecases/steer-rotation.ts'
import { makeByHand } from '../support/by-hand.ts'
import { admin, codeOf, type House, openHouse, refusal } from '../support/house.ts'

/** The built-in vault under other declarations. */
const declared = (id: string, slot: 'internal' | 'single'): Provider => ({
  ...local,
  id,
  types: local.types.flatMap((type) =>
    type.type === 'local.secret'
      ? [
          {
            ...type,
            type: `${id}.secret`,
            traits: { ...type.traits, slot, staging: 'none' as const },
            objectId: ({ keyName }: { keyName: string }) => `${id}:${keyName}`,
          },
        ]
      : [],
  ),
})

let house: House
let fault: Partial<Session> = {}
let start: ReturnType<typeof makeStartRotation>
let cancel: ReturnType<typeof makeCancel>
let plan: () => Promise<number>

beforeAll(async () => {
  house = await openHouse({
    providers: [declared('inside', 'internal'), declared('lonely', 'single')],
    wrap: (session) =>
      new Proxy(session, { get: (of, name) => Reflect.get({ ...of, ...fault }, name) }),
  })
  await house.connection('vault')
  await house.connection('inside', { provider: 'inside' })
  await house.connection('lonely', { provider: 'lonely' })
  start = makeStartRotation(house.deps)
  cancel = makeCancel({ ledger: house.ledger })
  plan = makePlanRotations({ ...house.deps, timers: house.timers }, 'w1')
})
afterAll(() => house.shut())
beforeEach(() => {
  fault = {}
})

const rotate = (key: string) => start(admin, { key, reason: 'a test' })

const byHand = (keyId: string, value: string) => makeByHand(house.vault, keyId, value)

const openRotations = async (keyId: string) =>
  (
    await house.sql(
      `SELECT id FROM app.rotation WHERE key_id = $1 AND phase NOT IN ('completed', 'cancelled', 'rolledBack', 'abandoned')`,
      [keyId],
    )
  ).length

const untouched = async (name: string, versions: number) => {
  const { key, status } = await house.key(name)
  expect(await house.versions(key.id)).toHaveLength(versions)
  expect(status.openRotation).toBeNull()
}

describe('adopting', () => {
  test('what readers get now is refused, and nothing changed', async () => {
    const { value: key } = await house.register('current')
    const id = await byHand(key.id, 'a new one')
    expect(await house.vault.move(key.id, 1, Number(id))).toBe(true)
    const error = await refusal(house.adopt('current', id))
    expect(error.code).toBe('key.versionInUse')
    expect(error.hint).toContain('register')
    await untouched('current', 1)
  })

  test('what carries the value of the primary is refused', async () => {
    const { value: key } = await house.register('carried')
    const { value } = await house.value('carried', admin)
    const copy = await byHand(key.id, Buffer.from(value.reveal()).toString('utf8'))
    expect(await codeOf(house.adopt('carried', copy))).toBe('key.versionInUse')
    const other = await byHand(key.id, 'another')
    fault = { prepare: async () => ({ preImage: { carriers: [other] }, risks: [] }) }
    expect(await codeOf(house.adopt('carried', other))).toBe('key.versionInUse')
    await untouched('carried', 1)
  })

  test.each(['inside', 'lonely'])(
    'of a type that keeps no old version of ours is refused: %s',
    async (connection) => {
      const name = `${connection}-key`
      const { value: key } = await house.register(name, {
        connection,
        type: `${connection}.secret`,
      })
      const error = await refusal(house.adopt(name, await byHand(key.id, 'old')))
      expect(error.code).toBe('request.impossible')
      expect(error.message).toContain(`${connection}.secret`)
      await untouched(name, 1)
    },
  )

  test('again, after the retirement was cancelled, starts the retirement anew', async () => {
    const { value: key } = await house.register('again')
    const id = await byHand(key.id, 'old')
    const first = await house.adopt('again', id)
    expect(await codeOf(house.adopt('again', id))).toBe('rotation.inProgress')
    await cancel(admin, first.rotationId, { reason: 'not now' })
    const second = await house.adopt('again', id)
    expect(second.version).toMatchObject({ version: 2, state: 'active', primary: false })
    expect(second.rotationId).not.toBe(first.rotationId)
    const rotation = await house.ledger.read((db) => db.rotations.get(second.rotationId))
    expect(rotation).toMatchObject({ phase: 'planned', fromVersion: 2, plan: { retireOnly: true } })
  })
})

describe('a key whose object is still being made', () => {
  class Killed extends Error {}
  const half = async (name: string, labels = {}) => {
    fault = {
      create: async () => {
        throw new Killed()
      },
    }
    await expect(house.register(name, { labels })).rejects.toThrow(Killed)
    fault = {}
    return (await house.key(name)).key
  }

  test('is not rotated, adopts nothing, and says why', async () => {
    const key = await half('half')
    const error = await refusal(rotate('half'))
    expect(error.code).toBe('key.busy')
    expect(error.hint).toContain('epeat')
    await byHand(key.id, 'foreign')
    expect(await codeOf(house.adopt('half', '1'))).toBe('key.busy')
    expect(await openRotations(key.id)).toBe(0)
    expect((await house.key('half')).status.why).toContain('still being made')
  })

  test('is not rotated by the planner either, whatever its schedule row says', async () => {
    const key = await half('half-due', { set: 'half-due' })
    await house.policy('half-due', {
      selector: { matchLabels: { set: 'half-due' } },
      schedule: { cron: '* * * * *', timezone: 'UTC' },
    })
    await house.sql(
      `UPDATE app.key_schedule SET due_at = app.now(), occurrence = 'enable:1@2026-01-01T00:00:00.000Z', nominal = app.now(), trigger = 'schedule' WHERE key_id = $1`,
      [key.id],
    )
    for (let pass = 0; pass < 5 && (await plan()) > 0; pass++);
    expect(await openRotations(key.id)).toBe(0)
  })

  test('is deleted once nothing can arrive any more, and its name is free again', async () => {
    const key = await half('given-up')
    const early = await refusal(house.deleteKey('given-up'))
    expect(early.code).toBe('key.busy')
    await house.clock.advance(60_000)
    await house.deleteKey('given-up')
    const [intent] = await house.ledger.read((db) => db.intents.ofCreation(key.id))
    expect(intent).toMatchObject({ closed: true, outcome: 'failed', sealedId: null })
    const told = (await house.events({ key: 'given-up' })).map(
      ({ action, outcome }) => `${action} ${outcome}`,
    )
    expect(told).toContain('effect.create failed')
    expect(told).toContain('key.deleted succeeded')
    expect((await house.register('given-up')).value.id).not.toBe(key.id)
  })

  test('that was made and does not work is kept, says so, and is finished once it does', async () => {
    fault = { verify: async () => ({ ok: false, detail: 'it is not there yet', facts: {} }) }
    expect(await codeOf(house.register('slow'))).toBe('provider.rejected')
    expect((await house.key('slow')).status.why).toContain('it is not there yet')
    expect(await codeOf(rotate('slow'))).toBe('key.busy')
    fault = {}
    await house.register('slow')
    expect((await house.key('slow')).status.primaryVersion).toBe(1)
  })

  test('a refusal of the repeat withdraws it only when the first request can no longer arrive, by the database’s clock', async () => {
    fault = {
      create: async () => {
        throw new ProviderError('timeout', 'unknown', 'no reply')
      },
    }
    expect(await codeOf(house.register('late'))).toBe('provider.unavailable')
    fault = {
      create: async () => {
        throw new ProviderError('quota', 'none', 'no room')
      },
    }
    house.clock.turnProcess(3_600_000)
    try {
      expect(await codeOf(house.register('late'))).toBe('provider.rejected')
      expect((await house.key('late')).status.primaryVersion).toBeNull()
      await house.clock.turnDatabase(60_000)
      expect(await codeOf(house.register('late'))).toBe('provider.rejected')
      expect(await codeOf(house.key('late'))).toBe('resource.notFound')
    } finally {
      house.clock.turnProcess(-3_600_000)
    }
  })
})

describe('at once', () => {
  /** Both run; what each became. */
  const race = async (a: () => Promise<unknown>, b: () => Promise<unknown>) =>
    (await Promise.allSettled([a(), b()])).map(({ status }) => status === 'fulfilled')

  const pairs = Number(process.env['PAIRS'] ?? 8)

  test('deleting and rotating, deleting and retiring: a deleted key has no open rotation', async () => {
    for (let n = 0; n < pairs; n++) {
      const name = `race-${n}`
      const { value: key } = await house.register(name)
      const old = await byHand(key.id, 'old')
      const begin = n % 2 === 0 ? () => rotate(name) : () => house.adopt(name, old)
      const remove = () => house.deleteKey(name)
      const both = await (n % 4 < 2 ? race(begin, remove) : race(remove, begin))
      expect(both.filter(Boolean)).toHaveLength(1)
      const row = await house.ledger.read((db) => db.keys.byId(key.id))
      expect(await openRotations(key.id)).toBe(row?.deletedAt ? 0 : 1)
    }
  })

  test('deleting and planning: a deleted key has no open rotation', async () => {
    const labels = { set: 'planned' }
    const keys: Key[] = []
    for (let n = 0; n < pairs; n++)
      keys.push((await house.register(`planned-${n}`, { labels })).value)
    await house.policy('planned', {
      selector: { matchLabels: labels },
      schedule: { cron: '0 0 1 1 *', timezone: 'UTC' },
      rotateOnEnable: true,
    })
    const removals = keys.map(
      ({ name }) =>
        () =>
          house.deleteKey(name),
    )
    const works = [plan, ...removals.slice(0, pairs / 2), plan, ...removals.slice(pairs / 2), plan]
    await Promise.allSettled(works.map((work) => work()))
    for (const { id } of keys) {
      const row = await house.ledger.read((db) => db.keys.byId(id))
      if (row?.deletedAt) expect(await openRotations(id)).toBe(0)
    }
  })
})
