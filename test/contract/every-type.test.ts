import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { keyTypes } from '#providers/registry.ts'

const suites = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
  .filter((text) => text.includes('providerContract('))

test.each([...keyTypes.keys()])('the contract suite is called for %s', (type) => {
  expect(suites.some((text) => text.includes(`'${type}'`))).toBe(true)
})
