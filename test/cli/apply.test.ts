import { expect, test } from 'vitest'
import { problem } from './stand-in.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()

const policy = (name: string, more = ''): string => `apiVersion: rekey.dev/v1
kind: RotationPolicy
metadata: { name: ${name}, labels: { team: payments } }
spec:
  selector: { connection: local }
  schedule:
    cron: "0 3 1 * *"
    timezone: Europe/Paris
${more}`

const puts = () => stage.server.seen.filter(({ method }) => method === 'PUT')

test('created, then unchanged, then changed: each by the live revision', async () => {
  const terminal = await stage.terminal()
  await terminal.file('policies/a.yaml', policy('a'))
  await terminal.file('policies/b.yaml', `${policy('b')}---\n${policy('c')}`)
  await terminal.file('policies/README.md', 'not a policy')
  const first = await terminal.run('apply', '-f', 'policies/')
  expect(first.exit).toBe(0)
  expect(first.stdout.replaceAll(/ +/g, ' ')).toBe(
    'policy/a created policies/a.yaml\npolicy/b created policies/b.yaml\npolicy/c created policies/b.yaml\n',
  )
  expect(puts().map(({ headers }) => headers['if-none-match'])).toEqual(['*', '*', '*'])
  await terminal.file('policies/a.yaml', policy('a', '  retire: destroy\n'))
  const second = await terminal.run('apply', '-f', 'policies/', '-o', 'json')
  expect(JSON.parse(second.stdout).items.map(({ result }: { result: string }) => result)).toEqual([
    'changed',
    'unchanged',
    'unchanged',
  ])
  expect(
    puts()
      .slice(3)
      .map(({ headers }) => headers['if-match']),
  ).toEqual(['"1"', '"1"', '"1"'])
})

test('a dry run says what would be, and changes nothing', async () => {
  const terminal = await stage.terminal()
  await terminal.file('a.yaml', policy('a'))
  await terminal.run('apply', '-f', 'a.yaml')
  await terminal.file('a.yaml', policy('a', '  retire: keep\n'))
  await terminal.file('b.yaml', policy('b'))
  const ran = await terminal.run('apply', '-f', 'a.yaml', 'b.yaml', '--dry-run')
  expect(ran.exit).toBe(0)
  expect(ran.stdout).toMatch(
    /policy\/a +would be changed +a\.yaml\npolicy\/b +would be created +b\.yaml\n/,
  )
  expect(stage.server.policies.size).toBe(1)
  expect(stage.server.policies.get('a')?.revision).toBe(1)
})

