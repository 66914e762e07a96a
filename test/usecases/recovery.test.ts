// The database went back in time and the providers did not: nothing is written to them until somebody has looked.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ObjectAddress, ProviderError } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { providers } from '#providers/registry.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { makeFaultPlan } from '#test/support/faults.ts'
import { codeOf } from '#test/support/house.ts'
import { goBack, recoveryOf } from '#test/support/recovery.ts'
import { readValue } from '#usecases/use-key.ts'

let engine: Engine
let faults: ReturnType<typeof makeFaultPlan>
let recovery: ReturnType<typeof recoveryOf>

beforeEach(async () => {
  faults = makeFaultPlan()
  engine = await openEngine({ wrap: faults.wrap })
  recovery = recoveryOf(engine, engine.deps.world.sessions)
})
afterEach(() => engine.close())

const writes = (): number => [...faults.writes.values()].reduce((sum, n) => sum + n, 0)
const accept = { reason: 'looked at it', dryRun: false }

const objectOf = async (name: string): Promise<ObjectAddress> => {
  const key = await engine.ledger.read((db) => db.keys.byName(name))
  if (!key) throw new Error(`no key ${name}`)
  return { type: key.type, ref: key.ref, keyId: key.id, keyName: key.name }
}

const usage = () => ({
  ledger: engine.ledger,
  clock: engine.clock,
  sessions: engine.deps.world.sessions,
  providers: new Map(providers.map((one) => [one.id, one])),
})

/** What happened at the provider after the backup: a version that this database does not know is made and served. */
const rotateBehindOurBack = async (name: string, from: number, off: boolean): Promise<void> => {
  const { keyId } = await objectOf(name)
  await engine.vault.insert({
    object: keyId,
    operationId: `elsewhere-${from}`,
    algorithm: 'secret',
    material: new Secret(new TextEncoder().encode(`made after the backup, ${from}`)),
    publicKey: null,
  })
  await engine.vault.move(keyId, from, from + 1)
  if (off) await engine.vault.setState(keyId, from, 'disabled')
}

test('every open rotation that may write is stalled with the reason, and everybody can see it', async () => {
  await engine.policy('all', { overlap: { min: '1h' } })
  for (const name of ['early', 'late']) await engine.key(name)
  const late = await engine.rotate('late')
  await engine.until(late, ['overlapping'])
  const early = await engine.rotate('early')
  await goBack(engine)

  expect(await engine.rotation(late)).toMatchObject({
    phase: 'stalled',
    stalledIn: 'overlapping',
    stalledReason: expect.stringContaining('recovery mode: the log of this database ends at'),
  })
  // Nothing can have been written for this one: it waits before its first write.
  const { phase } = await engine.until(early, ['preflight'])
  expect(phase).toBe('preflight')
  const timer = await engine.ledger.read((db) => db.timers.get(early))
  expect(timer?.waitingFor).toMatchObject({ gate: 'recovery' })
  const actions = (await engine.events(late)).map(({ body }) => body.action)
  expect(actions.at(-1)).toBe('rotation.stalled')
  const [begun] = (
    await engine.ledger.read((db) =>
      db.audit.list({ action: 'recovery.began' }, { limit: 10, after: null }),
    )
  ).items
  expect(begun?.body).toMatchObject({ after: { why: 'regress', stalled: 1 } })
})

test('the sessions of browsers end: one that was ended after the backup has come back with it', async () => {
  const at = engine.clock.now()
  const hash = engine.ids.random(32)
  await engine.ledger.commit(admin, async (tx) => {
    const made = await tx.writeBrowserSession.insert({
      ...{ id: engine.ids.next(), hash, loginId: engine.ids.next() },
      ...{ issuer: 'https://id.example', clientId: 'c', subject: 's', claims: {} },
      ...{ source: '127.0.0.1', createdAt: at, endedAt: null },
      expiresAt: new Date(at.getTime() + 3_600_000),
    })
    const target = { id: 's', name: 's' }
    return { value: made, audit: [{ action: 'session.begun', target, outcome: 'succeeded' }] }
  })
  const ended = async () =>
    (await engine.ledger.read((db) => db.browserSessions.byHash(hash)))?.endedAt ?? null
  expect(await ended()).toBeNull()
  await goBack(engine)
  expect(await ended()).not.toBeNull()
})

test('nothing is written to a provider, whatever people and timers ask for', async () => {
  await engine.policy('all', {
    schedule: { cron: '* * * * *', timezone: 'UTC' },
    manual: false,
    overlap: { min: '1h' },
  })
  await engine.key('one')
  const id = await engine.rotate('one')
  await engine.until(id, ['overlapping'])
  await engine.key('two')
  await goBack(engine)
  await recovery.reconcile()
  const before = writes()

  for (let n = 0; n < 20; n++) {
    await engine.clock.advance(30_000)
    await engine.drain()
  }
  expect(await codeOf(engine.rotate('two'))).toBe('recovery.active')
  expect(await codeOf(engine.key('three'))).toBe('recovery.active')
  for (const verb of ['resume', 'rollback'] as const) {
    expect(await codeOf(engine.steer[verb](admin, id, { reason: 'impatient' }))).toBe(
      'recovery.active',
    )
  }
  expect(writes()).toBe(before)
  expect(engine.faults).toEqual([])
})

