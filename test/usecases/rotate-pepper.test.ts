// The fingerprint pepper is exchanged: the order of the steps, what each crash leaves, and what holds an old one.

import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemActor } from '#domain/actor.ts'
import { pepperOf } from '#domain/fingerprint.ts'
import type { Version } from '#domain/key.ts'
import { Secret } from '#domain/secret.ts'
import { noTelemetry } from '#domain/telemetry.ts'
import { systemClock } from '#runtime/clock.ts'
import { openKeyring } from '#runtime/keyring.ts'
import { pepperFile } from '#runtime/peppers.ts'
import { takeBackup } from '#store/backup.ts'
import { createLedger } from '#store/ledger.ts'
import { createLogins } from '#store/logins.ts'
import { selfCheck } from '#store/self-check.ts'
import { makeCheckPeppers } from '#usecases/check-peppers.ts'
import { beginOwnKeys } from '#usecases/follow-own-keys.ts'
import { makeRetirePepper } from '#usecases/retire-pepper.ts'
import { makeRotatePepper, type RotatePepperDeps } from '#usecases/rotate-pepper.ts'
import { memoryBackup } from '#test/support/backups.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { startServing } from '#test/support/serving-process.ts'
import {
  connectionNamed,
  containedKey,
  evidenceOf,
  incidentKeyOf,
  incidentOf,
  keyNamed,
  rotationOf,
  versionOf,
} from '#test/store/records.ts'

const actor = systemActor('system', 'pepper')
const event = {
  action: 'key.registered',
  target: { id: 'k', name: 'k' },
  outcome: 'succeeded',
} as const
let db: TestDatabase
let folder: string
let files: { readonly kekFile: string; readonly pepperFile: string }
let one: Awaited<ReturnType<typeof processOf>>
const said: string[] = []

const processOf = (instance: string, of = files) => startServing(db, instance, of)
type Process = typeof one

