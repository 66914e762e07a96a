// The key-encryption key is exchanged: the order of the steps, and what each crash leaves. Under load, with real processes:
// test/faults/rotate-kek.test.ts.

import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemActor } from '#domain/actor.ts'
import type { HouseProcess } from '#domain/kek.ts'
import type { RewrapStep } from '#domain/ports.ts'
import { Secret } from '#domain/secret.ts'
import { makeCursors } from '#http/paging.ts'
import { systemClock } from '#runtime/clock.ts'
import { kekFile, keyringIds, openKeyring, type OpenKeyring } from '#runtime/keyring.ts'
import { createRewrap } from '#store/rewrap.ts'
import { selfCheck } from '#store/self-check.ts'
import { contextOfMaterial, createVaultStore } from '#store/vault-store.ts'
import { makeCheckKeks } from '#usecases/check-keks.ts'
import { beginOwnKeys } from '#usecases/follow-own-keys.ts'
import { makeRetireKek } from '#usecases/retire-kek.ts'
import { makeRotateKek, type RotateKekDeps } from '#usecases/rotate-kek.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { startServing } from '#test/support/serving-process.ts'

const actor = systemActor('system', 'kek')
const dayMs = 86_400_000
let db: TestDatabase
let folder: string
let files: { readonly kekFile: string; readonly pepperFile: string }
let process1: Awaited<ReturnType<typeof processOf>>
const said: string[] = []

const processOf = async (instance: string, of = files) => {
  const started = await startServing(db, instance, of)
  return {
    ...started,
    vault: createVaultStore({ database: db.database, keyring: started.keyring }),
  }
}