describe.each([
  { phase: 'minting', at: 'mint', ends: 'completed' },
  { phase: 'promoting', at: 'promote', ends: 'completed' },
  { phase: 'suspending', at: 'suspend', ends: 'completed' },
  { phase: 'rollingBack', at: 'promote', ends: 'rolledBack' },
] as const)('a worker dies in $phase, and the database is found to have gone back', (row) => {
  test('nothing more is written, and the rotation goes on after the acceptance', async () => {
    await engine.policy('all', row.phase === 'rollingBack' ? { overlap: { min: '1h' } } : {})
    await engine.key('k')
    const id = await engine.rotate('k')
    if (row.phase === 'rollingBack') {
      await engine.until(id, ['overlapping'])
      await engine.steer.rollback(admin, id, { reason: 'undo' })
    }
    faults.arm(row.at, 'killed after')
    void engine.worker('w0')(id)
    await faults.met()
    const before = writes()
    await goBack(engine)
    expect(await engine.rotation(id)).toMatchObject({ phase: 'stalled', stalledIn: row.phase })
    await engine.clock.advance(60_000)
    await engine.drain()
    expect(writes()).toBe(before)

    await recovery.reconcile()
    expect((await recovery.findings())['k']?.facts).toMatchObject({ wentBack: true })
    const { value } = await recovery.accept(admin, accept)
    expect(value).toMatchObject({ resumed: [id], left: [] })
    expect((await engine.until(id, 'end')).phase).toBe(row.ends)
    expect(faults.writes.get('mint')).toBe(1)
  })
})

test('a key that was rotated since is taken over when an admin accepts, and its old version is retired', async () => {
  await engine.policy('all')
  const { id: keyId } = await engine.key('moved')
  const open = await engine.rotate('moved')
  await goBack(engine)
  await rotateBehindOurBack('moved', 1, false)
  await recovery.reconcile()
  expect((await recovery.findings())['moved']).toMatchObject({
    state: 'adopt',
    detail: 'The provider serves version 2; here it is 1.',
  })
  const use = usage()
  expect(await codeOf(readValue(use)(admin, { name: 'moved' }))).toBe('recovery.active')

  const { value } = await recovery.accept(admin, accept)
  expect(value).toMatchObject({ left: [], keys: { adopted: 1, adopt: 0 } })
  expect((await engine.rotation(open)).phase).toBe('cancelled')
  const read = await readValue(use)(admin, { name: 'moved' })
  expect(new TextDecoder().decode(read.value.reveal())).toBe('made after the backup, 1')
  expect(read.version).toBe(2)

  const retiring = await engine.ledger.read((db) => db.rotations.openOf(keyId))
  expect(retiring).toMatchObject({ fromVersion: 1, plan: { retireOnly: true } })
  await engine.until(retiring?.id ?? '', 'end')
  expect((await engine.versions(keyId)).map(({ state, primary }) => [state, primary])).toEqual([
    ['deactivated', false],
    ['active', true],
  ])
  // And on.
  const next = await engine.rotate('moved')
  expect((await engine.until(next, 'end')).phase).toBe('completed')
  expect(await engine.vault.current(keyId)).toBe(3)
})

test('a version that was switched off since takes its state, and a lost one is left to a person', async () => {
  await engine.policy('all')
  const off = await engine.key('off')
  const gone = await engine.key('gone')
  await goBack(engine)
  await rotateBehindOurBack('off', 1, true)
  await engine.vault.remove(gone.id)
  await recovery.reconcile()
  expect((await recovery.findings())['gone']).toMatchObject({
    state: 'lost',
    detail: 'The object does not exist at the provider.',
  })
  const { value } = await recovery.accept(admin, accept)
  expect(value.keys).toMatchObject({ adopted: 1, lost: 1 })
  expect((await engine.versions(off.id)).map(({ state }) => state)).toEqual([
    'deactivated',
    'active',
  ])
  expect(await engine.ledger.read((db) => db.rotations.openOf(off.id))).toBeNull()
  expect((await engine.versions(gone.id)).map(({ state }) => state)).toEqual(['active'])
})

test('it is accepted by an admin, once, and only when every key has an answer', async () => {
  expect(await codeOf(recovery.accept(admin, accept))).toBe('recovery.notActive')
  await engine.key('k')
  await goBack(engine)
  expect(await codeOf(recovery.accept(admin, accept))).toBe('recovery.pending')
  await recovery.reconcile()
  await recovery.accept(admin, accept)
  expect(await codeOf(recovery.accept(admin, accept))).toBe('recovery.notActive')
  const events = await engine.ledger.read((db) => db.audit.list({}, { limit: 10, after: null }))
  expect(events.items.map(({ body }) => body.action).slice(0, 4)).toEqual([
    'recovery.accepted',
    'recovery.reconciled',
    'recovery.began',
    'installation.identified',
  ])
  await engine.rotate('k')
})

test('a provider that cannot be asked holds up the acceptance until somebody says otherwise', async () => {
  await engine.key('far')
  await goBack(engine)
  const away = recoveryOf(engine, {
    open: async () => {
      throw new ProviderError('transient', 'none', 'no route to it')
    },
  })
  await away.reconcile()
  expect((await recovery.findings())['far']).toMatchObject({
    state: 'unreachable',
    detail: 'The provider could not be asked: no route to it.',
  })
  expect(await codeOf(recovery.accept(admin, accept))).toBe('recovery.pending')
  // It is asked again after a while.
  await recovery.reconcile()
  expect((await recovery.findings())['far']?.state).toBe('unreachable')
  await engine.clock.advance(16_000)
  await recovery.reconcile()
  expect((await recovery.findings())['far']?.state).toBe('lost')
})

test('what went back with the database is called lost, and goes on being served', async () => {
  await engine.key('kept')
  await goBack(engine)
  const read = () => readValue(usage())(admin, { name: 'kept' })
  expect(await codeOf(read())).toBe('recovery.active')
  await recovery.reconcile()
  expect((await recovery.findings())['kept']).toMatchObject({
    state: 'lost',
    detail: expect.stringContaining('until 2026-11-30T00:00:00.000Z'),
  })
  expect((await read()).version).toBe(1)
})
