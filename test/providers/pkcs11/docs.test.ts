import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Check } from 'typebox/value'
import { expect, test } from 'vitest'
import { validateDocument } from '#domain/validate-document.ts'
import { pkcs11Key } from '#providers/pkcs11/key.ts'
import { pkcs11 } from '#providers/pkcs11/provider.ts'

const guide = readFileSync(join(import.meta.dirname, '../../../docs/how-to/pkcs11.md'), 'utf8')

test('connection, key and policy of the guide are valid documents', () => {
  const { issues, documents } = validateDocument(
    /```yaml\n(.*?)```/s.exec(guide)?.[1] ?? '',
    new Date(),
  )
  expect(issues).toEqual([])
  const specs = documents.map(({ value }) => (value as { spec: Record<string, unknown> }).spec)
  expect(Check(pkcs11.settingsSchema, specs[0]?.['settings'])).toBe(true)
  expect(Check(pkcs11Key.refSchema, specs[1]?.['ref'])).toBe(true)
  expect(Check(pkcs11Key.generateSchema, specs[1]?.['generate'])).toBe(true)
})

test('the calls of the guide are those of the least-privilege documents', () => {
  const table = Object.fromEntries(
    [...guide.matchAll(/^\| (\w+) \| (`C_[^|]*) \|$/gm)].map(([, name = '', calls = '']) => [
      name,
      [...calls.matchAll(/`(\w+)`/g)].map(([, call]) => call),
    ]),
  )
  const documents = Object.entries(pkcs11Key.leastPrivilege({ label: 'x' })).map(
    ([name, document]) => [name, (document as { calls: unknown }).calls],
  )
  expect(table).toEqual(Object.fromEntries(documents))
})
