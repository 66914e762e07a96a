import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Secret } from '#domain/secret.ts'
import { makeKeyring } from '#runtime/keyring.ts'
import { openDatabase } from '#store/database.ts'
import { createVaultStore } from '#store/vault-store.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { write } from './records.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await openTestDatabase()
})
afterAll(() => db.close())

const open = async (id: string): Promise<Uint8Array | null> =>
  (await db.ledger.read((read) => read.sealed.open(id)))?.reveal() ?? null
const seal = (text: string): Promise<string> =>
  write(db, (tx) => tx.writeSealed.insert(new Secret(text), 'test'))

describe('sealed material', () => {
  test('comes back as it was, and stands nowhere in the database in the clear', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc
          .string({ minLength: 8, unit: 'grapheme' })
          .filter((s) => s.isWellFormed() && Buffer.byteLength(s) >= 8),
        async (text) => {
          const id = await seal(text)
          expect(Buffer.from((await open(id)) ?? []).toString('utf8')).toBe(text)
          const [row] = await db.sql(
            'SELECT position($2::bytea IN wrapped_key || ciphertext) AS at FROM app.sealed WHERE id = $1',
            [id, Buffer.from(text)],
          )
          expect(row?.['at']).toBe(0)
        },
      ),
      { numRuns: 20 },
    )
  })

  test('names its KEK, and is gone for good once erased', async () => {
    const id = await seal('a secret')
    const [row] = await db.sql('SELECT kek_id FROM app.sealed WHERE id = $1', [id])
    expect(row?.['kek_id']).toBe(db.keyring.kekId)
    await write(db, (tx) => tx.writeSealed.erase(id))
    expect(await open(id)).toBeNull()
    const [erased] = await db.sql(
      'SELECT wrapped_key, ciphertext, erased_at FROM app.sealed WHERE id = $1',
      [id],
    )
    expect(erased).toMatchObject({ wrapped_key: null, ciphertext: null })
    expect(erased?.['erased_at']).not.toBeNull()
  })

  test('does not open when its row was exchanged for another', async () => {
    const [mine, other] = [await seal('mine'), await seal('other')]
    await db.sql(
      `UPDATE app.sealed a SET wrapped_key = b.wrapped_key, ciphertext = b.ciphertext FROM app.sealed b WHERE a.id = $1 AND b.id = $2`,
      [mine, other],
    )
    await expect(open(mine)).rejects.toThrow()
    expect(Buffer.from((await open(other)) ?? []).toString()).toBe('other')
  })

  test('two seals of one text have nothing in common', async () => {
    const [a, b] = [await seal('same'), await seal('same')]
    const rows = await db.sql('SELECT ciphertext FROM app.sealed WHERE id = ANY ($1)', [[a, b]])
    expect(rows[0]?.['ciphertext']).not.toEqual(rows[1]?.['ciphertext'])
  })
})

describe('the vault', () => {
  const material = (): Secret<Uint8Array> => new Secret(new Uint8Array(randomBytes(32)))
  const insert = (object: string, operationId: string, secret = material()) =>
    db.vault.insert({ object, operationId, algorithm: 'secret', material: secret, publicKey: null })

  test('numbers versions from 1, and an operation makes one however often and at once it is tried', async () => {
    const tries = await Promise.all([1, 2, 3, 4].map(() => insert('once', 'op')))
    expect(new Set(tries.map((t) => t.version))).toEqual(new Set([1]))
    expect(tries.filter((t) => t.created)).toHaveLength(1)
    expect(await db.vault.find('once', 'op')).toBe(1)
    expect(await db.vault.find('once', 'other')).toBeNull()
  })

  test('gives different operations different numbers, also at once', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, (_, n) => insert('many', `op-${n}`)))
    expect(made.map((m) => m.version).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  test('keeps the first material of an operation', async () => {
    const first = material()
    await insert('first', 'op', first)
    await insert('first', 'op', material())
    expect((await db.vault.open('first', 1))?.reveal()).toEqual(first.reveal())
  })

  test('moves the pointer by compare and swap', async () => {
    await insert('pointer', 'a')
    await insert('pointer', 'b')
    expect(await db.vault.current('pointer')).toBeNull()
    expect(await db.vault.move('pointer', 1, 2)).toBe(false)
    expect(await db.vault.move('pointer', null, 1)).toBe(true)
    expect(await db.vault.move('pointer', null, 2)).toBe(false)
    expect(await db.vault.move('pointer', 1, 2)).toBe(true)
    expect(await db.vault.current('pointer')).toBe(2)
  })

  test('opens enabled versions, disabled ones only when asked, destroyed ones never', async () => {
    await insert('states', 'a')
    expect(await db.vault.open('states', 1)).not.toBeNull()
    expect(await db.vault.setState('states', 1, 'enabled')).toBe(false)
    expect(await db.vault.setState('states', 1, 'disabled')).toBe(true)
    expect(await db.vault.open('states', 1)).toBeNull()
    expect(await db.vault.open('states', 1, true)).not.toBeNull()
    expect(await db.vault.setState('states', 1, 'enabled')).toBe(true)
    expect(await db.vault.setState('states', 1, 'destroyed')).toBe(true)
    expect(await db.vault.setState('states', 1, 'enabled')).toBe(false)
    expect(await db.vault.open('states', 1, true)).toBeNull()
    const [row] = await db.sql(
      "SELECT wrapped_key, ciphertext FROM vault.material WHERE object = 'states'",
    )
    expect(row).toEqual({ wrapped_key: null, ciphertext: null })
    expect(await db.vault.list('states')).toMatchObject([{ version: 1, state: 'destroyed' }])
  })

  test('remembers the latest use, in whatever order uses are told', async () => {
    await insert('used', 'a')
    const late = new Date('2026-11-02T00:00:00Z')
    await db.vault.used('used', 1, late)
    await db.vault.used('used', 1, new Date('2026-11-01T00:00:00Z'))
    expect((await db.vault.list('used'))[0]?.lastUsedAt).toEqual(late)
  })

  test('is a provider that cannot be reached when its database is gone, and says what may be left', async () => {
    const url = new URL(db.urls.app)
    url.port = '1'
    const database = openDatabase({ url: url.href, poolSize: 1 })
    const gone = createVaultStore({ database, keyring: db.keyring })
    const order = {
      object: 'gone',
      operationId: 'one',
      algorithm: 'secret',
      material: new Secret(new Uint8Array(8)),
      publicKey: null,
    }
    await expect(gone.insert(order)).rejects.toMatchObject({ kind: 'transient', effect: 'unknown' })
    await expect(gone.list('gone')).rejects.toMatchObject({ kind: 'transient', effect: 'none' })
    await database.close()
  })

  test('forgets an object with all that it had', async () => {
    await insert('gone', 'a')
    await db.vault.move('gone', null, 1)
    await db.vault.remove('gone')
    expect(await db.vault.list('gone')).toEqual([])
    expect(await db.vault.current('gone')).toBeNull()
  })

  test('does not open under another KEK, and says both fingerprints', async () => {
    await insert('kek', 'a')
    const other = makeKeyring(new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(32)))
    const wrong = createVaultStore({ database: db.database, keyring: other })
    await expect(wrong.open('kek', 1)).rejects.toThrow(
      new RegExp(`${db.keyring.kekId}.*${other.kekId}`),
    )
  })
})
