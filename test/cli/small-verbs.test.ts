import { expect, test } from 'vitest'
import { aKey } from './stand-in.ts'
import { openTerminal } from './terminal.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()

test('whoami says whose token it is', async () => {
  const ran = await (await stage.terminal()).run('whoami')
  expect(ran.stdout).toMatch(
    /^ci\n {2}id +k1\n {2}type +service\n {2}roles +operator\n {2}scope +everything\n/,
  )
})

test('a freeze is set, replaced under its revision, shown and cleared', async () => {
  const terminal = await stage.terminal()
  expect(await terminal.run('freeze')).toMatchObject({
    exit: 0,
    stdout: '',
    stderr: 'nothing is frozen\n',
  })
  const set = await terminal.run(
    'freeze',
    'set',
    '--until',
    '2h',
    '--reason',
    'release',
    '-l',
    'team=payments',
  )
  expect(set.exit).toBe(0)
  expect(set.stdout).toMatch(/until +\S+ \S+Z \(in [12]h/)
  expect(stage.server.freeze?.resource).toMatchObject({
    reason: 'release',
    selector: { matchLabels: { team: 'payments' } },
  })
  await terminal.run('freeze', 'set', '--until', '2030-01-01T00:00:00Z', '--reason', 'longer')
  expect(stage.server.freeze).toMatchObject({
    revision: 2,
    resource: { until: '2030-01-01T00:00:00.000Z' },
  })
  expect((await terminal.run('freeze', 'show')).stdout).toMatch(/keys +all/)
  expect((await terminal.run('freeze', 'clear', '--dry-run')).exit).toBe(0)
  expect(stage.server.freeze).not.toBeNull()
  expect((await terminal.run('freeze', 'clear')).exit).toBe(0)
  expect(stage.server.freeze).toBeNull()
  expect((await terminal.run('freeze', 'clear')).exit).toBe(3)
})

test('the schedule is of the next thirty days, or of what was asked', async () => {
  stage.server.things['schedule'] = [
    {
      key: 'payments-db',
      policy: 'monthly',
      at: '2026-12-01T02:00:00Z',
      trigger: 'schedule',
      following: ['2026-12-15T02:00:00Z'],
    },
    { key: 'api', policy: 'm', at: '2026-12-02T02:00:00Z', trigger: 'maxAge', following: [] },
  ]
  const terminal = await stage.terminal()
  const ran = await terminal.run('schedule')
  expect(ran.stdout).toMatch(
    /^AT +KEY +POLICY +TRIGGER\n2026-12-01 02:00:00Z \(.*\) +payments-db +monthly +schedule\n2026-12-02 02:00:00Z \(.*\) +api +m +maxAge\n2026-12-15 02:00:00Z \(.*\) +payments-db +monthly +schedule\n$/,
  )
  const [first] = stage.server.seen
  const days =
    (Date.parse(first?.query.get('to') ?? '') - Date.parse(first?.query.get('from') ?? '')) /
    86_400_000
  expect(days).toBe(30)
  const calendar = await terminal.run('schedule', '-o', 'ical', '--from', '1d', '--to', '2d')
  expect(calendar).toMatchObject({ exit: 0, stdout: 'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n' })
})

test.each(['bash', 'zsh', 'fish'])(
  'the completion script of %s asks rekey itself',
  async (shell) => {
    const ran = await (await openTerminal()).run('completion', shell)
    expect(ran.exit).toBe(0)
    expect(ran.stdout).toContain('rekey __complete -- ')
  },
)

test.each([
  [['ro'], ['rotate', 'rollback']],
  [
    ['freeze', ''],
    ['show', 'set', 'clear'],
  ],
  [
    ['get', 'k'],
    ['keys', 'key/'],
  ],
  [['get', 'keys', '-o', 'j'], ['json']],
  [['rotate', '--re'], ['--reason']],
  [
    ['completion', ''],
    ['bash', 'zsh', 'fish'],
  ],
  [
    ['rotate', 'key/p'],
    ['key/payments-db', 'key/pki'],
  ],
  [['describe', 'key/pk'], ['key/pki']],
])('after %j these words are offered: %j', async (words, offered) => {
  for (const name of ['payments-db', 'orders', 'pki']) stage.server.keys.set(name, aKey({ name }))
  const ran = await (await stage.terminal()).run('__complete', '--', ...words)
  expect(ran.stdout.trimEnd().split('\n')).toEqual(offered)
})

test('completion without a server offers nothing and does not complain', async () => {
  const terminal = await openTerminal({
    env: { REKEY_URL: 'http://127.0.0.1:1', REKEY_TOKEN: 'rekey_pat_x' },
  })
  expect(await terminal.run('__complete', '--', 'rotate', 'key/p')).toMatchObject({
    exit: 0,
    stdout: '',
    stderr: '',
  })
})

test('colours only where they are seen and not refused', async () => {
  const red = '\u001b[31m'
  const coloured = await (await stage.terminal({ colours: true })).run('get', 'nope')
  expect(coloured.stderr).toContain(red)
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    const ran = await (await stage.terminal({ colours: true, env })).run('get', 'nope')
    expect(ran.stderr).not.toContain('\u001b')
  }
  expect((await (await stage.terminal()).run('get', 'nope')).stderr).not.toContain('\u001b')
})
