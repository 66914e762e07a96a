import { describe, expect, test } from 'vitest'
import { compare, type Drift, shownDrift } from '#domain/drift.ts'
import type { Version } from '#domain/key.ts'
import type { ProviderVersion } from '#domain/provider.ts'
import { asRekeyError } from '#usecases/provider-failures.ts'

const registered = new Date('2026-11-01T00:00:00Z')
const minutesLater = (n: number) => new Date(registered.getTime() + n * 60_000)
const key = { createdAt: registered, observe: null } as const

const primary: Version = {
  keyId: 'k',
  version: 1,
  state: 'active',
  primary: true,
  providerVersions: ['3'],
  materialKnown: true,
  fingerprint: null,
  sealedId: null,
  rotationId: null,
  verifiedAt: null,
  createdAt: registered,
  activatedAt: registered,
  suspendedAt: null,
  deactivatedAt: null,
  compromisedAt: null,
  destroyedAt: null,
}
const there = (id: string, more: Partial<ProviderVersion> = {}): ProviderVersion => ({
  id,
  state: 'enabled',
  current: false,
  createdAt: registered,
  ...more,
})
const served = there('3', { current: true })

const seen = (
  versions: readonly ProviderVersion[] | null,
  more: {
    readonly carriers?: readonly string[]
    readonly auto?: number
    readonly native?: true
  } = {},
) =>
  compare({ ...key, observe: more.native ? 'native' : null }, [primary], {
    versions,
    replaced: false,
    carriers: more.carriers ?? [],
    facts: more.auto === undefined ? {} : { autoRotateSeconds: more.auto },
  })

describe('a version that nobody knows', () => {
  test.each([
    ['was there when the key was registered', -60_000, 'equal'],
    ['came while two clocks may differ', 4, 'equal'],
    ['came after that', 6, 'orphan'],
  ] as const)('%s', (_what, minutes, state) => {
    expect(seen([there('9', { createdAt: minutesLater(minutes) }), served]).state).toBe(state)
  })
  test('is gone again: nothing is left to tell', () => {
    const gone = there('9', { createdAt: minutesLater(60), state: 'destroyed' })
    expect(seen([gone, served]).state).toBe('equal')
  })
  test('serves: its age does not matter', () => {
    const old = there('2', { current: true, createdAt: minutesLater(-60) })
    expect(seen([old, there('3')])).toMatchObject({
      state: 'adopt',
      facts: { successor: '2' },
    })
  })
  test('serves, and holds the very value of ours: readers get what they should', () => {
    const beside = there('4', { current: true, createdAt: minutesLater(60) })
    expect(seen([there('3'), beside], { carriers: ['4'] })).toMatchObject({
      state: 'equal',
      detail: expect.stringContaining('holds the same value'),
    })
    // Ours may be gone meanwhile: the value is still served.
    const gone = there('3', { state: 'destroyed' })
    expect(seen([gone, beside], { carriers: ['4'] }).state).toBe('equal')
  })
})

test('thousands of strangers make no row and no event of thousands', () => {
  const many = Array.from({ length: 3000 }, (_, n) =>
    there(`s${n}`, { createdAt: minutesLater(60) }),
  )
  const orphan = seen([...many, served])
  expect(orphan).toMatchObject({
    state: 'orphan',
    detail: expect.stringMatching(/s18, s19 and 2980 more, not known here/),
    facts: { unknownMore: 2980 },
  })
  expect(orphan.facts['unknown']).toHaveLength(20)
  const ours = Array.from({ length: 30 }, (_, n) => ({
    ...primary,
    version: n + 2,
    primary: false,
    providerVersions: [`o${n}`],
  }))
  const changed = compare(key, [primary, ...ours], {
    versions: [served],
    replaced: false,
    carriers: [],
    facts: {},
  })
  expect(changed).toMatchObject({
    state: 'adopt',
    detail: expect.stringMatching(/o19 is destroyed and 10 more\.$/),
    facts: { changedMore: 10 },
  })
  expect(changed.facts['changed']).toHaveLength(20)
  expect(seen([there('9', { createdAt: minutesLater(60) }), served]).facts).not.toHaveProperty(
    'unknownMore',
  )
})

test('a provider that rotates by itself: said where Rekey should rotate, and right where it watches', () => {
  const next = there('4', { current: true, createdAt: minutesLater(60) })
  expect(seen([there('3'), next], { auto: 3600 })).toMatchObject({
    state: 'adopt',
    detail: expect.stringContaining('every 3600 s'),
    facts: { rotatesByItself: true },
  })
  expect(seen([there('3'), next], { auto: 0 }).facts['rotatesByItself']).toBeUndefined()
  expect(seen([there('3'), next], { native: true }).state).toBe('equal')
  // What serves is gone, whoever rotates it.
  expect(seen(null, { native: true }).state).toBe('lost')
})

describe('what is shown', () => {
  const at = minutesLater(90)
  const drift = (more: Partial<Drift>): Drift => ({
    keyId: 'k',
    state: 'equal',
    detail: 'd',
    facts: {},
    since: registered,
    lookedAt: at,
    silent: null,
    ...more,
  })
  const silent = { since: at, why: 'it was away.' }
  test('nothing, where all is well or nobody has looked', () => {
    expect(shownDrift(drift({}), 'k')).toBeNull()
    expect(shownDrift(drift({ state: 'pending', since: null, lookedAt: null }), 'k')).toBeNull()
  })
  test('what was found stands while the provider is silent', () => {
    expect(shownDrift(drift({ state: 'lost', silent }), 'k')).toMatchObject({
      state: 'lost',
      primary: true,
    })
    expect(shownDrift(drift({ silent }), 'k')).toMatchObject({
      state: 'unreachable',
      detail: 'The provider could not be asked: it was away.',
      since: at,
      primary: false,
    })
    const why = asRekeyError(new TypeError('what a library says')).message
    expect(shownDrift(drift({ silent: { since: at, why } }), 'k')?.detail).toBe(
      'The provider could not be asked.',
    )
  })
  test.each([
    [{ state: 'lost' }, true, 'Bring it back'],
    [{ state: 'adopt', facts: { successor: '4' } }, true, 'Put the former value back'],
    [{ state: 'adopt' }, false, 'Bring the version into the state'],
    [{ state: 'orphan' }, false, 'POST /v1/keys/orders/versions'],
  ] as const)(
    '%o: whether it is about what is handed out, and what helps',
    (found, about, help) => {
      expect(shownDrift(drift(found), 'orders')).toMatchObject({
        primary: about,
        help: expect.stringContaining(help),
      })
    },
  )
})
