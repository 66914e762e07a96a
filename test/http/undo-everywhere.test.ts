// Undo through the API, from every phase of every slot: it does what the type declares, or is refused and changes nothing.
// What is expected comes from the table of the crash matrix (test/faults/matrix/machine-says.ts), not from the code.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ProviderError } from '#domain/provider.ts'
import {
  answerTo,
  deathAt,
  endBackward,
  type Start,
  startTitle,
  states,
} from '#test/faults/matrix/machine-says.ts'
import { type Row, rows } from '#test/faults/matrix/rows.ts'
import { makeDyingWorker } from '#test/support/dying-worker.ts'
import { makeStandIns } from '#test/support/faults.ts'
import type { Answer } from '#test/support/http.ts'
import { openRunningApi, type RunningApi } from '#test/support/running-api.ts'
import { makeShelf } from '#test/support/shelf.ts'

const shelf = makeShelf()
const standIns = makeStandIns()
let api: RunningApi
beforeAll(async () => {
  api = await openRunningApi({ providers: [shelf.provider], wrap: standIns.wrap })
  await api.put('/v1/connections/vault', { provider: 'local' })
  await api.put('/v1/connections/shelf', { provider: 'shelf' })
  await api.put('/v1/consumers/app', { owner: 'team' })
})
afterAll(() => api.close())
afterEach(() => {
  standIns.away()
  expect(api.faults.splice(0)).toEqual([])
})

const get = async (path: string): Promise<Answer['json']> => {
  const { status, text, json } = await api.call('GET', path)
  expect(status, text).toBe(200)
  return json
}
const say = (id: string, verb: string, body: object = { reason: 'a test' }): Promise<Answer> =>
  api.call('POST', `/v1/rotations/${id}/${verb}`, {
    body,
    headers: { 'idempotency-key': api.house.ids.next() },
  })

let count = 0
const begin = async (row: Row, spec: object = {}) => {
  const name = `undo-${++count}`
  const place =
    row.provider === 'built-in'
      ? { connection: 'vault', type: row.type, ref: {} }
      : { connection: 'shelf', type: row.type, ref: { path: name } }
  const about = { purpose: 'a test', owner: 'team', environment: 'test', create: true }
  const labels = { key: name }
  await api.post('/v1/keys', { name, ...place, ...about, labels })
  await api.put(`/v1/policies/${name}`, {
    selector: { matchLabels: labels },
    manual: true,
    acceptGap: true,
    overlap: { min: '0s' },
    soak: '1m',
    retire: row.retire,
    ...spec,
  })
  return { name, id: await api.rotate(name) }
}

/** All that a caller can see of it, and what is at the peer. */
const picture = async ({ name, id }: { readonly name: string; readonly id: string }) => {
  const { waitingFor: _waits, ...rotation } = await get(`/v1/rotations/${id}`)
  const { items } = await get(`/v1/keys/${name}/versions`)
  return { rotation, versions: items, peer: await atPeer(name) }
}
const atPeer = async (name: string): Promise<readonly string[]> => {
  const key = await api.house.ledger.read((db) => db.keys.byName(name))
  if (key?.connection === 'shelf') return shelf.rows(name).map(({ state }) => state)
  return (await api.house.vault.list(key?.id ?? '')).map(({ state }) => state)
}

/** Rings, and turns the clock, until it is so. */
const until = async (id: string, done: (rotation: Answer['json']) => boolean) => {
  const { timers } = api.deps
  for (let n = 0; n < 300; n++) {
    const rotation = await get(`/v1/rotations/${id}`)
    if (done(rotation)) return rotation
    if ((await timers.due(100)).includes(id)) {
      await api.advance(id)
      continue
    }
    const leftMs = Date.parse(rotation.dueAt) - (await timers.now()).getTime()
    await api.house.clock.advance(Math.min(60_000, Math.max(1, leftMs || 5_000)))
  }
  throw new Error(JSON.stringify(await get(`/v1/rotations/${id}`)))
}

/** Leaves the rotation there: its worker dies at that moment. */
const leaveAt = async (row: Row, id: string, start: Start): Promise<void> => {
  const death = deathAt(row, start)
  if (!death) return
  const dying = makeDyingWorker(api, `dying-${id}`, death)
  for (let n = 0; n < 300; n++) {
    if ((await api.deps.timers.due(100)).includes(id)) {
      const ran = dying.advance(id).then(() => 'ran')
      if ((await Promise.race([ran, dying.died])) !== 'ran') return
    } else await api.house.clock.advance(60_000)
  }
  throw new Error(`it does not come to ${death.step}`)
}

const slots = [
  'local.secret',
  'shelf.value',
  'shelf.pass',
  'shelf.pair',
  'shelf.slot',
  'shelf.ring',
]
describe.each(rows.filter(({ name }) => slots.includes(name)))('$name ($traits.slot)', (row) => {
  test.each(
    states(row)
      .filter((start) => start.half === 'before' || answerTo(row, start) !== 'undo')
      .map((start) => ({ from: startTitle(start), start, told: answerTo(row, start) })),
  )('rollback at $from: $told', async ({ start, told }) => {
    const key = await begin(row)
    await leaveAt(row, key.id, start)
    const before = await picture(key)
    const answer = await say(key.id, 'rollback')
    if (told !== 'undo') {
      expect(answer).toMatchObject({ status: 409, json: { code: told } })
      expect(await picture(key)).toEqual(before)
      return
    }
    expect(answer).toMatchObject({ status: 202, json: { phase: 'rollingBack' } })
    await api.house.clock.advance(25_000)
    expect(await until(key.id, ({ endedAt }) => endedAt !== null)).toMatchObject({
      phase: 'rolledBack',
    })
    const said = endBackward(row, start, null)
    const after = await picture(key)
    expect(
      after.versions.map(
        ({ state, primary }: Answer['json']) => `${state}${primary ? ' primary' : ''}`,
      ),
    ).toEqual(said.versions)
    expect(after.peer).toEqual(said.peer.map((at) => at.replace(' current', '')))
  })
})

