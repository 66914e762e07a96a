// Progress in a real terminal: drawn where it stands, whatever its size, and left behind in order.

import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { peer } from '#test/support/peers.ts'
import { openTmux, type Tmux } from '#test/support/tmux.ts'
import { aKey, aRotation } from './stand-in.ts'
import { eventually } from './terminal.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const opened: Tmux[] = []
afterEach(async () => {
  for (const tmux of opened.splice(0)) await tmux.close()
})

const terminal = async (
  argv: string,
  more: {
    columns?: number
    rows?: number
    env?: Readonly<Record<string, string>>
    /** Before the command. */
    before?: string
  } = {},
): Promise<Tmux> => {
  const { columns = 100, rows = 30, env = {}, before = '' } = more
  const tmux = await openTmux({
    columns,
    rows,
    env: { REKEY_URL: stage.server.url, REKEY_TOKEN: stage.server.token, ...env },
    command: `${before} ${process.execPath} ${main} ${argv}`,
  })
  opened.push(tmux)
  return tmux
}
const follow = 'rotate key/payments-db --reason test --follow'
const waiting = {
  phase: 'overlapping',
  toVersion: 4,
  waitingFor: {
    gate: 'acknowledgement',
    since: new Date(Date.now() - 65_000).toISOString(),
    missing: ['orders-api'],
    text: 'consumers must acknowledge',
  },
}
const start = async (more: Parameters<typeof terminal>[1] = {}): Promise<[Tmux, string]> => {
  stage.server.keys.set('payments-db', aKey())
  const tmux = await terminal(follow, more)
  await tmux.until('planned')
  await eventually(() => stage.server.streams.length === 1)
  return [tmux, [...stage.server.rotations.keys()].join()]
}
const count = (text: string, part: string): number => text.split(part).length - 1

peer('tmux').describe('in a terminal', () => {
  test('a rotation is one board: what is past, what is now and since when, what comes, what to run', async () => {
    const [tmux, id] = await start()
    stage.server.move(id, { phase: 'preflight' })
    stage.server.move(id, { phase: 'minting' })
    await tmux.until(/✓ preflight .*\n.*▸ minting/)
    stage.server.move(id, waiting)
    const screen = await tmux.until('waits')
    expect(screen).toMatch(/✓ minting +\d+s\n +▸ overlapping +\d+s\n +· suspending\n +· soaking/)
    expect(screen).toMatch(/waits +acknowledgement since 1m\d+s: .*missing orders-api/)
    expect(screen).toContain(`next   rekey ack rotation/${id} --consumer orders-api --version 4`)
    expect(screen).toContain('Ctrl-C leaves it: it goes on at the server')
    // It counts the time by itself.
    await tmux.until(/▸ overlapping +2s/)
    stage.server.move(id, {
      phase: 'completed',
      waitingFor: null,
      endedAt: new Date().toISOString(),
    })
    await tmux.until('exit 0')
    const history = await tmux.history()
    expect(count(history, '✓ completed')).toBe(1)
    expect(count(history, '✓ overlapping')).toBe(1)
    expect(history).not.toContain('▸')
    expect(history.split('\n').at(-2)).toBe(`rotation/${id}  key/payments-db  v3 → v4  completed`)
  })

  test('Ctrl-C leaves the board as it was, and says how to come back', async () => {
    const [tmux, id] = await start()
    stage.server.move(id, waiting)
    await tmux.until('waits')
    await tmux.keys('C-c')
    await tmux.until('exit 130')
    const history = await tmux.history()
    expect(count(history, '▸ overlapping')).toBe(1)
    expect(history).toContain(`next     rekey get rotation/${id} --watch`)
    expect(history).toContain('the rotation goes on at the server')

    // And back: the same board, from the events of its stream.
    const again = await terminal(`get rotation/${id} --watch`)
    const screen = await again.until('waits')
    expect(screen).toContain('▸ overlapping')
    await again.keys('C-c')
    await again.until('exit 130')
    expect(await again.history()).toMatch(/changed +nothing/)
  })

  test('on a narrow terminal lines wrap, are drawn again as one board, and commands stay whole; NO_COLOR is heard', async () => {
    const [tmux, id] = await start({ columns: 40, rows: 40, env: { NO_COLOR: '1' } })
    stage.server.move(id, waiting)
    await tmux.until('waits')
    await tmux.until(/▸ overlapping +[2-9]s/)
    const history = await tmux.history()
    expect(count(history, '▸ overlapping')).toBe(1)
    expect(count(history, 'waits ')).toBe(1)
    expect(history).toContain(`rekey ack rotation/${id} --consumer orders-api --version 4`)
    expect(await tmux.coloured()).not.toContain('\u001b[')
  })

  test('a terminal that changes its size while it is drawn on shows one board, down to few rows', async () => {
    const [tmux, id] = await start({ columns: 120 })
    for (const phase of ['preflight', 'minting', 'verifying', 'promoting'])
      stage.server.move(id, { phase })
    stage.server.move(id, waiting)
    await tmux.until('waits')
    await tmux.resize(50, 40)
    await tmux.until(/▸ overlapping +[2-9]s/)
    stage.server.move(id, { waitingFor: null, phase: 'suspending' })
    const narrow = await tmux.until('▸ suspending')
    expect(count(narrow, 'overlapping')).toBe(1)
    stage.server.move(id, { ...waiting, phase: 'suspending' })
    await tmux.resize(120, 6)
    const low = await tmux.until(/^rotation\/[^]*▸ suspending[^]*waits/m)
    expect(low).toContain('next   rekey ack')
    expect(count(low, 'waits ')).toBe(1)
  })

  test('what is said meanwhile goes above the board, and it stays one', async () => {
    const [tmux, id] = await start()
    stage.server.move(id, { phase: 'minting' })
    await tmux.until('▸ minting')
    expect(await tmux.coloured()).toContain('\u001b[')
    stage.server.interfere('GET', `/v1/rotations/${id}`, 'drop before')
    stage.server.move(id, { phase: 'verifying' })
    await tmux.until('▸ verifying')
    const history = await tmux.history()
    expect(count(history, 'the reply was lost; asking again')).toBe(1)
    expect(count(history, '✓ minting')).toBe(1)
    expect(history.indexOf('the reply was lost')).toBeLessThan(history.indexOf('✓ minting'))
  })

  test('a terminal that cannot move its cursor gets lines', async () => {
    const [tmux] = await start({ before: 'env TERM=dumb' })
    const screen = await tmux.until(/\d\dZ {2}planned {2}\(v3 → new\)/)
    expect(screen).not.toContain('▸')
  })

  test('get rotations --watch is a table that goes on, fits the width, and keeps those that ended', async () => {
    const id = '0193a1b2-0000-7000-8000-000000000001'
    const tmux = await terminal('get rotations --watch')
    await tmux.until('0 open')
    stage.server.rotations.set(id, aRotation({ id, phase: 'minting' }))
    await tmux.until(/payments-db +minting/)
    stage.server.move(id, waiting)
    await tmux.until(/overlapping .*acknowledgement \(orders-api\)/)
    await tmux.resize(60, 20)
    const narrow = await tmux.until(/^KEY +PHASE +WAITING/m)
    expect(count(narrow, 'payments-db')).toBe(1)
    stage.server.move(id, {
      phase: 'completed',
      waitingFor: null,
      endedAt: new Date().toISOString(),
    })
    await tmux.until(/payments-db +completed[^]*0 open/)
    await tmux.keys('C-c')
    const end = await tmux.until('exit 130')
    expect(count(end, 'completed')).toBe(1)
  })
})

