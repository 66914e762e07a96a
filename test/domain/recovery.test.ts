import { describe, expect, test } from 'vitest'
import type { Version } from '#domain/key.ts'
import type { ProviderVersion } from '#domain/provider.ts'
import {
  type HighWater,
  type Installation,
  reconcile,
  suspect,
  wentBack,
} from '#domain/recovery.ts'

const at = new Date('2026-11-24T00:00:00Z')
const row: Installation = {
  id: 'installation-1',
  incarnation: 'life-1',
  cluster: '7/1',
  pepperId: 'p',
  restoredFrom: null,
  createdAt: at,
  updatedAt: at,
}
const mark: HighWater = {
  installation: 'installation-1',
  incarnation: 'life-1',
  cluster: '7/1',
  events: [{ id: 'e2', leafHash: 'h2', at: '2026-11-25T00:00:00.000Z' }],
}
const sound = {
  mark,
  row,
  cluster: '7/1',
  markIsThere: true,
  markWasSuperseded: false,
  last: { at },
} as const

describe('a database is suspected', () => {
  test('of nothing, where the events that were seen are in it', () => {
    expect(suspect(sound)).toBeNull()
    expect(suspect({ ...sound, mark: null, row: null, markIsThere: false })).toBeNull()
    expect(suspect({ ...sound, mark: null, markIsThere: false })).toBeNull()
  })
  test('of a regress, where an event that was seen is gone', () => {
    const found = suspect({ ...sound, markIsThere: false })
    expect(found).toMatchObject({
      reason: 'regress',
      evidence: { lastEventAt: at.toISOString(), seen: { id: 'e2' } },
    })
    expect(found?.detail).toContain('2026-11-25T00:00:00.000Z')
    expect(found?.evidence).toEqual({
      seen: mark.events[0],
      lastEventAt: at.toISOString(),
      cluster: { was: '7/1', is: '7/1' },
      restoredFrom: null,
    })
    // A mark that was written before it had seen anything.
    const unseen = suspect({ ...sound, mark: { ...mark, events: [] }, markIsThere: false })
    expect(unseen?.detail).toContain('until an unknown time')
    expect(unseen?.evidence).toMatchObject({ seen: null })
  })
  test('of a regress, where it knows no installation and this machine does', () => {
    const empty = suspect({ ...sound, row: null, cluster: '8/1', markIsThere: false, last: null })
    expect(empty).toEqual({
      reason: 'regress',
      detail:
        'the log of this database is empty, and this process has seen events until 2026-11-25T00:00:00.000Z',
      evidence: {
        seen: mark.events[0],
        lastEventAt: null,
        cluster: { was: '7/1', is: '8/1' },
        restoredFrom: null,
      },
    })
    const unseen = suspect({ ...sound, row: null, mark: { ...mark, events: [] } })
    expect(unseen?.detail).toBe(
      `the log of this database ends at ${at.toISOString()}, and this process has seen events until an unknown time`,
    )
  })
  test('of another cluster, even where nothing is missing', () => {
    expect(suspect({ ...sound, cluster: '8/1' })?.reason).toBe('otherCluster')
    expect(suspect({ ...sound, mark: null, cluster: '8/1' })?.reason).toBe('otherCluster')
  })
  test('of a restore, where `rekey restore` made it, on whatever host', () => {
    const restoredFrom = {
      takenAt: '2026-11-24T00:00:00.000Z',
      restoredAt: '2026-11-25T00:00:00.000Z',
    }
    const restored = { ...row, restoredFrom }
    expect(suspect({ ...sound, row: restored, mark: null })?.reason).toBe('restored')
    // What was seen tells more: how far it went back.
    expect(suspect({ ...sound, row: restored, markIsThere: false })).toMatchObject({
      reason: 'regress',
      evidence: { restoredFrom },
    })
  })
  test('of another installation', () => {
    const other = { ...row, id: 'installation-2' }
    expect(suspect({ ...sound, row: other })?.reason).toBe('otherInstallation')
  })
  test('of nothing, where an admin has accepted the restore that ended what was seen', () => {
    const next = { ...row, incarnation: 'life-2' }
    expect(suspect({ ...sound, row: next, markIsThere: false, markWasSuperseded: true })).toBeNull()
    // A backup of before that acceptance, restored once more.
    const after = { ...mark, incarnation: 'life-2' }
    expect(suspect({ ...sound, mark: after, markIsThere: false })?.reason).toBe('regress')
  })
})

const version = (n: number, carrier: string, more: Partial<Version> = {}): Version => ({
  keyId: 'k',
  version: n,
  state: 'active',
  primary: false,
  providerVersions: [carrier],
  materialKnown: true,
  fingerprint: null,
  sealedId: null,
  rotationId: null,
  verifiedAt: at,
  createdAt: at,
  activatedAt: at,
  suspendedAt: null,
  deactivatedAt: null,
  compromisedAt: null,
  destroyedAt: null,
  ...more,
})
const there = (
  id: string,
  state: ProviderVersion['state'],
  current = false,
  createdAt = at,
): ProviderVersion => ({ id, state, current, createdAt })
const logEndsAt = new Date('2026-11-24T12:00:00Z')
const later = new Date('2026-11-25T06:00:00Z')
const judge = (
  ours: readonly Version[],
  versions: readonly ProviderVersion[] | null,
  replaced = false,
) => reconcile(ours, { versions, replaced }, logEndsAt)

