import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isRekeyError, type RekeyError } from '#domain/errors.ts'
import { parseJsonText } from '#domain/json-text.ts'

const refusal = (text: string): RekeyError => {
  try {
    parseJsonText(text)
  } catch (error) {
    if (isRekeyError(error, 'request.invalid')) return error
    throw error
  }
  throw new Error(`accepted: ${text.slice(0, 100)}`)
}

/** What JSON.parse says, as the reference of the grammar. */
const standard = (text: string): { readonly ok: boolean; readonly value?: unknown } => {
  try {
    return { ok: true, value: JSON.parse(text) }
  } catch {
    return { ok: false }
  }
}

const withoutSpecialNames = (text: string): boolean => !/__proto__|prototype/.test(text)

describe('a JSON body', () => {
  test('is what JSON.parse makes of it, for any value', () => {
    fc.assert(
      fc.property(fc.json({ depthSize: 'medium' }), fc.constantFrom(0, 1, 2), (text, space) => {
        fc.pre(withoutSpecialNames(text))
        const spaced = JSON.stringify(JSON.parse(text), null, space)
        expect(parseJsonText(spaced)).toEqual(JSON.parse(text))
      }),
    )
  })

  test('is refused exactly where JSON.parse refuses it, but for repeated names', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '"\\u00e9"',
      '1',
      '-0.5e3',
      '01',
      'null',
      'tru',
      ' ',
      '\n',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('')
        const reference = standard(text)
        if (!reference.ok) expect(refusal(text).code).toBe('request.invalid')
        else if (repeatsNoName(text)) expect(parseJsonText(text)).toEqual(reference.value)
      }),
      { numRuns: 20_000 },
    )
  })

  test('with one character changed is refused exactly where JSON.parse refuses it', () => {
    const text =
      '{"name": "a\\n\\u0041", "list": [1, -2.5e-3, true, false, null, {}], "deep": {"x": [[]]}}'
    fc.assert(
      fc.property(
        fc.nat(text.length - 1),
        fc.constantFrom('', ...'{}[],:"\\01e+-.tn \u0001é'),
        (at, char) => {
          const changed = text.slice(0, at) + char + text.slice(at + 1)
          const reference = standard(changed)
          if (reference.ok) expect(parseJsonText(changed)).toEqual(reference.value)
          else expect(refusal(changed).places[0]?.line).toBe(1)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('that is malformed is refused with line and column', () => {
    const { places, message } = refusal('{\n  "name": "a",\n  "labels": nope\n}')
    expect(places).toEqual([
      { pointer: '/labels', detail: 'expected a value', line: 3, column: 13 },
    ])
    expect(message).toContain('line 3, column 13')
  })

  test('says nothing of its values', () => {
    expect(refusal('{"password": "hunter2" "x"}').message).not.toContain('hunter2')
    expect(refusal('hunter2').message).not.toContain('hunter2')
  })

  test('with two members of one name is refused, also when one is escaped', () => {
    expect(refusal('{"a": {"b": 1, "\\u0062": 2}}').places[0]).toMatchObject({
      pointer: '/a/b',
      detail: 'a second member of this name',
    })
  })

  test('with __proto__ is refused, also escaped and deep', () => {
    expect(refusal('{"__proto__": {"x": 1}}').places[0]?.pointer).toBe('/__proto__')
    expect(refusal('[{"\\u005f_proto__": 1}]').places[0]?.pointer).toBe('/0/__proto__')
    expect(refusal('{"constructor": {"prototype": {}}}').places[0]?.pointer).toBe(
      '/constructor/prototype',
    )
    expect(parseJsonText('{"constructor": "a"}')).toEqual({ constructor: 'a' })
  })

  test('of 20,000 levels is refused without exhausting anything', () => {
    expect(refusal('['.repeat(20_000) + ']'.repeat(20_000)).message).toContain(
      'nested deeper than 64 levels',
    )
    expect(refusal('{"a":'.repeat(20_000)).message).toContain('nested deeper than 64 levels')
  })

  test('of a million characters is read: were it for each from the beginning, the test would not end', () => {
    const list = Array.from({ length: 100_000 }, () => 1)
    expect(parseJsonText(JSON.stringify({ a: 'x'.repeat(500_000), list }))).toHaveProperty(
      'list.length',
      100_000,
    )
  })
})

/** Whether no object in the text names a member twice: then nothing is lost in a round trip. */
const repeatsNoName = (text: string): boolean => {
  const count = (s: string) => s.match(/"[^"]*"\s*:/g)?.length ?? 0
  return count(text) === count(JSON.stringify(JSON.parse(text)))
}
