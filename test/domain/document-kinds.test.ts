import { describe, expect, test } from 'vitest'
import { Check } from 'typebox/value'
import { type DocumentKind, documentKinds, kindNames } from '#domain/document-kinds.ts'
import { resolvePolicy } from '#domain/policy.ts'
import { policySpecSchema } from '#domain/policy-schema.ts'
import { validateDocument, validateSources } from '#domain/validate-document.ts'

const now = new Date('2026-11-23T00:00:00Z')
const check = (text: string) =>
  validateDocument(text, now).issues.map(
    ({ line, column, pointer, detail, hint }) =>
      `${line}:${column} ${pointer} ${detail}${hint === undefined ? '' : ` (${hint})`}`,
  )

const good: Readonly<Record<DocumentKind, string>> = {
  Connection: `apiVersion: rekey.dev/v1
kind: Connection
metadata: { name: vault-prod, labels: { team: platform } }
spec:
  provider: vault
  settings: { address: "https://vault.example.com" }
  credential: { from: env, name: REKEY_CREDENTIAL_VAULT }
  grants: [{ matchLabels: { team: payments }, refs: ["vault://*"] }]
`,
  Consumer: `apiVersion: rekey.dev/v1
kind: Consumer
metadata: { name: orders-api, labels: { uses: payments } }
spec: { owner: team-orders, keys: [payments-db], reload: { webhook: "https://orders.example.com/reload" } }
`,
  Key: `apiVersion: rekey.dev/v1
kind: Key
metadata: { name: payments-db, labels: { team: payments } }
spec:
  connection: vault-prod
  type: vault.kv2.secret
  ref: { mount: secret, path: payments/db }
  purpose: password of the payments database
  owner: team-payments
  environment: prod
  create: true
`,
  Playbook: `apiVersion: rekey.dev/v1
kind: Playbook
metadata: { name: leaked-key, labels: { team: payments } }
spec:
  title: A key has leaked
  owner: team-security
  appliesTo: { modes: [revokeFirst], types: [aws.iam.accessKey], matchLabels: { team: payments } }
  steps:
    - { title: Tell the partner, owner: duty manager, within: 1h }
    - { title: Look who used it, command: rekey describe key/NAME }
  reviewEvery: 180d
`,
  RotationPolicy: `apiVersion: rekey.dev/v1
kind: RotationPolicy
metadata: { name: monthly, annotations: { runbook: docs/x.md } }
spec: { selector: { connection: vault-prod }, schedule: { cron: "0 3 1 * *", timezone: UTC } }
`,
}

test.each(kindNames)('a good %s has no issue', (kind) => {
  const { documents, issues } = validateDocument(good[kind], now)
  expect(issues).toEqual([])
  expect(documents.map((document) => document.kind)).toEqual([kind])
})

