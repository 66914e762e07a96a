import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { alphabets } from '#domain/generate-secret.ts'
import { vault } from '#providers/vault/provider.ts'

const guide = readFileSync(join(import.meta.dirname, '../../../docs/how-to/vault.md'), 'utf8')
const refs: Readonly<Record<string, Record<string, string>>> = {
  'vault.kv2.secret': { mount: 'secret', path: 'app/db', field: 'password' },
  'vault.transit.key': { mount: 'transit', name: 'orders' },
  'vault.approle.secretId': { mount: 'approle', role: 'orders' },
  'vault.pki.issuer': { mount: 'pki' },
  'vault.database.staticRole': { mount: 'database', role: 'orders' },
}
const blocks = (text: string): readonly string[] =>
  [...text.matchAll(/^path [^}]+\}/gm)].map(([block]) => block.replaceAll(/\s+/g, ' '))

test('the policy in the guide is the least-privilege document of the code', () => {
  const inGuide = new Set(blocks(guide))
  const inCode = new Set<string>()
  // Told in words: they depend on the key's kind.
  const inWords = new Set(['verifySigningKey', 'verifyHmacKey'])
  for (const type of vault.types) {
    for (const [name, document] of Object.entries(type.leastPrivilege(refs[type.type] ?? {}))) {
      if (inWords.has(name) || (name === 'create' && type.type === 'vault.transit.key')) continue
      for (const block of blocks(typeof document === 'string' ? document : '')) inCode.add(block)
    }
  }
  expect([...inGuide].toSorted()).toEqual([...inCode].toSorted())
})

test('the guide names every alphabet', () => {
  for (const name of Object.keys(alphabets)) expect(guide).toContain(`\`${name}\``)
})
