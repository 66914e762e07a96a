import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Check } from 'typebox/value'
import { expect, test } from 'vitest'
import { validateDocument } from '#domain/validate-document.ts'
import { manualCredential } from '#providers/manual/provider.ts'

test('connection, key and policy of the guide are valid documents', () => {
  const guide = readFileSync(join(import.meta.dirname, '../../../docs/how-to/manual.md'), 'utf8')
  const yaml = /```yaml\n(.*?)```/s.exec(guide)?.[1] ?? ''
  const { issues, documents } = validateDocument(yaml, new Date())
  expect(issues).toEqual([])
  expect(documents.map(({ kind }) => kind)).toEqual(['Connection', 'Key', 'RotationPolicy'])
  const key = documents.find(({ kind }) => kind === 'Key')
  const { spec } = (key?.value ?? { spec: {} }) as { spec: { ref: unknown } }
  expect(Check(manualCredential.refSchema, spec.ref)).toBe(true)
})
