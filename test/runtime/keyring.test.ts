import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Secret } from '#domain/secret.ts'
import { makeKeyring, openKeyring, WrongKek } from '#runtime/keyring.ts'
import { openWriterKey } from '#runtime/writer-key.ts'

const key = (): Uint8Array => new Uint8Array(randomBytes(32))

describe('a sealed box', () => {
  test('opens under its context, and shows nothing of what is in it', () => {
    const keyring = makeKeyring(key(), key())
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.string(), (material, context) => {
        const box = keyring.seal(new Secret(material), context)
        expect(keyring.open(box, context).reveal()).toEqual(material)
        expect(box.ciphertext.length).toBe(material.length + 28)
      }),
    )
  })

  test('does not open when a bit of it, its context or its KEK is another', () => {
    const keyring = makeKeyring(key(), key())
    const box = keyring.seal(new Secret('the material'), 'context')
    fc.assert(
      fc.property(
        fc.constantFrom('wrappedKey', 'ciphertext'),
        fc.nat(),
        fc.integer({ min: 0, max: 7 }),
        (part, at, bit) => {
          const bent = new Uint8Array(box[part])
          const index = at % bent.length
          bent[index] = (bent[index] ?? 0) ^ (1 << bit)
          expect(() => keyring.open({ ...box, [part]: bent }, 'context')).toThrow()
        },
      ),
    )
    expect(() => keyring.open(box, 'another context')).toThrow()
    expect(() =>
      keyring.open({ ...box, ciphertext: box.ciphertext.subarray(0, 20) }, 'context'),
    ).toThrow()
    const other = makeKeyring(key(), key())
    expect(() => other.open(box, 'context')).toThrow(WrongKek)
    expect(() => other.open({ ...box, kekId: other.kekId }, 'context')).toThrow()
  })

  test('of the same text is never the same', () => {
    const keyring = makeKeyring(key(), key())
    const boxes = Array.from({ length: 50 }, () =>
      Buffer.from(keyring.seal(new Secret('x'), 'c').ciphertext).toString('hex'),
    )
    expect(new Set(boxes).size).toBe(50)
  })
})

test('a fingerprint depends on the pepper and the material, not on the KEK, and names its pepper', () => {
  const pepper = key()
  const a = makeKeyring(key(), pepper)
  const b = makeKeyring(key(), pepper)
  const print = a.fingerprint(new Secret('x'))
  expect(b.fingerprint(new Secret(new TextEncoder().encode('x')))).toEqual(print)
  expect(a.fingerprint(new Secret('y'))).not.toEqual(print)
  expect(makeKeyring(key(), key()).fingerprint(new Secret('x'))).not.toEqual(print)
  expect(print).toHaveLength(33)
  expect(print[0]).toBe(1)
})

test('a mac is bound to its purpose', () => {
  const keyring = makeKeyring(key(), key())
  expect(keyring.mac('a', 'text')).toEqual(keyring.mac('a', 'text'))
  expect(keyring.mac('b', 'text')).not.toEqual(keyring.mac('a', 'text'))
})

describe('key files', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rekey-keys-'))
  })
  afterEach(() => rm(folder, { recursive: true }))
  const open = () =>
    openKeyring({ kekFile: join(folder, 'sub', 'kek'), pepperFile: join(folder, 'pepper') })

  test('are made at the first start, for the owner only, and read at the next', async () => {
    const first = await open()
    expect((await stat(join(folder, 'sub', 'kek'))).mode & 0o777).toBe(0o600)
    const second = await open()
    expect(second.kekId).toBe(first.kekId)
    expect(second.open(first.seal(new Secret('x'), 'c'), 'c').reveal()).toEqual(
      new TextEncoder().encode('x'),
    )
  })

  test('are refused when others can read them', async () => {
    await open()
    await chmod(join(folder, 'pepper'), 0o640)
    await expect(open()).rejects.toThrow(/mode 0640.*chmod 600/)
  })

  test('are refused when they hold something else, and left as they are', async () => {
    const path = join(folder, 'pepper')
    await writeFile(path, 'something else\n', { mode: 0o600 })
    await expect(open()).rejects.toThrow(/does not hold a fingerprint pepper/)
    expect(await readFile(path, 'utf8')).toBe('something else\n')
  })

  test('two processes that start at once end with the same key', async () => {
    const rings = await Promise.all(Array.from({ length: 8 }, open))
    expect(new Set(rings.map((ring) => ring.kekId)).size).toBe(1)
  })

  test('a writer key is 32 bytes and stays', async () => {
    const path = join(folder, 'writer-key')
    const seed = await openWriterKey(path)
    expect(seed.reveal()).toHaveLength(32)
    expect((await openWriterKey(path)).reveal()).toEqual(seed.reveal())
  })
})
