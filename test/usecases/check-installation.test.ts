// What an installation says of itself, asked of a database that something was done to.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Actor } from '#domain/actor.ts'
import { Secret } from '#domain/secret.ts'
import { createInstallationReader } from '#store/installation.ts'
import { kekRows } from '#store/keks-in-use.ts'
import { selfCheck } from '#store/self-check.ts'
import {
  checkInstallation,
  type CheckInstallationDeps,
  type InstallationCheck,
  lags,
  makeCheckInstallation,
  skewLimits,
} from '#usecases/check-installation.ts'
import { makeCheckKeks } from '#usecases/check-keks.ts'
import { makeCheckPeppers } from '#usecases/check-peppers.ts'
import { beginOwnKeys } from '#usecases/follow-own-keys.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { rules } from '#test/support/monitoring.ts'
import { write } from '../store/records.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await openTestDatabase()
  await beginOwnKeys(db)
})
afterAll(() => db.close())

const depsOf = (over: Partial<CheckInstallationDeps> = {}): CheckInstallationDeps => ({
  timers: db.timers,
  clock: db.clock,
  look: () => createInstallationReader(db.database, 'test').look(),
  // The server of the tests does not wait for the disk.
  faults: async () =>
    (await selfCheck(db.database, db.keyring)).filter(({ check }) => check !== 'server.durable'),
  publishing: async () => [],
  depth: async () => ({ waiting: 3, active: 1 }),
  breakGlass: async () => [],
  playbooks: async () => [],
  peppers: makeCheckPeppers({ ledger: db.ledger, processes: db.processes }),
  keks: makeCheckKeks({
    ledger: db.ledger,
    processes: db.processes,
    rows: () => kekRows(db.database),
  }),
  ...over,
})
const look = async (
  over: Partial<CheckInstallationDeps> = {},
): Promise<ReadonlyMap<string, InstallationCheck>> => {
  const checks = await checkInstallation(depsOf(over))
  return new Map(checks.map((check) => [check.name, check]))
}

test('one that is well says so, line by line', async () => {
  // As a worker does every second.
  await db.timers.observe()
  const checks = await look()
  expect([...checks.values()].filter(({ state }) => state !== 'ok')).toEqual([])
  expect(checks.get('kek sealing')?.detail).toContain(db.keyring.kekId)
  expect(checks.get('queue reachable')?.detail).toBe('3 waiting, 1 at work')
})

test.each([
  [15_000, 'warn'],
  [-15_000, 'warn'],
  [45_000, 'fail'],
] as const)('a clock that is %d ms off is seen: %s', async (ms, state) => {
  db.clock.turnProcess(ms)
  const clock = (await look()).get('clock')
  db.clock.turnProcess(-ms)
  expect(clock).toMatchObject({ state, hint: expect.stringContaining('RekeyClockSkew') })
  expect(clock?.detail).toMatch(/ (15|45) s$/)
})

test('another key-encryption key fails, and names both', async () => {
  await write(db, (tx) => tx.writeSealed.insert(new Secret('x'), 'sink'))
  const keyring = { kekIds: ['kek:other'], peppers: db.keyring.peppers }
  const checks = await look({ faults: () => selfCheck(db.database, keyring) })
  expect(checks.get('kek kek.ours')).toMatchObject({
    state: 'fail',
    detail: expect.stringContaining(db.keyring.kekId),
    hint: expect.stringContaining('REKEY_KEK_FILE'),
  })
  expect(checks.has('kek')).toBe(false)
})

test('a guard of the log that sleeps fails, and says what helps', async () => {
  await db.sql('ALTER EVENT TRIGGER rekey_guard DISABLE')
  const checks = await look()
  await db.sql('ALTER EVENT TRIGGER rekey_guard ENABLE ALWAYS')
  expect(checks.get('audit server.guards')).toMatchObject({
    state: 'fail',
    hint: expect.stringContaining('rekey migrate'),
  })
})

const auditor: Pick<Actor, 'roles' | 'scope'> = { roles: ['auditor'], scope: null }

test.each<Pick<Actor, 'roles' | 'scope'>>([
  { roles: ['viewer', 'operator', 'approver', 'responder'], scope: null },
  { roles: ['auditor'], scope: { matchLabels: { team: 'a' } } },
  { roles: ['admin'], scope: { connections: ['vault'] } },
])('what is wrong inside is told to auditors of the whole only, not to %o', async (actor) => {
  const fault = { check: 'audit.triggers', detail: 'the trigger of x sleeps', hint: 'wake it' }
  const other = { ...fault, detail: 'the trigger of y sleeps' }
  const check = makeCheckInstallation(depsOf({ faults: async () => [fault, other] }))
  const to = async (who: typeof actor) =>
    (await check(who)).filter(({ name }) => name === 'audit audit.triggers')
  expect(await to(auditor)).toMatchObject(
    [fault, other].map(({ detail, hint }) => ({ detail, hint })),
  )
  expect(await to(actor)).toEqual([
    expect.objectContaining({
      state: 'fail',
      detail: expect.not.stringContaining('sleeps'),
      hint: null,
    }),
  ])
  expect(JSON.stringify(await check(auditor))).toContain(db.keyring.kekId)
  expect(JSON.stringify(await check(actor))).not.toContain(db.keyring.kekId)
})

test('a look is shared for five seconds by all who ask, and a failed one by those who wait for it', async () => {
  let asked = 0
  let away = true
  const faults = async () => {
    asked += 1
    if (away) throw new Error('away')
    return []
  }
  const check = makeCheckInstallation(depsOf({ faults }))
  await expect(Promise.all([check(auditor), check(auditor)])).rejects.toThrow('away')
  expect(asked).toBe(1)
  away = false
  await Promise.all([check(auditor), check(auditor)])
  await check(auditor)
  expect(asked).toBe(2)
  await db.clock.advance(5_000)
  await check(auditor)
  expect(asked).toBe(3)
})

test('a queue that cannot be reached is a warning: it is only a doorbell', async () => {
  const depth = () => Promise.reject(new Error('ECONNREFUSED redis://:secret@10.0.0.1'))
  const queue = (await look({ depth })).get('queue reachable')
  expect(queue?.state).toBe('warn')
  expect(JSON.stringify(queue)).not.toContain('secret')
})

test('no worker for longer than the alert waits: it fails, and names the runbook', async () => {
  await db.clock.advance(200_000)
  expect((await look()).get('workers')).toMatchObject({
    state: 'fail',
    detail: expect.stringMatching(/^no worker has looked for \d+ s$/),
    hint: 'docs/runbooks/RekeySweepNotRunning.md',
  })
})

test('what fails here pages there: each limit is that of the alert whose runbook is named', () => {
  for (const { gauge, limitS, runbook } of Object.values(lags)) {
    const alert = rules.find((rule) => rule.alert === runbook)
    expect(alert?.expr, runbook).toContain(`max(${gauge}) > ${limitS}`)
  }
  expect(rules.find((rule) => rule.alert === 'RekeyClockSkew')?.expr).toBe(
    `max(abs(rekey_clock_skew_seconds)) > ${skewLimits.warnMs / 1_000}`,
  )
})
