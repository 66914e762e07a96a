import { errorCodes } from 'fastify'
import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import { errors, RekeyError } from '#domain/errors.ts'
import { ProviderError } from '#domain/provider.ts'
import { problemOf, problemSchema, toRekeyError } from '#http/problem.ts'
import { makeValidators } from '#http/validators.ts'
import { placesOf, type ShapeFault } from '#http/validation.ts'

const at = { instance: '/v1/x', requestId: 'r1' }

describe('a problem', () => {
  test('has every member that its error has, and is as documented', () => {
    const error = new RekeyError('key.ambiguousPrimary', {
      detail: 'Two versions could be the primary.',
      hint: 'Name one in adopt.',
      errors: [{ pointer: '/adopt', detail: 'is needed', file: 'a.yaml', line: 3, column: 7 }],
      extra: { candidates: ['AKIA1', 'AKIA2'], status: 200, code: 'posing' },
    })
    const problem = JSON.parse(JSON.stringify(problemOf(error, at)))
    expect(problem).toEqual({
      type: '/problems/key.ambiguousPrimary',
      title: errors['key.ambiguousPrimary'].title,
      status: 409,
      detail: 'Two versions could be the primary.',
      instance: '/v1/x',
      code: 'key.ambiguousPrimary',
      requestId: 'r1',
      errors: [{ pointer: '/adopt', detail: 'is needed', file: 'a.yaml', line: 3, column: 7 }],
      hint: 'Name one in adopt.',
      candidates: ['AKIA1', 'AKIA2'],
    })
    expect(makeValidators()(problemSchema, 'body')(problem)).toBe(true)
  })

  test.each([
    new Error('password=swordfish'),
    'swordfish',
    null,
    undefined,
    { code: 'EACCES', message: 'swordfish' },
  ])('of what nobody foresaw tells nothing of it', (thrown) => {
    const error = toRekeyError(thrown)
    expect(error.code).toBe('internal')
    expect(JSON.stringify(problemOf(error, at))).not.toContain('swordfish')
  })

  test.each([
    ['auth', 'provider.unauthorized'],
    ['forbidden', 'provider.unauthorized'],
    ['throttled', 'provider.unavailable'],
    ['timeout', 'provider.unavailable'],
    ['quota', 'provider.rejected'],
    ['notFound', 'provider.rejected'],
  ] as const)('of a provider that says %s is %s', (kind, code) => {
    expect(toRekeyError(new ProviderError(kind, 'none', 'a sentence of ours')).code).toBe(code)
  })

  test('of the framework that is a caller’s fault is never called ours', () => {
    for (const [name, make] of Object.entries(errorCodes)) {
      // What Fastify throws while a request is served; the others are mistakes in its use.
      const thrown: { readonly statusCode?: number } = new (make as new () => Error & {
        statusCode?: number
      })()
      const { statusCode } = thrown
      if (statusCode === undefined || statusCode >= 500) continue
      expect(toRekeyError(thrown).status, name).toBeLessThan(500)
      expect(toRekeyError(thrown).code, name).not.toBe('internal')
    }
  })
})

describe('one mistake in a union is told once', () => {
  const strict = { additionalProperties: false }
  const schema = Type.Object(
    {
      reload: Type.Optional(
        Type.Union([
          Type.Object(
            { type: Type.Literal('webhook'), url: Type.String(), secret: Type.String() },
            strict,
          ),
          Type.Object({ type: Type.Literal('exec'), command: Type.Array(Type.String()) }, strict),
          Type.Null(),
        ]),
      ),
      many: Type.Optional(Type.Array(Type.Union([Type.String({ pattern: '^a' }), Type.Integer()]))),
      lists: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
    },
    strict,
  )
  const check = makeValidators()(schema, 'body')
  const told = (value: unknown) => {
    expect(check(value)).toBe(false)
    const faults: readonly ShapeFault[] =
      'errors' in check && Array.isArray(check.errors) ? check.errors : []
    return placesOf(faults, 'body')
  }
  test.each([
    [
      { reload: { type: 'webhook', url: 'x' } },
      [{ pointer: '/reload/secret', detail: 'is required' }],
    ],
    [
      { reload: { type: 'exec', command: 'ls' } },
      [{ pointer: '/reload/command', detail: 'must be array' }],
    ],
    [
      { reload: { type: 'exec', comand: [], command: [] } },
      [{ pointer: '/reload/comand', detail: 'unknown field; did you mean command?' }],
    ],
    [
      { reload: { type: 'telnet' } },
      [{ pointer: '/reload/type', detail: 'must be one of webhook, exec' }],
    ],
    [{ reload: 5 }, [{ pointer: '/reload', detail: 'must be object or null' }]],
    [{ many: ['a', 1, 'b'] }, [{ pointer: '/many/2', detail: 'must match pattern "^a"' }]],
    [{ many: [true] }, [{ pointer: '/many/0', detail: 'must be string or integer' }]],
  ])('%j', (value, places) => {
    expect(told(value)).toEqual(places)
  })

  test('and a flood of mistakes is cut', () => {
    // To compare each with all others would take a minute.
    const many = Array.from({ length: 130_000 }, () => true)
    expect(told({ many: many.slice(0, 20_000) })).toHaveLength(32)
    // One branch has them all: more than a call takes as its arguments.
    expect(told({ lists: many })).toHaveLength(32)
  })
})
