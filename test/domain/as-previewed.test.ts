// That an incident has done what was shown before, to that and to nothing else; and what was compromised stays so.

import { describe, expect, test } from 'vitest'
import type { ContainedVersion, VersionEvidence } from '#domain/incident.ts'
import { breachesOf, type IncidentFacts, type KeyFacts } from '#domain/invariants.ts'
import { containedKey, evidenceOf, incidentKeyOf } from '#test/store/records.ts'
import { at, completed, intent, withVersion } from './key-facts.ts'

const shown = (version: number, more: Partial<ContainedVersion> = {}): ContainedVersion => ({
  version,
  state: 'active',
  primary: version === 2,
  providerVersions: [`p${version}`],
  containment: 'suspend',
  reversible: true,
  expect: 'refused',
  why: null,
  ...more,
})
const row = (
  versions: readonly ContainedVersion[],
  more: Partial<IncidentFacts['key']> = {},
): IncidentFacts['key'] => ({
  ...incidentKeyOf({ id: 'i1' }, containedKey(completed.key, 2, { versions }), {
    state: 'refused',
  }),
  mode: 'revokeOnly',
  incidentState: 'contained',
  ...more,
})
const key = row([shown(2)])
const said = (version: number, more: Partial<VersionEvidence> = {}) =>
  evidenceOf(key, version, { state: 'refused', provenAt: at(390), ...more })
const sent = (target: string | null, more: object = {}) =>
  intent(`contain:${target}`, 'suspend', { target, incidentId: 'i1', rotationId: null, ...more })

/** Version 2 served, and was revoked by an incident. */
const revoked: KeyFacts = {
  ...withVersion(completed, 2, { state: 'compromised', primary: false, compromisedAt: at(390) }),
  refused: new Set([2]),
  incidents: [{ key, versions: [said(2)], intents: [sent('p2')] }],
  provider: {
    carriers: [],
    versions: [
      { id: 'p1', state: 'destroyed', current: false },
      { id: 'p2', state: 'disabled', current: false },
    ],
  },
}
const withIncident = (of: KeyFacts, change: Partial<IncidentFacts>): KeyFacts => ({
  ...of,
  incidents: of.incidents.map((one) => ({ ...one, ...change })),
})
const told = (facts: KeyFacts): readonly string[] =>
  breachesOf(facts).map(({ invariant, sentence }) => `${invariant} ${sentence}`)

describe('nothing is told of', () => {
  const two = [shown(1), shown(2)]
  test.each<readonly [what: string, facts: KeyFacts]>([
    ['an incident that did what it showed', revoked],
    [
      'one that has not begun',
      withIncident(revoked, {
        versions: [said(2, { state: 'pending', provenAt: null })],
        intents: [],
      }),
    ],
    [
      'one of several versions, in whatever order they are on record',
      withIncident(revoked, { key: row(two), versions: [said(2), said(1)] }),
    ],
    [
      'a carrier that was written since, of a version that was shown',
      withIncident(withVersion(revoked, 2, { providerVersions: ['p2', 'p3'] }), {
        intents: [sent('p3')],
      }),
    ],
    [
      'what was shown, though it carries the version no more',
      withIncident(withVersion(revoked, 2, { providerVersions: ['p3'] }), {
        intents: [sent('p2')],
      }),
    ],
    [
      'a version that is refused since it is gone',
      withVersion(revoked, 2, { state: 'destroyed', compromisedAt: null }),
    ],
    [
      'a version that is off for a while: it is not compromised',
      withIncident(withVersion(revoked, 2, { state: 'suspended', compromisedAt: null }), {
        key: row([shown(2)], { mode: 'disable' }),
      }),
    ],
    [
      'a version that could not be proven to be refused',
      withIncident(withVersion(revoked, 2, { state: 'suspended', compromisedAt: null }), {
        versions: [said(2, { state: 'unproven' })],
      }),
    ],
  ])('%s', (_what, facts) => {
    expect(told(facts).filter((sentence) => sentence.startsWith('I11'))).toEqual([])
  })
  test('the whole of such a key', () => {
    expect(told(revoked)).toEqual([])
  })
})