test('one wrong file: every fault of every file is shown with a caret, and nothing is sent', async () => {
  const terminal = await stage.terminal()
  await terminal.file('policies/good.yaml', policy('good'))
  await terminal.file('policies/zone.yaml', policy('zone').replace('Europe/Paris', 'Mars/Base'))
  await terminal.file('policies/typo.yaml', policy('typo', '  retires: keep\n'))
  const ran = await terminal.run('apply', '-f', 'policies')
  expect(ran.exit).toBe(2)
  expect(ran.stdout).toBe('')
  expect(stage.server.seen).toEqual([])
  expect(ran.stderr).toContain('policies/zone.yaml:8:15')
  expect(ran.stderr).toContain('   8 |     timezone: Mars/Base\n     |               ^^^^^^^^^')
  expect(ran.stderr).toContain('policies/typo.yaml:9:3')
  expect(ran.stderr).toContain('did you mean retire?')
  expect(ran.stderr).toMatch(/error: couldn't apply policies: 2 things are wrong/)
  const json = await terminal.run('validate', '-f', 'policies', '-o', 'json')
  expect(json.exit).toBe(2)
  expect(JSON.parse(json.stderr).errors).toMatchObject([
    { file: 'policies/typo.yaml', line: 9, column: 3 },
    { file: 'policies/zone.yaml', line: 8, column: 15 },
  ])
})

test('validate needs no server and no token', async () => {
  const terminal = await stage.terminal({
    env: { REKEY_URL: 'http://127.0.0.1:1', REKEY_TOKEN: '' },
    input: policy('a'),
  })
  await terminal.file('a.yaml', policy('a'))
  const ran = await terminal.run('validate', '-f', 'a.yaml')
  expect([ran.exit, ran.stdout]).toEqual([0, '1 document in 1 file: valid\n'])
  expect((await terminal.run('validate', '-f', '-', '-o', 'name')).stdout).toBe('policy/a\n')
})

test('one name in two files is refused before anything is sent', async () => {
  const terminal = await stage.terminal()
  await terminal.file('x/a.yaml', policy('same'))
  await terminal.file('x/b.yaml', policy('same', '  retire: keep\n'))
  const ran = await terminal.run('apply', '-f', 'x')
  expect(ran.exit).toBe(2)
  expect(ran.stderr).toContain('x/b.yaml:3:19')
  expect(ran.stderr).toContain('stands in x/a.yaml too')
})

test.each([
  ['a file that is not there', 'nope.yaml', /cannot be read/],
  ['a directory without documents', '.', /holds no \.yaml/],
])('%s is wrong usage', async (_what, name, text) => {
  const ran = await (await stage.terminal()).run('validate', '-f', name)
  expect(ran.exit).toBe(2)
  expect(ran.stderr).toMatch(text)
})

test('an empty file is an error, never nothing to do', async () => {
  const terminal = await stage.terminal()
  await terminal.file('a.yaml', '# nothing\n')
  expect((await terminal.run('validate', '-f', 'a.yaml')).exit).toBe(2)
})

test('one of three refused by the server: 6, the others applied, and the place of the refusal in its file', async () => {
  const terminal = await stage.terminal()
  for (const name of ['a', 'b', 'c']) await terminal.file(`p/${name}.yaml`, policy(name))
  stage.server.interfere(
    'PUT',
    '/v1/policies/b',
    problem('policy.overlap', {
      detail: 'a and b select key/x',
      errors: [{ pointer: '/spec/selector', detail: 'selects key/x, as a does' }],
    }),
  )
  const ran = await terminal.run('apply', '-f', 'p')
  expect(ran.exit).toBe(6)
  expect(ran.stdout).toMatch(/policy\/a +created.*\npolicy\/b +failed.*\npolicy\/c +created/)
  expect(ran.stderr).toContain('p/b.yaml:5:3')
  expect(ran.stderr).toContain(
    "couldn't apply policy/b: Two policies select one key [policy.overlap]",
  )
  expect(ran.stderr).toMatch(/changed +policy\/a created, policy\/c created/)
})

test('all refused: the exit code of the refusal, and nothing was changed', async () => {
  const terminal = await stage.terminal()
  await terminal.file('a.yaml', policy('a'))
  stage.server.interfere('PUT', '/v1/policies/a', problem('policy.weakening'))
  const ran = await terminal.run('apply', '-f', 'a.yaml')
  expect(ran.exit).toBe(5)
  expect(ran.stderr).toMatch(/changed +nothing/)
})

test('a change by somebody else in between is a conflict, not overwritten', async () => {
  const terminal = await stage.terminal()
  await terminal.file('a.yaml', policy('a'))
  await terminal.run('apply', '-f', 'a.yaml')
  await terminal.file('a.yaml', policy('a', '  retire: keep\n'))
  stage.server.interfere('PUT', '/v1/policies/a', problem('precondition.failed'))
  const ran = await terminal.run('apply', '-f', 'a.yaml')
  expect(ran.exit).toBe(5)
  expect(stage.server.policies.get('a')?.revision).toBe(1)
})

test('a lost reply of a PUT: read again, sent under the new revision, no third one made', async () => {
  const terminal = await stage.terminal()
  await terminal.file('a.yaml', policy('a'))
  await terminal.run('apply', '-f', 'a.yaml')
  await terminal.file('a.yaml', policy('a', '  retire: keep\n'))
  stage.server.interfere('PUT', '/v1/policies/a', 'drop after')
  const ran = await terminal.run('apply', '-f', 'a.yaml')
  expect(ran.exit).toBe(0)
  expect(ran.stdout).toContain('changed')
  expect(stage.server.policies.get('a')?.revision).toBe(2)
})

test('a token without the right stops at the first document', async () => {
  const terminal = await stage.terminal()
  for (const name of ['a', 'b', 'c']) await terminal.file(`p/${name}.yaml`, policy(name))
  stage.server.interfere('PUT', '/v1/policies/a', problem('auth.denied'))
  const ran = await terminal.run('apply', '-f', 'p')
  expect(ran.exit).toBe(4)
  expect(ran.stderr).toContain('2 more were not tried')
  expect(puts()).toHaveLength(1)
})
