// Verbs over files that need no server.

import { expect, test } from 'vitest'
import { openTerminal } from './terminal.ts'

const policy = (name: string, more = ''): string => `apiVersion: rekey.dev/v1
kind: RotationPolicy
metadata: { name: ${name}, labels: { team: payments } }
spec:
  selector: { connection: local }
  schedule:
    cron: "0 3 1 * *"
    timezone: Europe/Paris
${more}`

const terminal = (input?: string) =>
  openTerminal({
    env: { REKEY_URL: 'http://127.0.0.1:1', REKEY_TOKEN: '' },
    ...(input === undefined ? {} : { input }),
  })

test('files of every kind are checked without a server and a token', async () => {
  const shell = await terminal(policy('a'))
  await shell.file('p/a.yaml', policy('a'))
  await shell.file(
    'p/b.json',
    JSON.stringify({
      apiVersion: 'rekey.dev/v1',
      kind: 'Consumer',
      metadata: { name: 'b' },
      spec: { owner: 'team' },
    }),
  )
  await shell.file('p/README.md', 'no document')
  expect(await shell.run('validate', '-f', 'p')).toMatchObject({
    exit: 0,
    stdout: '2 documents in 2 files: valid\n',
  })
  expect((await shell.run('validate', '-f', 'p', '-o', 'name')).stdout).toBe(
    'policy/a\nconsumer/b\n',
  )
  expect((await shell.run('validate', '-f', '-', '-o', 'name')).stdout).toBe('policy/a\n')
})

test('every fault of every file is shown with its line and a caret, and apply sends nothing', async () => {
  const shell = await terminal()
  await shell.file('policies/good.yaml', policy('good'))
  await shell.file('policies/zone.yaml', policy('zone').replace('Europe/Paris', 'Mars/Base'))
  await shell.file('policies/typo.yaml', policy('typo', '  retires: keep\n'))
  // The address would answer nothing: nobody is asked.
  for (const verb of ['apply', 'diff', 'validate']) {
    const ran = await shell.run(verb, '-f', 'policies')
    expect([ran.exit, ran.stdout]).toEqual([2, ''])
    expect(ran.stderr).toContain('policies/zone.yaml:8:15')
    expect(ran.stderr).toContain('   8 |     timezone: Mars/Base\n     |               ^^^^^^^^^')
    expect(ran.stderr).toContain('policies/typo.yaml:9:3')
    expect(ran.stderr).toContain('did you mean retire?')
    expect(ran.stderr).toMatch(new RegExp(`error: couldn't ${verb} policies: 2 things are wrong`))
  }
  const json = await shell.run('validate', '-f', 'policies', '-o', 'json')
  expect(json.exit).toBe(2)
  expect(JSON.parse(json.stderr).errors).toMatchObject([
    { file: 'policies/typo.yaml', line: 9, column: 3 },
    { file: 'policies/zone.yaml', line: 8, column: 15 },
  ])
})

test('one name in two files is refused', async () => {
  const shell = await terminal()
  await shell.file('x/a.yaml', policy('same'))
  await shell.file('x/b.yaml', policy('same', '  retire: keep\n'))
  const ran = await shell.run('apply', '-f', 'x', '--yes')
  expect(ran.exit).toBe(2)
  expect(ran.stderr).toContain('x/b.yaml:3:19')
  expect(ran.stderr).toContain('stands in x/a.yaml too')
})

test.each([
  ['a file that is not there', ['-f', 'nope.yaml'], /cannot be read/],
  ['a directory without documents', ['-f', '.'], /holds no \.yaml/],
  ['no files', [], /say either which files/],
  ['files and a plan', ['plan/x', '-f', '.'], /say either which files/],
  ['what is no plan', ['policy/a'], /this takes plan\/ID/],
])('%s is wrong usage', async (_what, words, text) => {
  const ran = await (await terminal()).run('apply', ...words)
  expect(ran.exit).toBe(2)
  expect(ran.stderr).toMatch(text)
})

test('pruning without an owner is wrong usage', async () => {
  const shell = await terminal()
  await shell.file('a.yaml', policy('a'))
  const ran = await shell.run('diff', '-f', 'a.yaml', '--prune')
  expect([ran.exit, ran.stderr]).toEqual([2, expect.stringContaining('so it needs --owner')])
})

test('an empty file is an error, never nothing to do', async () => {
  const shell = await terminal()
  await shell.file('a.yaml', '# nothing\n')
  expect((await shell.run('validate', '-f', 'a.yaml')).exit).toBe(2)
})

test('a secret in a file is refused before it is sent anywhere, and not repeated', async () => {
  const shell = await terminal()
  await shell.file(
    'c.yaml',
    'apiVersion: rekey.dev/v1\nkind: Connection\nmetadata: { name: c }\nspec:\n  provider: vault\n  credential: { from: value,\n    value: hvs.s3cr3t }\n',
  )
  const ran = await shell.run('apply', '-f', 'c.yaml', '--yes')
  expect(ran.exit).toBe(2)
  expect(ran.stderr).toContain('a file holds no secret values')
  expect(ran.stderr).not.toContain('s3cr3t')
})

test('explain tells the kinds, then field by field what each may hold', async () => {
  const shell = await terminal()
  const all = await shell.run('explain')
  expect(all.exit).toBe(0)
  expect(all.stdout).toMatch(/RotationPolicy +when and how the keys that it selects rotate\n/)
  const schedule = await shell.run('explain', 'policy.spec.schedule')
  expect(schedule.stdout).toMatch(
    /^policy\.spec\.schedule {2}RotationPolicy\nrotate by the clock\n/,
  )
  expect(schedule.stdout).toMatch(/ {2}cron +required +a cron line of five fields +when: minute/)
  expect(schedule.stdout).toMatch(/ {2}missed +default "runInNextWindow" +runInNextWindow \| skip /)
  const json = JSON.parse(
    (await shell.run('explain', 'RotationPolicy.spec.overlap', '-o', 'json')).stdout,
  )
  expect(json.fields).toMatchObject([
    { path: 'policy.spec.overlap.min', required: false, default: '24h' },
    { path: 'policy.spec.overlap.unusedFor', default: '0s' },
  ])
  expect((await shell.run('explain', 'policy.spec.publish.ref')).stdout).toMatch(/\nmapping\n$/)
  expect((await shell.run('explain', 'key', '-o', 'name')).stdout).toContain('key.spec\n')
  const wrong = await shell.run('explain', 'policy.spec.shedule')
  expect([wrong.exit, wrong.stderr]).toEqual([
    2,
    expect.stringContaining('did you mean policy.spec.schedule?'),
  ])
  expect((await shell.run('explain', 'polcy')).stderr).toContain('did you mean policy?')
})
