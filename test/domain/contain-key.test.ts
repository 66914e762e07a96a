// What is next for a key of an emergency. Every order of what may have happened before is a record here.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  containing,
  effectOf,
  isHeldBy,
  isSettled,
  keyStateOf,
  lastIntent,
  mayContain,
  restoring,
  stages,
  uncontained,
} from '#domain/contain-key.ts'
import {
  type Containment,
  type ContainedVersion,
  type ContainmentState,
  containments,
  containmentEdges,
  type IncidentKey,
  incidentKeyEdges,
  incidentModes,
} from '#domain/incident.ts'
import type { Intent } from '#domain/rotation.ts'
import { at, intent } from './key-facts.ts'

const states = Object.keys(containmentEdges) as readonly ContainmentState[]
const replacements = [null, 'pending', 'running', 'done', 'failed'] as const
const restorations = [null, 'asked', 'done', 'failed'] as const

describe('what is sent for one version', () => {
  const table = {
    suspend: { effect: 'suspend', how: 'disable' },
    switchOffKey: { effect: 'suspend', how: 'disable' },
    destroy: { effect: 'retire', how: 'destroy' },
    replace: null,
    byHand: null,
    none: null,
  } as const satisfies Record<Containment, ReturnType<typeof effectOf>>

  test.each(containments)('%s', (containment) => {
    expect(effectOf({ containment })).toEqual(table[containment])
  })
})

test('containment comes before proof, and proof before replacement', () => {
  const { contain, prove, replace } = stages
  expect([replace, contain, prove].toSorted((a, b) => a - b)).toEqual([contain, prove, replace])
  expect(new Set([contain, prove, replace]).size).toBe(3)
})

test('the phase of an intent tells one incident from another, and there from back', () => {
  expect(containing('i1')).toBe('contain:i1')
  expect(restoring('i1')).toBe('restore:i1')
  expect(containing('i2')).not.toBe(containing('i1'))
})

const sent = (id: string, more: Partial<Intent> = {}): Intent =>
  intent(id, 'suspend', { phase: containing('i1'), incidentId: 'i1', rotationId: null, ...more })

describe('the last word on a provider version', () => {
  test('is the newest intent of that phase for that version', () => {
    const [old, last] = [sent('old'), sent('last')]
    const all = [
      old,
      last,
      sent('elsewhere', { target: 'p2' }),
      sent('back', { phase: restoring('i1') }),
      sent('other', { phase: containing('i2') }),
    ]
    expect(lastIntent(all, containing('i1'), 'p1')).toBe(last)
    expect(lastIntent(all, restoring('i1'), 'p1')?.eventId).toBe('back')
    expect(lastIntent(all, containing('i1'), 'p2')?.eventId).toBe('elsewhere')
  })
  test('is nothing where nothing was sent for it', () => {
    expect(lastIntent([], containing('i1'), 'p1')).toBeNull()
    expect(lastIntent([sent('a')], containing('i1'), 'p9')).toBeNull()
    expect(lastIntent([sent('a')], containing('i9'), 'p1')).toBeNull()
  })
})

describe('what is still to be sent, or to be found out', () => {
  const version: ContainedVersion = {
    version: 1,
    state: 'active',
    primary: true,
    providerVersions: ['p1', 'p2'],
    containment: 'suspend',
    reversible: true,
    expect: 'refused',
    why: null,
  }
  const left = (intents: readonly Intent[], requestedAt: Date | null = at(100)) =>
    uncontained(intents, 'i1', version, { requestedAt })
  const begun = { startedAt: at(150) }

  test.each<readonly [what: string, intents: readonly Intent[], left: readonly string[]]>([
    ['all of it where nothing was sent', [], ['p1', 'p2']],
    ['what did not succeed yet', [sent('a', begun)], ['p2']],
    ['nothing once all succeeded', [sent('a', begun), sent('b', { ...begun, target: 'p2' })], []],
    [
      'what is open',
      [
        sent('a', { ...begun, outcome: null, closed: false }),
        sent('b', { ...begun, target: 'p2' }),
      ],
      ['p1'],
    ],
    [
      'what failed, though it had succeeded before',
      [sent('a', begun), sent('b', { ...begun, outcome: 'failed' })],
      ['p1', 'p2'],
    ],
    [
      'what failed before and succeeded then',
      [sent('a', { ...begun, outcome: 'failed' }), sent('b', begun)],
      ['p2'],
    ],
    ['what another incident did', [sent('a', { ...begun, phase: containing('i2') })], ['p1', 'p2']],
    ['what is on its way back', [sent('a', { ...begun, phase: restoring('i1') })], ['p1', 'p2']],
    ['what an execution before did', [sent('a', { startedAt: at(99) })], ['p1', 'p2']],
    ['not what was sent in the moment of the request', [sent('a', { startedAt: at(100) })], ['p2']],
  ])('%s', (_what, intents, expected) => {
    expect(left(intents)).toEqual(expected)
  })

  test('all of it where the request is not on record: what is there belongs to an execution before', () => {
    expect(left([sent('a', begun), sent('b', { ...begun, target: 'p2' })], null)).toEqual([
      'p1',
      'p2',
    ])
  })

  test('nothing of a version that the provider has nothing of', () => {
    expect(
      uncontained([], 'i1', { ...version, providerVersions: [] }, { requestedAt: at(100) }),
    ).toEqual([])
  })
})

