// A manifest is read as it was written, or not at all: what a restore goes by is judged before it touches anything.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BackupRefused,
  type Manifest,
  manifestName,
  mostPartBytes,
  readManifest,
  missingPeppers,
} from '#domain/backup.ts'

const sha256 = 'a'.repeat(64)
const table = {
  name: 'app.key',
  columns: ['id', 'created_at'],
  rows: 2,
  parts: [{ name: 'app.key.1', bytes: 100, sha256 }],
}
const sequence = { name: 'audit.event_seq', last: '17', called: true }
const whole: Manifest = {
  format: 'rekey-backup-v1',
  version: '0.1.0',
  postgres: '18.1',
  createdAt: '2026-11-26T12:00:00.000Z',
  migrations: [{ name: '20260101000000_first', checksum: sha256 }],
  installation: { id: 'i', incarnation: 'n', cluster: 'c' },
  keks: ['k1', 'k2'],
  pepper: 'p1',
  highWater: { id: 'e', leafHash: sha256, at: '2026-11-26T11:00:00.000Z' },
  log: { events: 17, digest: sha256 },
  months: ['2026-11'],
  tables: [table],
  sequences: [sequence],
}
const read = (change: object) => readManifest(JSON.stringify({ ...whole, ...change }))

describe('a manifest is read', () => {
  test.each<readonly [what: string, change: object]>([
    ['as it was written', {}],
    [
      'of an installation that was never started',
      { installation: null, pepper: null, highWater: null, keks: [] },
    ],
    [
      'without rows and events',
      { tables: [], sequences: [], months: [], log: { events: 0, digest: sha256 } },
    ],
    ['with a table without rows', { tables: [{ ...table, rows: 0, parts: [] }] }],
    [
      'with tables of all schemas',
      { tables: ['app', 'audit', 'vault'].map((schema) => ({ ...table, name: `${schema}.a_b` })) },
    ],
  ])('%s', (_what, change) => {
    expect(read(change)).toEqual({ ...whole, ...change })
  })
})

describe('it is none', () => {
  test.each<readonly [what: string, text: string]>([
    ['that is no JSON', '{'],
    ['that is empty', ''],
    ['that is null', 'null'],
    ['that is a list', JSON.stringify([whole])],
    ['that is cut', JSON.stringify(whole).slice(0, -1)],
  ])('%s', (_what, text) => {
    expect(readManifest(text)).toBeNull()
  })

  test.each(Object.keys(whole))('without %s', (member) => {
    expect(read({ [member]: undefined })).toBeNull()
  })

  test.each<readonly [what: string, change: object]>([
    ['of another form', { format: 'rekey-backup-v2' }],
    ['with more than this version knows', { more: true }],
    ['without migrations', { migrations: [] }],
    ['with a migration without its checksum', { migrations: [{ name: 'a' }] }],
    ['with a checksum that is none', { migrations: [{ name: 'a', checksum: 'b' }] }],
    ['with half an installation', { installation: { id: 'i' } }],
    ['with more of an installation', { installation: { ...whole.installation, key: 'k' } }],
    ['with a KEK that is no text', { keks: [1] }],
    ['with less than no events', { log: { events: -1, digest: sha256 } }],
    ['with half an event', { log: { events: 0.5, digest: sha256 } }],
    ['with a digest in capitals', { log: { events: 1, digest: sha256.toUpperCase() } }],
    ['with a digest that is too long', { log: { events: 1, digest: `${sha256}a` } }],
    ['with more of the log', { log: { ...whole.log, first: 'e' } }],
    ['with a last event without its hash', { highWater: { id: 'e', at: 'now' } }],
    ['with a time that is none', { createdAt: 'yesterday' }],
    ['with a thirteenth month', { months: ['2026-13'] }],
    ['with a month that is a day', { months: ['2026-11-26'] }],
    ['with a month after others', { months: ['in 2026-11'] }],
    ['with a table of another schema', { tables: [{ ...table, name: 'public.key' }] }],
    ['with a table that is SQL', { tables: [{ ...table, name: 'app.key; DROP TABLE app.key' }] }],
    ['with SQL before a table', { tables: [{ ...table, name: 'x;app.key' }] }],
    ['with a table without columns', { tables: [{ ...table, columns: [] }] }],
    ['with a column that is SQL', { tables: [{ ...table, columns: ['id) --'] }] }],
    ['with SQL before a column', { tables: [{ ...table, columns: ['"id'] }] }],
    [
      'with a part without its digest',
      { tables: [{ ...table, parts: [{ name: 'a', bytes: 1 }] }] },
    ],
    [
      'with a part of less than nothing',
      { tables: [{ ...table, parts: [{ name: 'a', bytes: -1, sha256 }] }] },
    ],
    [
      'with more of a part',
      { tables: [{ ...table, parts: [{ ...table.parts[0], path: '/etc' }] }] },
    ],
    ['with more of a table', { tables: [{ ...table, owner: 'root' }] }],
    ['with a sequence that is a number', { sequences: [{ ...sequence, last: 17 }] }],
    ['with a sequence of another schema', { sequences: [{ ...sequence, name: 'pg_catalog.a' }] }],
    [
      'with a sequence that does not say whether it was called',
      { sequences: [{ name: 'app.a', last: '1' }] },
    ],
    ['with more of a sequence', { sequences: [{ ...sequence, step: 1 }] }],
  ])('%s', (_what, change) => {
    expect(read(change)).toBeNull()
  })

  test('whatever it is instead, nothing is thrown', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(readManifest(text)).toBeNull()
      }),
    )
  })
})

test('a part fits into memory, and the manifest is found by its name', () => {
  expect(mostPartBytes).toBe(4 * 1024 * 1024)
  expect(manifestName).toBe('manifest.json')
})

test('a refusal says why in a word, in a sentence, and what to do', () => {
  const refused = new BackupRefused('damaged', 'A part is not what it was.', 'Take another one.')
  expect(refused).toBeInstanceOf(Error)
  expect(refused).toMatchObject({
    name: 'BackupRefused',
    why: 'damaged',
    message: 'A part is not what it was.',
    hint: 'Take another one.',
  })
})

test('a backup needs every pepper that it names, under its number; one of before there were several needs the one', () => {
  const [first, second] = [
    { number: 1, id: 'a' },
    { number: 2, id: 'b' },
  ]
  const of = { pepper: 'b', peppers: [first, second] }
  expect(missingPeppers(of, [second, first])).toEqual([])
  expect(missingPeppers(of, [first])).toEqual([second])
  expect(missingPeppers(of, [second, { number: 1, id: 'other' }])).toEqual([first])
  expect(missingPeppers(of, [])).toEqual([first, second])
  expect(missingPeppers({ pepper: 'a' }, [first])).toEqual([])
  expect(missingPeppers({ pepper: 'a', peppers: [] }, [second])).toEqual([first])
  expect(missingPeppers({ pepper: null }, [])).toEqual([])
})