test('without a terminal each change is a line, and with -o json an object a line', async () => {
  const id = '0193a1b2-0000-7000-8000-000000000001'
  stage.server.rotations.set(id, aRotation({ id, phase: 'minting' }))
  const lines = (await stage.terminal()).start('get', 'rotations', '--watch')
  const objects = (await stage.terminal()).start('get', 'rotations', '--watch', '-o', 'json')
  await eventually(() => lines.stdout().includes('minting') && objects.stdout() !== '')
  stage.server.move(id, waiting)
  await eventually(() => lines.stdout().includes('acknowledgement'))
  stage.server.move(id, { phase: 'completed', waitingFor: null, endedAt: new Date().toISOString() })
  await eventually(
    () => lines.stdout().includes('completed') && objects.stdout().includes('completed'),
  )
  lines.interrupt()
  objects.interrupt()
  const ran = await lines.ended
  expect(ran.exit).toBe(130)
  expect(
    ran.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/^\d\d:\d\d:\d\dZ {2}/, '')),
  ).toEqual([
    `rotation/${id}  key/payments-db  v3 → new  minting`,
    `rotation/${id}  key/payments-db  v3 → v4  overlapping  acknowledgement: consumers must acknowledge; missing orders-api`,
    `rotation/${id}  key/payments-db  v3 → v4  completed`,
  ])
  const phases = (await objects.ended).stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).phase)
  expect([...new Set(phases)]).toEqual(['minting', 'overlapping', 'completed'])
})

test('a server that is away while rotations are watched is waited for', async () => {
  const drops = Array.from({ length: 8 }, () => 'drop before' as const)
  stage.server.interfere('GET', '/v1/rotations', ...drops)
  const id = '0193a1b2-0000-7000-8000-000000000001'
  stage.server.rotations.set(id, aRotation({ id, phase: 'minting' }))
  const watching = (await stage.terminal()).start('get', 'rotations', '--watch', '-o', 'name')
  await eventually(() => watching.stdout() === `rotation/${id}\n`)
  watching.interrupt()
  expect((await watching.ended).stderr).toContain('the server is away; still trying')
})

test('what cannot be watched is said before anything is asked', async () => {
  const shell = await stage.terminal()
  const [one, two] = [randomUUID(), randomUUID()]
  for (const argv of [
    ['get', 'keys', '--watch'],
    ['get', `rotation/${one}`, `rotation/${two}`, '--watch'],
    ['get', 'rotations', '--watch', '-o', 'yaml'],
  ]) {
    const ran = await shell.run(...argv)
    expect([ran.exit, ran.stderr], argv.join(' ')).toEqual([2, expect.stringContaining('--watch')])
  }
  expect(stage.server.seen).toEqual([])
})
