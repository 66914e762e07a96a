// What a check tells of a key that an emergency has touched, and what it does not.

import { expect, test } from 'vitest'
import { breachesOf, type IncidentFacts, type KeyFacts } from '#domain/invariants.ts'
import { containedKey, evidenceOf, incidentKeyOf } from '#test/store/records.ts'
import { at, completed, intent, withVersion } from './key-facts.ts'

const key = completed.key
const plan = containedKey(key, 2)
const incident = (more: Partial<IncidentFacts['key']> = {}): IncidentFacts['key'] => ({
  ...incidentKeyOf({ id: 'i1' }, plan, { state: 'refused' }),
  mode: 'disable',
  incidentState: 'contained',
  ...more,
})
const [planned] = plan.versions
const of = (
  more: Partial<IncidentFacts['key']>,
  evidence: Parameters<typeof evidenceOf>[2] = { state: 'refused', provenAt: at(390) },
  intents: IncidentFacts['intents'] = [],
): IncidentFacts => {
  const row = incident(more)
  return { key: row, versions: [evidenceOf(row, 2, evidence)], intents }
}
const provider = (state: 'enabled' | 'disabled') => ({
  versions: [
    { id: 'p1', state: 'destroyed' as const, current: false },
    { id: 'p2', state, current: true },
  ],
  carriers: [],
})
/** Version 2, which served, was disabled by an incident. */
const disabled: KeyFacts = {
  ...withVersion(completed, 2, { state: 'suspended', primary: false, suspendedAt: at(390) }),
  refused: new Set([2]),
  incidents: [of({})],
  provider: provider('disabled'),
}
const open = intent('i1:k:contain:p2:1', 'suspend', {
  target: 'p2',
  rotationId: null,
  incidentId: 'i1',
  preImage: { version: 2, wanted: 'disabled' },
  outcome: 'unknown',
  closed: false,
})
const said = (facts: KeyFacts): readonly string[] =>
  breachesOf(facts).map(({ invariant, sentence }) => `${invariant} ${sentence}`)

test('the records are of one version', () => {
  expect(planned).toMatchObject({ version: 2, containment: 'suspend' })
})

test.each<readonly [string, KeyFacts]>([
  ['what is off and proven', disabled],
  [
    'what was under way and is looked at once more',
    { ...disabled, incidents: [of({ lateUntil: at(500) })], provider: provider('enabled') },
  ],
  [
    'what is switched off anew',
    { ...disabled, incidents: [of({}, { state: 'revoking' })], provider: provider('enabled') },
  ],
  [
    'what is accepted still, and is said to have failed',
    {
      ...disabled,
      refused: new Set(),
      incidents: [of({ incidentState: 'partly' }, { state: 'failed' }, [open])],
      provider: provider('enabled'),
    },
  ],
  [
    'what two have disabled, one of them restored, and both are closed',
    {
      ...withVersion(completed, 2, { state: 'active', primary: true }),
      refused: new Set([2]),
      incidents: [],
      provider: provider('enabled'),
    },
  ],
  [
    'an intent of an incident that is not at rest',
    { ...disabled, incidents: [of({ incidentState: 'executing' }, {}, [open])] },
  ],
  [
    'a restoration that is said to have failed',
    { ...disabled, incidents: [of({ restoration: 'failed' }, undefined, [open])] },
  ],
])('nothing is told of %s', (_what, facts) => {
  expect(said(facts)).toEqual([])
})

test.each<readonly [string, KeyFacts, readonly string[]]>([
  [
    'what was proven refused and is on',
    { ...disabled, provider: provider('enabled') },
    ['I11 version 2 was proven refused, and p2 is enabled at the provider'],
  ],
  [
    'the same once its incident is closed',
    {
      ...withVersion(disabled, 2, { state: 'compromised', compromisedAt: at(390) }),
      incidents: [],
      provider: provider('enabled'),
    },
    ['I11 version 2 was proven refused, and p2 is enabled at the provider'],
  ],
  [
    'an intent that nobody has closed',
    { ...disabled, incidents: [of({}, undefined, [open])] },
    [`I16 ${open.operationId} has no outcome, and its incident is contained`],
  ],
  [
    'what was disabled, and the incident closed without restoring it',
    { ...disabled, incidents: [] },
    [
      'I1 it was active once, and no version is handed out',
      'I16 version 2 was switched off by an incident, and no open one holds it',
    ],
  ],
])('it is told of %s', (_what, facts, sentences) => {
  for (const sentence of sentences) expect(said(facts)).toContain(sentence)
  expect(said(facts).filter((sentence) => /^I1[16] /.test(sentence))).toEqual(
    sentences.filter((sentence) => /^I1[16] /.test(sentence)),
  )
})
