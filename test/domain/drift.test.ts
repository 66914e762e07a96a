import { describe, expect, test } from 'vitest'
import { compare } from '#domain/compare-key.ts'
import { type Drift, isTold, shownDrift } from '#domain/drift.ts'
import type { Version } from '#domain/key.ts'
import type { ProviderVersion } from '#domain/provider.ts'
import { asRekeyError } from '#usecases/provider-failures.ts'

const registered = new Date('2026-11-01T00:00:00Z')
const minutesLater = (n: number) => new Date(registered.getTime() + n * 60_000)
const key = { createdAt: registered, observe: null, policy: 'monthly' } as const
const at = { key, nextRotationAt: null }
const told = { replaced: false, carriers: [], facts: {}, missingRights: [] }

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
    readonly policy?: null
    readonly ours?: readonly Version[]
    readonly next?: Date
    readonly missing?: readonly string[]
  } = {},
) =>
  compare(
    {
      key: {
        ...key,
        observe: more.native ? 'native' : null,
        ...(more.policy === null ? { policy: null } : {}),
      },
      versions: [primary, ...(more.ours ?? [])],
      nextRotationAt: more.next ?? null,
    },
    {
      ...told,
      versions,
      carriers: more.carriers ?? [],
      facts: more.auto === undefined ? {} : { autoRotateSeconds: more.auto },
      missingRights: more.missing ?? [],
    },
  )

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

test('of a key without a version nothing is handed out that could be elsewhere, or end', () => {
  const none = { ...at, versions: [] }
  for (const versions of [null, []])
    expect(compare(none, { ...told, versions }).state).toBe('equal')
  const old = { ...primary, primary: false, state: 'deactivated', providerVersions: ['2'] } as const
  const off = there('2', { current: true, state: 'disabled' })
  expect(compare({ ...at, versions: [old] }, { ...told, versions: [off] }).state).toBe('equal')
})

describe('versions that hold the value of ours', () => {
  test('are named, and the one that serves is what is looked at', () => {
    const beside = [there('4', { current: true }), there('5')]
    expect(seen([there('3'), ...beside], { carriers: ['4', '5'] })).toMatchObject({
      state: 'equal',
      detail:
        'Somebody wrote beside Rekey: 4, 5 holds the same value, and the next rotation takes it along.',
      facts: { carrier: '4' },
    })
    expect(seen([served, there('5')]).detail).toBe('What is known here is so at the provider.')
  })
  test('do not stand before ours while that serves, or nothing says what does', () => {
    for (const ours of [served, there('3')])
      expect(seen([ours, there('5')], { carriers: ['5'] }).facts).toMatchObject({ carrier: '3' })
  })
})

test('twenty strangers are named, and no more are counted', () => {
  const some = Array.from({ length: 20 }, (_, n) => there(`s${n}`, { createdAt: minutesLater(60) }))
  const { facts } = seen([...some, served])
  expect(facts['unknown']).toHaveLength(20)
  expect(facts).not.toHaveProperty('unknownMore')
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
  const changed = compare({ ...at, versions: [primary, ...ours] }, { ...told, versions: [served] })
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
  // That an old one was switched off is no rotation.
  const old = { ...primary, version: 2, primary: false, providerVersions: ['2'] }
  for (const how of [{ auto: 3600 }, { native: true }] as const) {
    const off = seen([served, there('2', { state: 'disabled' })], { ours: [old], ...how })
    expect(off.state).toBe('adopt')
    expect(off.facts).not.toHaveProperty('rotatesByItself')
  }
})

test('a pointer on an old version of ours is seen: what is handed out is not what readers there get', () => {
  const old = {
    ...primary,
    version: 2,
    primary: false,
    state: 'deactivated',
    providerVersions: ['2'],
  } as const
  const back = there('2', { current: true })
  expect(seen([back, there('3')], { ours: [old] })).toMatchObject({
    state: 'adopt',
    detail:
      'The provider serves version 2, which is version 2 of the key and deactivated here; here it is 3.',
    facts: { successor: '2' },
  })
  expect(seen([there('2'), served], { ours: [old] }).state).toBe('equal')
})