const rowOf = (name: string): Row => {
  const row = rows.find((one) => one.name === name)
  if (!row) throw new Error(`no row ${name}`)
  return row
}
const refuse = (method: 'suspend' | 'retire'): void =>
  standIns.put(() => ({
    [method]: () => Promise.reject(new ProviderError('forbidden', 'none', 'not allowed')),
  }))

describe('a stalled rotation', () => {
  test.each(['local.secret', 'shelf.value', 'shelf.pass', 'shelf.pair'])(
    '%s: is rolled back from where it stalled',
    async (name) => {
      const key = await begin(rowOf(name))
      refuse('suspend')
      await until(key.id, ({ phase }) => phase === 'stalled')
      standIns.away()
      expect(await say(key.id, 'rollback')).toMatchObject({ status: 202 })
      await until(key.id, ({ phase }) => phase === 'rolledBack')
      const { versions } = await picture(key)
      expect(versions).toMatchObject([
        { state: 'active', primary: true },
        { state: 'destroyed', primary: false },
      ])
    },
  )

  test('that stalled past the point of no return is not', async () => {
    const key = await begin(rowOf('shelf.pass'))
    refuse('retire')
    await until(key.id, ({ phase }) => phase === 'stalled')
    const before = await picture(key)
    expect(await say(key.id, 'rollback')).toMatchObject({
      status: 409,
      json: { code: 'rotation.pastPointOfNoReturn' },
    })
    expect(await picture(key)).toEqual(before)
  })
})

describe('those who moved to the new version', () => {
  const moved = async (row: Row, more: object = {}) => {
    const key = await begin(row, {
      consumers: {
        matchLabels: { uses: 'nothing' },
        acknowledgement: { required: 'all', timeout: '24h' },
      },
      overlap: { min: '1h', ...more },
    })
    await until(key.id, ({ phase, waitingFor }) => phase === 'overlapping' && waitingFor !== null)
    expect(await say(key.id, 'acknowledgements', { consumer: 'app', version: 2 })).toMatchObject({
      status: 201,
    })
    expect(await say(key.id, 'rollback')).toMatchObject({ status: 202 })
    return key
  }
  const waits = (key: { readonly id: string }, gate: string) =>
    until(key.id, ({ waitingFor }) => waitingFor?.gate === gate)
  const live = async (name: string) =>
    (await atPeer(name)).filter((state) => state === 'enabled').length

  test.each(['local.secret', 'shelf.value', 'shelf.pass', 'shelf.pair'])(
    '%s: are waited for before it is removed, both versions valid',
    async (name) => {
      const key = await moved(rowOf(name))
      expect(await waits(key, 'acknowledgement')).toMatchObject({
        phase: 'rollingBack',
        waitingFor: { missing: ['app'] },
      })
      const { versions } = await picture(key)
      expect(versions).toMatchObject([
        { state: 'active', primary: true },
        { state: 'active', primary: false },
      ])
      // Rolled forward: the old value once more, as the newest.
      expect(await live(key.name)).toBe(rowOf(name).traits.undo === 'rollForward' ? 3 : 2)
      expect(await say(key.id, 'acknowledgements', { consumer: 'app', version: 1 })).toMatchObject({
        status: 201,
      })
      await until(key.id, ({ phase }) => phase === 'rolledBack')
      expect((await picture(key)).versions[1]).toMatchObject({ state: 'destroyed' })
    },
  )

  test('and so is their silence', async () => {
    const key = await moved(rowOf('shelf.pass'), { unusedFor: '10m' })
    await say(key.id, 'acknowledgements', { consumer: 'app', version: 1 })
    const used = await api.house.timers.now()
    shelf.row(key.name, '2').lastUsed = used
    await waits(key, 'usage')
    expect(await live(key.name)).toBe(2)
    const { endedAt } = await until(key.id, ({ phase }) => phase === 'rolledBack')
    expect(Date.parse(endedAt) - used.getTime()).toBeGreaterThanOrEqual(600_000)
  })

  test('unless two people say that they need not be', async () => {
    const key = await moved(rowOf('shelf.pair'))
    await waits(key, 'acknowledgement')
    const path = `/v1/rotations/${key.id}/overrides`
    await api.post(path, { reason: 'it is gone' })
    expect(await live(key.name)).toBe(2)
    const token = await api.token(['approver'])
    const headers = { 'idempotency-key': 'the-second' }
    const second = await api.call('POST', path, { body: { reason: 'so it is' }, headers, token })
    expect(second.status, second.text).toBeLessThan(300)
    await until(key.id, ({ phase }) => phase === 'rolledBack')
    expect(await live(key.name)).toBe(1)
  })
})
