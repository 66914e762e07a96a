// Of every rotation that a plan can freeze: each step is an arrow of the machine, each phase has somebody who acts in it, and
// whatever is begun can be taken back in an order that ends with the removal of the new version.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  isOpen,
  machine,
  mayGo,
  nextPhase,
  openPhases,
  type Phase,
  phases,
  phasesOf,
  resumeInto,
  type Shape,
  undoSteps,
} from '#domain/rotation-machine.ts'
import { phaseHandlers } from '#usecases/rotation-phases.ts'

const shapes: fc.Arbitrary<Shape> = fc.record({
  traits: fc.record({
    slot: fc.constantFrom('multi', 'pair', 'single', 'internal'),
    staging: fc.constantFrom('native', 'overlap', 'none'),
    undo: fc.constantFrom('pointer', 'rollForward', 'reactivate', 'none'),
    suspend: fc.boolean(),
  }),
  retire: fc.constantFrom('keep', 'disable', 'destroy'),
  approvals: fc.integer({ min: 0, max: 2 }),
  publishes: fc.boolean(),
  hasOld: fc.boolean(),
  retireOnly: fc.boolean(),
})
const runs = { numRuns: 2_000 }
const anyPhase = fc.constantFrom(...phases)

const steps = (list: readonly Phase[]): readonly (readonly [Phase, Phase])[] =>
  list.slice(1).map((to) => [list[list.indexOf(to) - 1] ?? to, to])

describe('the phases of any rotation', () => {
  test('begin with planned, end with completed, and come once each', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const list = phasesOf(shape)
        expect(list[0]).toBe('planned')
        expect(list.at(-1)).toBe('completed')
        expect(new Set(list).size).toBe(list.length)
      }),
      runs,
    )
  })

  test('follow one another by arrows of the machine', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        for (const [from, to] of steps(phasesOf(shape))) {
          expect(mayGo(from, to), `${from} → ${to}`).toBe(true)
          expect(nextPhase(phasesOf(shape), from)).toBe(to)
        }
      }),
      runs,
    )
  })

  test('make, prove and hand out before anything ends: expand before contract', () => {
    const order = ['minting', 'verifying', 'distributing', 'promoting', 'overlapping'] as const
    const contracting = ['suspending', 'soaking', 'retiring'] as const
    fc.assert(
      fc.property(shapes, (shape) => {
        const list = phasesOf(shape)
        const at = [...order, ...contracting].map((phase) => list.indexOf(phase))
        const found = at.filter((index) => index >= 0)
        expect(found).toEqual(found.toSorted((a, b) => a - b))
        if (list.includes('minting')) expect(list).toContain('verifying')
        // Nothing is switched off or retired without the gates before it, but where the mint itself overwrites.
        const ends = contracting.some((phase) => list.includes(phase))
        if (ends && (shape.traits.slot !== 'single' || shape.retireOnly))
          expect(list).toContain('overlapping')
        if (list.includes('suspending')) expect(list).toContain('soaking')
        expect(list.includes('awaitingApproval')).toBe(shape.approvals > 0)
      }),
      runs,
    )
  })
})

describe('the phases that a rotation skips', () => {
  const shapeOf = (more: Partial<Shape> & Partial<Shape['traits']>): Shape => {
    const { slot = 'multi', suspend = true, staging = 'native', undo = 'pointer', ...rest } = more
    return {
      traits: { slot, suspend, staging, undo },
      retire: 'disable',
      approvals: 0,
      publishes: false,
      hasOld: true,
      retireOnly: false,
      ...rest,
    }
  }
  const making = ['planned', 'preflight', 'minting', 'verifying', 'promoting'] as const
  const gated = ['overlapping', 'suspending', 'soaking', 'retiring', 'completed'] as const
  const ungated = ['overlapping', 'retiring', 'completed'] as const

  test.each<readonly [string, Partial<Shape> & Partial<Shape['traits']>, readonly Phase[]]>([
    ['none, where the old version can be switched off and is', {}, [...making, ...gated]],
    ['none before destroying either', { retire: 'destroy' }, [...making, ...gated]],
    ['switching off, where it is kept', { retire: 'keep' }, [...making, ...ungated]],
    ['switching off, where that cannot be done', { suspend: false }, [...making, ...ungated]],
    [
      'the overlap, where minting overwrites',
      { slot: 'single' },
      [...making, 'retiring', 'completed'],
    ],
    [
      'every end, where the provider keeps the old one',
      { slot: 'internal' },
      [...making, 'completed'],
    ],
    ['every end, where nothing is replaced', { hasOld: false }, [...making, 'completed']],
    [
      'every end of a single slot that was empty',
      { slot: 'single', hasOld: false },
      [...making, 'completed'],
    ],
    ['all that makes, where one is only retired', { retireOnly: true }, ['planned', ...gated]],
    [
      'all but the gates, where a slot has none',
      { retireOnly: true, slot: 'single' },
      ['planned', ...ungated],
    ],
  ])('%s', (_what, shape, list) => {
    expect(phasesOf(shapeOf(shape))).toEqual(list)
  })

  test('but handing out where something is published, and asking where approvals are asked for', () => {
    const list = phasesOf(shapeOf({ publishes: true, approvals: 1 }))
    expect(list).toEqual([
      'planned',
      'awaitingApproval',
      'preflight',
      'minting',
      'verifying',
      'distributing',
      'promoting',
      ...gated,
    ])
  })

  test('and there is none after the last', () => {
    expect(() => nextPhase(phasesOf(shapeOf({})), 'completed')).toThrow(RangeError)
  })
})

