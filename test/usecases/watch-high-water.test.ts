// What a process remembers outside of the database, and what it concludes when the two disagree.

import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemActor } from '#domain/actor.ts'
import type { LedgerEvent } from '#domain/ports.ts'
import { highWaterFile } from '#runtime/high-water-file.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { memoryFile, watchOf } from '#test/support/recovery.ts'

let db: TestDatabase
let dir: string
beforeEach(async () => {
  db = await openTestDatabase()
  dir = await mkdtemp(join(tmpdir(), 'rekey-mark-'))
})
afterEach(async () => {
  await db.close()
  await rm(dir, { recursive: true })
})

const actor = systemActor('system', 'test')
const event = (outcome: LedgerEvent['outcome']): LedgerEvent => ({
  action: 'effect.mint',
  target: { id: 'o', name: 'k' },
  outcome,
})
const open = () => db.ledger.read((read) => read.recovery.open())
const rowOf = () => db.ledger.read((read) => read.recovery.installation())
const markIn = async (path: string) => JSON.parse(await readFile(path, 'utf8'))

test('the first look names the installation; the mark follows the log and is readable by its owner only', async () => {
  const file = highWaterFile(dir)
  const watch = watchOf(db, file)
  await watch.look()
  const row = await rowOf()
  expect(row?.pepperId).toBe(db.keyring.peppers.making.id)
  const receipt = await db.ledger.note(actor, event('succeeded'))
  await watch.look()
  expect(await markIn(file.path)).toMatchObject({
    installation: row?.id,
    incarnation: row?.incarnation,
    cluster: row?.cluster,
    events: [{ id: receipt.eventId, leafHash: receipt.leafHash }, expect.anything()],
  })
  expect((await stat(file.path)).mode & 0o777).toBe(0o600)
  await watchOf(db, highWaterFile(dir)).look()
  expect(await open()).toBeNull()
})

test('an intent is in the file before its commit resolves; other events wait for the next look', async () => {
  const file = memoryFile()
  const watch = watchOf(db, file)
  await watch.look()
  const { writes } = file
  const ledger = watch.marking(db.ledger)
  const commit = (outcome: LedgerEvent['outcome']) =>
    ledger.commit(actor, async () => ({ value: null, audit: [event(outcome)] }))
  await commit('succeeded')
  expect(file.writes).toBe(writes)
  const { receipts } = await commit('intent')
  expect(file.mark?.events[0]?.id).toBe(receipts[0].eventId)
})

test('an effect does not begin where its intent cannot be remembered', async () => {
  const file = memoryFile()
  const watch = watchOf(db, file)
  await watch.look()
  file.write = async () => {
    throw new Error('ENOSPC')
  }
  await expect(
    watch.marking(db.ledger).commit(actor, async () => ({ value: null, audit: [event('intent')] })),
  ).rejects.toMatchObject({ code: 'service.unavailable' })
})

test('an event that vanished from under a running process begins recovery mode', async () => {
  const file = memoryFile()
  const watch = watchOf(db, file)
  await watch.look()
  // A failover that lost the transaction: this process has it in its mark, and the database has never heard of it.
  const ledger = watch.marking({
    ...db.ledger,
    commit: async (who, work) => {
      const done = await db.ledger.rehearse(who, work)
      const lost = { ...done.receipts[0], eventId: db.ids.next() }
      return { ...done, receipts: [lost] }
    },
  })
  await ledger.commit(actor, async () => ({ value: null, audit: [event('intent')] }))
  expect(await open()).toBeNull()
  await watch.look()
  expect(await open()).toMatchObject({ reason: 'regress' })
  // The mark stays, so that the same backup, restored once more, is known again.
  const { writes } = file
  await watch.look()
  expect(file.writes).toBe(writes)
})

test('the database in another cluster, or the data directory of another installation, begins recovery mode', async () => {
  const file = memoryFile()
  await watchOf(db, file).look()
  const row = await rowOf()
  if (!row || !file.mark) throw new Error('not identified')
  file.mark = { ...file.mark, installation: db.ids.next() }
  await watchOf(db, file).look()
  expect(await open()).toMatchObject({ reason: 'otherInstallation' })

  const moved = await openTestDatabase()
  try {
    await moved.ledger.commit(actor, async (tx) => {
      await tx.writeRecovery.identify({ ...row, cluster: '1/1' })
      return { value: null, audit: [event('succeeded')] }
    })
    // Without any mark: the host is new as well.
    await watchOf(moved, memoryFile()).look()
    expect(await moved.ledger.read((read) => read.recovery.open())).toMatchObject({
      reason: 'otherCluster',
      evidence: { cluster: { was: '1/1' } },
    })
  } finally {
    await moved.close()
  }
})

test('two processes that find it at once begin one recovery', async () => {
  const file = memoryFile()
  await watchOf(db, file).look()
  if (!file.mark) throw new Error('no mark')
  file.mark = {
    ...file.mark,
    events: [{ id: db.ids.next(), leafHash: '00'.repeat(32), at: 'then' }],
  }
  await Promise.all(Array.from({ length: 4 }, () => watchOf(db, file).look()))
  const rows = await db.sql('SELECT count(*)::int AS n FROM app.recovery')
  expect(rows).toEqual([{ n: 1 }])
})

test('a file that holds no mark is not taken for its absence', async () => {
  const file = highWaterFile(dir)
  for (const text of [
    '',
    'null',
    '{}',
    '{"installation":"a","incarnation":"b","cluster":"c","events":[]}',
  ]) {
    await writeFile(file.path, text)
    await expect(watchOf(db, file).look()).rejects.toThrow(/does not hold a high-water mark/)
  }
  expect(await rowOf()).toBeNull()
})

test('of many marks at once the last one is in the file, and a failed write leaves the old one', async () => {
  const file = highWaterFile(dir)
  const mark = (n: number) => ({
    installation: 'i',
    incarnation: 'i',
    cluster: 'c',
    events: [{ id: String(n), leafHash: 'h', at: 'then' }],
  })
  await Promise.all(Array.from({ length: 50 }, (_, n) => file.write(mark(n))))
  expect((await file.read())?.events[0]?.id).toBe('49')
  const elsewhere = highWaterFile(join(dir, 'missing'))
  await expect(elsewhere.write(mark(1))).rejects.toThrow(/ENOENT/)
  await expect(elsewhere.write(mark(2))).rejects.toThrow(/ENOENT/)
})
