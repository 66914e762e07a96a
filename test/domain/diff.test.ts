import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { diffJson } from '#domain/diff.ts'
import { segmentsOf } from '#domain/issue.ts'
import type { Json, JsonObject } from '#domain/json.ts'
import { documentOf, normalDocument } from '#domain/resource-document.ts'

const words = (before: Json | undefined, after: Json | undefined) =>
  diffJson(before, after).map(
    ({ pointer, ...change }) =>
      `${pointer} ${'before' in change ? JSON.stringify(change.before) : '–'} → ${'after' in change ? JSON.stringify(change.after) : '–'}`,
  )

describe('a difference', () => {
  test.each<[string, Json | undefined, Json | undefined, readonly string[]]>([
    ['nothing', { a: { b: [1, 2] } }, { a: { b: [1, 2] } }, []],
    ['another order of members', { a: 1, b: 2 }, { b: 2, a: 1 }, []],
    ['a field', { a: 1, b: 2 }, { a: 1, b: 3 }, ['/b 2 → 3']],
    ['a field that comes, and one that goes', { a: 1 }, { b: 1 }, ['/a 1 → –', '/b – → 1']],
    ['null is a value', { a: null }, {}, ['/a null → –']],
    ['a whole, field by field', undefined, { a: { b: 1, c: 2 } }, ['/a/b – → 1', '/a/c – → 2']],
    ['a mapping in place of a value', { a: 1 }, { a: { b: 1 } }, ['/a 1 → {"b":1}']],
    ['an empty mapping that comes', {}, { a: {} }, ['/a – → {}']],
    ['a list, as one value', { a: [1, 2] }, { a: [2, 1] }, ['/a [1,2] → [2,1]']],
    [
      'a list by the names of its items',
      {
        a: [
          { name: 'x', v: 1 },
          { name: 'y', v: 1 },
        ],
      },
      {
        a: [
          { name: 'y', v: 2 },
          { name: 'x', v: 1 },
        ],
      },
      ['/a/0/v 1 → 2'],
    ],
    [
      'items that come and go',
      { a: [{ name: 'x', v: 1 }] },
      { a: [{ name: 'y', v: 1 }] },
      ['/a/0/name – → "y"', '/a/0/v – → 1', '/a/0/name "x" → –', '/a/0/v 1 → –'],
    ],
    [
      'items in another order',
      { a: [{ name: 'x' }, { name: 'y' }] },
      { a: [{ name: 'y' }, { name: 'x' }] },
      ['/a [{"name":"x"},{"name":"y"}] → [{"name":"y"},{"name":"x"}]'],
    ],
    ['pointers are escaped', {}, { 'a/b': { 'c~d': 1 } }, ['/a~1b/c~0d – → 1']],
  ])('%s', (_what, before, after, expected) => {
    expect(words(before, after)).toEqual(expected)
  })

  const leaf = fc.oneof(
    fc.integer({ min: 0, max: 3 }),
    fc.constantFrom('a', 'b'),
    fc.constant(null),
  )
  const value: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(leaf, { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'c/d'), tie('value'), { maxKeys: 3 }),
    ),
  })).value
  const mapping = fc.dictionary(fc.constantFrom('a', 'b', 'c/d'), value, { maxKeys: 3 })

  test('made to the first gives the second, and there is none of a thing to itself', () => {
    fc.assert(
      fc.property(mapping, mapping, (a, b) => {
        expect(diffJson(a, a)).toEqual([])
        const made = structuredClone(a) as Record<string, unknown>
        for (const { pointer, after } of diffJson(a, b)) patch(made, segmentsOf(pointer), after)
        expect(tidy(made)).toEqual(tidy(b))
      }),
    )
  })
})

const patch = (root: Record<string, unknown>, path: readonly string[], after: unknown): void => {
  let at = root
  for (const step of path.slice(0, -1)) {
    const next = at[step]
    at = (typeof next === 'object' && next !== null ? next : (at[step] = {})) as typeof root
  }
  const last = path.at(-1) ?? ''
  if (after === undefined) delete at[last]
  else at[last] = structuredClone(after)
}

/** A mapping whose last field went is gone in a patch of leaves, or empty: nobody can tell. */
const tidy = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const members = Object.entries(value)
    .map(([name, member]) => [name, tidy(member)] as const)
    .filter(([, member]) => JSON.stringify(member) !== '{}')
  return Object.fromEntries(members)
}

describe('a resource as a document', () => {
  test('leaves out what the server says, and what says nothing', () => {
    const key = {
      name: 'k',
      connection: 'vault',
      type: 'local.secret',
      ref: {},
      labels: {},
      consumers: [],
      observe: null,
      generate: {},
      status: { id: 'x' },
      audit: {},
    }
    expect(documentOf('Key', key)).toEqual({
      apiVersion: 'rekey.dev/v1',
      kind: 'Key',
      metadata: { name: 'k' },
      spec: { connection: 'vault', type: 'local.secret', generate: {} },
    })
  })

  test('a policy keeps what was written, empty or not', () => {
    const policy = { name: 'p', labels: { a: 'b' }, annotations: {}, blackouts: [], generate: {} }
    expect(documentOf('RotationPolicy', policy)).toMatchObject({
      metadata: { name: 'p', labels: { a: 'b' } },
      spec: { blackouts: [], generate: {} },
    })
  })

  test('a credential that was sent is not said, so that a file that is silent keeps it', () => {
    const connection = (from: string): JsonObject =>
      documentOf('Connection', { name: 'c', provider: 'vault', credential: { from } })
    const silent = { metadata: { name: 'c' }, spec: { provider: 'vault' } }
    expect(normalDocument('Connection', silent, connection('value'))).toEqual(connection('value'))
    expect(normalDocument('Connection', silent, connection('none'))).toEqual(connection('none'))
    expect(normalDocument('Connection', silent, null)).toEqual(connection('none'))
  })
})
