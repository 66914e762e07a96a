import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { readYaml } from '#domain/yaml-document.ts'
import { anyText } from '#test/support/any-text.ts'

const value = (text: string): unknown => {
  const { documents, issues } = readYaml(text)
  expect(issues).toEqual([])
  return documents[0]?.value
}
const fault = (text: string) => {
  const { documents, issues } = readYaml(text)
  expect(documents).toEqual([])
  const [{ detail, line, column } = { detail: '', line: 0, column: 0 }] = issues
  return `${line}:${column} ${detail}`
}

describe('what is read', () => {
  test('YAML 1.2: yes and no are texts, dates are texts, 0o is octal', () => {
    expect(value('a: yes\nb: no\nc: 2026-12-01\nd: 0o17\ne: 017\nf: ~\ng: true\nh: 1.5\n')).toEqual(
      { a: 'yes', b: 'no', c: '2026-12-01', d: 15, e: 17, f: null, g: true, h: 1.5 },
    )
  })

  test('JSON, also indented by tabs and with escapes', () => {
    expect(value('{\n\t"a": [1, "\\ud83d\\ude00", {"b\\/c": null}],\r\n\t"d": true\n}')).toEqual({
      a: [1, '😀', { 'b/c': null }],
      d: true,
    })
  })

  test('a byte order mark at the beginning, carriage returns, comments, block texts', () => {
    expect(value('\uFEFFa: 1\r\n# comment\r\nb: |\r\n  x\r\n  y\r\n')).toEqual({
      a: 1,
      b: 'x\ny\n',
    })
  })

  test('a stream of documents, leaving out those that are empty', () => {
    const { documents, issues } = readYaml(
      '# first\n---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n',
    )
    expect(issues).toEqual([])
    expect(documents.map((document) => document.value)).toEqual([{ a: 1 }, { b: 2 }])
  })

  test('anchors, as long as they stay small', () => {
    expect(value('a: &x { k: [1] }\nb: *x\nc: [*x, &y z, *y]\n')).toEqual({
      a: { k: [1] },
      b: { k: [1] },
      c: [{ k: [1] }, 'z', 'z'],
    })
  })

  test('the latest anchor of a name counts', () => {
    expect(value('a: &x 1\nb: *x\nc: &x 2\nd: *x\n')).toEqual({ a: 1, b: 1, c: 2, d: 2 })
  })

  test('64 levels, and not 65', () => {
    expect(readYaml(`${'['.repeat(64)}${']'.repeat(64)}`).issues).toEqual([])
    expect(fault(`${'['.repeat(65)}${']'.repeat(65)}`)).toBe('1:65 nested deeper than 64 levels')
  })
})