beforeEach(async () => {
  db = await openTestDatabase()
  folder = await mkdtemp(join(tmpdir(), 'rekey-kek-'))
  files = { kekFile: join(folder, 'kek'), pepperFile: join(folder, 'pepper') }
  process1 = await processOf('one')
  said.length = 0
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

const secret = (text: string): Secret<Uint8Array> => new Secret(new TextEncoder().encode(text))

const seal = async (n: number): Promise<void> => {
  const boxes = materials(n).map((text, i) =>
    process1.keyring.seal(secret(text), contextOfMaterial('o', i + 1)),
  )
  await db.sql(
    `INSERT INTO vault.material (object, version, operation_id, algorithm, kek_id, wrapped_key, ciphertext)
     SELECT 'o', n, 'op' || n, 'a', $1, w, c FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY b (w, c, n)`,
    [
      process1.keyring.kekId,
      boxes.map(({ wrappedKey }) => Buffer.from(wrappedKey)),
      boxes.map(({ ciphertext }) => Buffer.from(ciphertext)),
    ],
    'app',
  )
}
const opened = async (of: { readonly vault: TestDatabase['vault'] }, n: number) =>
  Promise.all(
    Array.from({ length: n }, async (_, i) => {
      const bytes = await of.vault.open('o', i + 1)
      return new TextDecoder().decode(bytes?.reveal())
    }),
  )
/** Of the many, in this process: the ends of both steps. */
const expectOpen = async (): Promise<void> => {
  for (const version of [1, 2, 199, 200, 201, 205]) {
    const bytes = await process1.vault.open('o', version) // oxlint-disable-line no-await-in-loop -- a handful
    expect(new TextDecoder().decode(bytes?.reveal())).toBe(`material ${version - 1}`)
  }
}
const materials = (n: number) => Array.from({ length: n }, (_, i) => `material ${i}`)

const depsOf = async (over: Partial<RotateKekDeps> = {}): Promise<RotateKekDeps> => {
  const keyring: OpenKeyring = await openKeyring(files)
  await beginOwnKeys({ ledger: process1.ledger, keyring })
  return {
    ledger: process1.ledger,
    processes: db.processes,
    rewrap: createRewrap({ database: db.database, keyring }),
    file: kekFile(files.kekFile),
    keyring,
    // While the command waits, the process does what it does.
    clock: {
      deadline: (ms) => systemClock.deadline(ms),
      pause: async () => process1.follow().catch(() => undefined),
    },
    ...over,
  }
}
const rotate = async (
  over: Partial<RotateKekDeps> = {},
  more: { readonly to?: string; readonly patienceMs?: number } = {},
) =>
  makeRotateKek(await depsOf(over))(actor, {
    to: more.to ?? null,
    patienceMs: more.patienceMs ?? 5_000,
    say: (line) => said.push(line),
    mustGoOn: async () => undefined,
  })
const retire = (atOnce = false) =>
  makeRetireKek({
    ledger: process1.ledger,
    processes: db.processes,
    file: kekFile(files.kekFile),
  })(actor, { atOnce })
const rows = async (): Promise<Record<string, number>> =>
  Object.fromEntries(
    await createRewrap({ database: db.database, keyring: process1.keyring }).rows(),
  )

test('every row is sealed anew under the new one, opens as before, and the old one goes a day later', async () => {
  await seal(210)
  const old = process1.keyring.kekId
  const done = await rotate()
  expect(done.active).not.toBe(old)
  expect(await rows()).toEqual({ [done.active]: 210 })
  expect(await opened(process1, 210)).toEqual(materials(210))
  expect(keyringIds(files).kekIds).toEqual([old, done.active])

  await expect(retire()).rejects.toMatchObject({ why: 'early' })
  await db.clock.advance(dayMs + 1_000)
  await process1.follow()
  expect(await retire()).toEqual({ retired: [old], removed: [old], elsewhere: [] })
  await process1.follow()
  expect(process1.keyring.kekIds).toEqual([done.active])
  // A start with what is left in the file.
  const next = await processOf('two')
  expect(await opened(next, 210)).toEqual(materials(210))
  expect(
    (await selfCheck(db.database, next.keyring)).filter(({ check }) => check === 'kek.ours'),
  ).toEqual([])
  const actions = (
    await db.sql(
      "SELECT body::jsonb->>'action' AS action FROM audit.event WHERE body::jsonb->>'action' LIKE 'kek.%' ORDER BY txid",
    )
  ).map(({ action }) => action)
  expect(actions).toEqual(['kek.registered', 'kek.activated', 'kek.rewrapped', 'kek.retired'])
})

test('every table that names a key-encryption key is sealed anew', async () => {
  const tables = await db.sql(
    "SELECT table_schema || '.' || table_name AS name FROM information_schema.columns WHERE column_name = 'kek_id' ORDER BY 1",
  )
  const { tables: known } = createRewrap({ database: db.database, keyring: process1.keyring })
  expect(tables.map(({ name }) => name)).toEqual(known)
})

test('the file is replaced in one step, for its owner only, and no line is lost', async () => {
  await rotate()
  await rotate()
  expect((await readFile(files.kekFile, 'utf8')).match(/^rekey-kek-v1 \S{44}$/gm)).toHaveLength(3)
  expect((await stat(files.kekFile)).mode & 0o777).toBe(0o600)
})

test('a process that does not have the new one holds everything, and is named', async () => {
  await seal(3)
  const old = process1.keyring.kekId
  const other = { kekFile: join(folder, 'other'), pepperFile: files.pepperFile }
  await writeFile(other.kekFile, await readFile(files.kekFile), { mode: 0o600 })
  const two = await processOf('two', other)
  await expect(rotate({}, { patienceMs: 50 })).rejects.toMatchObject({
    why: 'waits',
    message: expect.stringContaining('two (process 7 on host-of-two) does not accept'),
  })
  expect(await rows()).toEqual({ [old]: 3 })
  const [, made] = keyringIds(files).kekIds
  // It gets the file, and the command that is run again takes the key that is there.
  await writeFile(other.kekFile, await readFile(files.kekFile))
  const both = async () => {
    await process1.follow()
    await two.follow()
  }
  const clock = { deadline: (ms: number) => systemClock.deadline(ms), pause: both }
  expect((await rotate({ clock })).active).toBe(made)
  expect(two.keyring.kekId).toBe(made)
})

/** Dies before or after the `at`-th thing that it does. */
class Killed extends Error {}
const dyingAt = (deps: RotateKekDeps, at: number): RotateKekDeps => {
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
    rewrap: { ...deps.rewrap, step: dies(deps.rewrap.step) },
    ledger: {
      ...deps.ledger,
      commit: (who, work) => dies(() => deps.ledger.commit(who, work))(),
    },
  }
}

test('killed before or after any step it is run again, ends, and made one key', async () => {
  await seal(205)
  const ends: number[] = []
  for (let at = 0; ends.length === 0; at += 1) {
    // oxlint-disable no-await-in-loop -- one after the other
    const before = keyringIds(files).kekIds
    try {
      await rotate(dyingAt(await depsOf(), at))
      ends.push(at)
    } catch (error) {
      if (!(error instanceof Killed)) throw error
    }
    // What the kill left opens in every process.
    await process1.follow()
    await expectOpen()
    const { kekIds } = keyringIds(files)
    const { active } = kekIds.length > before.length ? await resumed() : await rotate()
    expect(await rows()).toEqual({ [active]: 205 })
    expect(keyringIds(files).kekIds).toEqual([...before, active])
    // oxlint-enable no-await-in-loop
  }
  // Two for the file, two for each commit, two for each step of two tables.
  expect(ends[0]).toBeGreaterThanOrEqual(14)
})

/** Run again after a kill: where all of it was done but told, it has nothing to do. */
const resumed = async (): Promise<{ readonly active: string }> => {
  const keks = await process1.ledger.read((reads) => reads.keks.list())
  const active = keks.find(({ state }) => state === 'active')?.id ?? ''
  const last = keyringIds(files).kekIds.at(-1)
  const open = keks.some(({ state, rewrappedAt }) => state === 'replaced' && rewrappedAt === null)
  return active === last && !open ? { active } : rotate()
}

test('a row that is erased, or replaced, while it is sealed anew stays so', async () => {
  const id = await process1.ledger
    .commit(actor, async (tx) => ({
      value: await tx.writeSealed.insert(new Secret('gone'), 'test'),
      audit: [{ action: 'connection.put', target: { id: 'c', name: 'c' }, outcome: 'succeeded' }],
    }))
    .then(({ value }) => value)
  await seal(2)
  const deps = await depsOf()
  const session = await db.session('superuser')
  await session.query('BEGIN')
  await session.query(
    'UPDATE app.sealed SET wrapped_key = NULL, ciphertext = NULL, erased_at = app.now() WHERE id = $1',
    [id],
  )
  let steps = 0
  const step = async (...of: Parameters<typeof deps.rewrap.step>): Promise<RewrapStep> => {
    const done = await deps.rewrap.step(...of)
    // It is held by somebody: the step went by, and waited for nobody.
    if (++steps === 6) await session.query('COMMIT')
    return done
  }
  const done = await rotate({ ...deps, rewrap: { ...deps.rewrap, step } })
  expect(await rows()).toEqual({ [done.active]: 2 })
  const [row] = await db.sql(
    'SELECT ciphertext, erased_at IS NOT NULL AS erased FROM app.sealed WHERE id = $1',
    [id],
  )
  expect(row).toEqual({ ciphertext: null, erased: true })
})

test('a row that does not open is left, named, and keeps the old one', async () => {
  await seal(3)
  const old = process1.keyring.kekId
  await db.sql(
    "UPDATE vault.material SET ciphertext = decode(repeat('00', 40), 'hex') WHERE version = 2",
  )
  await expect(rotate()).rejects.toMatchObject({
    why: 'damaged',
    message: expect.stringMatching(/1 row does not open: vault\.material 2 o/),
  })
  expect((await rows())[old]).toBe(1)
  await db.clock.advance(dayMs * 2)
  await process1.follow()
  await expect(retire(true)).rejects.toMatchObject({ why: 'inUse' })
  await process1.vault.setState('o', 2, 'destroyed')
  const done = await rotate()
  expect(await rows()).toEqual({ [done.active]: 2 })
  expect(said.join('\n')).not.toContain('material 0')
})

test('a process that stood still opens what was sealed meanwhile, and seals nothing under a retired one', async () => {
  const still = await processOf('still')
  const old = still.keyring.kekId
  // Dead for the others.
  await db.processes.leave('still')
  const done = await rotate()
  await seal(1)
  expect(await opened(still, 1)).toEqual(materials(1))
  await retire(true)
  await expect(
    still.vault.insert({
      ...{
        object: 'p',
        operationId: 'late',
        algorithm: 'a',
        publicKey: null,
        material: secret('x'),
      },
    }),
  ).rejects.toThrow()
  expect(await rows()).toEqual({ [done.active]: 1 })
  expect(still.keyring.kekId).toBe(old)
  await still.follow()
  expect(still.keyring.kekId).toBe(done.active)
  await still.vault.insert({
    ...{
      object: 'p',
      operationId: 'late',
      algorithm: 'a',
      publicKey: null,
      material: secret('x'),
    },
  })
})

test('who is just sealing under the old one is waited for, and keeps it', async () => {
  const old = process1.keyring.kekId
  const box = process1.keyring.seal(new Secret('x'), 'c')
  await rotate()
  const late = await db.session('app')
  await late.query('BEGIN')
  await late.query(
    'INSERT INTO app.sealed (id, purpose, kek_id, wrapped_key, ciphertext) VALUES (gen_random_uuid(), $1, $2, $3, $4)',
    ['p', old, Buffer.from(box.wrappedKey), Buffer.from(box.ciphertext)],
  )
  const retiring = retire(true).catch((error: unknown) => error)
  for (let waits = false; !waits;) {
    // oxlint-disable-next-line no-await-in-loop -- until it does
    const [row] = await db.sql('SELECT count(*) > 0 AS waits FROM pg_locks WHERE NOT granted')
    waits = row?.['waits'] === true
  }
  await late.query('COMMIT')
  expect(await retiring).toMatchObject({ why: 'inUse' })
  expect(keyringIds(files).kekIds).toContain(old)
})

test('cursors and idempotent requests of before are accepted, until the old one is retired', async () => {
  const list = { path: '/v1/keys', query: {} }
  const cursors = makeCursors(process1.keyring)
  const slot = { principal: 'p', method: 'POST', path: '/x', key: 'k' }
  const hashes = () =>
    process1.keyring.macs('idempotency', 'body').map((mac) => Buffer.from(mac).toString('hex')) as [
      string,
    ]
  const before = cursors.encode(list, 'a')
  const begun = await db.idempotency.begin(slot, hashes())
  if (begun.state !== 'begun') throw new Error(begun.state)
  const reply = { status: 201, headers: {}, text: '{}' }
  await db.idempotency.finish(begun.claim, 201, reply)
  await rotate()
  expect(cursors.encode(list, 'a')).not.toBe(before)
  expect(cursors.decode(list, before)).toBe('a')
  expect(await db.idempotency.begin(slot, hashes())).toEqual({ state: 'replay', reply })
  await retire(true)
  await process1.follow()
  expect(() => cursors.decode(list, before)).toThrow(/not given for this list/)
})

test('a start without a key that rows name, or that seals, refuses with fingerprints', async () => {
  await seal(1)
  const old = process1.keyring.kekId
  const lines = await readFile(files.kekFile, 'utf8')
  const { active } = await rotate()
  await writeFile(files.kekFile, lines)
  const keyring = await openKeyring(files)
  const found = (await selfCheck(db.database, keyring)).filter(({ check }) => check === 'kek.ours')
  expect(found.map(({ detail }) => detail).join('\n')).toMatch(
    new RegExp(`in use is ${active}, but the file holds ${old}`),
  )
  // What runs goes on, and an auditor is told.
  await process1.follow()
  expect(await opened(process1, 1)).toEqual(materials(1))
  const checks = await makeCheckKeks({
    ledger: process1.ledger,
    processes: db.processes,
    rows: async () => new Map(Object.entries(await rows())),
  })()
  expect(checks.find(({ name }) => name === 'kek file')).toMatchObject({
    state: 'fail',
    detail: expect.stringContaining(`lacks ${active}`),
  })
})

test('a file that cannot be read is told, and what was known stays known', async () => {
  await seal(1)
  await chmod(files.kekFile, 0o644)
  await expect(process1.follow()).rejects.toThrow(/others can read it/)
  expect(await opened(process1, 1)).toEqual(materials(1))
  const living: readonly HouseProcess[] = await db.processes.living(60_000)
  expect(living.map(({ instance }) => instance)).toEqual(['one'])
})
