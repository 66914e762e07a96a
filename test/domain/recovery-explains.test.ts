// Whether a rotation that a recovery stalled may go on by itself: only where all that differs is its own doing.

import { describe, expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import { explains } from '#domain/recovery.ts'
import type { Phase } from '#domain/rotation-machine.ts'
import { completed } from './key-facts.ts'

const [{ rotation }] = completed.rotations as [(typeof completed.rotations)[number]]

interface Told {
  readonly state?: 'equal' | 'adopt' | 'orphan' | 'lost'
  readonly unknown?: readonly string[]
  readonly changed?: readonly (readonly [version: number, state: string])[]
  readonly successor?: string
}

const explained = (
  { state = 'adopt', unknown = [], changed = [], successor }: Told,
  at: {
    readonly phase: Phase
    readonly stalledIn?: Phase
    readonly minting?: boolean
    readonly made?: readonly string[]
    readonly without?: Phase
  },
): boolean => {
  const facts: JsonObject = {
    unknown: unknown.map((id) => ({ id })),
    changed: changed.map(([version, of]) => ({ version, id: `p${version}`, state: of })),
    ...(successor === undefined ? {} : { successor }),
  }
  const phases = rotation.plan.phases.filter((of) => of !== at.without)
  return explains(
    { state, detail: '', facts },
    {
      rotation: {
        ...rotation,
        phase: at.phase,
        stalledIn: at.stalledIn ?? null,
        plan: { ...rotation.plan, phases },
      },
      minting: at.minting ?? false,
      made: at.made ?? [],
    },
  )
}

test('nothing is explained where nothing differs, or what serves is gone', () => {
  for (const state of ['equal', 'lost'] as const)
    expect(explained({ state }, { phase: 'overlapping' })).toBe(false)
  for (const state of ['adopt', 'orphan'] as const)
    expect(explained({ state }, { phase: 'overlapping' })).toBe(true)
})

describe('a version that nobody knows', () => {
  test('is its own while one mint is open, and only one', () => {
    const at = { phase: 'minting' } as const
    expect(explained({ unknown: ['9'] }, { ...at, minting: true })).toBe(true)
    expect(explained({ unknown: ['9'] }, at)).toBe(false)
    expect(explained({ unknown: ['8', '9'] }, { ...at, minting: true })).toBe(false)
  })
  test('may serve already where it was minted, or is what it has made', () => {
    const at = { phase: 'promoting' } as const
    expect(explained({ successor: '9' }, { ...at, made: ['9'] })).toBe(true)
    expect(explained({ successor: '9' }, { ...at, made: ['8'] })).toBe(false)
    expect(explained({ successor: '9' }, { ...at, minting: true })).toBe(false)
    expect(explained({ successor: '9', unknown: ['9'] }, { ...at, minting: true })).toBe(true)
  })
})

describe('a version in another state', () => {
  test.each([
    { phase: 'overlapping', disabled: true, destroyed: false },
    { phase: 'suspending', disabled: true, destroyed: false },
    { phase: 'soaking', disabled: true, destroyed: false },
    { phase: 'retiring', disabled: false, destroyed: true },
    { phase: 'rollingBack', disabled: true, destroyed: true },
  ] as const)('$phase: switched off $disabled, destroyed $destroyed', (of) => {
    const { phase, disabled, destroyed } = of
    expect(explained({ changed: [[1, 'disabled']] }, { phase })).toBe(disabled)
    expect(explained({ changed: [[1, 'destroyed']] }, { phase })).toBe(destroyed)
    // The other one of the two.
    expect(explained({ changed: [[2, 'disabled']] }, { phase })).toBe(disabled)
  })
  test('counts by the phase in which it stalled', () => {
    const told = { changed: [[1, 'destroyed']] } as const
    expect(explained(told, { phase: 'stalled', stalledIn: 'retiring' })).toBe(true)
    expect(explained(told, { phase: 'stalled', stalledIn: 'suspending' })).toBe(false)
  })
  test('is nothing of a rotation that never switches off', () => {
    const at = { phase: 'overlapping', without: 'suspending' } as const
    expect(explained({ changed: [[1, 'disabled']] }, at)).toBe(false)
  })
  test('is somebody else’s where the version is none of its two, whatever it does', () => {
    for (const phase of ['soaking', 'rollingBack'] as const)
      expect(explained({ changed: [[3, 'disabled']] }, { phase })).toBe(false)
    const both = [
      [1, 'disabled'],
      [3, 'disabled'],
    ] as const
    expect(explained({ changed: both }, { phase: 'soaking' })).toBe(false)
  })
})
