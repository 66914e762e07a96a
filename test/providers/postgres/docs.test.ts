import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Check } from 'typebox/value'
import { expect, test } from 'vitest'
import { validateDocument } from '#domain/validate-document.ts'
import { postgres } from '#providers/postgres/provider.ts'

const guide = readFileSync(join(import.meta.dirname, '../../../docs/how-to/postgres.md'), 'utf8')
const blocks = (language: string): readonly string[] =>
  [...guide.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(
    ([, block = '']) => block,
  )
const [type] = postgres.types
const ref = { users: ['app_a', 'app_b'] }

test('the grants in the guide are the least-privilege document of the code', () => {
  const inGuide = blocks('sql').find((block) => block.includes('CREATE ROLE rekey')) ?? ''
  const [, ...statements] = inGuide.trim().split('\n')
  expect(statements).toEqual(Object.values(type?.leastPrivilege(ref) ?? {}))
})

test('the connection of the guide is one that the schema takes', () => {
  const { settings, grants } = JSON.parse(blocks('json')[0] ?? '')
  expect(Check(postgres.settingsSchema, settings)).toBe(true)
  const objectId = type?.objectId({ settings, ref, keyName: 'x' })
  expect(objectId).toBe(grants[0].refs[0].replace('*', 'a+app_b'))
  expect(postgres.endpoints(settings)).toEqual(['tls://db.example.com:5432'])
})

test('key and policy of the guide are valid documents', () => {
  const { issues, documents } = validateDocument(blocks('yaml')[0] ?? '', new Date())
  expect([issues, documents.length]).toEqual([[], 2])
})