describe('the machine', () => {
  test('writes at a provider in these phases, and in no other', () => {
    expect(phases.filter((phase) => machine[phase].writes)).toEqual([
      'minting',
      'distributing',
      'promoting',
      'suspending',
      'retiring',
      'rollingBack',
    ])
  })

  test('fails before anything is made by calling it off, while it is handed out by going back, later by standing', () => {
    const fails = (failure: string | null) => phases.filter((p) => machine[p].failure === failure)
    expect(fails('cancelled')).toEqual(['awaitingApproval', 'preflight'])
    expect(fails('rollingBack')).toEqual(['minting', 'verifying', 'distributing'])
    expect(fails('stalled')).toEqual([
      'promoting',
      'overlapping',
      'suspending',
      'soaking',
      'retiring',
      'rollingBack',
    ])
  })

  test('has somebody who acts in every open phase, and in no other', () => {
    expect(Object.keys(phaseHandlers).toSorted()).toEqual([...openPhases].toSorted())
  })

  test('can leave every open phase, and no other', () => {
    fc.assert(
      fc.property(anyPhase, (phase) => {
        expect(phases.some((to) => mayGo(phase, to))).toBe(isOpen(phase))
      }),
    )
  })

  test('has a legal arrow for the failure edge of every phase', () => {
    for (const phase of phases) {
      const { failure } = machine[phase]
      if (failure !== null) expect(mayGo(phase, failure), `${phase} → ${failure}`).toBe(true)
    }
  })

  test('lets every phase that has begun stall, and every stall be resumed and given up', () => {
    for (const phase of openPhases) {
      if (phase === 'planned' || phase === 'awaitingApproval' || phase === 'stalled') continue
      expect(mayGo(phase, 'stalled'), phase).toBe(true)
      expect(mayGo('stalled', resumeInto(phase)), phase).toBe(true)
    }
    expect(mayGo('stalled', 'abandoned')).toBe(true)
  })

  /** Where a phase stands on the way; undo and stalls are beside it. */
  const way = [
    'planned',
    'awaitingApproval',
    'preflight',
    'minting',
    'verifying',
    'distributing',
    'promoting',
    'overlapping',
    'suspending',
    'soaking',
    'retiring',
    'completed',
  ] as const satisfies readonly Phase[]

  test('goes back from nowhere but a stall', () => {
    for (const [n, from] of way.entries()) {
      for (const to of way.slice(0, n)) expect(mayGo(from, to), `${from} → ${to}`).toBe(false)
    }
    for (const phase of phases) {
      if (phase === 'stalled' || !mayGo(phase, 'rollingBack')) continue
      expect(mayGo('rollingBack', phase), `rollingBack → ${phase}`).toBe(false)
    }
  })

  test('ends in four ways, each of them for good', () => {
    expect(phases.filter((phase) => !isOpen(phase)).toSorted()).toEqual([
      'abandoned',
      'cancelled',
      'completed',
      'rolledBack',
    ])
  })
})

describe('undo', () => {
  const order = ['reinstateOld', 'swapBack', 'restoreTargets', 'gateNew', 'removeNew']
  const cases = fc.tuple(anyPhase, shapes, fc.boolean())

  test('is a list in one order that ends with the removal of the new version, or says why there is none', () => {
    fc.assert(
      fc.property(cases, ([phase, { traits }, minted]) => {
        const undo = undoSteps(phase, traits, minted)
        if (typeof undo === 'string') return
        const at = undo.map((step) => order.indexOf(step))
        expect(at).toEqual(at.toSorted((a, b) => a - b))
        expect(new Set(undo).size).toBe(undo.length)
        expect(undo.at(-1)).toBe('removeNew')
      }),
      runs,
    )
  })

  test('is there exactly where the machine says so', () => {
    fc.assert(
      fc.property(cases, ([phase, { traits }, minted]) => {
        const undo = undoSteps(phase, traits, minted)
        const said = machine[phase].undo
        if (said === 'cancel') expect(undo).toBe('cancel')
        else if (said === 'none') expect(undo).toBe('late')
        else if (traits.undo === 'none' && minted) expect(undo).toBe('impossible')
        else expect(Array.isArray(undo) || phase === 'stalled').toBe(true)
        // Only what is offered can be done, and whatever is done may also be reached.
        if (Array.isArray(undo)) expect(mayGo(phase, 'rollingBack')).toBe(true)
        if (undo === 'cancel') expect(mayGo(phase, 'cancelled')).toBe(true)
      }),
      runs,
    )
  })

  test('lets the new version pass the gates wherever somebody may have got it', () => {
    fc.assert(
      fc.property(cases, ([phase, { traits }, minted]) => {
        const undo = undoSteps(phase, traits, minted)
        if (typeof undo === 'string') return
        const early = phase === 'minting' || phase === 'verifying'
        const handedOut = !early || traits.staging === 'none' || traits.slot === 'single'
        expect(undo.includes('gateNew')).toBe(handedOut)
        // And the old one is what readers get before they are waited for.
        if (handedOut && phase !== 'distributing') expect(undo).toContain('swapBack')
        if (phase === 'distributing')
          expect(undo.includes('swapBack')).toBe(
            traits.staging === 'none' || traits.slot === 'single',
          )
        expect(undo.includes('restoreTargets')).toBe(!early)
        const off = phase === 'suspending' || phase === 'soaking'
        expect(undo[0] === 'reinstateOld').toBe(off)
      }),
      runs,
    )
  })
})