test('a pointer on a version that is off leaves readers there with nothing, whoever made it', () => {
  for (const id of ['2', '9']) {
    const off = there(id, { current: true, state: 'disabled', createdAt: minutesLater(60) })
    const old = {
      ...primary,
      version: 2,
      primary: false,
      state: 'deactivated',
      providerVersions: ['2'],
    } as const
    expect(seen([off, there('3')], { ours: [old] })).toMatchObject({
      state: 'lost',
      detail: `Whoever reads it at the provider gets version ${id}, which is disabled; here it is 3.`,
      facts: { currentState: 'disabled' },
    })
  }
})

test('what a rotation made and left behind is an orphan of ours', () => {
  const left = {
    ...primary,
    version: 2,
    primary: false,
    state: 'preActivation',
    providerVersions: ['4'],
  } as const
  expect(seen([served, there('4')], { ours: [left] })).toMatchObject({
    state: 'orphan',
    detail:
      'The provider has version 4, which a rotation made and was given up: nobody is handed it.',
    facts: { ours: ['4'] },
  })
  const two = { ...left, providerVersions: ['4', '5'] }
  expect(seen([served, there('4'), there('5')], { ours: [two] }).detail).toContain('version 4, 5,')
  // What readers get is worse.
  const gone = there('3', { current: true, state: 'destroyed' })
  expect(seen([gone, there('4')], { ours: [left] })).toMatchObject({
    state: 'lost',
    facts: { carrier: '3' },
  })
  expect(seen([served, there('4', { state: 'destroyed' })], { ours: [left] }).state).toBe('equal')
  expect(seen([served], { ours: [{ ...left, providerVersions: [] }] }).state).toBe('equal')
  // Beside one that nobody knows.
  const both = seen([served, there('4'), there('9', { createdAt: minutesLater(60) })], {
    ours: [left],
  })
  expect(both.facts).toMatchObject({ ours: ['4'], unknown: [{ id: '9' }] })
  expect(both.detail).toBe(
    'The provider has version 9, not known here and not served. The provider has version 4, which a rotation made and was given up: nobody is handed it.',
  )
})

describe('another tool that rotates it', () => {
  const made = (everyHours: readonly number[]) => {
    let at = 0
    return everyHours.map((hours, n) => {
      at += hours * 60
      return there(`s${n}`, { createdAt: minutesLater(at) })
    })
  }
  test('is known by its cadence', () => {
    const orphan = seen([served, ...made([24, 25, 23, 24])])
    expect(orphan).toMatchObject({ state: 'orphan', facts: { everySeconds: 86_400 } })
    expect(orphan.detail).toContain('about every 1d: another tool rotates it too')
  })
  test('is known in whatever order, beside ours and those whose age is not told', () => {
    const made24 = made([24, 25, 23, 24])
    const ours = there('3', { current: true, createdAt: minutesLater(13 * 60) })
    const ageless = { id: 'a', state: 'enabled', current: false } as const
    for (const versions of [made24.toReversed(), [ours, ...made24], [ageless, ...made24]]) {
      const all = versions.some(({ id }) => id === '3') ? versions : [served, ...versions]
      expect(seen(all).facts).toMatchObject({ everySeconds: 86_400 })
    }
  })
  test('is known by the last ten, a fifth up or down, and every half hour at most', () => {
    const every = (hours: readonly number[]) => seen([served, ...made(hours)]).facts['everySeconds']
    expect(every([90, 1, ...Array.from({ length: 10 }, () => 24)])).toBe(86_400)
    expect(every([10, 8, 10, 12, 10])).toBe(36_000)
    expect(every([10, 7.9, 10, 10, 10])).toBeUndefined()
    expect(every([10, 10, 10, 12.1, 10])).toBeUndefined()
    expect(every([0.5, 0.5, 0.5, 0.5])).toBe(3_600)
  })
  test('does not matter where what serves is gone', () => {
    const gone = there('3', { current: true, state: 'destroyed' })
    const lost = seen([gone, ...made([24, 25, 23, 24])])
    expect(lost.state).toBe('lost')
    expect(lost.facts).not.toHaveProperty('everySeconds')
  })
  test('is not suspected for versions without one', () => {
    for (const hours of [
      [24, 3, 90, 24],
      [24, 24],
      [0.1, 0.1, 0.1, 0.1, 0.1],
    ])
      expect(seen([served, ...made(hours)]).facts['everySeconds']).toBeUndefined()
  })
  test('is the provider itself where it is set so, before it has done it once', () => {
    expect(seen([served], { auto: 3600 })).toMatchObject({
      state: 'automatic',
      detail: expect.stringContaining('every 3600 s'),
      facts: { rotatesByItself: true },
    })
    expect(seen([served], { auto: 3600, native: true }).state).toBe('equal')
  })
})

