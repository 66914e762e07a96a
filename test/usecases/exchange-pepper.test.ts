// Peppers are exchanged in the middle of everything: what is known by an old one stays known, and nothing that is named by its
// value is taken for somebody else's.

import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Key } from '#domain/key.ts'
import type { Ledger } from '#domain/ports.ts'
import { keyTypes } from '#providers/registry.ts'
import { createLooks } from '#store/looks.ts'
import { makeCompareKeys } from '#usecases/compare-keys.ts'
import { pepperOf } from '#domain/fingerprint.ts'
import type { Session, VerifyOrder } from '#domain/provider.ts'
import type { Phase } from '#domain/rotation-machine.ts'
import { Secret } from '#domain/secret.ts'
import { pepperOfName } from '#domain/value-name.ts'
import { makeExchanges } from '#test/support/exchange-at.ts'
import { makeFaultPlan } from '#test/support/faults.ts'
import { withIncidents } from '#test/support/incidents.ts'
import { long } from '#test/support/peers.ts'
import { openRunningApi, type RunningApi } from '#test/support/running-api.ts'

let directory: string
let api: RunningApi
const plans = makeFaultPlan()
/** Values that do not work. */
let refused = (_order: VerifyOrder): boolean => false
const exchanges = makeExchanges()
const judging = (session: Session): Session => ({
  ...session,
  verify: async (order, call) =>
    order.how === 'roundTrip' && refused(order)
      ? { ok: false, detail: 'it does not log in', facts: {} }
      : session.verify(order, call),
})
const exchangedAt = (n: number, work: () => Promise<unknown>): Promise<number> =>
  exchanges.at(api.house, n, work)
const undone = async (name: string): Promise<void> => {
  const id = await api.rotate(name)
  await api.reach(id, ['overlapping'])
  expect((await api.rollback(id)).status).toBe(202)
  expect((await api.reach(id, 'end')).phase, name).toBe('rolledBack')
}
const rotated = async (name: string, end: Phase): Promise<void> => {
  const { phase } = await api.reach(await api.rotate(name), 'end')
  expect(phase, name).toBe(end)
}
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'rekey-pepper-'))
  api = await openRunningApi({
    publishDir: directory,
    wrap: (session) => exchanges.wrap(judging(plans.wrap(session))),
  })
  refused = () => false
  await api.house.connection('vault')
  await api.house.connection('files', {
    provider: 'file',
    grants: [{ matchLabels: {}, refs: ['*'] }],
  })
})
afterEach(async () => {
  await api?.close()
  rmSync(directory, { recursive: true, force: true })
})

const incidentsOf = ({ house, drain, deps }: RunningApi) =>
  withIncidents({
    ...{ ledger: house.ledger, ids: house.ids, clock: house.clock, database: house.database },
    ...{ drain, deps },
  })
const read = (path: string): string => readFileSync(join(directory, path), 'utf8')
const write = (path: string, value: string): void =>
  writeFileSync(join(directory, path), value, { mode: 0o600 })
const own = async (name: string, value = `${name}, first`) => {
  write(name, value)
  const { value: key } = await api.house.register(name, {
    connection: 'files',
    type: 'file',
    ref: { path: name },
    labels: { key: name },
    create: false,
  })
  await api.policy(name, { acceptGap: true })
  return key
}
const digestOf = (value: string): string => createHash('sha256').update(value).digest('hex')
const pasted = async (value: string): Promise<readonly string[]> => {
  const { json } = await api.post('/v1/incidents', {
    title: 'a leak',
    severity: 'high',
    mode: 'revokeFirst',
    reason: 'pasted',
    selector: { digests: [digestOf(value)] },
  })
  return json.selector.versions.map((one: { readonly key: string }) => one.key)
}

