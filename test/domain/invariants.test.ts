// Who checks the checker, record by record: what must be told, and what must not. That records as the engine writes them
// have no finding is proven where the engine runs (usecases/check-invariants.test.ts).

import { expect, test } from 'vitest'
import { breachesOf, type Invariant, type KeyFacts } from '#domain/invariants.ts'
import {
  at,
  completed,
  effectEvents,
  event,
  intent,
  overlapping,
  override,
  step,
  unread,
  withPlan,
  withPolicy,
  withRotation,
  withVersion,
} from './key-facts.ts'

type Provider = NonNullable<KeyFacts['provider']>
const found = (facts: KeyFacts): readonly string[] => [
  ...new Set(breachesOf(facts).map(({ invariant }) => invariant)),
]
const single = (facts: KeyFacts): KeyFacts => ({
  ...facts,
  traits: { ...facts.traits, slot: 'single' },
})
const witness = (versions: Provider['versions'], carriers: readonly string[] = []) => ({
  provider: { versions, carriers },
})
const unasked = (facts: KeyFacts): KeyFacts => ({ ...facts, provider: null })
const [done] = completed.rotations
const [under] = overlapping.rotations
if (!done || !under) throw new Error('no rotation')
const p1 = { id: 'p1', state: 'destroyed', current: false } as const
const p2 = { id: 'p2', state: 'enabled', current: true } as const
const neverActive = (facts: KeyFacts): KeyFacts => ({
  ...facts,
  versions: facts.versions.slice(0, 1).map((one) => ({
    ...one,
    state: 'preActivation',
    activatedAt: null,
  })),
  rotations: [],
})

type Row = readonly [what: string, facts: KeyFacts]