describe('a key is', () => {
  const ours = [version(1, '1', { state: 'deactivated' }), version(2, '2', { primary: true })]
  test('equal, where nothing happened', () => {
    expect(judge(ours, [there('1', 'disabled'), there('2', 'enabled', true)]).state).toBe('equal')
  })
  test('equal, although the provider has versions from before it came under management', () => {
    const old = there('0', 'enabled', false, new Date('2020-01-01T00:00:00Z'))
    expect(judge(ours, [old, there('2', 'enabled', true)]).state).toBe('equal')
  })
  test('to adopt, where the provider serves a version that is not known', () => {
    const verdict = judge(ours, [there('2', 'disabled'), there('3', 'enabled', true, later)])
    expect(verdict).toMatchObject({
      state: 'adopt',
      facts: { successor: '3', carrier: '2', carrierState: 'disabled' },
    })
  })
  test('to adopt, where a version that was made but not promoted serves now', () => {
    const staged = [...ours, version(3, '3', { state: 'preActivation' })]
    const verdict = judge(staged, [there('2', 'disabled'), there('3', 'enabled', true)])
    expect(verdict).toMatchObject({ state: 'adopt', facts: { successor: '3' } })
  })
  test('to adopt, where nothing points at a version and exactly one unknown one stands in', () => {
    const verdict = judge(ours, [there('2', 'disabled'), there('3', 'enabled', false, later)])
    expect(verdict).toMatchObject({ state: 'adopt', facts: { successor: '3' } })
    const two = [there('3', 'enabled', false, later), there('4', 'enabled', false, later)]
    expect(judge(ours, [there('2', 'disabled'), ...two]).state).toBe('lost')
  })
  test('to adopt, where an old version has gone on its way', () => {
    const overlapping = [version(1, '1'), version(2, '2', { primary: true })]
    const verdict = judge(overlapping, [there('1', 'disabled'), there('2', 'enabled', true)])
    expect(verdict).toMatchObject({
      state: 'adopt',
      facts: { changed: [{ version: 1, id: '1', state: 'disabled' }] },
    })
    expect(verdict.facts).not.toHaveProperty('successor')
  })
  test('an orphan’s, where a new version was made and nobody is served by it', () => {
    const verdict = judge(ours, [there('2', 'enabled', true), there('3', 'enabled', false, later)])
    expect(verdict).toMatchObject({ state: 'orphan', facts: { unknown: [{ id: '3' }] } })
  })
  test('lost, where the object is gone, or what serves is', () => {
    expect(judge(ours, null).state).toBe('lost')
    expect(judge(ours, [there('2', 'destroyed', true)]).state).toBe('lost')
    expect(judge(ours, [there('1', 'disabled')]).state).toBe('lost')
  })
  test('lost, where the same number holds another value', () => {
    expect(judge(ours, [there('2', 'enabled', true)], true).state).toBe('lost')
  })
  test('equal, where its object was never made', () => {
    expect(judge([], null).state).toBe('equal')
    expect(judge([], [there('1', 'enabled', true, later)])).toMatchObject({
      state: 'adopt',
      facts: { successor: '1' },
    })
  })
})

