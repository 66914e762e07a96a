import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { azure } from '#providers/azure/provider.ts'
import { rolesIn } from '#test/peers/azure/principals.ts'

const guide = readFileSync(join(import.meta.dirname, '../../../docs/how-to/azure.md'), 'utf8')

test('the roles in the guide have the least data actions of the code, and no others', () => {
  const grant = guide.slice(guide.indexOf('\n## Grant'))
  const inGuide = [...grant.matchAll(/^```json\n([^`]+)```/gm)].flatMap(
    ([, text]) =>
      (JSON.parse(text ?? '') as { readonly DataActions: readonly string[] }).DataActions,
  )
  const inCode = azure.types
    .flatMap((type) => Object.values(type.leastPrivilege({ name: 'orders-db' })))
    .flatMap((document) => rolesIn([document]))
    .flatMap(({ dataActions }) => dataActions)
  expect(inGuide.toSorted()).toEqual([...new Set(inCode)].toSorted())
})

test('the guide has every type', () => {
  for (const { type } of azure.types) expect(guide).toContain(`\`${type}\``)
})