long.describe('an exchange before any call of a provider: the value of a file', () => {
  test('is known: the rotation ends as without one, and writes once', async () => {
    for (let n = 0, calls = 0; n <= calls; n++) {
      const name = `app-${n}`
      const key = await own(name) // oxlint-disable-line no-await-in-loop -- one rotation after the other
      calls = await exchangedAt(n, () => rotated(name, 'completed')) // oxlint-disable-line no-await-in-loop -- see above
      const versions = await api.house.versions(key.id) // oxlint-disable-line no-await-in-loop -- see above
      const served = versions.map(({ state, primary }) => [state === 'active', primary])
      expect(served, String(n)).toEqual([
        [false, false],
        [true, true],
      ])
      expect(read(name)).not.toBe(`${name}, first`)
      // And again, from what it is known by now.
      await rotated(name, 'completed') // oxlint-disable-line no-await-in-loop -- see above
      expect(calls).toBeGreaterThan(5)
    }
  })

  test('is written back by the undo', async () => {
    refused = ({ object }) => read(object.keyName) !== `${object.keyName}, first`
    for (let n = 0, calls = 0; n <= calls; n++) {
      const name = `back-${n}`
      await own(name) // oxlint-disable-line no-await-in-loop -- one rotation after the other
      calls = await exchangedAt(n, () => rotated(name, 'rolledBack')) // oxlint-disable-line no-await-in-loop -- see above
      expect(read(name), String(n)).toBe(`${name}, first`)
    }
  })

  test('that is published is given back by the undo', async () => {
    for (let n = 0, calls = 0; n <= calls; n++) {
      const name = `source-${n}`
      write(`published-${n}`, 'what it held')
      await api.house.register(name, { labels: { key: name } }) // oxlint-disable-line no-await-in-loop -- one rotation after the other
      const ref = { path: `published-${n}` }
      // oxlint-disable-next-line no-await-in-loop -- see above
      await api.policy(name, {
        publish: [{ name: 'app', connection: 'files', type: 'file', ref }],
        overlap: { min: '1h' },
      })
      calls = await exchangedAt(n, () => undone(name)) // oxlint-disable-line no-await-in-loop -- see above
      expect(read(`published-${n}`), String(n)).toBe('what it held')
    }
  })
})

long.describe('an exchange before any call of an emergency on a file', () => {
  test.each(['revokeOnly', 'rotateFast', 'revokeFirst'] as const)(
    '%s: it comes to the same end as without one',
    async (mode) => {
      const incidents = incidentsOf(api)
      const contained = async (name: string): Promise<unknown> => {
        const incident = await incidents.begin(mode, [name])
        const { state } = await incidents.settle(incident)
        const intents = await incidents.intents(incident)
        return {
          state,
          keys: (await incidents.keys(incident)).map((one) => [one.state, one.replacement]),
          evidence: (await incidents.evidence(incident)).map((one) => one.state),
          sent: intents.map(({ effect, outcome }) => [effect, outcome]),
          there: existsSync(join(directory, name)) && read(name) !== `${name}, first`,
        }
      }
      await own(`${mode}-plain`)
      const plain = await contained(`${mode}-plain`)
      expect(plain).toMatchObject({ state: 'contained' })
      for (let n = 0, made = 0; n <= made; n++) {
        const name = `${mode}-${n}`
        let end: unknown = null
        await own(name) // oxlint-disable-line no-await-in-loop -- one incident after the other
        // oxlint-disable-next-line no-await-in-loop -- see above
        made = await exchangedAt(n, async () => {
          end = await contained(name)
        })
        expect(end, String(n)).toEqual(plain)
      }
    },
  )
})

describe('the value of a file', () => {
  test.each(['killed before', 'killed after'] as const)(
    'that a worker was %s writing is found by another one that has another pepper, and written once',
    async (kind) => {
      const key = await own('dies')
      plans.arm('mint', kind)
      const id = await api.rotate('dies')
      const dying = api.worker('dies')
      const rung = (async () => {
        for (let n = 0; n < 20; n++) await dying(id)
      })()
      void rung.catch(() => undefined)
      await plans.met()
      api.house.exchangePepper()
      await api.house.clock.advance(60_000)
      expect((await api.reach(id, 'end')).phase).toBe('completed')
      const versions = await api.house.versions(key.id)
      expect(versions).toHaveLength(2)
      expect(versions.at(-1)?.primary).toBe(true)
    },
  )

  test('that somebody else wrote is still somebody else’s', async () => {
    await own('foreign')
    api.house.exchangePepper()
    write('foreign', 'not ours')
    const id = await api.rotate('foreign')
    const { phase } = await api.until(id, ['stalled', 'cancelled', 'rolledBack', 'completed'])
    expect(phase).not.toBe('completed')
    expect(read('foreign')).toBe('not ours')
  })

  test('gets a name of the new pepper, and the one that is known keeps its own', async () => {
    const key = await own('named')
    api.house.exchangePepper()
    expect((await api.reach(await api.rotate('named'), 'end')).phase).toBe('completed')
    const versions = await api.house.versions(key.id)
    expect(versions.flatMap(({ providerVersions }) => providerVersions.map(pepperOfName))).toEqual([
      1, 2,
    ])
    expect(versions.map(({ fingerprint }) => fingerprint && pepperOf(fingerprint))).toEqual([1, 2])
  })
})

