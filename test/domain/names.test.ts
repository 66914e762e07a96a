import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { Check } from 'typebox/value'
import {
  labelsSchema,
  matches,
  nameSchema,
  selectorFaults,
  selectorSchema,
  type Selector,
} from '#domain/names.ts'

const key = {
  connection: 'aws-prod',
  type: 'aws.iam.accessKey',
  labels: { app: 'payments', env: 'prod' },
}

describe('names', () => {
  test.each(['a', '0', 'a-b', 'a'.repeat(63)])('%s is a name', (name) => {
    expect(Check(nameSchema, name)).toBe(true)
  })
  test.each(['', '-a', 'a-', 'A', 'a_b', 'a.b', 'a'.repeat(64), 'é', 'a\n', '__proto__'])(
    '%j is not a name',
    (name) => {
      expect(Check(nameSchema, name)).toBe(false)
    },
  )
})

describe('labels', () => {
  test.each([
    { app: 'payments' },
    { 'rekey.dev/runbook': 'docs/iam.md' },
    { a: '' },
    { a: 'Zürich – 東京' },
    {},
  ])('%j are labels', (labels) => {
    expect(Check(labelsSchema, labels)).toBe(true)
  })
  test.each([
    { '': 'x' },
    { '/a': 'x' },
    { 'a b': 'x' },
    { 'a=b': 'x' },
    { a: 'x\ny' },
    { a: '\u0000' },
    { a: '\u202e' },
    { a: 'x'.repeat(129) },
    { a: 1 },
    JSON.parse('{"__proto__":"x"}') as unknown,
    Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, 'v'])),
  ])('%j are not labels', (labels) => {
    expect(Check(labelsSchema, labels)).toBe(false)
  })
})

describe('selectors', () => {
  test.each([
    {},
    { matchLabels: {} },
    { matchExpressions: [] },
    { connection: '' },
    { labels: { app: 'x' } },
    { matchExpressions: [{ key: 'env', operator: 'Equals', values: ['x'] }] },
    { matchExpressions: [{ operator: 'Exists' }] },
  ])('%j is refused: a selector says something, and only what is known', (selector) => {
    expect(Check(selectorSchema, selector)).toBe(false)
  })

  test.each<[Selector, boolean]>([
    [{ connection: 'aws-prod' }, true],
    [{ connection: 'aws-dev' }, false],
    [{ type: 'aws.iam.accessKey' }, true],
    [{ type: 'aws.iam' }, false],
    [{ matchLabels: { app: 'payments' } }, true],
    [{ matchLabels: { app: 'payments', team: 'x' } }, false],
    [{ connection: 'aws-prod', type: 'aws.iam.accessKey', matchLabels: { env: 'prod' } }, true],
    [{ matchExpressions: [{ key: 'env', operator: 'In', values: ['prod', 'staging'] }] }, true],
    [{ matchExpressions: [{ key: 'env', operator: 'In', values: ['dev'] }] }, false],
    [{ matchExpressions: [{ key: 'none', operator: 'In', values: ['dev'] }] }, false],
    [{ matchExpressions: [{ key: 'env', operator: 'NotIn', values: ['prod'] }] }, false],
    [{ matchExpressions: [{ key: 'none', operator: 'NotIn', values: ['prod'] }] }, true],
    [{ matchExpressions: [{ key: 'env', operator: 'Exists' }] }, true],
    [{ matchExpressions: [{ key: 'none', operator: 'Exists' }] }, false],
    [{ matchExpressions: [{ key: 'none', operator: 'DoesNotExist' }] }, true],
    [{ matchExpressions: [{ key: 'env', operator: 'DoesNotExist' }] }, false],
    [
      {
        matchExpressions: [
          { key: 'env', operator: 'Exists' },
          { key: 'app', operator: 'NotIn', values: ['payments'] },
        ],
      },
      false,
    ],
  ])('%j selects the key: %s', (selector, expected) => {
    expect(matches(selector, key)).toBe(expected)
  })

  test('a label that every object inherits is not a label of the key', () => {
    expect(matches({ matchExpressions: [{ key: 'constructor', operator: 'Exists' }] }, key)).toBe(
      false,
    )
  })

  test('In and NotIn are opposites for every key, and so are Exists and DoesNotExist', () => {
    const label = fc.constantFrom('app', 'env', 'team')
    const value = fc.constantFrom('a', 'b', 'c')
    fc.assert(
      fc.property(
        label,
        fc.array(value, { minLength: 1 }),
        fc.dictionary(label, value),
        (name, values, labels) => {
          const says = (operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist') =>
            matches(
              {
                matchExpressions: [
                  { key: name, operator, ...(operator.endsWith('In') ? { values } : {}) },
                ],
              },
              { ...key, labels },
            )
          expect(says('In')).toBe(!says('NotIn'))
          expect(says('Exists')).toBe(!says('DoesNotExist'))
        },
      ),
    )
  })

  test('values that do not fit the operator are named with their place', () => {
    expect(
      selectorFaults({
        matchExpressions: [
          { key: 'a', operator: 'In' },
          { key: 'a', operator: 'Exists', values: ['x'] },
          { key: 'a', operator: 'NotIn', values: [] },
          { key: 'a', operator: 'In', values: ['x'] },
        ],
      }).map(({ pointer }) => pointer),
    ).toEqual(['/matchExpressions/0', '/matchExpressions/1/values', '/matchExpressions/2'])
  })
})
