// An installation pays, in memory and at its start, for the systems that it has connections to, and for no others: the SDKs of
// vendors are loaded by the first request.

import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'

const loads = `
  import { registerHooks } from 'node:module'
  const packages = new Set()
  registerHooks({
    load: (url, context, next) => {
      const name = /.*node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1]
      if (name !== undefined) packages.add(name)
      return next(url, context)
    },
  })
  const { providers } = await import('#providers/registry.ts')
  process.stdout.write(JSON.stringify({ providers: [...providers].length, packages: [...packages] }))
`

test('the registry of providers loads no SDK of a vendor', () => {
  const root = new URL('../..', import.meta.url)
  const args = ['--input-type=module', '--eval', loads]
  const said = execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  const { providers, packages } = JSON.parse(said) as {
    readonly providers: number
    readonly packages: readonly string[]
  }
  expect(providers).toBeGreaterThan(5)
  expect(
    packages.filter((name) => /^@(aws|azure|smithy)|^(node-vault|axios|pkcs11js)$/.test(name)),
  ).toEqual([])
})
