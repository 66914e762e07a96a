import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ProvidersRefused, rekey, withOutside } from '#providers/outside.ts'
import { faultsOfProvider } from '#domain/provider-shape.ts'
import { providers } from '#providers/registry.ts'
import { apiVersion, makeProvider } from '#test/fixtures/lockbox/provider.ts'

const folder = mkdtempSync(join(tmpdir(), 'rekey-outside-'))
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})
const lockbox = join(import.meta.dirname, '../fixtures/lockbox/provider.ts')

let files = 0
const moduleOf = (text: string): string => {
  const file = join(folder, `${++files}.mjs`)
  writeFileSync(file, text)
  return file
}
/** A whole provider but for what `change` does to it. */
const changed = (change: string): string =>
  moduleOf(`
    export const apiVersion = 1
    const traits = {
      slot: 'multi', staging: 'none', undo: 'rollForward', authority: 'store', revokes: 'version', suspend: true,
      exactlyOnce: 'cas', attribution: 'exact', usage: null, lateEffectMs: 0,
      consistency: { delayMs: 0, confirmations: 1 }, limits: {}, deliver: false, material: 'ours',
      publishTarget: true, publishable: true, verifies: ['roundTrip'], operations: [],
    }
    export const makeProvider = ({ Type, generateSecret }) => {
      const none = Type.Object({}, { additionalProperties: false })
      const type = {
        type: 'acme.secret', title: 'Secret', traits, refSchema: none, generateSchema: none,
        objectId: () => 'acme', leastPrivilege: () => ({}), generate: generateSecret,
      }
      const provider = {
        id: 'acme', title: 'Acme', settingsSchema: none, credentialSchema: null, types: [type],
        endpoints: () => [], connect: () => { throw new Error('not now') },
      }
      ${change}
      return provider
    }`)
const refusal = async (...modules: readonly string[]): Promise<readonly string[]> => {
  try {
    await withOutside(providers, modules)
  } catch (error) {
    if (error instanceof ProvidersRefused) return error.problems
    throw error
  }
  throw new Error('it was taken')
}

test('providers from outside stand behind the built-in ones', async () => {
  const all = await withOutside(providers, [changed(''), lockbox])
  expect(all.slice(0, providers.length)).toEqual(providers)
  expect(all.slice(providers.length).map(({ id }) => id)).toEqual(['acme', 'lockbox'])
  expect(await withOutside(providers, [])).toEqual(providers)
})

test('what the built-in ones declare would pass', () => {
  // `file` is its own name, by design.
  for (const provider of providers.filter(({ id }) => id !== 'file'))
    expect(faultsOfProvider(provider)).toEqual([])
  expect(faultsOfProvider(makeProvider(rekey))).toEqual([])
  expect(apiVersion).toBe(rekey.apiVersion)
})

