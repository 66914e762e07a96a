import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { documentKinds } from '#domain/document-kinds.ts'
import { errors } from '#domain/errors.ts'
import { renderIssues } from '#domain/render-issues.ts'
import { editDistance, suggest } from '#domain/suggest.ts'
import { validateDocument } from '#domain/validate-document.ts'
import { readYaml } from '#domain/yaml-document.ts'
import { samplePolicy } from './sample-policy.ts'

const now = new Date('2026-11-23T00:00:00Z')
const check = (text: string) =>
  validateDocument(text, now).issues.map(
    ({ line, column, pointer, detail, hint }) =>
      `${line}:${column} ${pointer} ${detail}${hint === undefined ? '' : ` (${hint})`}`,
  )
const small = (spec: string, more = '') =>
  `apiVersion: rekey.dev/v1\nkind: RotationPolicy\nmetadata: { name: p }\nspec:\n  selector: { type: a.b }\n  manual: true\n${spec}${more}`

describe('one short error for each mistake', () => {
  test.each([
    [
      'an unknown field',
      '  max-age: 40d\n',
      '7:3 /spec/max-age unknown field "max-age" (did you mean maxAge?)',
    ],
    [
      'a field with a slip',
      '  retrie: keep\n',
      '7:3 /spec/retrie unknown field "retrie" (did you mean retire?)',
    ],
    [
      'a field in the wrong place',
      '  timezone: UTC\n',
      '7:3 /spec/timezone unknown field "timezone" (timezone belongs in spec.schedule)',
    ],
    [
      'a field from nowhere',
      '  overlap: { frobnicate: 1 }\n',
      '7:14 /spec/overlap/frobnicate unknown field "frobnicate" (known here: min, unusedFor)',
    ],
    [
      'a bare number as duration',
      '  maxAge: 40\n',
      '7:11 /spec/maxAge must be a duration such as 90s, 15m, 72h or 90d, at most 3650d',
    ],
    [
      'a duration of two units',
      '  maxAge: 1d12h\n',
      '7:11 /spec/maxAge must be a duration such as 90s, 15m, 72h or 90d, at most 3650d',
    ],
    ['a text for true', '  acceptGap: yes\n', '7:14 /spec/acceptGap must be true or false'],
    [
      'a word that is not one of a list',
      '  retire: destory\n',
      '7:11 /spec/retire must be one of keep, disable, destroy (did you mean destroy?)',
    ],
    [
      'a missing zone',
      '  schedule: { cron: "0 3 1 * *" }\n',
      '7:3 /spec/schedule timezone is missing (an IANA time zone such as Europe/Paris)',
    ],
    [
      'a pause without an end',
      '  pause: { reason: x }\n',
      '7:3 /spec/pause until is missing (a date and time with offset such as 2026-12-18T00:00:00Z)',
    ],
    ['a list for a mapping', '  overlap: [1]\n', '7:3 /spec/overlap must be a mapping of fields'],
    ['a mapping for a list', '  notify: { sink: x }\n', '7:3 /spec/notify must be a list'],
    ['an empty value', '  overlap:\n', '7:3 /spec/overlap must be a mapping of fields'],
    [
      'an empty list of events',
      '  notify: [{ sink: x, events: [] }]\n',
      '7:23 /spec/notify/0/events must not be empty',
    ],
    [
      'a number out of bounds',
      '  concurrency: { max: 0 }\n',
      '7:23 /spec/concurrency/max must be at least 1',
    ],
    [
      'a fraction',
      '  approval: { required: 1.5 }\n',
      '7:25 /spec/approval/required must be a whole number',
    ],
    [
      'a number as a label',
      '  consumers: { matchLabels: { tier: 1 } }\n',
      '7:37 /spec/consumers/matchLabels/tier must be a label value: one line of at most 128 characters (put it in quotes)',
    ],
    [
      'a label key that is none',
      '  consumers: { matchLabels: { "a b": x } }\n',
      '7:31 /spec/consumers/matchLabels/a b "a b" is not an allowed name here',
    ],
    [
      'a secret where a reference belongs',
      '  publish: [{ name: x, connection: c, type: a.b, ref: { a: b }, password: hunter2 }]\n',
      '7:65 /spec/publish/0/password unknown field "password" (known here: name, connection, type, ref)',
    ],
    [
      'a rule, at its place',
      '  schedule: { cron: "0 0 31 2 *", timezone: UTC }\n',
      '7:21 /spec/schedule/cron the cron line never fires (no month has such a day)',
    ],
    [
      'the sink without a name',
      '  notify: [{ events: [failed] }]\n',
      '7:12 /spec/notify/0 sink is missing (a name of at most 63 lower-case letters, digits and inner hyphens)',
    ],
  ])('%s', (_, spec, expected) => {
    expect(check(small(spec))).toEqual([expected])
  })

  test.each([
    ['an empty file', '', '1:1  there is no document here'],
    ['comments only', '# later\n', '1:1  there is no document here'],
    [
      'a list',
      '- a\n',
      '1:1  a document must be a mapping of fields (it begins with apiVersion and kind)',
    ],
    [
      'a text',
      'hello\n',
      '1:1  a document must be a mapping of fields (it begins with apiVersion and kind)',
    ],
    [
      'no kind',
      'apiVersion: rekey.dev/v1\n',
      `1:1  kind is missing (${Object.keys(documentKinds).join(' or ')})`,
    ],
    [
      'an unknown kind',
      'kind: RotationPolicies\n',
      '1:7 /kind unknown kind (did you mean RotationPolicy?)',
    ],
    [
      'a kind that every object has',
      'kind: toString\n',
      `1:7 /kind unknown kind (known: ${Object.keys(documentKinds).join(', ')})`,
    ],
    [
      'a kind that is no text',
      'kind: 1\n',
      `1:7 /kind must be a text (${Object.keys(documentKinds).join(' or ')})`,
    ],
  ])('%s', (_, text, expected) => {
    expect(check(text)).toEqual([expected])
  })

  test('another version of the format', () => {
    expect(check(small('').replace('rekey.dev/v1', 'rekey.dev/v2'))).toEqual([
      '1:13 /apiVersion must be "rekey.dev/v1"',
    ])
  })

  test('a selector that says nothing is refused', () => {
    expect(check(small('').replace('{ type: a.b }', '{}'))).toEqual([
      '5:3 /spec/selector must not be empty',
    ])
    expect(check(small('').replace('  selector: { type: a.b }\n', ''))).toEqual([
      '4:1 /spec selector is missing',
    ])
  })

  test('all mistakes of a file are told, in the order of the text', () => {
    const issues = check(
      small(
        '  max_age: 1\n  soak: 5\n  acceptGap: 1\n  retire: no\n  foo: 1\n  bar: 2\n  baz: 3\n  overlap: { minimum: 1h }\n',
      ),
    )
    expect(issues).toHaveLength(8)
    expect(issues.map((issue) => issue.split(':')[0])).toEqual([
      '7',
      '8',
      '9',
      '10',
      '11',
      '12',
      '13',
      '14',
    ])
  })

  test('a file of nothing but mistakes is cut off', () => {
    expect(
      check(small(Array.from({ length: 500 }, (_, i) => `  x${i}: 1\n`).join(''))).length,
    ).toBeLessThanOrEqual(50)
  })

  test('values are never repeated in an issue: one of them may be a secret', () => {
    expect(
      check(
        small('  soak: hunter2\n  generate: hunter2\n  acceptGap: hunter2\n  retire: hunter2\n'),
      ).join(),
    ).not.toContain('hunter2')
  })
})

