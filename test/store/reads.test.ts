import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Policy } from '#domain/connection.ts'
import type { KeyFilter, KeySchedule, Page, Paged, RotationFilter } from '#domain/ports.ts'
import { Secret } from '#domain/secret.ts'
import { phases } from '#domain/rotation-machine.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { connectionNamed, keyNamed, openRotation, rotationOf, versionOf, write } from './records.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await openTestDatabase()
})
afterAll(() => db.close())

/** All pages, and that none is longer than asked. */
const all = async <T>(
  limit: number,
  read: (page: Page) => Promise<Paged<T>>,
): Promise<readonly T[]> => {
  const items: T[] = []
  let after: string | null = null
  do {
    const page: Paged<T> = await read({ limit, after })
    expect(page.items.length).toBeLessThanOrEqual(limit)
    items.push(...page.items)
    after = page.next
  } while (after !== null)
  return items
}

describe('keys', () => {
  const labels = [
    { app: 'pay', env: 'prod' },
    { app: 'pay', env: 'dev' },
    { app: 'web', env: 'prod' },
  ]
  const connections = ['aws', 'vault']
  const made = () =>
    Array.from({ length: 12 }, (_, n) =>
      keyNamed(db.ids.next(), `list-${String.fromCharCode(97 + ((n * 7) % 12))}`, {
        labels: labels[n % 3] ?? {},
        connection: connections[n % 2] ?? '',
        type: n % 4 ? 'local.secret' : 'local.key',
        policy: n % 5 ? null : 'monthly',
      }),
    )
  let keys: ReturnType<typeof made>
  beforeAll(async () => {
    keys = made()
    await write(db, async (tx) => {
      for (const key of keys) await tx.writeKey.insert(key)
      await tx.writeKey.insert(
        keyNamed(db.ids.next(), 'list-deleted', { deletedAt: db.clock.now() }),
      )
    })
  })
  const list = (filter: KeyFilter, limit = 3) =>
    db.ledger.read((read) => all(limit, (page) => read.keys.list(filter, page)))

  test('come back as they were written', async () => {
    const full = keyNamed(db.ids.next(), 'full', {
      ref: { path: 'a/b', nested: { list: [1, null, 'x'] } },
      labels: { a: 'b' },
      consumers: ['c'],
      usableBy: ['d'],
      observe: 'native',
      generate: { length: 40 },
      policy: 'p',
      policySelectedAt: new Date('2026-11-01T01:02:03.004Z'),
    })
    await write(db, (tx) => tx.writeKey.insert(full))
    expect(await db.ledger.read((read) => read.keys.byName('full'))).toEqual(full)
    expect(await db.ledger.read((read) => read.keys.byId(full.id))).toEqual(full)
    expect(await db.ledger.read((read) => read.keys.byObject(full.objectId))).toEqual(full)
    expect(await db.ledger.read((read) => read.keys.byId('no uuid'))).toBeNull()
    await write(db, (tx) =>
      tx.writeKey.update({ ...full, deletedAt: db.clock.now(), revision: 2 }, 1),
    )
    expect(await db.ledger.read((read) => read.keys.byName('full'))).toBeNull()
  })

  test('are listed by name, whole, whatever the page and the filter', async () => {
    const filters = fc.record(
      {
        connection: fc.constantFrom(...connections),
        type: fc.constantFrom('local.secret', 'local.key'),
        labels: fc.constantFrom(
          { app: 'pay' },
          { env: 'prod' },
          { app: 'web', env: 'prod' },
          { app: 'none' },
          {},
        ),
        policy: fc.constant('monthly'),
        scope: fc.constantFrom<NonNullable<KeyFilter['scope']> | null>(
          null,
          { matchLabels: { env: 'prod' } },
          { connections: ['aws'] },
          { connections: [] },
        ),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(filters, fc.integer({ min: 1, max: 15 }), async (filter, limit) => {
        const carries = (key: (typeof keys)[number], wanted: object = {}): boolean =>
          Object.entries(wanted).every(([name, value]) => key.labels[name] === value)
        const { scope } = filter
        const expected = keys.filter(
          (key) =>
            (filter.connection === undefined || key.connection === filter.connection) &&
            (filter.type === undefined || key.type === filter.type) &&
            (filter.policy === undefined || key.policy === filter.policy) &&
            carries(key, filter.labels) &&
            (!scope?.connections || scope.connections.includes(key.connection)) &&
            (!scope?.matchLabels || carries(key, scope.matchLabels)),
        )
        const found = (await list(filter, limit))
          .map((key) => key.name)
          .filter((name) => name.startsWith('list-'))
        expect(found).toEqual(expected.map((key) => key.name).toSorted())
      }),
      { numRuns: 60 },
    )
  })

  test('overdue ones are those whose schedule says so', async () => {
    const [late, intime] = keys
    if (!late || !intime) throw new Error('no keys')
    const row: KeySchedule = {
      keyId: late.id,
      dueAt: null,
      occurrence: null,
      nominal: null,
      trigger: null,
      lastOccurrence: null,
      overdueSince: db.clock.now(),
      overdueAt: db.clock.now(),
      obstacle: null,
    }
    await write(db, (tx) =>
      tx.writeSchedule.putMany([row, { ...row, keyId: intime.id, overdueSince: null }]),
    )
    expect((await list({ overdue: true })).map((key) => key.name)).toEqual([late.name])
    expect((await list({ overdue: false })).some((key) => key.name === late.name)).toBe(false)
  })

  test('are batched by id for the planner', async () => {
    const batch = await db.ledger.read((read) =>
      all(4, (page) => read.keys.batch({ connection: 'aws' }, page)),
    )
    expect(batch.map((key) => key.id)).toEqual(
      keys
        .filter((key) => key.connection === 'aws')
        .map((key) => key.id)
        .toSorted(),
    )
  })

  test('take a policy without a new revision', async () => {
    const at = db.clock.now()
    const ids = keys.slice(0, 2).map((key) => key.id)
    await write(db, (tx) => tx.writeKey.assignPolicy(ids, 'assigned', at))
    const found = await db.ledger.read((read) => read.keys.byIds(ids))
    expect(
      found.map(({ policy, policySelectedAt, revision }) => ({
        policy,
        policySelectedAt,
        revision,
      })),
    ).toEqual(ids.map(() => ({ policy: 'assigned', policySelectedAt: at, revision: 1 })))
  })
})

describe('versions', () => {
  test('are found by primary and by fingerprint', async () => {
    const { key } = await openRotation(db, 'versions')
    const material = new Secret('what version 1 holds')
    const fingerprint = db.keyring.fingerprint(material)
    await write(db, async (tx) => {
      await tx.writeVersion.insert(versionOf(key.id, 1, { state: 'deactivated', fingerprint }))
      await tx.writeVersion.insert(
        versionOf(key.id, 2, { state: 'active', primary: true, providerVersions: ['a', 'b'] }),
      )
    })
    const read = await db.ledger.read(async (r) => ({
      of: (await r.versions.of(key.id)).map((v) => v.version),
      primary: await r.versions.primary(key.id),
      primaries: (await r.versions.primaries([key.id])).map((v) => v.version),
      print: (await r.versions.holding(material)).map((v) => v.version),
    }))
    expect(read).toMatchObject({
      of: [1, 2],
      primaries: [2],
      print: [1],
      primary: { version: 2, providerVersions: ['a', 'b'] },
    })
  })
})

describe('policies', () => {
  const policy = (revision: number, more: Partial<Policy> = {}): Policy => ({
    name: 'monthly',
    labels: {},
    annotations: {},
    // The store does not look into a spec.
    spec: { description: `revision ${revision}` } as Policy['spec'],
    revision,
    author: { id: 'a', name: 'Ada' },
    managedBy: null,
    createdAt: new Date('2026-11-01T00:00:00Z'),
    updatedAt: new Date('2026-11-01T00:00:00Z'),
    ...more,
  })

  test('keep every revision, also past their deletion, and a new one of the same name begins anew', async () => {
    expect(await write(db, (tx) => tx.writePolicy.put(policy(1), null))).toBe(true)
    expect(await write(db, (tx) => tx.writePolicy.put(policy(1), null))).toBe(false)
    expect(await write(db, (tx) => tx.writePolicy.put(policy(2), 1))).toBe(true)
    expect(await write(db, (tx) => tx.writePolicy.put(policy(3), 1))).toBe(false)
    const revisions = () =>
      db.ledger.read((read) => all(1, (page) => read.policies.revisions('monthly', page)))
    expect((await revisions()).map((p) => p.revision)).toEqual([2, 1])
    expect(await write(db, (tx) => tx.writePolicy.delete('monthly', 2))).toBe(true)
    expect(await db.ledger.read((read) => read.policies.revision('monthly', 1))).toEqual(policy(1))
    const reborn = policy(1, { createdAt: new Date('2026-12-01T00:00:00Z'), managedBy: 'payments' })
    expect(await write(db, (tx) => tx.writePolicy.put(reborn, null))).toBe(true)
    expect((await revisions()).map((p) => p.managedBy)).toEqual(['payments'])
    expect(await db.ledger.read((read) => read.policies.revision('monthly', 1))).toEqual(reborn)
  })
})

describe('connections', () => {
  test('say what uses them', async () => {
    await write(db, async (tx) => {
      await tx.writeConnection.insert(connectionNamed('used'))
      await tx.writeKey.insert(keyNamed(db.ids.next(), 'uses-it', { connection: 'used' }))
      const spec = {
        publish: [{ name: 'n', connection: 'used', type: 't', ref: {} }],
      } as unknown as Policy['spec']
      const at = db.clock.now()
      await tx.writePolicy.put(
        {
          name: 'publishes',
          labels: {},
          annotations: {},
          spec,
          revision: 1,
          author: { id: 'a', name: 'a' },
          managedBy: null,
          createdAt: at,
          updatedAt: at,
        },
        null,
      )
    })
    expect(await db.ledger.read((read) => read.connections.usedBy('used'))).toEqual([
      'key/uses-it',
      'policy/publishes',
    ])
    expect(await db.ledger.read((read) => read.connections.usedBy('unused'))).toEqual([])
  })
})

describe('rotations', () => {
  test('come back as they were written, and are listed newest first in the actor’s scope', async () => {
    const first = await openRotation(db, 'scoped-1', {
      occurrence: 'o',
      undo: { from: 'minting', steps: ['removeNew'], at: 0, reason: 'r' },
      phaseObservedMs: 12_345,
    })
    const second = await openRotation(db, 'scoped-2')
    expect(await db.ledger.read((read) => read.rotations.get(first.rotation.id))).toEqual(
      first.rotation,
    )
    await write(db, (tx) => tx.writeKey.update({ ...second.key, labels: { team: 'x' } }, 1))
    const list = (filter: RotationFilter) =>
      db.ledger.read((read) => all(1, (page) => read.rotations.list(filter, page)))
    const names = (await list({})).map((rotation) => rotation.keyName)
    expect(names.indexOf('scoped-2')).toBeLessThan(names.indexOf('scoped-1'))
    expect((await list({ scope: { matchLabels: { team: 'x' } } })).map((r) => r.keyName)).toEqual([
      'scoped-2',
    ])
    expect(
      (await list({ keyId: first.key.id, phase: ['planned'], trigger: 'manual' })).map((r) => r.id),
    ).toEqual([first.rotation.id])
    expect(await list({ keyId: 'no uuid' })).toEqual([])
  })

  test('of a group are counted while they run, and the waiting ones are listed oldest first', async () => {
    const group = 'the-group'
    const at = (n: number) => new Date(Date.UTC(2026, 10, n))
    const make = async (name: string, n: number, more: object) => {
      const key = keyNamed(db.ids.next(), name)
      const rotation = rotationOf(db.ids.next(), key, { createdAt: at(n), ...more }, group)
      await write(db, async (tx) => {
        await tx.writeKey.insert(key)
        await tx.writeRotation.insert(rotation)
      })
      return rotation
    }
    const waiting = [await make('g-2', 2, {}), await make('g-1', 1, {})]
    const running = await make('g-3', 3, { phase: 'preflight' })
    await make('g-4', 4, { phase: 'completed' })
    const read = () =>
      db.ledger.read(async (r) => ({
        group: await r.rotations.group(group),
        waiting: await r.rotations.waitingInGroup(group, 10),
      }))
    expect(await read()).toEqual({
      group: { running: 1, preparing: 1, stalled: [], lastStartedAt: null },
      waiting: waiting.map((r) => r.id).toReversed(),
    })
    const minting = { ...running, phase: 'minting' as const, phaseEnteredAt: at(9) }
    await write(db, (tx) => tx.writeRotation.move(minting, { phase: 'preflight', epoch: 0 }))
    await write(db, (tx) =>
      tx.writeRotation.move(
        { ...minting, phase: 'verifying', phaseEnteredAt: at(10) },
        { phase: 'minting', epoch: 0 },
      ),
    )
    expect((await read()).group).toEqual({
      running: 1,
      preparing: 0,
      stalled: [],
      lastStartedAt: at(9),
    })
  })

  test('whoever takes over with what was read before writes over nothing that was recorded since', async () => {
    const { rotation } = await openRotation(db, 'taken-over')
    const since = { preImage: { was: 'here' }, promotedAt: new Date('2026-11-03T00:00:00Z') }
    const recorded = { ...rotation, ...since }
    expect(await write(db, (tx) => tx.writeRotation.move(recorded, rotation))).toBe(true)
    const taken = { ...rotation, epoch: rotation.epoch + 1 }
    expect(await write(db, (tx) => tx.writeRotation.move(taken, rotation))).toBe(true)
    expect(await db.ledger.read((r) => r.rotations.get(rotation.id))).toMatchObject({
      ...since,
      epoch: taken.epoch,
    })
  })

  test('a move from another phase or epoch than the row’s writes nothing', async () => {
    const { rotation } = await openRotation(db, 'moved')
    const moved = { ...rotation, phase: 'preflight', epoch: 1 } as const
    expect(
      await write(db, (tx) => tx.writeRotation.move(moved, { phase: 'planned', epoch: 1 })),
    ).toBe(false)
    expect(
      await write(db, (tx) => tx.writeRotation.move(moved, { phase: 'preflight', epoch: 0 })),
    ).toBe(false)
    expect(
      await write(db, (tx) => tx.writeRotation.move(moved, { phase: 'planned', epoch: 0 })),
    ).toBe(true)
    expect(
      await write(db, (tx) => tx.writeRotation.move(moved, { phase: 'planned', epoch: 0 })),
    ).toBe(false)
  })

  test('of many keys: the open ones, and the keys that broke twice in a row', async () => {
    const endings = {
      broken: ['rolledBack', 'abandoned'],
      mended: ['completed', 'rolledBack', 'rolledBack'],
      once: ['rolledBack'],
      // One that was cancelled proves nothing, and a retirement is another thing.
      beside: ['cancelled', 'rolledBack', 'cancelled', 'abandoned'],
      retired: ['rolledBack', 'retirement', 'completed'],
    } as const
    const some = rotationOf(db.ids.next(), keyNamed(db.ids.next(), 'some'))
    const retirement = { ...some.plan, retireOnly: true }
    const ids: Record<string, string> = {}
    for (const [name, phasesOfKey] of Object.entries(endings)) {
      const key = keyNamed(db.ids.next(), name)
      ids[name] = key.id
      await write(db, async (tx) => {
        await tx.writeKey.insert(key)
        // Newest first in the lists above.
        for (const [index, phase] of phasesOfKey.entries()) {
          await tx.writeRotation.insert(
            rotationOf(db.ids.next(), key, {
              phase: phase === 'retirement' ? 'rolledBack' : phase,
              endedAt: new Date(Date.UTC(2026, 0, 20 - index)),
              ...(phase === 'retirement' ? { plan: retirement } : {}),
            }),
          )
        }
      })
    }
    const { key, rotation } = await openRotation(db, 'still-open')
    const all6 = [...Object.values(ids), key.id]
    const read = await db.ledger.read(async (r) => ({
      broken: await r.rotations.brokenTwice(all6),
      open: (await r.rotations.openOfKeys(all6)).map((o) => o.id),
    }))
    expect(new Set(read.broken)).toEqual(new Set([ids['broken'], ids['beside']]))
    expect(read.open).toEqual([rotation.id])
  })

  test('of an occurrence are found by their key and its name', async () => {
    const { key } = await openRotation(db, 'answered', { occurrence: 'o-1' })
    const asked = [
      { keyId: key.id, occurrence: 'o-1' },
      { keyId: key.id, occurrence: 'o-2' },
      { keyId: db.ids.next(), occurrence: 'o-1' },
    ]
    const answered = (of: typeof asked) => db.ledger.read((r) => r.rotations.answered(of))
    expect(await answered(asked)).toEqual([key.id])
    expect(await answered(asked.slice(1))).toEqual([])
  })

  test('every phase of the machine can be stored', async () => {
    for (const phase of phases) await openRotation(db, `phase-${phase.toLowerCase()}`, { phase })
  })
})

describe('schedules', () => {
  test('are due by time, oldest first, and between two moments page by page', async () => {
    const start = Date.UTC(2027, 0, 1)
    const rows: KeySchedule[] = []
    for (let n = 0; n < 7; n += 1) {
      const key = keyNamed(db.ids.next(), `due-${n}`)
      await write(db, (tx) => tx.writeKey.insert(key))
      // Some at the same moment: the id decides.
      rows.push({
        keyId: key.id,
        dueAt: new Date(start + Math.floor(n / 2) * 60_000),
        occurrence: `o${n}`,
        nominal: null,
        trigger: 'schedule',
        lastOccurrence: null,
        overdueSince: null,
        overdueAt: new Date(start + n),
        obstacle: null,
      })
    }
    await write(db, (tx) => tx.writeSchedule.putMany(rows.toReversed()))
    const ids = rows.map(({ keyId }) => keyId)
    const holdDue = () => write(db, (tx) => tx.writeSchedule.holdDue(new Date(start + 60_000), 3))
    expect(await holdDue()).toEqual(ids.slice(0, 3))
    // What somebody else holds is passed over, not waited for.
    const [taken = ''] = ids
    const holder = await db.session('app')
    await holder.query('BEGIN')
    await holder.query('SELECT FROM app.key WHERE id = $1 FOR NO KEY UPDATE', [taken])
    expect(await holdDue()).toEqual(ids.slice(1, 4))
    await holder.query('ROLLBACK')
    const between = await db.ledger.read((read) =>
      all(2, (page) => read.schedule.between(new Date(start), new Date(start + 120_000), page)),
    )
    expect(between).toEqual(rows.slice(0, 4))
    const overdue = await write(db, (tx) => tx.writeSchedule.holdOverdue(new Date(start + 2), 10))
    expect(overdue.filter((id) => ids.includes(id))).toEqual(ids.slice(0, 3))
    const [first] = rows
    if (!first) throw new Error('no row')
    await write(db, (tx) =>
      tx.writeSchedule.put({ ...first, dueAt: null, overdueSince: new Date(start) }),
    )
    expect(await db.ledger.read((read) => read.schedule.get(first.keyId))).toEqual({
      ...first,
      dueAt: null,
      overdueSince: new Date(start),
    })
    await write(db, (tx) => tx.writeSchedule.delete(first.keyId))
    expect(await db.ledger.read((read) => read.schedule.get(first.keyId))).toBeNull()
  })
})

test('many readers of the freeze switch at the same moment all read it', async () => {
  const at = new Date('2026-11-23T00:00:00Z')
  const freeze = {
    until: at,
    reason: 'r',
    selector: null,
    setBy: 'a',
    revision: 1,
    updatedAt: at,
  }
  await write(db, (tx) => tx.writeFreeze.put(freeze, null))
  const found = await Promise.all(
    [1, 2, 3, 4].map(() => db.ledger.read((read) => read.freeze.get())),
  )
  expect(found).toEqual([freeze, freeze, freeze, freeze])
})
