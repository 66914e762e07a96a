// When a playbook is due, for which incidents it is meant, and how far the steps of a copy have come.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { incidentModes, type IncidentMode } from '#domain/incident.ts'
import type { Labels } from '#domain/names.ts'
import {
  appliesTo,
  type Playbook,
  reviewDueAt,
  type StepTick,
  type TakenPlaybook,
  takenSteps,
} from '#domain/playbook.ts'
import type { PlaybookSpec } from '#domain/playbook-schema.ts'
import { at } from './key-facts.ts'

describe('a review is due', () => {
  const spec: PlaybookSpec = {
    title: 'A leak',
    owner: 'team-shop',
    steps: [{ title: 'Tell the partner' }],
    reviewEvery: '90d',
  }
  const by = { id: 'p', name: 'p' }
  const due = (review: Playbook['review']) =>
    reviewDueAt({ spec, review, createdAt: new Date('2026-01-01T00:00:00Z') })

  test('from its making on, before the first one', () => {
    expect(due(null)).toEqual(new Date('2026-04-01T00:00:00Z'))
  })
  test('from the last one on, whichever revision that was of', () => {
    const review = { at: new Date('2026-06-01T12:00:00Z'), by, revision: 1, text: 'It is right.' }
    expect(due(review)).toEqual(new Date('2026-08-30T12:00:00Z'))
  })
})

describe('a playbook is meant', () => {
  const key = (type: string, labels: Labels = {}) => ({ type, labels })
  const shop = key('aws.iam.accessKey', { team: 'shop', env: 'prod' })
  const vault = key('vault.kv2.secret', { team: 'vault' })

  test.each<
    readonly [
      what: string,
      appliesTo: PlaybookSpec['appliesTo'],
      mode: IncidentMode,
      keys: readonly (typeof shop)[],
      meant: boolean,
    ]
  >([
    ['for whoever names it, where it says nothing', undefined, 'disable', [shop], false],
    ['for one of its modes', { modes: ['revokeOnly', 'disable'] }, 'disable', [shop], true],
    ['not for another mode', { modes: ['revokeOnly'] }, 'disable', [shop], false],
    ['for one of its types', { types: ['file', 'aws.iam.accessKey'] }, 'disable', [shop], true],
    ['not for another type', { types: ['file'] }, 'disable', [shop], false],
    ['for its labels', { matchLabels: { team: 'shop', env: 'prod' } }, 'disable', [shop], true],
    [
      'not where one label is another',
      { matchLabels: { team: 'shop', env: 'test' } },
      'disable',
      [shop],
      false,
    ],
    [
      'not where a label is not there',
      { matchLabels: { team: 'vault', env: 'prod' } },
      'disable',
      [vault],
      false,
    ],
    [
      'where one key of several is meant',
      { types: ['aws.iam.accessKey'] },
      'disable',
      [vault, shop],
      true,
    ],
    [
      'where one key has type and labels',
      { types: ['vault.kv2.secret'], matchLabels: { team: 'vault' } },
      'disable',
      [shop, vault],
      true,
    ],
    [
      'not where one key has the type and another the labels',
      { types: ['vault.kv2.secret'], matchLabels: { team: 'shop' } },
      'disable',
      [shop, vault],
      false,
    ],
    [
      'not where mode or keys alone agree',
      { modes: ['disable'], types: ['file'] },
      'disable',
      [shop],
      false,
    ],
    [
      'not where keys agree and the mode does not',
      { modes: ['revokeOnly'], types: ['aws.iam.accessKey'] },
      'disable',
      [shop],
      false,
    ],
    ['for no incident without keys', { modes: ['disable'] }, 'disable', [], false],
  ])('%s', (_what, wanted, mode, keys, meant) => {
    expect(appliesTo(wanted === undefined ? {} : { appliesTo: wanted }, mode, keys)).toBe(meant)
  })

  test('all the more, the less it asks for', () => {
    const labels = fc.dictionary(fc.constantFrom('team', 'env'), fc.constantFrom('a', 'b'))
    const type = fc.constantFrom('file', 'local.key')
    const wanted = fc.record(
      {
        modes: fc.subarray([...incidentModes], { minLength: 1 }),
        types: fc.uniqueArray(type, { minLength: 1 }),
        matchLabels: labels,
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(
        wanted,
        fc.constantFrom(...incidentModes),
        fc.array(fc.record({ type, labels }), { maxLength: 3 }),
        fc.constantFrom('modes', 'types', 'matchLabels'),
        (asked, mode, keys, left) => {
          const less = Object.fromEntries(Object.entries(asked).filter(([name]) => name !== left))
          if (appliesTo({ appliesTo: asked }, mode, keys))
            expect(appliesTo({ appliesTo: less }, mode, keys)).toBe(true)
        },
      ),
    )
  })
})

describe('the steps of a copy', () => {
  const taken: Pick<TakenPlaybook, 'at' | 'steps'> = {
    at: at(0).toISOString(),
    steps: [
      { title: 'Tell the partner', within: '60s', owner: 'duty' },
      { title: 'Look at the log' },
    ],
  }
  const tick = (step: number, outcome: StepTick['outcome'], seconds: number): StepTick => ({
    id: `t${seconds}`,
    incidentId: 'i1',
    step,
    outcome,
    note: null,
    principalId: 'p',
    principalName: 'p',
    at: at(seconds),
  })
  const first = (ticks: readonly StepTick[], now: number) => takenSteps(taken, ticks, at(now))[0]

  test('are numbered from 1 on, open, and say what was written', () => {
    expect(takenSteps(taken, [], at(10))).toEqual([
      {
        title: 'Tell the partner',
        within: '60s',
        owner: 'duty',
        step: 1,
        state: 'open',
        dueAt: at(60),
        late: false,
        tick: null,
      },
      { title: 'Look at the log', step: 2, state: 'open', dueAt: null, late: false, tick: null },
    ])
  })

  test("have each its own last word, and nobody else's", () => {
    const ticks = [tick(1, 'notDone', 10), tick(2, 'notDone', 15), tick(1, 'done', 20)]
    expect(takenSteps(taken, ticks, at(30))).toMatchObject([
      { state: 'done', tick: { id: 't20' } },
      { state: 'notDone', tick: { id: 't15' } },
    ])
    expect(takenSteps(taken, [tick(3, 'done', 10)], at(30))).toMatchObject([
      { state: 'open' },
      { state: 'open' },
    ])
  })

  test.each<readonly [what: string, ticks: readonly StepTick[], now: number, late: boolean]>([
    ['open in time', [], 59, false],
    ['open at the last moment', [], 60, false],
    ['open after it', [], 61, true],
    ['done in time, however late it is now', [tick(1, 'done', 60)], 1_000, false],
    ['done too late', [tick(1, 'done', 61)], 1_000, true],
    ['not done, while there is time', [tick(1, 'notDone', 10)], 60, false],
    ['not done, and its time is over', [tick(1, 'notDone', 10)], 61, true],
    ['not done after all', [tick(1, 'done', 10), tick(1, 'notDone', 20)], 61, true],
  ])('%s', (_what, ticks, now, late) => {
    expect(first(ticks, now)?.late).toBe(late)
  })

  test('without a time are never late', () => {
    expect(takenSteps(taken, [], at(1e9))[1]).toMatchObject({ dueAt: null, late: false })
  })
})
