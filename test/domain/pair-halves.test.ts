// Which half of a pair is dealt with first, by mode and by what is meant.

import { describe, expect, test } from 'vitest'
import type { ContainedVersion, IncidentMode } from '#domain/incident.ts'
import { incidentModes } from '#domain/incident.ts'
import type { Version } from '#domain/key.ts'
import {
  halfOfVersion,
  halfStepsOf,
  halfText,
  halfWarnings,
  isBeforeNew,
} from '#domain/pair-halves.ts'
import { completed } from './key-facts.ts'

const type = {
  halves: {
    of: () => ['a', 'b'] as const,
    holding: (_ref: unknown, id: string) => (/^[ab]\d$/.test(id) ? id.slice(0, 1) : null),
  },
}

type Row = readonly [number, ContainedVersion['state'], string, boolean?]
const standing: readonly Row[] = [
  [1, 'active', 'a1'],
  [2, 'active', 'b2', true],
]

interface Given {
  readonly rows?: readonly Row[]
  readonly chosen?: readonly number[]
  readonly next?: Parameters<typeof halfStepsOf>[2]
  readonly toVersion?: number | null
}

const stepsOf = (mode: IncidentMode, given: Given = {}) => {
  const { rows = standing, chosen = rows.map(([n]) => n), toVersion } = given
  const [before] = completed.versions
  if (!before) throw new Error('no version')
  const versions = rows.map(([version, state, id, primary = false]): Version => ({
    ...before,
    version,
    state,
    primary,
    providerVersions: [id],
  }))
  const contained = versions
    .filter(({ version }) => chosen.includes(version))
    .map(({ version, state, primary, providerVersions }): ContainedVersion => ({
      version,
      state,
      primary,
      providerVersions,
      containment: state === 'destroyed' ? 'none' : 'suspend',
      reversible: true,
      expect: 'refused',
      why: null,
    }))
  const replaces = mode === 'revokeFirst' || mode === 'rotateFast'
  const next = given.next ?? {
    replacement: replaces ? ('new' as const) : ('none' as const),
    replacementVersion: null,
  }
  const halves =
    halfStepsOf(
      {
        mode,
        key: { ref: {} },
        type,
        versions,
        chosen: new Set(chosen),
        openRotation: toVersion === undefined ? null : { toVersion },
      },
      contained,
      next,
    ) ?? []
  return { halves, contained }
}
const textOf = (mode: IncidentMode, given: Given = {}) => stepsOf(mode, given).halves.map(halfText)

test('what is no pair has no halves', () => {
  const none = { replacement: 'none', replacementVersion: null } as const
  const facts = { mode: 'disable', key: { ref: {} }, type: {}, versions: [] } as const
  expect(halfStepsOf({ ...facts, chosen: new Set(), openRotation: null }, [], none)).toBeNull()
  expect([isBeforeNew({}, 1), halfOfVersion({}, 1)]).toEqual([false, null])
})

describe('both halves are meant', () => {
  const both = [
    '1. a: version 1 is switched off, and tried',
    '1. b: version 2 is switched off, and tried',
  ]
  test.each([
    ['disable', both],
    ['revokeOnly', both],
    ['revokeFirst', [...both, '2. a: gets the new password, which is handed out']],
    [
      'rotateFast',
      [
        '1. a: version 1 is switched off, and tried',
        '2. a: gets the new password, which is handed out',
        '3. b: version 2 is switched off, and tried',
      ],
    ],
  ] as const)('%s', (mode, expected) => {
    expect(textOf(mode)).toEqual(expected)
  })

  test('only with rotateFast, and only the half that is not handed out, one is ended before the other', () => {
    const before = (mode: IncidentMode) =>
      [1, 2].map((version) => isBeforeNew(stepsOf(mode), version))
    expect(before('rotateFast')).toEqual([true, false])
    expect(before('disable')).toEqual([false, false])
  })

  test('each version is told with its half', () => {
    for (const mode of incidentModes)
      expect([1, 2, 3].map((version) => halfOfVersion(stepsOf(mode), version))).toEqual([
        'a',
        'b',
        null,
      ])
  })

  test('whoever uses the half that the new password is put on is warned of', () => {
    const { halves, contained } = stepsOf('rotateFast')
    expect(halfWarnings('rotateFast', halves, contained)).toEqual([
      'Whoever still uses a is cut off before there is a new password: it is put on a.',
    ])
    const first = stepsOf('revokeFirst')
    expect(halfWarnings('revokeFirst', first.halves, first.contained)).toEqual([])
    const off = stepsOf('rotateFast', {
      rows: [
        [1, 'deactivated', 'a1'],
        [2, 'active', 'b2', true],
      ],
    })
    expect(halfWarnings('rotateFast', off.halves, off.contained)).toEqual([])
  })
})

describe('one half is meant', () => {
  test('the other one goes on, and is said to', () => {
    const next = { replacement: 'existing', replacementVersion: 1 } as const
    expect(textOf('rotateFast', { chosen: [2], next })).toEqual([
      '1. a: version 1 serves',
      '2. b: version 2 is switched off, and tried',
    ])
    expect(textOf('revokeFirst', { chosen: [2], next })).toEqual([
      '1. b: version 2 is switched off, and tried',
      '2. a: version 1 serves',
    ])
  })
  test('what a rotation has made is where it has put it', () => {
    const rows: readonly Row[] = [
      [1, 'active', 'a1', true],
      [2, 'preActivation', 'b2'],
    ]
    const made = { replacement: 'openRotation', replacementVersion: 2 } as const
    expect(textOf('rotateFast', { rows, chosen: [1], next: made, toVersion: 2 })).toEqual([
      '1. b: version 2 serves',
      '2. a: version 1 is switched off, and tried',
    ])
    // Not proven yet.
    expect(textOf('revokeFirst', { rows, chosen: [1], toVersion: 2 })).toEqual([
      '1. a: version 1 is switched off, and tried',
      '2. b: gets the new password, which is handed out',
    ])
  })
  test('of the other one nothing is known, or it is gone: nothing is done, and a person is told', () => {
    const rows: readonly Row[] = [
      [1, 'destroyed', 'b1'],
      [2, 'active', 'a2', true],
    ]
    const { halves, contained } = stepsOf('revokeOnly', { rows })
    expect(halves.map(halfText)).toEqual(
      ['1. a: version 2 is switched off, and tried', '–. b: nothing is done to it'].map((text) =>
        text.replace('–.', '–'),
      ),
    )
    expect(halfWarnings('revokeOnly', halves, contained)).toEqual([
      expect.stringMatching(/^Nothing is done to b, the other half: .* adopt it first/),
    ])
    expect(textOf('rotateFast', { rows })).toEqual([
      '1. b: gets the new password, which is handed out',
      '2. a: version 2 is switched off, and tried',
    ])
  })
})