const holds: readonly Row[] = [
  ['a rotation that is completed', completed],
  ['a rotation under way', overlapping],
  ['a provider that was not asked', unasked(completed)],
  ['a key that never had an active version', neverActive(overlapping)],
  ['the gap of a single slot', single(withVersion(overlapping, 2, { primary: false }))],
  [
    'the version that is replaced in the gap of a single slot',
    { ...single(overlapping), ...witness([{ ...p2, state: 'disabled' }]) },
  ],
  [
    'a version that was rolled forward: the last carrier is in use',
    withVersion(completed, 2, { providerVersions: ['p1', 'p2'] }),
  ],
  [
    'a plan without a soak',
    withVersion(withPlan(completed, { phases: ['planned', 'retiring', 'completed'] }), 1, {
      suspendedAt: null,
    }),
  ],
  [
    'an adopted version that only retired another',
    withRotation(withPlan(completed, { retireOnly: true }), { promotedAt: null }),
  ],
  [
    'an old version that somebody destroyed while the rotation was given up',
    withRotation(
      withVersion(completed, 1, { suspendedAt: null }),
      { phase: 'abandoned', promotedAt: null },
      unread,
    ),
  ],
  [
    'an adopted primary: nobody verified it',
    withVersion(overlapping, 2, { rotationId: null, verifiedAt: null }),
  ],
  [
    'a version from before the first rotation on record',
    withRotation(
      { ...completed, ...witness([p2, { id: 'p0', state: 'enabled', current: false }]) },
      {
        preImage: { enabledBefore: ['p1', 'p0'] },
      },
    ),
  ],
  [
    'what was there before, where nobody wrote it down',
    withRotation(
      { ...completed, ...witness([p2, { id: 'p0', state: 'enabled', current: false }]) },
      {
        preImage: {},
      },
    ),
  ],
  [
    'a version written beside Rekey with the very value',
    {
      ...completed,
      ...witness(
        [
          { ...p2, current: false },
          { id: 'p3', state: 'enabled', current: true },
        ],
        ['p3'],
      ),
    },
  ],
  [
    'a stranger that is off',
    { ...completed, ...witness([p2, { id: 'p3', state: 'disabled', current: false }]) },
  ],
  [
    'a provider that keeps old material by itself',
    {
      ...completed,
      traits: { ...completed.traits, slot: 'internal' },
      ...witness([
        { ...p2, current: false },
        { id: 'p3', state: 'enabled', current: true },
      ]),
    },
  ],
  [
    'a stranger while a rotation is open',
    {
      ...overlapping,
      ...witness([p2, { id: 'p3', state: 'enabled', current: false }]),
    },
  ],
  [
    'a stranger of a key that never rotated',
    {
      ...completed,
      rotations: [],
      ...witness([p2, { id: 'p3', state: 'enabled', current: false }]),
    },
  ],
  [
    'a version that an abandoned rotation made',
    withRotation(
      unasked(
        withVersion(withVersion(overlapping, 2, { state: 'preActivation', primary: false }), 1, {
          primary: true,
        }),
      ),
      { phase: 'abandoned', endedAt: at(300) },
      { ...unread, intents: [] },
    ),
  ],
  [
    'a version without a rotation on record',
    {
      ...completed,
      versions: [
        ...completed.versions,
        ...completed.versions.slice(1).map((one) => ({
          ...one,
          version: 3,
          state: 'preActivation' as const,
          primary: false,
          rotationId: 'gone',
          providerVersions: [],
        })),
      ],
    },
  ],
  [
    'an old version that is kept on',
    withPolicy(
      {
        ...withVersion(completed, 1, { state: 'deactivated' }),
        ...witness([{ ...p1, state: 'enabled' }, p2]),
      },
      { retire: 'keep' },
    ),
  ],
  [
    'what a single slot held before',
    {
      ...withVersion(completed, 1, { state: 'deactivated' }),
      ...witness([{ ...p1, state: 'enabled' }, p2]),
      traits: { ...completed.traits, slot: 'single' },
    },
  ],
  [
    'material of a version that is not needed any more',
    { ...completed, sealed: new Map([[1, 'gone'] as const, [2, 'opens'] as const]) },
  ],
  [
    'a key that was adopted since the rotation ended',
    {
      ...completed,
      versions: [
        ...completed.versions.map((one) => ({
          ...one,
          primary: false,
          state: one.version === 2 ? ('deactivated' as const) : one.state,
        })),
        ...completed.versions
          .slice(1)
          .map((one) => ({ ...one, version: 3, rotationId: null, activatedAt: at(311) })),
      ],
    },
  ],
  [
    'a rotation that was taken back, and its version is gone',
    withRotation(
      {
        ...withVersion(withVersion(overlapping, 1, { primary: true }), 2, {
          primary: false,
          state: 'destroyed',
        }),
        ...witness([{ ...p2, id: 'p1' }]),
      },
      { phase: 'rolledBack', endedAt: at(300) },
      { ...unread, timer: null },
    ),
  ],
  [
    'a rotation that was taken back before it made anything',
    withRotation(
      {
        ...overlapping,
        versions: overlapping.versions.slice(0, 1).map((one) => ({ ...one, primary: true })),
        ...witness([{ ...p2, id: 'p1' }]),
      },
      { phase: 'rolledBack', endedAt: at(300), toVersion: null },
      { ...unread, timer: null },
    ),
  ],
  [
    'a log of which the end was not read',
    withRotation(completed, {}, { events: done.events.slice(0, 5), truncated: true }),
  ],
  [
    'a log of which the beginning was archived',
    withRotation(completed, {}, { events: done.events.slice(5) }),
  ],
  [
    'an outcome that was unknown before it was known',
    withRotation(
      completed,
      {},
      {
        events: done.events.flatMap((one) =>
          one.body.id === 'mint-after'
            ? [event({ action: 'effect.mint', outcome: 'unknown', causationId: 'mint' }), one]
            : [one],
        ),
      },
    ),
  ],
  [
    'an effect under way',
    withRotation(
      overlapping,
      {},
      {
        intents: [...under.intents, intent('s', 'suspend', { outcome: null, closed: false })],
        events: [...under.events, ...effectEvents(intent('s', 'suspend')).slice(0, 1)],
      },
    ),
  ],
  [
    'consumers that nobody asks',
    withPolicy(withRotation(completed, {}, { acknowledgements: [] }), {
      consumers: { matchLabels: null, acknowledgement: null },
    }),
  ],
  [
    'no consumers',
    withPlan(withRotation(completed, {}, { acknowledgements: [] }), { consumers: [] }),
  ],
  [
    'a switching off that failed',
    withRotation(
      completed,
      {},
      {
        ...unread,
        acknowledgements: [],
        intents: done.intents.map((one) => ({ ...one, outcome: 'failed' })),
      },
    ),
  ],
  [
    'one acknowledgement where any will do',
    withPolicy(withRotation(completed, {}, { acknowledgements: done.acknowledgements.slice(1) }), {
      consumers: {
        matchLabels: null,
        acknowledgement: { required: 'any', timeoutMs: 1, onTimeout: 'hold' },
      },
    }),
  ],
  [
    'two people who said that it may go on',
    withRotation(
      completed,
      {},
      { acknowledgements: [], approvals: [override('a'), override('b')] },
    ),
  ],
  ['a compromised version that was revoked', withVersion(completed, 1, { compromisedAt: at(150) })],
  [
    'a compromised version',
    withVersion(completed, 1, { state: 'compromised', compromisedAt: at(150) }),
  ],
  [
    'a creation that had been given up, found and removed',
    withRotation(
      completed,
      {},
      {
        ...unread,
        intents: [
          ...done.intents,
          intent('m0', 'mint', { outcome: 'failed' }),
          intent('rm', 'removeNew', { target: 'p9' }),
        ],
      },
    ),
  ],
  [
    'a publish target, which is not a version',
    withRotation(
      completed,
      {},
      {
        ...unread,
        intents: [...done.intents, intent('d', 'distribute', { target: 'orders-db' })],
      },
    ),
  ],
  ['a rotation that a worker holds', withTimer({ dueAt: null, leaseUntil: at(401) })],
  [
    'a rotation that waits for an approval',
    withTimer({ dueAt: null, waitingFor: waits('approval') }),
  ],
  [
    'a rotation that stands and said why',
    withRotation(
      withTimer({ dueAt: null, waitingFor: waits('person') }),
      {
        phase: 'stalled',
        stalledIn: 'overlapping',
        stalledReason: 'it was refused',
      },
      unread,
    ),
  ],
  ['a worker that is a quarter of an hour late', withTimer({ dueAt: at(400 - 900) })],
  ['as many of a group as may run', { ...overlapping, group: { running: 5, max: 5 } }],
]