describe('one short error for each mistake', () => {
  test.each([
    [
      'a secret in a connection',
      good.Connection.replace(
        'from: env, name: REKEY_CREDENTIAL_VAULT',
        'from: value, value: s3cr3t',
      ),
      /^7:3 \/spec\/credential a file holds no secret values \(name it by from: env/,
    ],
    [
      'a stored credential that a GET showed',
      good.Connection.replace('from: env, name: REKEY_CREDENTIAL_VAULT', 'from: value'),
      /^7:3 \/spec\/credential a file holds no secret values/,
    ],
    [
      'a variable that is not named',
      good.Connection.replace(', name: REKEY_CREDENTIAL_VAULT', ''),
      /^7:3 \/spec\/credential a credential from env needs name$/,
    ],
    [
      'a path where a variable is meant',
      good.Connection.replace('name: REKEY', 'path: a, name: REKEY'),
      /^7:34 \/spec\/credential\/path a credential from env has no path \(path belongs to from: file\)$/,
    ],
    [
      'a secret in a consumer',
      good.Consumer.replace('reload" }', `reload", secret: whsec_${'A'.repeat(32)} }`),
      /^4:\d+ \/spec\/reload\/secret a file holds no secret values/,
    ],
    [
      'labels where the API has them',
      good.Key.replace('  create: true', '  labels: { a: b }'),
      /^11:3 \/spec\/labels unknown field "labels" \(labels belongs in metadata\)$/,
    ],
    [
      'a slip in a key',
      good.Key.replace('environment:', 'enviroment:'),
      /^4:1 \/spec environment is missing .*10:3 \/spec\/enviroment unknown field "enviroment" \(did you mean environment\?\)$/s,
    ],
    [
      'notes on what has none',
      good.Consumer.replace('labels: {', 'annotations: { a: b }, labels: {'),
      /^3:31 \/metadata\/annotations unknown field/,
    ],
    [
      'another version',
      good.Key.replace('/v1', '/v2'),
      /^1:13 \/apiVersion must be "rekey.dev\/v1"$/,
    ],
    [
      'a kind with a slip',
      good.Key.replace('Key', 'Keys'),
      /^2:7 \/kind unknown kind \(did you mean Key\?\)$/,
    ],
  ])('%s', (_, text, expected) => {
    expect(check(text).join('\n')).toMatch(expected)
    expect(check(text).join('\n')).not.toContain('s3cr3t')
  })
})

describe('several sources', () => {
  test('are one set: a name in two files is refused at the second, with the first named', () => {
    const { issues, documents } = validateSources(
      [
        { file: 'a.yaml', text: `${good.Key}---\n${good.Consumer}` },
        { file: 'b.yaml', text: good.Key },
      ],
      now,
    )
    expect(issues).toMatchObject([
      { file: 'b.yaml', line: 3, column: 19, detail: 'Key payments-db stands in a.yaml too' },
    ])
    expect(documents.map(({ kind, source }) => [kind, source])).toEqual([
      ['Key', 0],
      ['Consumer', 0],
      ['Key', 1],
    ])
  })

  test('values are placed by a pointer into their list', () => {
    const document = { apiVersion: 'rekey.dev/v1', kind: 'Consumer', metadata: { name: 'a' } }
    const { issues } = validateSources(
      [
        { value: { ...document, spec: { owner: 'x' } } },
        { value: { ...document, spec: { ownr: 'x' } } },
        { value: 1 },
        { value: { ...document, spec: { owner: 'x' } } },
      ],
      now,
      '/documents',
    )
    expect(issues.map(({ pointer, detail }) => `${pointer} ${detail}`)).toEqual([
      '/documents/1/spec owner is missing',
      '/documents/1/spec/ownr unknown field "ownr"',
      '/documents/2 a document must be a mapping of fields',
      '/documents/3/metadata/name Consumer a stands here twice',
    ])
  })

  test('more documents than can be looked through are refused', () => {
    const value = { kind: 'Key' }
    const { issues } = validateSources(
      Array.from({ length: 1_001 }, () => ({ value })),
      now,
    )
    expect(issues).toHaveLength(1)
    expect(issues[0]?.detail).toBe('1001 documents, and at most 1000 are taken at once')
  })
})

test('what the schema of a policy says holds where a field is left out is what holds', () => {
  const defaults = (
    schema: unknown,
    path: readonly string[],
  ): readonly (readonly [readonly string[], unknown])[] => {
    const { properties = {} } = schema as { properties?: Record<string, { default?: unknown }> }
    return Object.entries(properties).flatMap(([name, child]) => [
      ...('default' in child ? [[[...path, name], child.default] as const] : []),
      ...defaults(child, [...path, name]),
    ])
  }
  const found = defaults(policySpecSchema, [])
  expect(found.length).toBeGreaterThan(20)
  const bare = {
    selector: { type: 'a.b' },
    schedule: { cron: '0 3 1 * *', timezone: 'UTC' },
    consumers: { acknowledgement: { required: 'all' as const } },
  }
  const whole = structuredClone(bare) as Record<string, unknown>
  for (const [path, value] of found) {
    let at = whole
    for (const step of path.slice(0, -1)) at = (at[step] ??= {}) as Record<string, unknown>
    at[path.at(-1) ?? ''] = value
  }
  if (!Check(policySpecSchema, whole)) throw new Error('the defaults are no policy')
  expect(resolvePolicy(whole)).toEqual(resolvePolicy(bare))
})

test('every field of every kind says what it is', () => {
  const silent = (schema: unknown, path: string): readonly string[] => {
    const { properties = {}, items } = schema as {
      properties?: Record<string, { title?: string }>
      items?: unknown
    }
    return [
      ...Object.entries(properties).flatMap(([name, child]) => [
        ...(child.title === undefined && path.includes('/spec/') ? [`${path}${name}`] : []),
        ...silent(child, `${path}${name}/`),
      ]),
      ...(items === undefined ? [] : silent(items, path)),
    ]
  }
  for (const kind of kindNames) expect(silent(documentKinds[kind].schema, `${kind}/`)).toEqual([])
})
