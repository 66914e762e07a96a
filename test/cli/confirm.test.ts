import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { aRotation } from './stand-in.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()

const operationId = '0193a0e2-7c1f-7000-8000-000000000001:minting:1'
let id: string
let reference: string
beforeEach(() => {
  const rotation = aRotation({
    key: 'partner',
    phase: 'minting',
    endedAt: null,
    waitingFor: {
      gate: 'person',
      since: '2026-11-26T08:00:00.000Z',
      until: '2026-12-03T08:00:00.000Z',
      missing: ['Partner portal, Create'],
      text: 'make a new credential for partner',
    },
    steps: [
      {
        phase: 'minting',
        attempt: 1,
        operationId,
        startedAt: '2026-11-26T08:00:00.000Z',
        endedAt: null,
        outcome: null,
        detail: null,
      },
    ],
  })
  id = String(rotation['id'])
  reference = `rotation/${id}`
  stage.server.rotations.set(id, rotation)
})
const sent = () =>
  stage.server.seen.find(({ path }) => path.endsWith('/confirmations'))?.body ?? null
const digest = `sha256:${createHash('sha256').update('the new value').digest('hex')}`

test('the step is shown and asked about; of the value only its digest leaves the machine', async () => {
  const terminal = await stage.terminal({ answers: ['yes'] })
  await writeFile(join(terminal.cwd, 'value'), 'the new value\n')
  const ran = await terminal.run('confirm', reference, '--value-from', 'value')
  expect(ran.stderr).toContain('make a new credential for partner\n  - Partner portal, Create\n')
  expect([ran.exit, ran.stdout]).toEqual([0, `${reference}  confirmed: ${operationId}\n`])
  expect(sent()).toEqual({ operationId, outcome: 'done', fingerprint: digest })
  expect(JSON.stringify(stage.server.seen)).not.toContain('the new value')
})

test('without a terminal the step must be named, and the command that names it is told', async () => {
  const terminal = await stage.terminal()
  const ran = await terminal.run('confirm', reference, '--evidence', 'e')
  expect(ran.exit).toBe(2)
  expect(ran.stderr).toContain(`add --step ${operationId}`)
  expect(sent()).toBeNull()
  const named = await terminal.run('confirm', reference, '--step', operationId, '--evidence', 'e')
  expect(named.exit).toBe(0)
  expect(sent()).toEqual({ operationId, outcome: 'done', evidence: 'e' })
})

test('a step that was not done is said so', async () => {
  const ran = await (
    await stage.terminal({ answers: ['yes'] })
  ).run('confirm', reference, '--not-done', '--evidence', 'the portal is down')
  expect(ran.stdout).toContain('said not to be done')
  expect(sent()).toMatchObject({ outcome: 'notDone', evidence: 'the portal is down' })
})

test('a value in place of its digest is refused here, and so is a file without one', async () => {
  const terminal = await stage.terminal()
  await writeFile(join(terminal.cwd, 'empty'), '\n')
  const step = ['--step', operationId]
  for (const words of [
    ['--fingerprint', 'hunter2'],
    ['--value-from', 'empty'],
    ['--value-from', 'missing'],
    ['--value-from', 'empty', '--fingerprint', digest],
  ]) {
    const ran = await terminal.run('confirm', reference, ...step, ...words)
    expect(ran.exit, words.join(' ')).toBe(2)
    expect(ran.stderr).not.toContain('hunter2')
  }
  expect(sent()).toBeNull()
})

test('describe and the list of what comes next name the verb', async () => {
  const ran = await (await stage.terminal()).run('describe', reference)
  expect(ran.stdout).toContain(`rekey confirm ${reference}`)
})
