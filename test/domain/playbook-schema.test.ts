// What may be written of a playbook, and what is said of one that nobody could go by at night.

import fc from 'fast-check'
import { Check } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import {
  checkPlaybookDocument,
  leastReviewMs,
  mostStepText,
  playbookDocumentSchema,
  playbookIssues,
  playbookSpecSchema,
} from '#domain/playbook-schema.ts'

const step = { title: 'Tell the partner' }
const whole = { title: 'A leak', owner: 'team-shop', steps: [step], reviewEvery: '180d' }
const many = (n: number) => Array.from({ length: n }, (_, i) => `aws.t${i}`)
const allOfIt = {
  title: 'Tell the partner',
  text: 'The number is in the safe.\nSay who you are.',
  owner: 'duty manager',
  within: '1h',
  command: 'rekey describe key/orders-token',
}

describe('a playbook', () => {
  test.each<readonly [what: string, change: object]>([
    ['as small as it can be', {}],
    ['with all that a step can say', { steps: [allOfIt] }],
    ['of fifty steps', { steps: Array.from({ length: 50 }, () => step) }],
    ['for modes', { appliesTo: { modes: ['disable', 'revokeOnly'] } }],
    ['for types', { appliesTo: { types: many(100) } }],
    ['for labels', { appliesTo: { matchLabels: { team: 'shop' } } }],
    ['with a title of 200 characters', { title: 'a'.repeat(200) }],
  ])('may be written %s', (_what, change) => {
    expect(Check(playbookSpecSchema, { ...whole, ...change })).toBe(true)
  })

  test.each(Object.keys(whole))('may not be written without %s', (member) => {
    expect(
      Check(
        playbookSpecSchema,
        Object.fromEntries(Object.entries(whole).filter(([name]) => name !== member)),
      ),
    ).toBe(false)
  })

  test.each<readonly [what: string, change: object]>([
    ['with an empty title', { title: '' }],
    ['with a title of two lines', { title: 'a\nb' }],
    ['with a title that is too long', { title: 'a'.repeat(201) }],
    ['with nobody as owner', { owner: '' }],
    ['with an owner that is too long', { owner: 'a'.repeat(201) }],
    ['with an owner of two lines', { owner: 'a\nb' }],
    ['without steps', { steps: [] }],
    ['of more than fifty steps', { steps: Array.from({ length: 51 }, () => step) }],
    ['with a step without a title', { steps: [{ text: 'a' }] }],
    ['with a step of an empty title', { steps: [{ title: '' }] }],
    ['with a step of a title that is too long', { steps: [{ title: 'a'.repeat(201) }] }],
    ['with a step with a text that is too long', { steps: [{ ...step, text: 'a'.repeat(4_001) }] }],
    ['with a step with a text that hides something', { steps: [{ ...step, text: 'a\u202eb' }] }],
    ['with a step of an owner without a name', { steps: [{ ...step, owner: '' }] }],
    ['with a step of an owner that is too long', { steps: [{ ...step, owner: 'a'.repeat(201) }] }],
    ['with a step with a command of two lines', { steps: [{ ...step, command: 'a\nb' }] }],
    ['with a step with an empty command', { steps: [{ ...step, command: '' }] }],
    [
      'with a step with a command that is too long',
      { steps: [{ ...step, command: 'a'.repeat(1_001) }] },
    ],
    ['with a step with a time that is none', { steps: [{ ...step, within: '60' }] }],
    ['with a step with more', { steps: [{ ...step, run: 'a' }] }],
    ['for nothing', { appliesTo: {} }],
    ['for no mode', { appliesTo: { modes: [] } }],
    ['for a mode that there is not', { appliesTo: { modes: ['destroy'] } }],
    ['for a mode twice', { appliesTo: { modes: ['disable', 'disable'] } }],
    ['for no type', { appliesTo: { types: [] } }],
    ['for a type twice', { appliesTo: { types: ['file', 'file'] } }],
    ['for more types than there are', { appliesTo: { types: many(101) } }],
    ['for no label', { appliesTo: { matchLabels: {} } }],
    ['for what is not known', { appliesTo: { modes: ['disable'], keys: ['a'] } }],
    ['with a review that is never', { reviewEvery: 'never' }],
    ['with what is not known', { runs: true }],
  ])('may not be written %s', (_what, change) => {
    expect(Check(playbookSpecSchema, { ...whole, ...change })).toBe(false)
  })
})