describe('what is refused, with its place', () => {
  test.each([
    ['a duplicate key', 'a: 1\nb: 2\na: 3\n', '3:1 the key "a" stands here twice'],
    ['a duplicate key in JSON', '{"a": 1, "a": 2}', '1:10 the key "a" stands here twice'],
    [
      'a duplicate key deep inside',
      'a:\n  - b: 1\n    b: 2\n',
      '3:5 the key "b" stands here twice',
    ],
    ['a merge key', 'a: &x { b: 1 }\nc:\n  <<: *x\n', '3:3 merge keys are not allowed'],
    ['__proto__', 'a:\n  __proto__: { admin: true }\n', '2:3 the key __proto__ is not allowed'],
    ['__proto__ in JSON', '{"__proto__": {"admin": true}}', '1:2 the key __proto__ is not allowed'],
    ['an escaped __proto__', '{"\\u005f_proto__": 1}', '1:2 the key __proto__ is not allowed'],
    ['constructor', 'constructor: 1', '1:1 the key constructor is not allowed'],
    ['prototype', 'prototype: 1', '1:1 the key prototype is not allowed'],
    ['a number as a key', 'a: 1\n2: b\n', '2:1 a key must be a text'],
    ['a list as a key', '? [a]\n: 1\n', '1:3 a key must be a text'],
    ['no key', ': 1\n', '1:1 a key must be a text'],
    ['a tag', 'a: !!binary aGk=\n', '1:13 tags are not allowed'],
    ['a tag of one’s own', 'a: !secret x\n', '1:12 tags are not allowed'],
    ['an alias without an anchor', 'a: *x\n', '1:4 this alias has no anchor before it'],
    ['an alias of itself', 'a: &x [*x]\n', '1:8 this alias contains itself'],
    ['infinity', 'a: .inf\n', '1:4 the number is out of range'],
    ['not a number', 'a: .nan\n', '1:4 the number is out of range'],
    [
      'a number that would be rounded',
      'a: 12345678901234567890\n',
      '1:4 the number is out of range',
    ],
    ['NUL', 'a: b\u0000c\n', '1:5 the character U+0000 is not allowed'],
    ['NUL, escaped', 'a: "b\\u0000c"\n', '1:4 the character U+0000 is not allowed'],
    [
      'escape, which drives terminals',
      'a: 1\nb: \u001b[31m\n',
      '2:4 the character U+001B is not allowed',
    ],
    ['text in another order', 'a: x\nb: \u202eabc\n', '2:4 the character U+202E is not allowed'],
    ['text in another order, escaped', 'a: "\\u202e"', '1:4 the character U+202E is not allowed'],
    ['an isolate in a comment', 'a: 1 # \u2066\n', '1:8 the character U+2066 is not allowed'],
    ['a space of no width', 'a: te\u200bst\n', '1:6 the character U+200B is not allowed'],
    ['a line separator', 'a: b\u2028c\n', '1:5 the character U+2028 is not allowed'],
    ['next line', 'a: b\u0085c\n', '1:5 the character U+0085 is not allowed'],
    ['half of a pair', 'a: b\ud800c\n', '1:5 the character U+D800 is not allowed'],
    ['a mark inside the text', 'a: b\uFEFFc\n', '1:5 the character U+FEFF is not allowed'],
    ['a tag character', 'a: b\u{e0041}c\n', '1:5 the character U+E0041 is not allowed'],
    ['another version', '%YAML 1.1\n---\na: yes\n', '1:1 only YAML 1.2 is read'],
  ])('%s', (_, text, expected) => {
    expect(fault(text)).toBe(expected)
  })

  test.each([
    'a: [1, 2',
    '{"a": 1',
    'a: b: c',
    'a: "x',
    'a: 1\n b: 2\n',
    '- a\nb: 1\n',
    '\ta: 1\n',
    '%TAG\n',
    '&',
    '*',
    'a: @x',
    'a: `x`',
  ])('%j is told as one or a few issues with a line', (text) => {
    const { documents, issues } = readYaml(text)
    expect(documents).toEqual([])
    expect(issues.length).toBeGreaterThan(0)
    expect(issues.every(({ line, column }) => (line ?? 0) >= 1 && (column ?? 0) >= 1)).toBe(true)
  })
})

describe('what would exhaust the parser', () => {
  const levels = 20_000
  test.each([
    ['lists', '['.repeat(levels)],
    ['closed lists', `${'['.repeat(levels)}${']'.repeat(levels)}`],
    ['mappings', '{a: '.repeat(levels)],
    ['JSON', `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`],
    ['block lists', '- '.repeat(levels)],
    ['explicit keys', '? '.repeat(levels)],
    ['keys on a line', 'a: '.repeat(levels)],
    ['both', '- ['.repeat(levels)],
    ['indented mappings', Array.from({ length: 1_000 }, (_, i) => `${' '.repeat(i)}a:\n`).join('')],
    ['indented lists', Array.from({ length: 1_000 }, (_, i) => `${' '.repeat(i)}- a:\n`).join('')],
    ['a long way in', `a: ${'x'.repeat(100_000)}\nb: ${'['.repeat(levels)}`],
  ])('20,000 levels of %s are refused at once, with a place', (_, text) => {
    const { documents, issues } = readYaml(text)
    expect(documents).toEqual([])
    expect(issues).toHaveLength(1)
    expect(issues[0]?.detail).toBe('nested deeper than 64 levels')
    expect(issues[0]?.line).toBeGreaterThan(0)
  })

  test('a bomb of aliases is refused, once', () => {
    const letters = [...'abcdefghij']
    const bomb = letters
      .map(
        (name, i) =>
          `${name}: &${name} [${Array.from({ length: 9 }, () => (i === 0 ? 'x' : `*${letters[i - 1]}`)).join(', ')}]`,
      )
      .join('\n')
    expect(readYaml(bomb).issues.map(({ detail }) => detail)).toEqual([
      'the aliases repeat too much',
    ])
  })

  test('a bomb of mappings is refused too', () => {
    const bomb = Array.from({ length: 30 }, (_, i) =>
      i === 0 ? 'k0: &k0 { a: 1 }' : `k${i}: &k${i} { a: *k${i - 1}, b: *k${i - 1} }`,
    ).join('\n')
    expect(readYaml(bomb).issues.map(({ detail }) => detail)).toEqual([
      'the aliases repeat too much',
    ])
  })

  test('thousands of documents, keys, aliases or errors take no more than their size', () => {
    const many = 5_000
    expect(fault('---\na: 1\n'.repeat(many))).toContain('more than 1000 documents')
    expect(
      Object.keys(value(Array.from({ length: many }, (_, i) => `k${i}: 1\n`).join('')) as object),
    ).toHaveLength(many)
    expect(
      value(`a: &x 1\n${Array.from({ length: many }, (_, i) => `k${i}: *x\n`).join('')}`),
    ).toHaveProperty('k4999', 1)
    expect(readYaml(']'.repeat(many)).issues.length).toBeLessThanOrEqual(20)
    expect(readYaml(`[${'*x, '.repeat(many)}]`).issues.length).toBeLessThanOrEqual(100)
  })

  test('a text that is too long is not looked at', () => {
    expect(fault(' '.repeat(10_000_001))).toContain('longer than')
  })
})

