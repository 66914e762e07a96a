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
  })
  test('of a regress, where it knows no installation and this machine does', () => {
    expect(suspect({ ...sound, row: null, markIsThere: false, last: null })?.reason).toBe('regress')
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

test('what is kept in the database itself is lost as far back as it went, and only then', () => {
  const equal = judge([version(1, '1', { primary: true })], [there('1', 'enabled', true)])
  const evidence = { lastEventAt: '2026-11-24T12:00:00.000Z', seen: { at: '2026-11-25T01:00:00Z' } }
  const lost = wentBack(equal, { reason: 'regress', evidence })
  expect(lost).toMatchObject({ state: 'lost', facts: { wentBack: true } })
  expect(lost.detail).toContain('2026-11-24T12:00:00.000Z')
  expect(lost.detail).toContain('2026-11-25T01:00:00Z')
  expect(wentBack(equal, { reason: 'otherCluster', evidence })).toEqual(equal)
})