describe('it is told that', () => {
  test.each<readonly [what: string, facts: KeyFacts, sentences: readonly string[]]>([
    [
      'a version was contained in another way',
      withIncident(revoked, { versions: [said(2, { containment: 'destroy' })] }),
      ['I11 incident i1 contains version 2 by destroy, and showed suspend'],
    ],
    [
      'a version was contained that was not shown',
      withIncident(revoked, { versions: [said(2), said(1)] }),
      ['I11 incident i1 works on versions 1, 2, and showed 2'],
    ],
    [
      'a version was left out that was shown',
      withIncident(revoked, { versions: [] }),
      ['I11 incident i1 works on versions none, and showed 2'],
    ],
    [
      'another version was contained than the one that was shown',
      withIncident(revoked, { versions: [said(1)] }),
      ['I11 incident i1 works on versions 1, and showed 2'],
    ],
    [
      'something else was touched',
      withIncident(revoked, { intents: [sent('p2'), sent('p1')] }),
      ['I11 op-contain:p1 touches p1, which was not previewed'],
    ],
    [
      'nobody knows what was touched',
      withIncident(revoked, { intents: [sent(null)] }),
      ['I11 op-contain:null touches null, which was not previewed'],
    ],
    ...(['refused', 'refusedAfter'] as const).map(
      (state) =>
        [
          `what is ${state} is not compromised`,
          withIncident(withVersion(revoked, 2, { state: 'suspended', compromisedAt: null }), {
            versions: [said(2, { state })],
          }),
          ['I11 incident i1 says that version 2 is refused, and it is suspended'],
        ] as const,
    ),
    [
      'a compromised version is off only for a while',
      withVersion(revoked, 2, { state: 'suspended' }),
      ['I11 version 2 was compromised, and is suspended'],
    ],
    [
      'a compromised version is handed out',
      withVersion(revoked, 2, { primary: true }),
      ['I11 version 2 was compromised, and is handed out'],
    ],
  ])('%s', (_what, facts, sentences) => {
    expect(told(facts).filter((sentence) => sentence.startsWith('I11'))).toEqual(sentences)
  })

  test('each of two faults, of each of two incidents', () => {
    const faults = { versions: [said(2, { containment: 'none' as const })], intents: [sent('p9')] }
    const [one] = withIncident(revoked, faults).incidents
    if (!one) throw new Error('no incident')
    expect(told({ ...revoked, incidents: [one, one] })).toHaveLength(4)
  })
})

describe('a key without a version that is handed out', () => {
  const off = withVersion(revoked, 2, { state: 'deactivated', compromisedAt: null })
  const withoutServed = 'I1 it was active once, and no version is handed out'
  const first = (of: KeyFacts) => told(of).filter((sentence) => sentence.startsWith('I1 '))

  test('is as it was previewed while an incident is open', () => {
    expect(first(off)).toEqual([])
  })
  test('and once it is closed, where the version that served last was revoked', () => {
    expect(first({ ...revoked, incidents: [] })).toEqual([])
  })
  test('else it has lost what it serves', () => {
    expect(first({ ...off, incidents: [] })).toEqual([withoutServed])
    const older = withVersion({ ...off, incidents: [] }, 1, { compromisedAt: at(150) })
    expect(first(older)).toEqual([withoutServed])
    expect(first({ ...older, versions: older.versions.toReversed() })).toEqual([withoutServed])
  })
  test('a version that never served does not count as the last', () => {
    const [, second] = revoked.versions
    if (!second) throw new Error('no version')
    const made = {
      ...second,
      version: 3,
      compromisedAt: null,
      activatedAt: null,
      createdAt: at(399),
    }
    expect(first({ ...revoked, incidents: [], versions: [...revoked.versions, made] })).toEqual([])
  })
})

describe('a pair has two places', () => {
  const pair: KeyFacts = { ...completed, traits: { ...completed.traits, slot: 'pair' } }
  const [, second] = completed.versions
  if (!second) throw new Error('no version')
  const live = (...states: readonly (typeof second.state)[]): KeyFacts => ({
    ...pair,
    versions: states.map((state, i) => ({ ...second, version: i + 1, state, primary: i === 0 })),
  })
  const places = (facts: KeyFacts) => told(facts).filter((sentence) => sentence.startsWith('I17'))

  test.each([
    [['active', 'suspended'], 2],
    [['active', 'deactivated', 'preActivation'], 2],
    [['active', 'compromised', 'destroyed', 'active'], 2],
    [['active', 'active', 'preActivation'], 3],
    [['active', 'suspended', 'suspended', 'active'], 4],
  ] as const)('%j: %i are live', (states, count) => {
    expect(places(live(...states))).toEqual(
      count > 2 ? [`I17 ${count} versions are live, and a pair has two`] : [],
    )
    expect(places({ ...live(...states), traits: completed.traits })).toEqual([])
  })
})