describe('streams', () => {
  test('a bad document does not hide the good ones, nor they it', () => {
    const { documents, issues } = validateDocument(
      `${small('')}---\n${small('  foo: 1\n').replace('name: p', 'name: q')}---\nkind: x\n`,
      now,
      'all.yaml',
    )
    expect(documents.map(({ name }) => name)).toEqual(['p'])
    expect(issues.map(({ file, line, pointer }) => [file, line, pointer])).toEqual([
      ['all.yaml', 14, '/spec/foo'],
      ['all.yaml', 16, '/kind'],
    ])
  })

  test('two documents of one name are refused at the second name', () => {
    expect(check(`${small('')}---\n${small('')}`)).toEqual([
      '10:19 /metadata/name RotationPolicy p stands here twice',
    ])
  })

  test('warnings come with their document', () => {
    expect(validateDocument(small('  maxAge: 1h\n'), now).documents[0]?.warnings).toHaveLength(1)
  })
})

describe('strictness', () => {
  /** The pointer of every mapping in the sample that is not free-form. */
  const mappings = (value: unknown, path: string[]): string[][] => {
    if (Array.isArray(value))
      return value.flatMap((item, i) => mappings(item, [...path, String(i)]))
    if (typeof value !== 'object' || value === null) return []
    return [
      path,
      ...Object.entries(value).flatMap(([name, child]) => mappings(child, [...path, name])),
    ]
  }
  const freeForm = new Set(['matchLabels', 'labels', 'annotations', 'generate', 'ref'])
  const original = readYaml(samplePolicy).documents[0]?.value
  const places = mappings(original, []).filter((path) => !freeForm.has(path.at(-1) ?? ''))

  test('there is a mapping to test for every part of the sample', () => {
    expect(places.length).toBeGreaterThanOrEqual(20)
  })

  test('an unknown field anywhere in the sample is refused with its line', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...places),
        fc.stringMatching(/^x[a-zA-Z]{1,12}$/),
        (path, name) => {
          const copy = structuredClone(original)
          let at = copy as Record<string, unknown>
          for (const segment of path) at = at[segment] as Record<string, unknown>
          at[name] = 1
          const text = JSON.stringify(copy, null, 2)
          const { documents, issues } = validateDocument(text, now)
          expect(documents).toEqual([])
          expect(issues.map(({ pointer, detail }) => [pointer, detail])).toEqual([
            [[...path, name].map((segment) => `/${segment}`).join(''), `unknown field "${name}"`],
          ])
          const line = text.split('\n').findIndex((row) => row.includes(`"${name}": 1`)) + 1
          expect(issues[0]?.line).toBe(line)
        },
      ),
      { numRuns: 150 },
    )
  })

  test('a field of another type anywhere in the sample is refused at that field', () => {
    const leaves = (value: unknown, path: string[]): string[][] =>
      typeof value !== 'object' || value === null
        ? [path]
        : Object.entries(value).flatMap(([name, child]) => leaves(child, [...path, name]))
    const typed = leaves(original, []).filter(
      (path) =>
        !path.some((segment) => segment === 'generate' || segment === 'ref') && path[0] !== 'kind',
    )
    for (const path of typed) {
      const copy = structuredClone(original)
      let at = copy as Record<string, unknown>
      for (const segment of path.slice(0, -1)) at = at[segment] as Record<string, unknown>
      at[path.at(-1) ?? ''] = { surprise: 1 }
      const { issues } = validateDocument(JSON.stringify(copy, null, 2), now)
      expect(issues.map(({ pointer }) => pointer)).toEqual([
        path.map((segment) => `/${segment}`).join(''),
      ])
    }
  })

  test('random documents never throw, and what is accepted has no issue', () => {
    const fields = fc.dictionary(
      fc.constantFrom(
        'selector',
        'schedule',
        'maxAge',
        'manual',
        'blackouts',
        'overlap',
        'soak',
        'retire',
        'approval',
        'verify',
        'foo',
      ),
      fc.oneof(
        fc.jsonValue(),
        fc.constantFrom('40d', true, { type: 'a.b' }, 'disable', {
          cron: '0 3 1 * *',
          timezone: 'UTC',
        }),
      ),
    )
    fc.assert(
      fc.property(fields, (spec) => {
        const text = JSON.stringify(
          { apiVersion: 'rekey.dev/v1', kind: 'RotationPolicy', metadata: { name: 'p' }, spec },
          null,
          1,
        )
        const { documents, issues } = validateDocument(text, now)
        expect(documents.length > 0).toBe(issues.length === 0)
        expect(issues.every(({ code }) => Object.hasOwn(errors, code))).toBe(true)
        renderIssues(text, issues)
      }),
      { numRuns: 250 },
    )
  })
})

