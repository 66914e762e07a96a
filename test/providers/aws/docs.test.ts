import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import { aws } from '#providers/aws/provider.ts'

const guide = readFileSync(join(import.meta.dirname, '../../../docs/how-to/aws.md'), 'utf8')
const refs: Readonly<Record<string, JsonObject>> = {
  'aws.secretsmanager.secret': { secretId: 'orders/db' },
  'aws.iam.accessKey': { userName: 'orders' },
  'aws.kms.alias': { alias: 'alias/orders' },
  'aws.kms.symmetric': { keyId: '1234abcd-12ab-34cd-56ef-1234567890ab' },
}

const statementsIn = (document: unknown): readonly object[] =>
  Object(document)['Statement'] as readonly object[]

test('the policy in the guide is the least-privilege document of the code', () => {
  const grant = guide.slice(guide.indexOf('\n## Grant'))
  const blocks = [...grant.matchAll(/^```json\n([^`]+)```/gm)].map(([, text]) => text ?? '')
  const inGuide = blocks
    .flatMap((text) => statementsIn(JSON.parse(text)))
    .map((statement) => JSON.stringify({ ...statement, Sid: undefined }))
  const inCode = aws.types
    .flatMap((type) => Object.values(type.leastPrivilege(refs[type.type] ?? {})))
    .flatMap(statementsIn)
    .map((statement) => JSON.stringify(statement))
  expect([...new Set(inGuide)].toSorted()).toEqual([...new Set(inCode)].toSorted())
})

test('the guide has every type', () => {
  for (const { type } of aws.types) expect(guide).toContain(`\`${type}\``)
})
