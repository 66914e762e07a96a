import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { exitCodes } from '#cli/exit-codes.ts'
import type { ErrorCode } from '#domain/errors.ts'
import { aKey, problem } from './stand-in.ts'
import { openTerminal } from './terminal.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()

test('the exit codes are those that were published', () => {
  expect(Object.values(exitCodes)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130])
})

const refusals: readonly (readonly [ErrorCode, number])[] = [
  ['request.invalid', 2],
  ['request.impossible', 2],
  ['policy.neverFires', 2],
  ['idempotency.missing', 2],
  ['precondition.required', 2],
  ['request.tooLarge', 2],
  ['auth.missing', 4],
  ['auth.invalid', 4],
  ['auth.denied', 4],
  ['rotation.selfApproval', 4],
  ['resource.notFound', 3],
  ['rotation.inProgress', 5],
  ['rotation.wrongPhase', 5],
  ['policy.overlap', 5],
  ['precondition.failed', 5],
  ['provider.unauthorized', 1],
  ['audit.unavailable', 1],
  ['internal', 1],
  ['service.unavailable', 9],
]

test.each(refusals)(
  'a refusal with %s ends with %i, in text and in JSON alike',
  async (code, exit) => {
    stage.server.interfere('POST', '/v1/rotations', problem(code), problem(code))
    const terminal = await stage.terminal()
    const text = await terminal.run('rotate', 'key/payments-db', '--reason', 'test')
    expect(text.exit).toBe(exit)
    expect(text.stdout).toBe('')
    expect(text.stderr).toContain(`[${code}]`)
    expect(text.stderr).toContain("couldn't rotate key/payments-db")
    expect(text.stderr).toMatch(/ {2}request {2}req-1\n/)
    const json = await terminal.run('rotate', 'key/payments-db', '--reason', 'test', '-o', 'json')
    expect(json.exit).toBe(exit)
    expect(json.stdout).toBe('')
    expect(JSON.parse(json.stderr)).toMatchObject({
      code,
      requestId: 'req-1',
      exitCode: exit,
      doing: 'rotate key/payments-db',
    })
  },
)

test('a server that is down ends with 9, and says that nothing was changed', async () => {
  const { url } = stage.server
  const terminal = await stage.terminal()
  await stage.server.stop()
  const ran = await terminal.run('rotate', 'key/payments-db', '--reason', 'test')
  expect(ran.exit).toBe(9)
  expect(ran.stderr).toContain('ECONNREFUSED')
  expect(ran.stderr).toMatch(/changed +nothing\n/)
  expect(ran.stderr).toContain(`curl -sS ${url}/readyz`)
})

test('something else on the port ends with 9, whatever it answers', async () => {
  const answers = [
    { status: 200, type: 'text/html', body: '<h1>It works!</h1>' },
    { status: 404, type: 'text/html', body: 'nope' },
    { status: 500, type: 'application/json', body: '{"oops":true}' },
    { status: 200, type: 'application/json', body: '{"items":' },
  ]
  for (const answer of answers) stage.server.interfere('GET', '/v1/keys', answer)
  const terminal = await stage.terminal()
  for (const answer of answers) {
    const ran = await terminal.run('get', 'keys')
    expect([answer.body, ran.exit]).toEqual([answer.body, 9])
    expect(ran.stderr).toContain('[cli.notRekey]')
    expect(ran.stdout).toBe('')
  }
})

