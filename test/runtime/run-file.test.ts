import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DirectoryHeld, holdDirectory } from '#runtime/run-file.ts'

const place = () => mkdtemp(join(tmpdir(), 'rekey-run-'))
const run = (instance: string, pid = process.pid) => ({
  pid,
  instance,
  url: '',
  startedAt: new Date().toISOString(),
  database: null,
})

test('who follows a killed process on its host takes over what it held, also under the same id', async () => {
  const directory = await place()
  await holdDirectory(directory, run('first'), 'one')
  const next = await holdDirectory(directory, run('second'), 'one')
  expect(next.died).toMatchObject({ instance: 'first', pid: process.pid })
  await next.tell(run('second'))
  expect((await holdDirectory(directory, run('third'), 'one')).died?.instance).toBe('second')
})

test('a process of the same id on another host may live: what it holds is left to it', async () => {
  const directory = await place()
  await holdDirectory(directory, run('first'), 'one')
  const next = await holdDirectory(directory, run('second'), 'other')
  expect(next.died).toMatchObject({ instance: '', pid: process.pid })
})

test('a directory whose holder lives is refused, on whatever host it says it is', async () => {
  const directory = await place()
  await holdDirectory(directory, run('first', process.ppid), 'one')
  for (const host of ['one', 'other'])
    // oxlint-disable-next-line no-await-in-loop -- one file
    await expect(holdDirectory(directory, run('second'), host)).rejects.toThrow(DirectoryHeld)
})
