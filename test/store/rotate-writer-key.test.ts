// The key that signs audit records is exchanged while records are written: each is of one key, and each can be checked.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { kidText, makeTurningWriter, makeWriter, verifyRow } from '#audit/writer.ts'
import { systemActor } from '#domain/actor.ts'
import {
  newWriterSeed,
  openWriterKey,
  readWriterKey,
  replaceWriterKey,
} from '#runtime/writer-key.ts'
import { createLedger } from '#store/ledger.ts'
import { enrolWriter, makeFollowWriterKey } from '#store/writer-keys.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { event, someone } from './records.ts'

let db: TestDatabase
let folder: string
let file: string

beforeEach(async () => {
  db = await openTestDatabase()
  folder = await mkdtemp(join(tmpdir(), 'rekey-writer-'))
  file = join(folder, 'writer-key')
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

/** A process that serves: its writer, and what it does every two seconds. */
const processOf = async () => {
  const { database, keyring, ids, clock } = db
  const writer = makeTurningWriter(makeWriter(await openWriterKey(file)))
  const of = { database, keyring, writer, ids, clock, trace: { current: () => null } }
  await enrolWriter(of, someone)
  const ledger = createLedger({ ...of, bell: { ring: async () => undefined } })
  const follow = makeFollowWriterKey(of, systemActor('system', 'start'), () => {
    const seed = readWriterKey(file)
    return seed && makeWriter(seed)
  })
  return { writer, ledger, follow }
}

const exchange = async (): Promise<string> => {
  const seed = newWriterSeed()
  await replaceWriterKey(file, seed)
  return kidText(makeWriter(seed).kid)
}

/** By which key each record is signed, checked against the enrolled public keys. */
const signers = async (): Promise<ReadonlyMap<string, string>> => {
  const rows = await db.sql(
    `SELECT e.id::text, e.body, e.writer_sig, encode(e.writer_kid, 'hex') AS kid, k.public_key
     FROM audit.event e JOIN audit.writer_key k ON k.kid = e.writer_kid`,
  )
  return new Map(
    rows.map(({ id, body, writer_sig: signature, kid, public_key: publicKey }) => {
      const holds = verifyRow(publicKey as Buffer, String(body), signature as Buffer)
      return [String(id), holds ? String(kid) : 'nobody']
    }),
  )
}

const enrolments = async () =>
  (
    await db.sql(
      `SELECT id::text, body::jsonb #>> '{target,id}' AS kid, body::jsonb #>> '{after,replaces}' AS replaces
       FROM audit.event WHERE (facets).action = 'audit.writerEnrolled' ORDER BY id`,
    )
  ).map(({ id, kid, replaces }) => ({ id: String(id), kid, replaces }))

test('the next key is made known by the one before, and signs from then on; what was signed stays sound', async () => {
  const { writer, ledger, follow } = await processOf()
  const before = kidText(writer.kid)
  const first = await ledger.note(someone, event())
  const next = await exchange()
  await follow()
  const second = await ledger.note(someone, event())
  expect([first.writerKid, second.writerKid]).toEqual([before, next])
  const by = await signers()
  expect([...by.values()]).not.toContain('nobody')
  expect([by.get(first.eventId), by.get(second.eventId)]).toEqual([before, next])
  const told = (await enrolments()).find(({ kid }) => kid === next)
  expect(told).toMatchObject({ replaces: before })
  expect(by.get(told?.id ?? '')).toBe(before)
  // Looked at again, and again: it is told once.
  await follow()
  expect((await enrolments()).filter(({ kid }) => kid === next)).toHaveLength(1)
})

test('while many records are written, each has the id of the key that signed it, and so has its receipt', async () => {
  const { ledger, follow } = await processOf()
  const kids = new Set<string>()
  let going = true
  const write = async (): Promise<void> => {
    while (going) {
      const receipt = await ledger.note(someone, event()) // oxlint-disable-line no-await-in-loop -- one after the other
      kids.add(receipt.writerKid)
      receipts.set(receipt.eventId, receipt.writerKid)
    }
  }
  const receipts = new Map<string, string>()
  const writing = Promise.all([write(), write(), write(), write()])
  for (let turn = 0; turn < 5; turn += 1) {
    const next = await exchange() // oxlint-disable-line no-await-in-loop -- one after the other
    await follow() // oxlint-disable-line no-await-in-loop
    // oxlint-disable-next-line no-await-in-loop -- until it was used
    await expect.poll(() => kids.has(next), { timeout: 50_000 }).toBe(true)
  }
  going = false
  await writing
  const by = await signers()
  expect([...by.values()]).not.toContain('nobody')
  for (const [id, kid] of receipts) expect(by.get(id)).toBe(kid)
})

test('two processes of one file follow both; it is told once which key came after which', async () => {
  const one = await processOf()
  const two = await processOf()
  const next = await exchange()
  await Promise.all([one.follow(), two.follow()])
  expect([kidText(one.writer.kid), kidText(two.writer.kid)]).toEqual([next, next])
  expect((await enrolments()).filter(({ kid }) => kid === next)).toHaveLength(1)
})

test('a file that is gone, damaged or open to others leaves the key that signs', async () => {
  const { writer, ledger, follow } = await processOf()
  const before = kidText(writer.kid)
  await rm(file)
  await follow()
  await writeFile(file, 'rekey-writer-v1 short\n', { mode: 0o600 })
  await expect(follow()).rejects.toThrow('does not hold')
  await rm(file)
  await writeFile(file, `rekey-writer-v1 ${Buffer.alloc(32).toString('base64')}\n`, { mode: 0o644 })
  await expect(follow()).rejects.toThrow('others can read it')
  expect((await ledger.note(someone, event())).writerKid).toBe(before)
})