const tooOften = {
  code: 'request.invalid',
  pointer: '/reviewEvery',
  detail: 'a review is due once an hour at most',
  hint: 'write 180d, or what your reviews ask for',
}
/** Steps that are so many characters long as JSON. */
const stepsOf = (characters: number) => {
  const frame = JSON.stringify([{ title: '' }]).length
  return [{ title: 'a'.repeat(characters - frame) }]
}

describe('what is said of one beyond its form', () => {
  test.each([
    ['180d', []],
    ['1h', []],
    ['60m', []],
    ['59m', [tooOften]],
    ['3599s', [tooOften]],
    ['0s', [tooOften]],
  ])('a review every %s', (reviewEvery, issues) => {
    expect(playbookIssues({ reviewEvery, steps: [step] })).toEqual(issues)
  })

  test('an hour is the least that somebody needs to read the message', () => {
    expect(leastReviewMs).toBe(60 * 60 * 1_000)
  })

  test('steps may be as long as an incident can carry, and not a character longer', () => {
    const reviewEvery = '180d'
    expect(JSON.stringify(stepsOf(mostStepText))).toHaveLength(mostStepText)
    expect(playbookIssues({ reviewEvery, steps: stepsOf(mostStepText) })).toEqual([])
    expect(playbookIssues({ reviewEvery, steps: stepsOf(mostStepText + 1) })).toMatchObject([
      { code: 'request.invalid', pointer: '/steps', detail: expect.stringContaining('32,000') },
    ])
  })

  test('both at once', () => {
    const both = playbookIssues({ reviewEvery: '1m', steps: stepsOf(mostStepText + 1) })
    expect(both.map(({ pointer }) => pointer)).toEqual(['/reviewEvery', '/steps'])
  })
})

describe('a document in a file', () => {
  const document = (spec: object) => ({
    apiVersion: 'rekey.dev/v1',
    kind: 'Playbook',
    metadata: { name: 'leak' },
    spec: { ...whole, ...spec },
  })

  test('is an envelope around the same', () => {
    expect(Check(playbookDocumentSchema, document({}))).toBe(true)
    expect(Check(playbookDocumentSchema, { ...document({}), kind: 'Key' })).toBe(false)
    expect(Check(playbookDocumentSchema, document({ steps: [] }))).toBe(false)
  })

  test('is told the same, at its place in the file', () => {
    expect(checkPlaybookDocument(document({}))).toEqual({ issues: [], warnings: [] })
    expect(checkPlaybookDocument(document({ reviewEvery: '1m' }))).toEqual({
      issues: [{ ...tooOften, pointer: '/spec/reviewEvery' }],
      warnings: [],
    })
    expect(
      checkPlaybookDocument(document({ steps: stepsOf(mostStepText + 1) })).issues,
    ).toMatchObject([{ pointer: '/spec/steps' }])
  })

  test.each<readonly [what: string, document: unknown]>([
    ['nothing', null],
    ['a text', 'kind: Playbook'],
    ['no spec', { kind: 'Playbook' }],
    ['a spec that is nothing', { spec: null }],
    ['a review that is a number', document({ reviewEvery: 60 })],
    ['a review that is no duration', document({ reviewEvery: '1 minute' })],
    ['steps that are no list', document({ reviewEvery: '1m', steps: { title: 'a' } })],
  ])('of a form that its schema refuses is told nothing twice: %s', (_what, given) => {
    expect(checkPlaybookDocument(given)).toEqual({ issues: [], warnings: [] })
  })

  test('is looked at before its form is known: whatever is in it, nothing is thrown', () => {
    fc.assert(
      fc.property(fc.anything(), fc.constantFrom('spec', 'steps', 'reviewEvery'), (value, name) => {
        const given = name === 'spec' ? { spec: value } : document({ [name]: value })
        expect(checkPlaybookDocument(given).warnings).toEqual([])
      }),
    )
  })
})
