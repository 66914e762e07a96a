import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bytesOfFingerprint, pepperOf } from '#domain/fingerprint.ts'
import { Secret } from '#domain/secret.ts'
import { keyringOver, makeKeyring, openKeyring, WrongKek } from '#runtime/keyring.ts'
import { WrongPepper } from '#runtime/peppers.ts'
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
  expect(bytesOfFingerprint(print)).toHaveLength(33)
  expect(pepperOf(print)).toBe(1)
})

describe('peppers', () => {
  const ringOf = (lines: () => readonly (readonly [number, Uint8Array])[]) => {
    const kek = key()
    return keyringOver(() => [kek], lines)
  }
  const digest = (text: string): Uint8Array => createHash('sha256').update(text).digest()
  const named = (ring: ReturnType<typeof ringOf>, number: number) => {
    const found = ring.peppers.inFile.find((pepper) => pepper.number === number)
    if (!found) throw new Error(`no pepper ${number}`)
    return found
  }

  test('material is known again by each of them, and new fingerprints are made by the one that the database names', () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 255 }), { minLength: 2, maxLength: 5 })
    fc.assert(
      fc.property(numbers, fc.nat(), fc.string(), fc.string(), (of, pick, text, other) => {
        const lines = of.map((number) => [number, key()] as const)
        const ring = ringOf(() => lines)
        const makes = of[pick % of.length] ?? 0
        const before = of.map((number) => {
          ring.peppers.obey({ makes: named(ring, number), inUse: [], retired: [] })
          return ring.fingerprint(new Secret(text))
        })
        ring.peppers.obey({ makes: named(ring, makes), inUse: [], retired: [] })
        expect(ring.peppers.making.number).toBe(makes)
        expect(pepperOf(ring.fingerprint(new Secret(text)))).toBe(makes)
        expect(ring.fingerprints(new Secret(text)).map(pepperOf)[0]).toBe(makes)
        expect(new Set(ring.fingerprints(new Secret(text)).map(pepperOf))).toEqual(new Set(of))
        expect(ring.fingerprintsOf(digest(text))).toEqual(ring.fingerprints(new Secret(text)))
        for (const print of before) {
          expect(ring.isFingerprintOf(print, new Secret(text))).toBe(true)
          expect(ring.isFingerprintOf(print, new Secret(other))).toBe(text === other)
        }
      }),
      { numRuns: 30 },
    )
  })

  test('a fingerprint of a pepper that is not here makes the file be read again, and is refused where it is not there either', () => {
    const lines: (readonly [number, Uint8Array])[] = [[1, key()]]
    const ring = ringOf(() => lines)
    const second = key()
    const other = ringOf(() => [[2, second]])
    const print = other.fingerprint(new Secret('x'))
    expect(() => ring.isFingerprintOf(print, new Secret('x'))).toThrow(WrongPepper)
    expect(() => ring.mustKnow([1, 2])).toThrow(WrongPepper)
    lines.push([2, second])
    expect(ring.isFingerprintOf(print, new Secret('x'))).toBe(true)
    expect(() => ring.mustKnow([1, 2])).not.toThrow()
    expect(ring.peppers.making.number).toBe(1)
  })

  test('a retired one makes and knows nothing any more, and is no reason to wait', () => {
    const lines = [1, 2].map((number) => [number, key()] as const)
    const ring = ringOf(() => lines)
    const [first, second] = ring.peppers.inFile
    const print = ring.fingerprint(new Secret('x'))
    ring.peppers.obey({ makes: second ?? null, inUse: first ? [first] : [], retired: [] })
    expect(ring.isFingerprintOf(print, new Secret('x'))).toBe(true)
    ring.peppers.obey({ makes: second ?? null, inUse: [], retired: first ? [first] : [] })
    ring.peppers.reread()
    expect(ring.fingerprints(new Secret('x'))).toHaveLength(1)
    expect(() => ring.isFingerprintOf(print, new Secret('x'))).toThrow(WrongPepper)
    expect(() => ring.mustKnow([1])).not.toThrow()
  })

  test('a number is one pepper: another under it is refused, and the file may still be put right', () => {
    const right = key()
    let lines: readonly (readonly [number, Uint8Array])[] = [
      [1, key()],
      [2, key()],
    ]
    const ring = ringOf(() => lines)
    const said = ringOf(() => [[2, right]]).peppers.making
    expect(() => ring.peppers.obey({ makes: said, inUse: [], retired: [] })).toThrow(WrongPepper)
    expect(ring.peppers.making.number).toBe(1)
    lines = lines.map(([number, pepper]) => [number, number === 2 ? right : pepper])
    ring.peppers.reread()
    ring.peppers.obey({ makes: said, inUse: [], retired: [] })
    // From here on no file changes what number 2 means.
    lines = [[2, key()]]
    ring.peppers.reread()
    expect(ring.peppers.making).toEqual(said)
    expect(() =>
      ringOf(() => [
        [1, right],
        [1, key()],
      ]),
    ).toThrow(/there twice/)
    expect(() => ringOf(() => [[256, right]])).toThrow(/past 255/)
  })
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