test('a redirect is not followed: the token stays here', async () => {
  const elsewhere: string[] = []
  const other = createServer((request, response) => {
    elsewhere.push(String(request.headers.authorization))
    response.end('{}')
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const location = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`
  stage.server.interfere('GET', '/v1/me', { status: 307, headers: { location } })
  const ran = await (await stage.terminal()).run('whoami')
  other.close()
  expect(ran.exit).toBe(9)
  expect(ran.stderr).toContain('redirects are not followed')
  expect(elsewhere).toEqual([])
})

test('a rate limit is waited for as long as the server asks', async () => {
  stage.server.keys.set('payments-db', aKey())
  stage.server.interfere('GET', '/v1/keys/payments-db', {
    ...problem('request.rateLimited'),
    headers: { 'retry-after': '2' },
  })
  const ran = await (await stage.terminal()).run('get', 'key/payments-db', '-o', 'name')
  expect([ran.exit, ran.stdout]).toEqual([0, 'key/payments-db\n'])
  expect(ran.stderr).toContain('again in 2 s')
})

test('a rate limit of an hour is not waited for', async () => {
  stage.server.interfere('GET', '/v1/keys', {
    ...problem('request.rateLimited'),
    headers: { 'retry-after': '3600' },
  })
  const ran = await (await stage.terminal()).run('get', 'keys')
  expect(ran.exit).toBe(1)
})

const usages: readonly (readonly [readonly string[], RegExp])[] = [
  [['rotat', 'key/x'], /Did you mean rotate\?/],
  [['rotate', 'kye/x', '--reason', 'r'], /did you mean key\?/],
  [['rotate', 'payments-db', '--reason', 'r'], /write key\/payments-db/],
  [['rotate', 'policy/x', '--reason', 'r'], /this takes key\/NAME/],
  [['rotate', 'key/x', '--reson', 'r'], /unknown option '--reson'\s+\(Did you mean --reason\?\)/],
  [['rotate', 'key/x'], /'--reason <text>' not specified/],
  [['rotate', 'key/../me', '--reason', 'r'], /not a name of a key/],
  [['rotate', 'key/x', '--reason', 'r', '--timeout', '5m'], /--timeout goes with --wait/],
  [['rotate', 'key/x', '--reason', 'r', '--wait', '--timeout', '5'], /not a duration/],
  [['rotate', 'key/x', '--reason', 'r', '--wait', '--dry-run'], /a dry run starts nothing/],
  [['cancel', 'rotation/7', '--reason', 'r'], /not an id of a rotation/],
  [['get', 'polices'], /did you mean policies\?/],
  [['get', 'keys', '--phase', 'stalled'], /--phase does not filter keys/],
  [['get', 'rotations', '-l', 'team=x'], /rotations have no labels/],
  [['get', 'keys', '-l', 'team'], /"team" is not a label/],
  [['get', 'keys', '-o', 'xml'], /Allowed choices are table/],
  [['get', 'keys', 'policies'], /one kind at a time/],
  [['get', 'key/x', '-l', 'a=b'], /--selector filters a list/],
  [['get', 'keys', '--limit', '0'], /--limit takes a positive number/],
  [['describe', 'keys'], /names no key/],
  [['schedule', '--from', '2h', '--to', '1h'], /--to lies before --from/],
  [['logs', '--since', 'yesterday'], /is not a moment/],
  [['logs', '--since', '999999999d'], /is not a moment/],
  [['freeze', 'set', '--until', '3651d', '--reason', 'r'], /is not a moment/],
  [['freeze', 'set', '--until', 'tomorrow', '--reason', 'r'], /is not a moment/],
  [['completion', 'tcsh'], /Allowed choices are bash, zsh, fish/],
]

test.each(usages)('%j is refused with 2 before anything is sent', async (argv, text) => {
  const ran = await (await stage.terminal()).run(...argv)
  expect(ran.exit).toBe(2)
  expect(ran.stderr).toMatch(text)
  expect(ran.stdout).toBe('')
  expect(stage.server.seen).toEqual([])
})

test('wrong usage is one JSON problem with -o json', async () => {
  const ran = await (await stage.terminal()).run('rotate', 'key/x', '--output=json')
  expect(ran.exit).toBe(2)
  expect(JSON.parse(ran.stderr)).toMatchObject({
    code: 'cli.usage',
    exitCode: 2,
    changed: 'nothing',
  })
})

test('help is data and ends with 0; no verb at all is an error and shows the same', async () => {
  const terminal = await openTerminal()
  const help = await terminal.run('--help')
  expect([help.exit, help.stderr]).toEqual([0, ''])
  expect(help.stdout).toContain('Exit codes:')
  const nothing = await terminal.run()
  expect([nothing.exit, nothing.stdout]).toEqual([2, ''])
  expect(nothing.stderr).toContain('Usage: rekey')
})