describe('the state of a key', () => {
  type Replacement = IncidentKey['replacement']
  const of = (
    versions: readonly ContainmentState[],
    replacement: Replacement = null,
    before: IncidentKey['state'] = 'pending',
  ) =>
    keyStateOf(
      versions.map((state) => ({ state })),
      { state: before, replacement, restoration: null },
    )
  const worstFirst = [
    'revoking',
    'pending',
    'failed',
    'unproven',
    'refusedAfter',
    'refused',
    'restored',
  ] as const satisfies readonly ContainmentState[]

  test('there is an order for every state of a version', () => {
    expect(worstFirst.toSorted()).toEqual(states.toSorted())
  })

  test('without a replacement it is the worst of its versions, in whatever order they are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...states), { minLength: 1, maxLength: 5 }),
        fc.constantFrom<Replacement>(null, 'pending', 'failed'),
        (versions, replacement) => {
          expect(of(versions, replacement)).toBe(worstFirst.find((one) => versions.includes(one)))
        },
      ),
    )
  })

  test.each(states)(
    'while it is being replaced it is replacing, with a version that is %s',
    (state) => {
      expect(of([state], 'running')).toBe('replacing')
    },
  )

  test.each<readonly [ContainmentState, ReturnType<typeof keyStateOf>]>([
    ['pending', 'pending'],
    ['revoking', 'revoking'],
    ['failed', 'failed'],
    ['unproven', 'unproven'],
    ['refusedAfter', 'replaced'],
    ['refused', 'replaced'],
    ['restored', 'restored'],
  ])('once it has a new version: of one that is %s it is %s', (state, expected) => {
    expect(of([state], 'done')).toBe(expected)
  })

  test('a key is not replaced before the last of its versions is refused', () => {
    expect(of(['refused', 'failed'], 'done')).toBe('failed')
    expect(of(['refused', 'unproven'], 'done')).toBe('unproven')
    expect(of(['refused', 'refusedAfter'], 'done')).toBe('replaced')
  })

  test('once it was begun it stays so while a version waits for its turn, and is due anew only from rest', () => {
    expect(of(['refused', 'pending'], 'pending', 'revoking')).toBe('revoking')
    expect(of(['refused', 'pending'], 'running', 'revoking')).toBe('replacing')
    expect(of(['refused', 'pending'], 'done', 'replacing')).toBe('pending')
    expect(of(['refused', 'pending'], null, 'refused')).toBe('pending')
  })

  test('a key of which no version is meant has nothing that could be accepted', () => {
    expect(of([])).toBe('refused')
    expect(of([], 'running')).toBe('replacing')
  })

  test('it is always a state that a key of an incident has', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...states)),
        fc.constantFrom(...replacements),
        (versions, replacement) => {
          expect(Object.keys(incidentKeyEdges)).toContain(of(versions, replacement))
        },
      ),
    )
  })
})

test.each(states)('a version that is %s is settled, but for what is to be done yet', (state) => {
  expect(isSettled({ state })).toBe(!['pending', 'revoking'].includes(state))
})

describe('whether the old version may be revoked yet', () => {
  test.each([
    [null, true],
    ['pending', false],
    ['running', false],
    ['failed', false],
    ['done', true],
  ] as const)('rotateFast, replacement %s: %s', (replacement, may) => {
    expect(mayContain('rotateFast', { replacement, plan: {} }, 1)).toBe(may)
  })
  test.each(incidentModes.filter((mode) => mode !== 'rotateFast'))(
    '%s waits for no new version',
    (mode) => {
      for (const replacement of replacements)
        expect(mayContain(mode, { replacement, plan: {} }, 1)).toBe(true)
    },
  )
})

describe('whether a routine rotation of the key has to wait', () => {
  const keyStates = Object.keys(incidentKeyEdges) as readonly IncidentKey['state'][]
  const atRest = keyStates.filter((state) => state !== 'pending' && state !== 'revoking')

  test.each(restorations)('disable, restoration %s: until it is restored', (restoration) => {
    for (const state of keyStates)
      for (const replacement of replacements)
        expect(isHeldBy({ mode: 'disable', state, replacement, restoration })).toBe(
          restoration !== 'done',
        )
  })

  describe.each(incidentModes.filter((mode) => mode !== 'disable'))('%s', (mode) => {
    const held = (state: IncidentKey['state'], replacement: IncidentKey['replacement']) =>
      restorations.map((restoration) => isHeldBy({ mode, state, replacement, restoration }))

    test('while something is to be revoked', () => {
      for (const replacement of replacements)
        expect([...held('pending', replacement), ...held('revoking', replacement)]).not.toContain(
          false,
        )
    })
    test('while something is to be replaced', () => {
      for (const state of keyStates)
        expect([...held(state, 'pending'), ...held(state, 'running')]).not.toContain(false)
    })
    test('not once it is at rest', () => {
      for (const state of atRest)
        for (const replacement of [null, 'done', 'failed'] as const)
          expect(held(state, replacement)).not.toContain(true)
    })
  })
})