describe('garbage', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom(
        '- ',
        '? ',
        ': ',
        ', ',
        '[',
        ']',
        '{',
        '}',
        '&a ',
        '*a',
        '!!str ',
        '!x ',
        '|\n',
        '>\n',
        '"',
        "'",
        '#',
        '\n',
        '\n  ',
        '\n    ',
        '\t',
        '---\n',
        '...\n',
        '%YAML 1.2\n',
        '<<: ',
        '__proto__: ',
        'a: ',
        'b: ',
        '1',
        'null',
        '\\u0000',
        '\u0000',
        '\u202e',
        '\ud800',
        '\uFEFF',
        '@',
        '`',
      ),
      anyText({ maxLength: 4 }),
    ),
    { maxLength: 60 },
  )

  test('no text whatsoever throws: it is read or told what is wrong', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          pieces.map((parts) => parts.join('')),
          anyText(),
          fc.json(),
        ),
        (text) => {
          const { documents, issues } = readYaml(text)
          for (const { detail, line, column } of issues) {
            expect(detail).not.toBe('')
            expect(line).toBeGreaterThanOrEqual(1)
            expect(column).toBeGreaterThanOrEqual(1)
          }
          for (const document of documents) {
            expect(() => JSON.stringify(document.value)).not.toThrow()
            document.locate('/a/0/b')
          }
        },
      ),
      { numRuns: 1_000 },
    )
  })

  test('every JSON value that is small enough is read as JSON.parse reads it', () => {
    const plain = fc
      .jsonValue({ maxDepth: 5 })
      .filter((v) => !/__proto__|constructor|prototype|<</.test(JSON.stringify(v)))
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), plain),
        fc.constantFrom(undefined, 2, '\t'),
        (object, indent) => {
          const text = JSON.stringify(object, null, indent)
          const { documents, issues } = readYaml(text)
          // Numbers beyond 2^53 and long keys are refused, not read differently.
          if (issues.length === 0) expect(documents[0]?.value).toEqual(JSON.parse(text))
          else expect(issues[0]?.detail).toMatch(/out of range|not allowed|1024|twice/)
        },
      ),
      { numRuns: 250 },
    )
  })
})

describe('locations', () => {
  const [document] = readYaml(
    'a:\n  b: [x, yy]\n  "c/d": { e~f: 1 }\ng:\nh: &n { i: 2 }\nj: *n\n',
  ).documents
  const place = (pointer: string, of?: 'key' | 'value') => {
    const { line, column, endColumn } = document?.locate(pointer, of) ?? {
      line: 0,
      column: 0,
      endColumn: 0,
    }
    return [line, column, endColumn]
  }
  test.each([
    ['/a/b/1', undefined, [2, 10, 12]],
    ['/a/b', undefined, [2, 3, 4]],
    ['/a/b', 'key', [2, 3, 4]],
    ['/a/c~1d/e~0f', undefined, [3, 17, 18]],
    ['/a/c~1d/e~0f', 'key', [3, 12, 15]],
    ['/g', undefined, [4, 1, 2]],
    ['/j/i', undefined, [5, 12, 13]],
    ['/a/none', undefined, [1, 1, 2]],
    ['/a/b/7', undefined, [2, 3, 4]],
    ['/none/at/all', undefined, [1, 1, 3]],
  ] as const)('%s (%s) stands at %j', (pointer, of, expected) => {
    expect(place(pointer, of)).toEqual(expected)
  })
})