describe('rendering', () => {
  const render = (text: string, file?: string) =>
    renderIssues(text, validateDocument(text, now, file).issues)

  test('names the place, shows the line, points at the fault and says what to do', () => {
    const text = samplePolicy.replace(
      /timezone: Europe\/Paris +# IANA/,
      'timezone: Mars/Base # IANA',
    )
    expect(text).not.toBe(samplePolicy)
    expect(render(text, 'policies/payments.yaml')).toBe(
      [
        'policies/payments.yaml:15:15  error  request.invalid  unknown time zone "Mars/Base"',
        '  15 |     timezone: Mars/Base # IANA; required with cron',
        '     |               ^^^^^^^^^   use an IANA name, e.g. Europe/Paris      docs: /problems/request.invalid',
      ].join('\n'),
    )
  })

  test('keeps the caret below its place behind tabs and in long lines', () => {
    const [, source = '', caret = ''] = render('{\n\t"kind":\t"Foo"}').split('\n')
    expect(source.replace(/^.*?\| /, '').indexOf('"Foo"')).toBe(
      caret.replace(/^.*?\| /, '').indexOf('^'),
    )
    const long = render(`kind: [${'x, '.repeat(500)} 1, *none]`).split('\n')
    expect(long.every((line) => line.length < 250)).toBe(true)
    expect(long[1]?.slice(long[2]?.indexOf('^'))).toMatch(/^\*none/)
  })

  test('lets no control character of the text reach the terminal', () => {
    const shown = render('kind: "x\u001b[2J"\na: \u202e\n', 'f.yaml')
    expect(shown).not.toMatch(/[\u001b\u202e]/)
    expect(shown).toContain('U+001B')
  })

  test('writes an issue without a place, too', () => {
    expect(
      renderIssues('', [{ code: 'policy.overlap', pointer: '/selector', detail: 'two policies' }]),
    ).toContain('error  policy.overlap  /selector: two policies')
  })
})

describe('did you mean', () => {
  test.each([
    ['matchlabels', 'matchLabels'],
    ['match_labels', 'matchLabels'],
    ['onLeek', 'onLeak'],
    ['shcedule', 'schedule'],
    ['zzz', null],
    ['', null],
    ['x'.repeat(10_000), null],
  ])('%s → %s', (word, expected) => {
    expect(suggest(word, ['matchLabels', 'onLeak', 'schedule', 'retire'])).toBe(expected)
  })

  test('the distance is a metric as far as it is counted', () => {
    const word = fc.stringMatching(/^[abc]{0,6}$/)
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a))
        expect(editDistance(a, b) === 0).toBe(a === b)
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length))
        expect(editDistance(a, b, 2)).toBe(Math.min(2, editDistance(a, b)))
      }),
    )
  })
})