test.each([
  ['a relative path', 'acme.mjs', /not an absolute path/],
  ['a path to nothing', join(folder, 'nothing.mjs'), /does not exist/],
  ['what is no module', moduleOf('export const ='), /cannot be loaded/],
  ['what throws as it is loaded', moduleOf('throw new Error("boom")'), /cannot be loaded: boom/],
  [
    'no version of the interface',
    moduleOf('export const makeProvider = () => ({})'),
    /apiVersion undefined; this Rekey speaks 1/,
  ],
  ['another version', moduleOf('export const apiVersion = 2'), /apiVersion 2/],
  ['no makeProvider', moduleOf('export const apiVersion = 1'), /no function makeProvider/],
  ['a makeProvider that throws', changed('throw new Error("no")'), /makeProvider failed: no/],
  ['no provider', changed('return 7'), /must be object/],
  ['no types', changed('provider.types = []'), /\/types/],
  [
    'a trait of another word',
    changed('type.traits = { ...traits, slot: "many" }'),
    /\/types\/0\/traits\/slot/,
  ],
  [
    'a trait that is missing',
    changed('type.traits = { ...traits, undo: undefined }'),
    /\/types\/0\/traits/,
  ],
  [
    'a trait that is not one',
    changed('type.traits = { ...traits, colour: "red" }'),
    /\/types\/0\/traits/,
  ],
  ['no connect', changed('provider.connect = {}'), /\/connect must be a function/],
  ['a type of another provider', changed('type.type = "vault.other"'), /must begin with "acme\."/],
  [
    'the id of a built-in one',
    changed('provider.id = "vault"; type.type = "vault.other"'),
    /a provider "vault" already/,
  ],
  [
    'a word on emergencies that is none',
    changed('type.incident = { endedBy: "somebody" }'),
    /\/types\/0\/incident\/endedBy/,
  ],
  [
    'a member of it that is not one',
    changed('type.incident = { endsBy: "key" }'),
    /\/types\/0\/incident/,
  ],
  [
    'caches that are no function',
    changed('type.incident = { cachedForMs: 5 }'),
    /cachedForMs must be a function/,
  ],
  [
    'an end by the whole key where versions are revoked',
    changed('type.traits = { ...traits, suspend: false }; type.incident = { endedBy: "key" }'),
    /endedBy "key" needs revokes "key"/,
  ],
  [
    'an end by the next value of what can be switched off',
    changed('type.incident = { endedBy: "mint" }'),
    /suspend must be false/,
  ],
  [
    'a proof of what nobody can end',
    changed(
      'type.traits = { ...traits, suspend: false }; type.incident = { endedBy: "nobody", proof: "asked" }',
    ),
    /nobody can end has no proof/,
  ],
  [
    'a part of the database',
    changed('provider.sharesDatabase = true'),
    /sharesDatabase is for what is stored in the database of Rekey/,
  ],
  ['material of nobody', changed('delete type.generate'), /generate must be there/],
  [
    'a pointer that nothing moves',
    changed('type.traits = { ...traits, undo: "pointer" }'),
    /needs staging "native"/,
  ],
])('%s is refused at the start', async (_what, file, says) => {
  const problems = await refusal(file)
  expect(problems.join('\n')).toMatch(says)
  for (const problem of problems) expect(problem).toContain(file)
})

test('all that is wrong is told at once', async () => {
  const problems = await refusal('one.mjs', lockbox, lockbox)
  expect(problems).toEqual([
    'one.mjs: is not an absolute path',
    `${lockbox}: there is a provider "lockbox" already`,
    `${lockbox}: there is a key type "lockbox.password" already`,
  ])
})

test('a file that others may write to is not run', async () => {
  const file = moduleOf('globalThis.ran = true')
  chmodSync(file, 0o666)
  expect(await refusal(file)).toEqual([
    expect.stringContaining('others than root and Rekey’s user'.replace('’', "'")),
  ])
  expect('ran' in globalThis).toBe(false)
})

test('nor one in whose place others may put another: by a folder above it, or by a link', async () => {
  const file = moduleOf('globalThis.ran = true')
  const top = mkdtempSync(join(tmpdir(), 'rekey-outside-'))
  try {
    mkdirSync(join(top, 'mine'))
    renameSync(file, join(top, 'mine', 'provider.mjs'))
    mkdirSync(join(top, 'links'))
    symlinkSync(join(top, 'mine', 'provider.mjs'), join(top, 'links', 'provider.mjs'))
    chmodSync(join(top, 'links'), 0o777)
    expect(await refusal(join(top, 'links', 'provider.mjs'))).toEqual([
      expect.stringContaining(`may change ${join(top, 'links')}:`),
    ])
    chmodSync(top, 0o777)
    expect(await refusal(join(top, 'mine', 'provider.mjs'))).toEqual([
      expect.stringContaining(`may change ${top}:`),
    ])
    expect('ran' in globalThis).toBe(false)
  } finally {
    rmSync(top, { recursive: true })
  }
})