describe('of what a provider tells', () => {
  const ours = [version(1, '1', { state: 'deactivated' }), version(2, '2', { primary: true })]
  const serves = there('2', 'enabled', true)
  test('what is as it was says so, and what is there', () => {
    expect(judge(ours, [there('1', 'disabled'), serves])).toEqual({
      state: 'equal',
      detail: 'What is known here is so at the provider.',
      facts: { carrier: '2', carrierState: 'enabled', current: '2', unknown: [], changed: [] },
    })
    expect(judge(ours, [there('2', 'enabled')]).facts).toMatchObject({ current: null })
  })
  test('what could not be compared is said', () => {
    const told = { versions: [serves], replaced: false, unseen: 'reading v1.2 is refused.' }
    expect(reconcile(ours, told, logEndsAt)).toMatchObject({
      state: 'equal',
      detail:
        'The versions are as known here; whether the value is could not be compared: reading v1.2 is refused.',
    })
  })
  test('a version of ours is no news, nor is one that is destroyed', () => {
    const known = [...ours, version(3, '3', { state: 'preActivation' })]
    const made = there('3', 'enabled', false, later)
    expect(judge(known, [serves, made])).toMatchObject({ state: 'equal', facts: { unknown: [] } })
    const gone = there('9', 'destroyed', false, later)
    expect(judge(ours, [serves, gone])).toMatchObject({ state: 'equal', facts: { unknown: [] } })
  })
  test('a version is news from five minutes before the end of the log on, or where its age is not told', () => {
    const after = (minutes: number) => new Date(logEndsAt.getTime() + minutes * 60_000)
    const stateAt = (createdAt: Date) =>
      judge(ours, [serves, there('9', 'enabled', false, createdAt)]).state
    expect([-6, -5, -4].map((n) => stateAt(after(n)))).toEqual(['equal', 'equal', 'orphan'])
    const ageless = { id: '9', state: 'enabled', current: false } as const
    expect(judge(ours, [serves, ageless]).state).toBe('orphan')
    // Nobody knows when the log ended: all of them are.
    const told = { versions: [serves, there('9', 'enabled')], replaced: false }
    expect(reconcile(ours, told, null).state).toBe('orphan')
  })
  test('orphans are counted and named', () => {
    const made = (id: string) => there(id, 'enabled', false, later)
    expect(judge(ours, [serves, made('8')]).detail).toBe(
      'The provider has version 8, not known here and not served.',
    )
    expect(judge(ours, [serves, made('8'), made('9')]).detail).toBe(
      'The provider has versions 8, 9, not known here and not served.',
    )
    const many = Array.from({ length: 21 }, (_, n) => made(`s${n}`))
    expect(judge(ours, [serves, ...many]).detail).toMatch(/s18, s19 and 1 more, not known/)
    expect(judge(ours, [serves, ...many.slice(1)]).detail).toMatch(/s19, s20, not known/)
  })
  test('what serves here and is gone says how', () => {
    expect(judge(ours, null)).toMatchObject({ facts: { carrier: '2' } })
    expect(judge(ours, [there('2', 'disabled', true)]).detail).toBe(
      'Version 2, which serves here, is disabled at the provider, and no other stands in for it.',
    )
    expect(judge(ours, [there('1', 'disabled')]).detail).toContain('serves here, is gone at')
    expect(judge([], [there('9', 'disabled', false, later)])).toMatchObject({ state: 'orphan' })
  })
  test('who took the place of ours is named, and what it is here', () => {
    const next = there('3', 'enabled', true, later)
    expect(judge(ours, [there('2', 'disabled'), next]).detail).toBe(
      'The provider serves version 3; here it is 2.',
    )
    expect(judge([], [next]).detail).toBe('The object has version 3, and none is known here.')
    // Ours works, and the pointer is on one that is known: a rotation that is under way has put it there.
    expect(judge(ours, [there('1', 'enabled', true), there('2', 'enabled')]).state).toBe('equal')
    expect(judge(ours, [there('1', 'enabled', true)])).toMatchObject({
      state: 'adopt',
      facts: { successor: '1' },
    })
    // The pointer is on one that is off: it is nobody’s successor.
    expect(judge(ours, [there('3', 'disabled', true, later), there('2', 'disabled')]).state).toBe(
      'lost',
    )
  })
  test('without a pointer a stranger stands in only where it is on and ours is off', () => {
    const stranger = there('3', 'enabled', false, later)
    const off = there('4', 'disabled', false, later)
    expect(judge(ours, [there('2', 'enabled'), stranger]).state).toBe('orphan')
    expect(judge(ours, [there('2', 'disabled'), stranger, off])).toMatchObject({
      state: 'adopt',
      facts: { successor: '3' },
    })
    expect(judge(ours, [there('2', 'disabled'), off]).state).toBe('lost')
    // What is pointed at is ours, and off.
    expect(judge(ours, [there('2', 'disabled', true), stranger]).state).toBe('lost')
  })
  test('other states are told of versions that have been somewhere, and not of the primary', () => {
    const known = [
      version(1, '1', { state: 'suspended' }),
      version(2, '2', { primary: true }),
      version(3, '3', { state: 'preActivation' }),
      version(4, '4', { state: 'preActivation', providerVersions: [] }),
      version(5, '5', { state: 'destroyed' }),
    ]
    const as = (first: ProviderVersion['state']) =>
      judge(known, [serves, there('1', first), there('5', 'destroyed')])
    expect(as('disabled').state).toBe('equal')
    expect(as('enabled')).toMatchObject({
      state: 'adopt',
      detail: 'Versions are in other states than known here: 1 is enabled.',
      facts: { changed: [{ version: 1, id: '1', state: 'enabled' }] },
    })
  })
})

test('what is kept in the database itself is lost as far back as it went, and only then', () => {
  const equal = judge([version(1, '1', { primary: true })], [there('1', 'enabled', true)])
  const evidence = { lastEventAt: '2026-11-24T12:00:00.000Z', seen: { at: '2026-11-25T01:00:00Z' } }
  const lost = wentBack(equal, { reason: 'regress', evidence })
  expect(lost).toMatchObject({ state: 'lost', facts: { wentBack: true } })
  expect(lost.detail).toContain('2026-11-24T12:00:00.000Z')
  expect(lost.detail).toContain('2026-11-25T01:00:00Z')
  expect(wentBack(equal, { reason: 'otherCluster', evidence })).toEqual(equal)
})