describe('a look at a key', () => {
  const everyMs = 600_000
  /** Of the last look. */
  let commits = 0
  const look = async (): Promise<void> => {
    const { database, keyring, clock, sessions } = api.house
    const looks = createLooks(database)
    const ledger: Ledger = {
      ...api.house.ledger,
      commit: (...of) => {
        commits += 1
        return api.house.ledger.commit(...of)
      },
    }
    const pass = makeCompareKeys(
      { ledger, looks, sessions, types: keyTypes, keyring, clock },
      everyMs,
    )
    commits = 0
    await pass(() => false)
    await clock.advance(everyMs)
    while ((await pass(() => false)) > 0);
  }
  const standing = async (key: Key): Promise<unknown> =>
    (await api.house.ledger.read((db) => db.drift.getMany([key.id])))[0]?.state
  const marks = async (key: Key) =>
    (await api.house.versions(key.id)).map(({ providerVersions, fingerprint }) => [
      providerVersions.map(pepperOfName),
      fingerprint && pepperOf(fingerprint),
    ])
  const renewals = async () =>
    (await api.house.events({ action: 'key.fingerprintsRenewed' })).map(({ after }) => after)

  test('gives its values names of the pepper of now, as a fact: nothing differs, and nothing is known by the old one', async () => {
    const key = await own('seen')
    await rotated('seen', 'completed')
    const other = await own('other')
    expect(await marks(key)).toEqual([
      [[1], 1],
      [[1], 1],
    ])
    api.house.exchangePepper()
    await look()
    // Of the first version nothing is here any more, but for what it was known by.
    expect(await marks(key)).toEqual([
      [[1], 1],
      [[2], 2],
    ])
    expect(await marks(other)).toEqual([[[2], 2]])
    expect([await standing(key), await standing(other)]).toEqual(['equal', 'equal'])
    expect(await renewals()).toHaveLength(2)
    // What has ended is not tried again with each look.
    await look()
    expect(commits).toBe(0)
    expect(await renewals()).toHaveLength(2)

    api.house.forgetPeppers()
    await look()
    expect([await standing(key), await standing(other)]).toEqual(['equal', 'equal'])
    await rotated('seen', 'completed')
    write('other', 'somebody else’s')
    await look()
    expect(await standing(other)).not.toBe('equal')
  })

  test('leaves what an incident has shown as it is: it is executed as shown', async () => {
    const key = await own('shown')
    const incidents = incidentsOf(api)
    const incident = await incidents.preview('revokeOnly', ['shown'])
    api.house.exchangePepper()
    await look()
    expect(await marks(key)).toEqual([[[1], 1]])
    await incidents.execute(incident)
    expect((await incidents.settle(incident)).state).toBe('contained')
    expect(existsSync(join(directory, 'shown'))).toBe(false)
  })

  test('leaves what a rotation works on as it is', async () => {
    const key = await own('busy')
    api.house.exchangePepper()
    const id = await api.rotate('busy')
    await look()
    expect(await marks(key)).toEqual([[[1], 1]])
    expect((await api.reach(id, 'end')).phase).toBe('completed')
    await look()
    expect((await marks(key)).at(-1)).toEqual([[2], 2])
  })
})

test('a pasted secret is found before and after an exchange, whichever pepper it is known by', async () => {
  await own('old', 'a value of before')
  expect(await pasted('a value of before')).toEqual(['old'])
  api.house.exchangePepper()
  await own('new', 'a value of after')
  expect(await pasted('a value of before')).toEqual(['old'])
  expect(await pasted('a value of after')).toEqual(['new'])
  await own('twin', 'a value of before')
  expect((await pasted('a value of before')).toSorted()).toEqual(['old', 'twin'])
})

test('a login that was refused stays refused, and is remembered under the pepper of now', async () => {
  const { house } = api
  const book = house.logins({ name: 'vault', revision: 1 })
  const wrong = new Secret('wrong')
  expect(await book.claim(wrong)).toBe('try')
  await book.ended(wrong, 'refused')
  house.exchangePepper()
  expect(await book.claim(wrong)).toBe('refused')
  const [row] = await house.sql('SELECT get_byte(fingerprint, 0) AS pepper FROM app.login')
  expect(row).toEqual({ pepper: 2 })
  expect(await book.claim(wrong)).toBe('refused')
  expect(await book.claim(new Secret('right'))).toBe('try')
})