describe('an end at the provider', () => {
  const ending = there('3', { current: true, expiresAt: minutesLater(600) })
  test('before the next rotation is told, and after it is none', () => {
    expect(seen([ending], { next: minutesLater(700) })).toMatchObject({
      state: 'expiring',
      detail:
        'Version 3, which serves, ends at the provider at 2026-11-01T10:00:00.000Z, and its next rotation is due at 2026-11-01T11:40:00.000Z.',
    })
    expect(seen([ending]).detail).toContain('and no rotation is planned')
    expect(seen([ending], { next: minutesLater(500) }).state).toBe('equal')
    expect(seen([ending], { native: true }).state).toBe('equal')
  })
  test('at the very moment of the next rotation is before it', () => {
    expect(seen([ending], { next: minutesLater(600) })).toMatchObject({
      state: 'expiring',
      facts: { endsAt: '2026-11-01T10:00:00.000Z', nextRotationAt: '2026-11-01T10:00:00.000Z' },
    })
    expect(seen([ending]).facts).toMatchObject({ nextRotationAt: null })
  })
  test('is that of what readers get: what the pointer names, or ours where there is none', () => {
    const ends = { expiresAt: minutesLater(600) }
    const beside = there('4', { current: true, ...ends })
    expect(seen([there('3'), beside], { carriers: ['4'] })).toMatchObject({
      state: 'expiring',
      detail: expect.stringContaining('Version 4, which serves'),
    })
    expect(seen([there('1', { expiresAt: minutesLater(1) }), there('3', ends)])).toMatchObject({
      state: 'expiring',
      detail: expect.stringContaining('Version 3, which serves'),
    })
    expect(seen([there('1', ends), there('3')]).state).toBe('equal')
  })
  test('of a version that nobody is handed is nobody’s business', () => {
    expect(seen([served, there('1', { expiresAt: minutesLater(1) })]).state).toBe('equal')
  })
})

test('rights that a rotation needs are missed before it, where one is to come', () => {
  const missing = ['needs update on secret/data/app/db']
  expect(seen([served], { missing })).toMatchObject({
    state: 'denied',
    detail: 'The connection may no longer rotate it: needs update on secret/data/app/db.',
    facts: { missing },
  })
  const many = Array.from({ length: 21 }, (_, n) => `right ${n}`)
  expect(seen([served], { missing: many })).toMatchObject({
    detail: expect.stringMatching(/: right 0; right 1; .*; right 19\.$/),
    facts: { missingMore: 1 },
  })
  expect(seen([served], { missing, policy: null }).state).toBe('equal')
  expect(seen([served], { missing, native: true }).state).toBe('equal')
  // What readers get is worse.
  expect(seen(null, { missing }).state).toBe('lost')
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
  const silent = { since: at, why: 'it was away, says v1.2.' }
  test('nothing, where all is well or nobody has looked', () => {
    expect(shownDrift(drift({}), 'k')).toBeNull()
    expect(shownDrift(drift({ state: 'pending', since: null, lookedAt: null }), 'k')).toBeNull()
  })
  test('a message goes out for what concerns one key, not for a right of a whole connection', () => {
    const states = ['lost', 'adopt', 'orphan', 'automatic', 'expiring'] as const
    expect(states.map((state) => isTold(state))).toEqual(states.map(() => true))
    for (const state of ['denied', 'equal', 'pending'] as const) expect(isTold(state)).toBe(false)
  })
  test('nothing is shown of what no look has found yet', () => {
    expect(shownDrift(drift({ state: 'lost', since: null }), 'k')).toBeNull()
  })
  test('what was found stands while the provider is silent', () => {
    expect(shownDrift(drift({ state: 'lost', silent }), 'k')).toMatchObject({
      state: 'lost',
      primary: true,
    })
    expect(shownDrift(drift({ silent }), 'k')).toMatchObject({
      state: 'unreachable',
      detail: 'The provider could not be asked: it was away, says v1.2.',
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
    [{ state: 'orphan' }, false, 'rekey adopt key/orders VERSION'],
    [{ state: 'automatic' }, false, 'observe: native'],
    [{ state: 'expiring' }, true, 'rekey rotate key/orders'],
    [{ state: 'denied' }, false, 'rekey doctor'],
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