function waits(gate: 'approval' | 'person' | 'overlap') {
  return { gate, since: at(0).toISOString(), missing: [], text: 'it waits' }
}
function withTimer(change: Partial<NonNullable<(typeof under & object)['timer']>>): KeyFacts {
  return {
    ...overlapping,
    rotations: overlapping.rotations.map((one) => ({
      ...one,
      timer: one.timer && { ...one.timer, ...change },
    })),
  }
}

test.each(holds)('nothing is told of %s', (_what, facts) => {
  expect(breachesOf(facts)).toEqual([])
})

type Wrong = readonly [what: string, invariants: readonly Invariant[], facts: KeyFacts]

const breaks: readonly Wrong[] = [
  ['nothing is handed out', ['I1'], withVersion(completed, 2, { primary: false })],
  [
    'nothing is handed out, and the slot has no gap',
    ['I1'],
    withVersion(overlapping, 2, { primary: false }),
  ],
  [
    'nothing is handed out after the gap',
    ['I1'],
    single(withVersion(completed, 2, { primary: false })),
  ],
  [
    'what is handed out is not at the provider',
    ['I1'],
    unasked(withVersion(completed, 2, { providerVersions: [] })),
  ],
  ['what is handed out is gone', ['I1'], { ...completed, ...witness([p1]) }],
  [
    'the carrier in use is off',
    ['I1'],
    {
      ...withVersion(completed, 2, { providerVersions: ['p2', 'p3'] }),
      ...witness([p2, { id: 'p3', state: 'disabled', current: false }]),
    },
  ],
  [
    'nothing took the place of what is destroyed',
    ['I2'],
    withRotation(completed, { promotedAt: null }),
  ],
  [
    'what took its place was never proven',
    ['I2'],
    withVersion(completed, 2, { verifiedAt: null, rotationId: null }),
  ],
  [
    'the soak was a moment short',
    ['I2'],
    withVersion(completed, 1, { suspendedAt: new Date(200_001) }),
  ],
  ['it was never off', ['I2'], withVersion(completed, 1, { suspendedAt: null })],
  [
    'it was not ended before it was destroyed',
    ['I2'],
    withVersion(completed, 1, { deactivatedAt: null }),
  ],
  [
    'it was destroyed too early, and the retirement goes on',
    ['I2'],
    withRotation(
      { ...withVersion(completed, 1, { suspendedAt: null }), now: at(310) },
      { phase: 'retiring', endedAt: null },
      { ...unread, timer: under.timer },
    ),
  ],
  [
    'it was destroyed too early, and the retirement stands',
    ['I2'],
    withRotation(
      { ...withVersion(completed, 1, { suspendedAt: null }), now: at(310) },
      { phase: 'stalled', stalledIn: 'retiring', stalledReason: 'no', endedAt: null },
      { ...unread, timer: under.timer },
    ),
  ],
  [
    'what is destroyed is handed out',
    ['I2', 'I3'],
    unasked(
      withRotation(
        withVersion(withVersion(completed, 1, { primary: true }), 2, { primary: false }),
        { phase: 'stalled', stalledIn: 'retiring', stalledReason: 'no', endedAt: null },
        { ...unread, timer: under.timer },
      ),
    ),
  ],
  ['two are primary', ['I3'], withVersion(overlapping, 1, { primary: true })],
  ['the primary is suspended', ['I3'], withVersion(completed, 2, { state: 'suspended' })],
  [
    'the primary was made and never proven',
    ['I3'],
    withVersion(overlapping, 2, { verifiedAt: null }),
  ],
  ['two rotations are open', ['I4'], { ...overlapping, rotations: [under, under] }],
  ['what is destroyed is on', ['I5'], { ...overlapping, versions: completed.versions }],
  [
    'a stranger is on',
    ['I5'],
    { ...completed, ...witness([p2, { id: 'p3', state: 'enabled', current: false }]) },
  ],
  [
    'readers get another version',
    ['I5'],
    {
      ...completed,
      ...witness([
        { ...p2, current: false },
        { id: 'p3', state: 'disabled', current: true },
      ]),
    },
  ],
  [
    'a completed rotation left its version unused',
    ['I5', 'I8'],
    withVersion(withVersion(overlappingDone(), 2, { state: 'preActivation', primary: false }), 1, {
      primary: true,
    }),
  ],
  ['what was replaced is active', ['I5'], withVersion(overlappingDone(), 1, {})],
  [
    'what was switched off is on',
    ['I5'],
    {
      ...withVersion(completed, 1, { state: 'deactivated' }),
      ...witness([{ ...p1, state: 'enabled' }, p2]),
    },
  ],
  [
    'the standby of a pair is on',
    ['I5'],
    {
      ...withVersion(completed, 1, { state: 'deactivated' }),
      ...witness([{ ...p1, state: 'enabled' }, p2]),
      traits: { ...completed.traits, slot: 'pair' },
    },
  ],
  ...(['preActivation', 'active', 'suspended'] as const).map((state): Wrong => [
    `the material of a version that is ${state} does not open`,
    ['I6'],
    { ...withVersion(overlapping, 1, { state }), sealed: new Map([[1, 'shut']]) },
  ]),
  [
    'a fenced worker wrote after its successor',
    ['I7'],
    withRotation(
      completed,
      {},
      {
        events: [...done.events, event({ after: { epoch: 1 } })],
      },
    ),
  ],
  ['an epoch was forgotten', ['I7'], withRotation(completed, { epoch: 1 })],
  [
    'another version is handed out than the rotation made',
    ['I8'],
    unasked(
      withVersion(withVersion(completed, 1, { primary: true, state: 'active' }), 2, {
        primary: false,
        state: 'deactivated',
      }),
    ),
  ],
  [
    'it was taken back, and the new version is handed out',
    ['I8'],
    withRotation(overlapping, { phase: 'rolledBack', endedAt: at(300) }, unread),
  ],
  [
    'it was taken back, and the new version is there',
    ['I8'],
    withRotation(
      {
        ...withVersion(withVersion(overlapping, 1, { primary: true }), 2, { primary: false }),
        ...witness([
          { ...p1, state: 'enabled', current: true },
          { ...p2, current: false },
        ]),
      },
      { phase: 'rolledBack', endedAt: at(300) },
      unread,
    ),
  ],
  [
    'an effect has no intent in the log',
    ['I9'],
    withRotation(
      completed,
      {},
      {
        events: done.events.filter(
          ({ body }) => body.id !== 'suspend' && body.causationId !== 'suspend',
        ),
      },
    ),
  ],
  [
    'the intent is told as something else',
    ['I9'],
    withRotation(
      completed,
      {},
      {
        events: done.events.map((one) =>
          one.body.id === 'suspend' ? { ...one, body: { ...one.body, outcome: 'unknown' } } : one,
        ),
      },
    ),
  ],
  [
    'an outcome was told before its intent',
    ['I9'],
    withRotation(
      completed,
      {},
      {
        events: done.events.flatMap((one) => {
          if (one.body.id === 'suspend-after') return []
          const after = done.events.filter(({ body }) => body.id === 'suspend-after')
          return one.body.id === 'suspend' ? [...after, one] : [one]
        }),
      },
    ),
  ],
  [
    'an outcome was not told',
    ['I9'],
    withRotation(
      completed,
      {},
      {
        events: done.events.filter(({ body }) => body.id !== 'suspend-after'),
      },
    ),
  ],
  [
    'an outcome was told twice',
    ['I9'],
    withRotation(
      completed,
      {},
      {
        events: done.events.flatMap((one) =>
          one.body.id === 'suspend-after' ? [one, one] : [one],
        ),
      },
    ),
  ],
  [
    'an effect that is open has an outcome',
    ['I9'],
    withRotation(
      completed,
      {},
      {
        intents: done.intents.map((one) =>
          one.effect === 'suspend' ? { ...one, closed: false } : one,
        ),
      },
    ),
  ],
  [
    'an effect of no intent was told',
    ['I9'],
    withRotation(completed, {}, { events: [...done.events, event({ action: 'effect.retire' })] }),
  ],
  [
    'an intent of nobody was told',
    ['I9'],
    withRotation(
      completed,
      {},
      {
        events: [
          ...done.events,
          event({ id: 'other', action: 'effect.retire', outcome: 'intent' }),
        ],
      },
    ),
  ],
  [
    'a step was not told',
    ['I9'],
    withRotation(completed, {}, { events: done.events.filter((_one, n) => n !== 1) }),
  ],
  [
    'a step was told that there is not',
    ['I9'],
    withRotation(
      overlapping,
      { phase: 'retiring' },
      {
        events: [
          ...under.events.slice(0, 3),
          ...under.events.slice(3, 5),
          step('minting', 'retiring', 0),
        ],
      },
    ),
  ],
  ['the log ends elsewhere', ['I9'], withRotation(overlapping, { phase: 'suspending' })],
  ['nobody had acknowledged', ['I10'], withRotation(completed, {}, { acknowledgements: [] })],
  [
    'one of all had not acknowledged',
    ['I10'],
    withRotation(completed, {}, { acknowledgements: done.acknowledgements.slice(1) }),
  ],
  [
    'none acknowledged where any would do',
    ['I10'],
    withPolicy(withRotation(completed, {}, { acknowledgements: [] }), {
      consumers: {
        matchLabels: null,
        acknowledgement: { required: 'any', timeoutMs: 1, onTimeout: 'hold' },
      },
    }),
  ],
  [
    'they acknowledged when it was too late',
    ['I10'],
    withRotation(
      completed,
      {},
      {
        acknowledgements: done.acknowledgements.map((one) => ({ ...one, at: new Date(200_001) })),
      },
    ),
  ],
  ...(
    [
      ['one person said it twice', [override('a'), override('a')]],
      ['two people approved something else', [override('a', { kind: 'approval' }), override('b')]],
      ['two people passed another gate', [override('a', { gate: 'usage' }), override('b')]],
      ['two people said it too late', [override('a', { at: new Date(200_001) }), override('b')]],
    ] as const
  ).map(([what, approvals]): Wrong => [
    `${what}, and nobody had acknowledged`,
    ['I10'],
    withRotation(completed, {}, { acknowledgements: [], approvals }),
  ]),
  [
    'one person said it with two tokens, and nobody had acknowledged',
    ['I10'],
    withRotation(
      completed,
      {},
      {
        acknowledgements: [],
        approvals: [override('a'), override('b')],
        makers: new Map([['b', 'a']]),
      },
    ),
  ],
  [
    'it was retired at once, and nobody had acknowledged',
    ['I10'],
    withRotation(
      completed,
      {},
      {
        ...unread,
        acknowledgements: [],
        intents: done.intents.filter(({ effect }) => effect !== 'suspend'),
      },
    ),
  ],
  [
    'a compromised version is active',
    ['I11'],
    withVersion(overlapping, 1, { compromisedAt: at(150) }),
  ],
  [
    'a compromised version is handed out',
    ['I11'],
    withVersion(completed, 2, { compromisedAt: at(150) }),
  ],
  [
    'an occurrence was answered twice',
    ['I12'],
    {
      ...completed,
      rotations: withRotation(completed, { occurrence: 'monday' }).rotations.flatMap((one) => [
        one,
        one,
      ]),
    },
  ],
  ...(['suspend', 'reinstate', 'retire', 'removeNew'] as const).map((effect): Wrong => [
    `${effect} touched what is not ours`,
    ['I15'],
    withRotation(
      completed,
      {},
      {
        ...unread,
        intents: [...done.intents, intent('x', effect, { target: 'p9', startedAt: at(500) })],
      },
    ),
  ]),
  [
    'a stranger was switched off beside a creation that had been given up',
    ['I15'],
    withRotation(
      completed,
      {},
      {
        ...unread,
        intents: [
          ...done.intents,
          intent('m0', 'mint', { outcome: 'failed' }),
          intent('x', 'retire', { target: 'p9', startedAt: at(500) }),
        ],
      },
    ),
  ],
  [
    'nobody knows what was switched off',
    ['I15'],
    withRotation(
      completed,
      {},
      {
        ...unread,
        intents: [...done.intents, intent('x', 'retire', { target: null, startedAt: at(500) })],
      },
    ),
  ],
  [
    'it stands and does not say why',
    ['I16'],
    withRotation(overlapping, { phase: 'stalled', stalledIn: 'overlapping' }, unread),
  ],
  [
    'it stands and does not say where',
    ['I16'],
    withRotation(overlapping, { phase: 'stalled', stalledReason: 'no' }, unread),
  ],
  ['nobody will look at it', ['I16'], withTimer({ dueAt: null, waitingFor: waits('overlap') })],
  ['nobody knows of it', ['I16'], withRotation(overlapping, {}, { timer: null })],
  ['no worker came', ['I16'], withTimer({ dueAt: new Date((400 - 900) * 1_000 - 1) })],
  ['its worker is lost', ['I16'], withTimer({ dueAt: null, leaseUntil: at(400 - 900) })],
  ['more of a group run than may', ['I17'], { ...overlapping, group: { running: 6, max: 5 } }],
]

/** Completed by its record, and as it was before the end of the old version. */
function overlappingDone(): KeyFacts {
  return {
    ...overlapping,
    rotations: withRotation(completed, {}, { ...unread, intents: [] }).rotations,
  }
}

test.each(breaks)('it is told that %s', (_what, invariants, facts) => {
  expect(found(facts)).toEqual(invariants)
})

test('a breach names its key and says in a sentence what is wrong', () => {
  expect(breachesOf(withVersion(completed, 2, { primary: false }))).toEqual([
    {
      invariant: 'I1',
      key: 'orders',
      sentence: 'it was active once, and no version is handed out',
    },
  ])
})