beforeEach(async () => {
  db = await openTestDatabase()
  folder = await mkdtemp(join(tmpdir(), 'rekey-pepper-'))
  files = { kekFile: join(folder, 'kek'), pepperFile: join(folder, 'pepper') }
  one = await processOf('one')
  said.length = 0
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

/** A key with a version that holds this. */
const hold = (
  { ledger }: Process,
  name: string,
  value: string,
  more: Partial<Version> & { readonly sealed?: boolean; readonly deleted?: boolean } = {},
): Promise<unknown> =>
  ledger.commit(actor, async (tx) => {
    const { sealed = true, deleted = false, ...version } = more
    const key = keyNamed(db.ids.next(), name)
    await tx.writeKey.insert({ ...key, deletedAt: deleted ? key.createdAt : null })
    const material = new Secret(value)
    await tx.writeVersion.insert(
      versionOf(key.id, 1, {
        state: 'active',
        primary: (version.state ?? 'active') === 'active',
        providerVersions: ['1'],
        fingerprint: tx.fingerprint(material),
        sealedId: sealed ? await tx.writeSealed.insert(material, 'test') : null,
        ...version,
      }),
    )
    return { value: null, audit: [event] }
  })
const holders = async ({ ledger }: Process, value: string): Promise<readonly string[]> => {
  const keys = await ledger.read(async (reads) => {
    const found = await reads.versions.holding(new Secret(value))
    return reads.keys.byIds(found.map(({ keyId }) => keyId))
  })
  return keys.map(({ name }) => name).toSorted()
}
const peppersOfRows = async (): Promise<Record<string, number>> =>
  Object.fromEntries(
    (
      await db.sql(
        'SELECT get_byte(fingerprint, 0) AS pepper, count(*)::int AS n FROM app.version WHERE fingerprint IS NOT NULL GROUP BY 1',
      )
    ).map(({ pepper, n }) => [String(pepper), Number(n)]),
  )
const actions = async (): Promise<readonly unknown[]> =>
  (
    await db.sql(
      "SELECT body::jsonb->>'action' AS action FROM audit.event WHERE body::jsonb->>'action' LIKE 'pepper.%' ORDER BY txid",
    )
  ).map(({ action }) => action)
const numbersInFile = (): readonly number[] =>
  pepperFile(files.pepperFile)
    .peppers()
    .map(({ number }) => number)

const depsOf = async (over: Partial<RotatePepperDeps> = {}): Promise<RotatePepperDeps> => {
  const keyring = await openKeyring(files)
  const ledger = createLedger({
    ...{ database: db.database, keyring, writer: db.writer, ids: db.ids, clock: db.clock },
    bell: { ring: async () => undefined },
    trace: noTelemetry.tracer,
  })
  await beginOwnKeys({ ledger, keyring })
  return {
    ledger,
    processes: db.processes,
    file: pepperFile(files.pepperFile),
    ring: keyring.peppers,
    // While the command waits, the process does what it does.
    clock: {
      deadline: (ms) => systemClock.deadline(ms),
      pause: async () => one.follow().catch(() => undefined),
    },
    ...over,
  }
}
const rotate = async (
  over: Partial<RotatePepperDeps> = {},
  { patienceMs = 5_000, mustGoOn = async (): Promise<void> => undefined } = {},
) =>
  makeRotatePepper(await depsOf(over))(actor, {
    patienceMs,
    say: (line) => said.push(line),
    mustGoOn,
  })
const retire = async (
  forget: number | null = null,
  mustGoOn = async (): Promise<void> => undefined,
) => {
  const { ledger, processes, file, clock } = await depsOf()
  return makeRetirePepper({ ledger, processes, file, clock })(actor, { forget, mustGoOn })
}

test('what is sealed is made anew under the new one, everything is known all the while, and the old one goes', async () => {
  for (let n = 0; n < 5; n++) await hold(one, `key-${n}`, `value ${n % 4}`) // oxlint-disable-line no-await-in-loop -- a handful
  expect(await holders(one, 'value 0')).toEqual(['key-0', 'key-4'])
  const done = await rotate()
  expect(done.active.number).toBe(2)
  expect(await peppersOfRows()).toEqual({ 2: 5 })
  expect(await holders(one, 'value 0')).toEqual(['key-0', 'key-4'])
  await hold(one, 'later', 'value 0')
  expect(await holders(one, 'value 0')).toEqual(['key-0', 'key-4', 'later'])

  const { retired, removed, elsewhere, forgotten } = await retire()
  expect([retired, removed].map((all) => all.map(({ number }) => number))).toEqual([[1], [1]])
  expect([elsewhere, forgotten]).toEqual([[], 0])
  expect(numbersInFile()).toEqual([2])
  expect((await stat(files.pepperFile)).mode & 0o777).toBe(0o600)
  await one.follow()
  expect(one.keyring.peppers.all.map(({ number }) => number)).toEqual([2])
  // A start with what is left in the file.
  const next = await processOf('two')
  expect(await holders(next, 'value 0')).toEqual(['key-0', 'key-4', 'later'])
  const ours = async () =>
    (await selfCheck(db.database, next.keyring)).filter(({ check }) => check === 'pepper.ours')
  expect(await ours()).toEqual([])
  expect(await actions()).toEqual([
    'pepper.registered',
    'pepper.activated',
    'pepper.renewed',
    'pepper.renewed',
    'pepper.retired',
  ])
  // Nothing of what was left is mistaken for the next exchange.
  await db.sql("DELETE FROM app.process WHERE instance = 'two'")
  expect((await rotate()).active.number).toBe(3)
})

test('a start refuses with a file that lacks one in use, or has another under its number, and names it', async () => {
  const { active } = await rotate()
  const lines = (await readFile(files.pepperFile, 'utf8')).trim().split('\n')
  const other = { kekFile: files.kekFile, pepperFile: join(folder, 'other') }
  const faultOf = async (text: string): Promise<string | undefined> => {
    await writeFile(other.pepperFile, text, { mode: 0o600 })
    const faults = await selfCheck(db.database, await openKeyring(other))
    return faults.find(({ check }) => check === 'pepper.ours')?.detail
  }
  expect(await faultOf(`${lines[0]}\n`)).toContain(`2 (${active.id})`)
  expect(await faultOf(`${lines[1]}\n`)).toMatch(/pepper 1 \(/)
  const wrong = `rekey-pepper-v1 2 ${randomBytes(32).toString('base64')}`
  expect(await faultOf(`${lines[0]}\n${wrong}\n`)).toContain(`2 (${active.id})`)
  expect(await faultOf(`${lines.toReversed().join('\n')}\n`)).toBeUndefined()
})

test('a process that does not have the new one holds everything, and is named; it gets the file, and all goes on', async () => {
  const other = { kekFile: files.kekFile, pepperFile: join(folder, 'other') }
  await writeFile(other.pepperFile, await readFile(files.pepperFile), { mode: 0o600 })
  const two = await processOf('two', other)
  await expect(rotate({}, { patienceMs: 50 })).rejects.toMatchObject({
    why: 'waits',
    message: expect.stringContaining('two (process 7 on host-of-two) does not have pepper 2'),
  })
  expect(one.keyring.pepper).toBe(1)
  expect(numbersInFile()).toEqual([1, 2])
  await writeFile(other.pepperFile, await readFile(files.pepperFile))
  const pause = async () => {
    await one.follow()
    await two.follow()
  }
  const done = await rotate({ clock: { deadline: (ms) => systemClock.deadline(ms), pause } })
  expect([done.active.number, one.keyring.pepper, two.keyring.pepper]).toEqual([2, 2, 2])
  expect(numbersInFile()).toEqual([1, 2])
})

test('while a process of an earlier version lives nothing is begun', async () => {
  await db.sql(
    "INSERT INTO app.process (instance, host, pid, version, seals, accepts, seen_at) VALUES ('old', 'h', 1, '0', 'k', '{k}', app.now())",
  )
  await expect(rotate({}, { patienceMs: 50 })).rejects.toMatchObject({
    why: 'older',
    message: expect.stringContaining('old (process 1 on h) does not know of several peppers'),
  })
  expect(numbersInFile()).toEqual([1])
  expect(await actions()).toEqual(['pepper.registered'])
})

test('a file with a number that was used, or with several that were not, is refused', async () => {
  await rotate()
  await retire()
  const line = (number: number) =>
    `rekey-pepper-v1 ${number} ${randomBytes(32).toString('base64')}\n`
  const text = await readFile(files.pepperFile, 'utf8')
  await writeFile(files.pepperFile, text + line(1))
  await expect(rotate()).rejects.toMatchObject({ why: 'file' })
  await writeFile(files.pepperFile, text + line(7) + line(8))
  await expect(rotate()).rejects.toMatchObject({ why: 'ambiguous' })
  await writeFile(files.pepperFile, text + line(7))
  await one.follow()
  expect((await rotate()).active.number).toBe(7)
})

/** Dies before or after the `at`-th thing that it does. */
class Killed extends Error {}
const dyingAt = (deps: RotatePepperDeps, at: number): RotatePepperDeps => {
  let calls = 0
  const dies =
    <A extends readonly unknown[], T>(work: (...of: A) => Promise<T>) =>
    async (...of: A): Promise<T> => {
      if (calls++ === at) throw new Killed()
      const value = await work(...of)
      if (calls++ === at) throw new Killed()
      return value
    }
  return {
    ...deps,
    file: { ...deps.file, add: dies(deps.file.add) },
    ledger: { ...deps.ledger, commit: (who, work) => dies(() => deps.ledger.commit(who, work))() },
  }
}

test('killed before or after any step it is run again, ends, and no fingerprint is lost', async () => {
  for (let n = 0; n < 3; n++) await hold(one, `key-${n}`, `value ${n}`) // oxlint-disable-line no-await-in-loop -- a handful
  let ended = false
  let at = 0
  for (; !ended; at += 1) {
    // oxlint-disable no-await-in-loop -- one after the other
    const before = Math.max(...numbersInFile())
    try {
      await rotate(dyingAt(await depsOf(), at))
      ended = true
    } catch (error) {
      if (!(error instanceof Killed)) throw error
    }
    await one.follow()
    expect(await holders(one, 'value 1'), `killed at ${at}`).toEqual(['key-1'])
    const peppers = await one.ledger.read((reads) => reads.peppers.list())
    const open = peppers.some(({ state, renewedAt }) => state === 'replaced' && renewedAt === null)
    const active = peppers.find(({ state }) => state === 'active')?.number
    if (!ended && (open || active === before)) await rotate()
    expect(await holders(one, 'value 1')).toEqual(['key-1'])
    expect(Object.keys(await peppersOfRows())).toHaveLength(1)
    await retire()
    // oxlint-enable no-await-in-loop
  }
  // The file, the activation, a step with rows, one without, and the end.
  expect(at).toBeGreaterThanOrEqual(8)
})

describe('an old one is held', () => {
  test('by versions whose value is not here, until their key is rotated', async () => {
    await hold(one, 'seen-once', 'not here', { sealed: false })
    await rotate()
    await expect(retire(1)).rejects.toMatchObject({
      why: 'inUse',
      message: expect.stringContaining('1 version is known by pepper 1'),
    })
    expect(await holders(one, 'not here')).toEqual(['seen-once'])
  })

  test('by what has ended: it is told how much, and forgotten only when so many are named', async () => {
    await hold(one, 'ended', 'destroyed', { sealed: false, state: 'destroyed' })
    await hold(one, 'deleted', 'of a deleted key', { sealed: false, deleted: true })
    await hold(one, 'alive', 'alive')
    await rotate()
    for (const forget of [null, 1, 3]) {
      // oxlint-disable-next-line no-await-in-loop -- one refusal after the other
      await expect(retire(forget)).rejects.toMatchObject({
        why: 'ended',
        hint: expect.stringContaining('--forget 2'),
      })
    }
    expect(await holders(one, 'destroyed')).toEqual(['ended'])
    expect((await retire(2)).forgotten).toBe(2)
    await one.follow()
    expect(await holders(one, 'destroyed')).toEqual([])
    expect(await holders(one, 'alive')).toEqual(['alive'])
    expect(await actions()).toContain('pepper.forgotten')
  })

  test('told to end while it forgets, it ends after a step, and is run again', async () => {
    await hold(one, 'ended', 'destroyed', { sealed: false, state: 'destroyed' })
    await rotate()
    const ended = retire(1, async () => {
      if ((await actions()).includes('pepper.forgotten')) throw new Error('told to end')
    })
    await expect(ended).rejects.toThrow('told to end')
    expect(await actions()).not.toContain('pepper.retired')
    expect(await retire()).toMatchObject({ forgotten: 0, retired: [{ number: 1 }] })
  })

  test('by rotations from before it was replaced', async () => {
    const { value: rotation } = await one.ledger.commit(actor, async (tx) => {
      const key = keyNamed(db.ids.next(), 'rotating')
      await tx.writeKey.insert(key)
      const row = rotationOf(db.ids.next(), key, { createdAt: await tx.now() })
      await tx.writeRotation.insert(row)
      return { value: row, audit: [event] }
    })
    await rotate()
    await expect(retire()).rejects.toMatchObject({
      why: 'inUse',
      message: expect.stringContaining('1 rotation or incident that may know values by pepper 1'),
    })
    await one.ledger.commit(actor, async (tx) => {
      await tx.writeRotation.move({ ...rotation, phase: 'cancelled' }, rotation)
      return { value: null, audit: [event] }
    })
    expect((await retire()).retired).toHaveLength(1)
  })

  test('by an incident from after it was replaced, while it works on a version that is known by it', async () => {
    await hold(one, 'leaked', 'not here', { sealed: false })
    await rotate()
    const [row] = await one.ledger.read((reads) => reads.versions.holding(new Secret('not here')))
    const [key] = await one.ledger.read((reads) => reads.keys.byIds([row?.keyId ?? '']))
    if (!row || !key) throw new Error('it is not known')
    const { value: incident } = await one.ledger.commit(actor, async (tx) => {
      const open = incidentOf(db.ids.next(), { state: 'executing', createdAt: await tx.now() })
      const contained = incidentKeyOf(open, containedKey(key, 1))
      await tx.writeIncident.insert(open)
      await tx.writeIncident.insertKeys([contained], [evidenceOf(contained, 1)])
      await tx.writeVersion.update({ ...row, state: 'compromised', primary: false }, 'active')
      return { value: open, audit: [event] }
    })
    await expect(retire(1)).rejects.toMatchObject({
      why: 'inUse',
      message: expect.stringContaining('1 rotation or incident that may know values by pepper 1'),
    })
    expect(await holders(one, 'not here')).toEqual(['leaked'])
    for (const [revision, state] of [
      [1, 'contained'],
      [2, 'closed'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one state after the other
      await one.ledger.commit(actor, async (tx) => {
        const before = await tx.incidents.get(incident.id)
        const closed = { at: await tx.now(), by: 'a', reason: 'a test' }
        if (before)
          await tx.writeIncident.update(
            {
              ...before,
              state,
              revision: revision + 1,
              closed: state === 'closed' ? closed : null,
            },
            before,
          )
        return { value: null, audit: [event] }
      })
    }
    expect((await retire(1)).forgotten).toBe(1)
  })
})

test('a login that others were refused is refused to a process that stood still through an exchange', async () => {
  await one.ledger.commit(actor, async (tx) => {
    await tx.writeConnection.insert(connectionNamed('vault'))
    return { value: null, audit: [event] }
  })
  const booksOf = ({ keyring }: Process) =>
    createLogins(db.database, keyring)({ name: 'vault', revision: 1 })
  const stands = await processOf('stands')
  await db.sql("DELETE FROM app.process WHERE instance = 'stands'")
  await rotate()
  const wrong = new Secret('wrong')
  expect(await booksOf(one).claim(wrong)).toBe('try')
  await booksOf(one).ended(wrong, 'refused')
  expect(stands.keyring.pepper).toBe(1)
  expect(await booksOf(stands).claim(wrong)).toBe('refused')
})

test('a process that stood still until the old one was retired tells so, and claims no login under it', async () => {
  await one.ledger.commit(actor, async (tx) => {
    await tx.writeConnection.insert(connectionNamed('vault'))
    return { value: null, audit: [event] }
  })
  const stands = await processOf('stands')
  await db.sql("DELETE FROM app.process WHERE instance = 'stands'")
  await rotate()
  await retire()
  const book = createLogins(db.database, stands.keyring)({ name: 'vault', revision: 1 })
  await expect(book.claim(new Secret('right'))).rejects.toMatchObject({
    code: 'service.unavailable',
  })
  await stands.follow()
  expect(await book.claim(new Secret('right'))).toBe('try')
})

test('a program of before, with the file of before, is told at its start that another one is in use', async () => {
  await one.ledger.commit(actor, async (tx) => {
    const at = await tx.now()
    await tx.writeRecovery.identify({
      ...{ id: db.ids.next(), incarnation: db.ids.next(), cluster: 'c', restoredFrom: null },
      ...{ pepperId: one.keyring.peppers.making.id, createdAt: at, updatedAt: at },
    })
    return { value: null, audit: [event] }
  })
  const { active } = await rotate()
  expect(await db.sql('SELECT pepper_id FROM app.installation')).toEqual([{ pepper_id: active.id }])
})

test('a backup names every pepper that is in use, and none that is retired', async () => {
  const namedIn = async () => {
    const manifest = await takeBackup({
      url: db.urls.app,
      sink: memoryBackup().sink,
      version: '1',
      onProgress: () => undefined,
    })
    return [manifest.peppers?.map(({ number }) => number), manifest.pepper]
  }
  const [first] = one.keyring.peppers.inFile
  expect(await namedIn()).toEqual([[1], first?.id])
  const { active } = await rotate()
  expect(await namedIn()).toEqual([[1, 2], active.id])
  await retire()
  expect(await namedIn()).toEqual([[2], active.id])
})

test('a process that stood still through an exchange finds what others wrote, and can write nothing under what is gone', async () => {
  await hold(one, 'before', 'of before')
  const stands = await processOf('stands')
  await db.sql("DELETE FROM app.process WHERE instance = 'stands'")
  await rotate()
  await hold(one, 'after', 'of after')
  // It meets a pepper that it does not know, and reads its file.
  expect(stands.keyring.pepper).toBe(1)
  expect(await holders(stands, 'of after')).toEqual(['after'])
  expect(await holders(stands, 'of before')).toEqual(['before'])
  await hold(stands, 'late', 'late')
  expect(await holders(one, 'late')).toEqual(['late'])
  // What it wrote under the old one is made anew before that goes.
  expect((await retire()).retired).toHaveLength(1)
  expect(await peppersOfRows()).toEqual({ 2: 3 })
  await expect(hold(stands, 'too-late', 'too late')).rejects.toMatchObject({
    code: 'service.unavailable',
  })
  await stands.follow()
  await hold(stands, 'too-late', 'too late')
  expect(await holders(one, 'too late')).toEqual(['too-late'])
})

test('a fingerprint that a step wrote back as it had read it is made anew by the end at the latest', async () => {
  await hold(one, 'key', 'value')
  const [row] = await one.ledger.read((reads) => reads.versions.holding(new Secret('value')))
  await rotate()
  await one.ledger.commit(actor, async (tx) => {
    if (row) await tx.writeVersion.update(row, 'active')
    return { value: null, audit: [event] }
  })
  expect(await peppersOfRows()).toEqual({ 1: 1 })
  expect((await retire()).retired).toHaveLength(1)
  expect(await peppersOfRows()).toEqual({ 2: 1 })
})

test('a version that holds another value than its fingerprint was made of keeps it, and is told', async () => {
  await hold(one, 'bent', 'value', { fingerprint: one.keyring.fingerprint(new Secret('other')) })
  await rotate()
  expect(said.join('\n')).toContain('1 version holds another value')
  expect(await peppersOfRows()).toEqual({ 1: 1 })
  await expect(retire()).rejects.toMatchObject({ why: 'inUse' })
})

test('an auditor is told of what is left, whose file lacks one, and whose holds a retired one', async () => {
  const check = makeCheckPeppers({ ledger: one.ledger, processes: db.processes })
  const lines = async () => (await check()).map(({ name, state }) => `${name}: ${state}`)
  expect(await lines()).toEqual(['pepper: ok'])
  await hold(one, 'gone', 'gone', { sealed: false, state: 'destroyed' })
  await rotate()
  expect(await lines()).toEqual(['pepper: ok', 'pepper replaced: ok'])
  const text = await readFile(files.pepperFile, 'utf8')
  await writeFile(files.pepperFile, `${text.trim().split('\n')[1]}\n`)
  await one.follow()
  expect(await lines()).toEqual(['pepper: ok', 'pepper replaced: ok', 'pepper file: fail'])
  await writeFile(files.pepperFile, text)
  await one.follow()
  await retire(1)
  await writeFile(files.pepperFile, text)
  await one.follow()
  expect(await lines()).toEqual(['pepper: ok', 'pepper retired: warn'])
  expect(one.keyring.fingerprints(new Secret('x')).map(pepperOf)).toEqual([2])
})
