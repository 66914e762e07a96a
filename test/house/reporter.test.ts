import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const dir = mkdtempSync(join(tmpdir(), 'rekey-reporter-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const note = {
  peer: 'vault',
  why: 'run `npm run peers`',
  suite: 'the vault provider',
  at: Date.now() + 60_000,
}

/** A run each: its files. */
const runs = {
  mixed: {
    a: `test('passes', () => {}); test('fails', () => { throw new Error('no') }); test.skip('is skipped', () => {})`,
  },
  unloaded: {
    a: `test('passes', () => {})`,
    b: `import './not-there.ts'; test('never runs', () => {})`,
  },
  hook: {
    a: `describe('s', () => { beforeAll(() => { throw new Error('no') }); test('one', () => {}) })`,
  },
  lost: {
    a: `test('passes', async () => { void Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 50)) })`,
  },
  nested: {
    a: `test('passes', () => {}); describe.skip('outer', () => { describe.skip('inner', () => { test('one', () => {}) }) })`,
  },
  peers: {
    a: `import { mkdirSync, writeFileSync } from 'node:fs'
        mkdirSync(process.env.REKEY_PEERS_RECORD, { recursive: true })
        writeFileSync(process.env.REKEY_PEERS_RECORD + '/1.json', ${JSON.stringify(JSON.stringify(note))})
        test('passes', () => {})`,
  },
} satisfies Readonly<Record<string, Readonly<Record<string, string>>>>
type Run = keyof typeof runs

/** What each run printed. One process does them all: to load Vitest takes longer than any of them. */
let printed: Readonly<Record<Run, string>>
beforeAll(async () => {
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
  for (const [name, files] of Object.entries(runs)) {
    mkdirSync(join(dir, name))
    for (const [file, body] of Object.entries(files)) {
      const head = `import { beforeAll, describe, test } from 'vitest'\nvoid [beforeAll, describe]\n`
      writeFileSync(join(dir, name, `${file}.test.ts`), head + body)
    }
  }
  printed = await runAll()
})

const lastLine = (run: Run): string | undefined => printed[run].trimEnd().split('\n').at(-1)

test('the last line counts passed, failed and skipped tests', () => {
  expect(lastLine('mixed')).toBe('1 passed, 1 failed, 1 skipped')
})

test('a module that does not load counts as failed', () => {
  expect(lastLine('unloaded')).toBe('1 passed, 1 failed, 0 skipped')
})

test('a suite whose hook fails counts as failed although its tests are only skipped', () => {
  expect(lastLine('hook')).toMatch(/^0 passed, 1 failed, /)
})

test('an error that nobody caught counts as failed', () => {
  expect(lastLine('lost')).toBe('1 passed, 1 failed, 0 skipped')
})

test('a skipped suite inside a skipped suite counts as skipped', () => {
  expect(lastLine('nested')).toBe('1 passed, 0 failed, 1 skipped')
})

test('before it stands one table of the suites that a missing peer kept from running', () => {
  expect(printed.peers).toContain('missing peer  suite that did not run  what to do')
  expect(printed.peers).toContain('vault         the vault provider      run `npm run peers`')
  expect(lastLine('peers')).toBe('1 passed, 0 failed, 0 skipped')
})

const runAll = async (): Promise<Readonly<Record<Run, string>>> => {
  const names = Object.keys(runs)
  const reporter = join(root, 'test', 'support', 'reporter.ts')
  const script = `
    import { startVitest } from 'vitest/node'
    for (const name of ${JSON.stringify(names)}) {
      console.log('\\n== ' + name)
      const options = { root: name, config: false, watch: false, reporters: [${JSON.stringify(reporter)}] }
      await (await startVitest('test', [], options)).close()
    }
    process.exit()`
  const { VITEST: _, VITEST_WORKER_ID: __, ...others } = process.env
  const env = { ...others, NO_COLOR: '1', REKEY_PEERS_RECORD: join(dir, 'notes') }
  const out = await new Promise<string>((resolve) => {
    const args = ['--input-type=module', '-e', script]
    execFile(process.execPath, args, { cwd: dir, env }, (_error, stdout) => resolve(stdout))
  })
  const parts = out.split(/^== (\w+)$/m)
  const of = (name: string): string => parts[parts.indexOf(name) + 1] ?? ''
  return Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Run, string>
}
