import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { doppler } from '#providers/doppler/provider.ts'

const guide = readFileSync(join(import.meta.dirname, '../../../docs/how-to/doppler.md'), 'utf8')

const permissionsIn = (document: unknown): readonly string[] =>
  Object(document)['permissions'] as readonly string[]

test('the roles in the guide are the least-privilege documents of the code', () => {
  const grant = guide.slice(guide.indexOf('\n## Grant'))
  const inGuide = [...grant.matchAll(/^```json\n([^`]+)```/gm)].flatMap(([, text]) =>
    permissionsIn(JSON.parse(text ?? '')),
  )
  const inCode = doppler.types.flatMap((type) =>
    Object.values(type.leastPrivilege({})).flatMap(permissionsIn),
  )
  expect(inGuide.toSorted()).toEqual(inCode.toSorted())
})

test('the guide has every type', () => {
  for (const { type } of doppler.types) expect(guide).toContain(`\`${type}\``)
})
