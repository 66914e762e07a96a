// The command as a process of its own: signals, pipes, exit codes, and that it ends when its work does.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { aKey, aRotation } from './stand-in.ts'
import { eventually } from './terminal.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

const start = (...argv: readonly string[]) => {
  const { url, token } = stage.server
  const child = spawn(process.execPath, [main, ...argv], {
    env: { PATH: process.env['PATH'], REKEY_URL: url, REKEY_TOKEN: token },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = new Promise<{ exit: number | null; stdout: string; stderr: string }>((resolve) =>
    child.on('close', (exit) => resolve({ exit, stdout, stderr })),
  )
  return { child, ended, stdout: () => stdout, stderr: () => stderr }
}

test('exit codes reach the caller, and the command ends by itself', async () => {
  stage.server.keys.set('payments-db', aKey())
  expect(await start('get', 'keys', '-o', 'name').ended).toMatchObject({
    exit: 0,
    stdout: 'key/payments-db\n',
  })
  expect((await start('get', 'key/nope').ended).exit).toBe(3)
  expect((await start('rotat').ended).exit).toBe(2)
})

test('without a terminal nothing is asked', async () => {
  const { exit, stderr } = await start(
    'abandon',
    'rotation/0193a1b2-0000-7000-8000-000000000001',
    '--reason',
    'r',
  ).ended
  expect(exit).toBe(2)
  expect(stderr).toContain('--confirm')
})

test('Ctrl-C while following detaches with 130; the rotation is not touched', async () => {
  stage.server.keys.set('payments-db', aKey())
  const following = start('rotate', 'key/payments-db', '--reason', 'test', '--follow')
  await eventually(() => stage.server.streams.length === 1)
  following.child.kill('SIGINT')
  const { exit, stderr } = await following.ended
  expect(exit).toBe(130)
  expect(stderr).toContain('the rotation goes on at the server')
  expect(stage.server.seen.filter(({ method }) => method === 'POST')).toHaveLength(1)
})

test('following ends with the rotation, also after a broken stream', async () => {
  const id = '0193a1b2-0000-7000-8000-000000000001'
  stage.server.rotations.set(id, aRotation({ id }))
  const following = start('logs', '--follow', '--rotation', id)
  await eventually(() => stage.server.streams.length === 1)
  stage.server.breakStreams()
  await eventually(() => stage.server.streams.length === 2)
  stage.server.move(id, { phase: 'completed', endedAt: '2026-11-24T00:00:00Z' })
  expect((await following.ended).exit).toBe(0)
})

test('a reader that has seen enough is not an error', async () => {
  stage.server.pageSize = 200
  for (let i = 0; i < 2_000; i++) stage.server.keys.set(`key-${i}`, aKey({ name: `key-${i}` }))
  const listing = start('get', 'keys', '-o', 'wide')
  listing.child.stdout.destroy()
  const { exit, stderr } = await listing.ended
  expect([exit, stderr]).toEqual([0, ''])
})
