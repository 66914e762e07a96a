import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
let dir = ''

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rekey-reporter-'))
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test('the last line counts passed, failed and skipped tests', async () => {
  write(
    'a.test.ts',
    `test('passes', () => {}); test('fails', () => { throw new Error('no') }); test.skip('is skipped', () => {})`,
  )
  expect(await lastLine()).toBe('1 passed, 1 failed, 1 skipped')
})

test('a module that does not load counts as failed', async () => {
  write('a.test.ts', `test('passes', () => {})`)
  write('b.test.ts', `import './not-there.ts'; test('never runs', () => {})`)
  expect(await lastLine()).toBe('1 passed, 1 failed, 0 skipped')
})

test('a suite whose hook fails counts as failed although its tests are only skipped', async () => {
  write(
    'a.test.ts',
    `describe('s', () => { beforeAll(() => { throw new Error('no') }); test('one', () => {}) })`,
  )
  expect(await lastLine()).toMatch(/^0 passed, 1 failed, /)
})

test('an error that nobody caught counts as failed', async () => {
  write(
    'a.test.ts',
    `test('passes', async () => { void Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 50)) })`,
  )
  expect(await lastLine()).toBe('1 passed, 1 failed, 0 skipped')
})

test('before it stands one table of the suites that a missing peer kept from running', async () => {
  const note = {
    peer: 'vault',
    why: 'run `npm run peers`',
    suite: 'the vault provider',
    at: Date.now() + 60_000,
  }
  write(
    'a.test.ts',
    `import { mkdirSync, writeFileSync } from 'node:fs'
     mkdirSync('${dir}/notes', { recursive: true })
     writeFileSync('${dir}/notes/1.json', ${JSON.stringify(JSON.stringify(note))})
     test('passes', () => {})`,
  )
  const out = await run()
  expect(out).toContain('missing peer  suite that did not run  what to do')
  expect(out).toContain('vault         the vault provider      run `npm run peers`')
  expect(out.trimEnd().split('\n').at(-1)).toBe('1 passed, 0 failed, 0 skipped')
})

const write = (name: string, body: string): void => {
  const head = `import { beforeAll, describe, test } from 'vitest'\nvoid [beforeAll, describe]\n`
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, name), head + body)
}

const lastLine = async (): Promise<string | undefined> => (await run()).trimEnd().split('\n').at(-1)

const run = (): Promise<string> => {
  const { VITEST: _, VITEST_WORKER_ID: __, ...env } = process.env
  const reporter = join(root, 'test', 'support', 'reporter.ts')
  const args = ['run', '--root', dir, '--reporter', 'default', '--reporter', reporter]
  const options = {
    cwd: dir,
    env: { ...env, NO_COLOR: '1', REKEY_PEERS_RECORD: join(dir, 'notes') },
  }
  return new Promise((resolve) => {
    execFile(join(root, 'node_modules', '.bin', 'vitest'), args, options, (_error, out) =>
      resolve(out),
    )
  })
}
