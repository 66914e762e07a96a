import { beforeEach, expect, test } from 'vitest'
import { aRotation, problem } from './stand-in.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()
const id = '0193a1b2-0000-7000-8000-000000000001'
const reference = `rotation/${id}`
const writes = () => stage.server.seen.filter(({ method }) => method !== 'GET')

beforeEach(() => {
  stage.server.rotations.set(id, aRotation({ id, phase: 'overlapping', toVersion: 4 }))
})

test.each([
  ['cancel', 'cancel'],
  ['resume', 'resume'],
])('%s asks nothing and posts the reason', async (verb, path) => {
  const ran = await (await stage.terminal()).run(verb, reference, '--reason', 'because')
  expect(ran.exit).toBe(0)
  expect(writes()).toMatchObject([
    { path: `/v1/rotations/${id}/${path}`, body: { reason: 'because' } },
  ])
})

const dangerous = [
  ['rollback', 'rollback'],
  ['abandon', 'abandon'],
  ['override', 'overrides'],
] as const

test.each(dangerous)(
  '%s without a terminal waits for nobody: 2, and the flag to add',
  async (verb) => {
    const ran = await (await stage.terminal()).run(verb, reference, '--reason', 'because')
    expect(ran.exit).toBe(2)
    expect(ran.stderr).toContain(`add --confirm ${id}`)
    expect(stage.server.seen).toEqual([])
  },
)

test.each(dangerous)('%s on a terminal asks for the id typed out', async (verb, path) => {
  const ran = await (
    await stage.terminal({ answers: [id] })
  ).run(verb, reference, '--reason', 'because')
  expect(ran.exit).toBe(0)
  expect(ran.questions).toEqual([`Type ${id} to go on`])
  expect(writes()).toMatchObject([{ path: `/v1/rotations/${id}/${path}` }])
})

test.each(dangerous)('%s with --confirm asks nothing', async (verb) => {
  const ran = await (
    await stage.terminal({ answers: [] })
  ).run(verb, reference, '--reason', 'r', '--confirm', id)
  expect([ran.exit, ran.questions]).toEqual([0, []])
})

test('another id typed, or another one confirmed, changes nothing', async () => {
  const typed = await (
    await stage.terminal({ answers: ['yes'] })
  ).run('rollback', reference, '--reason', 'r')
  expect(typed.exit).toBe(2)
  const said = await (
    await stage.terminal()
  ).run('rollback', reference, '--reason', 'r', '--confirm', 'yes')
  expect(said.exit).toBe(2)
  expect(stage.server.seen).toEqual([])
})

test('giving up at the question ends with 130 and changes nothing', async () => {
  const ran = await (
    await stage.terminal({ answers: [null] })
  ).run('rollback', reference, '--reason', 'r')
  expect(ran.exit).toBe(130)
  expect(ran.stderr).toMatch(/changed +nothing/)
  expect(stage.server.seen).toEqual([])
})

test('with -o json nothing is asked, terminal or not', async () => {
  const ran = await (
    await stage.terminal({ answers: [] })
  ).run('abandon', reference, '--reason', 'r', '-o', 'json')
  expect(ran.exit).toBe(2)
  expect(JSON.parse(ran.stderr)).toMatchObject({ hint: `add --confirm ${id}` })
})

test('a dry run needs no confirmation and changes nothing', async () => {
  const ran = await (
    await stage.terminal()
  ).run('rollback', reference, '--reason', 'r', '--dry-run')
  expect(ran.exit).toBe(0)
  expect(ran.stdout).toContain('would be')
  expect(stage.server.rotations.get(id)).toMatchObject({ phase: 'overlapping' })
})

test('a refusal says why, that nothing was changed, and what to look at', async () => {
  stage.server.interfere(
    'POST',
    `/v1/rotations/${id}/rollback`,
    problem('rotation.undoImpossible', {
      detail: 'transit cannot go back',
      hint: 'start another one',
    }),
  )
  const ran = await (
    await stage.terminal()
  ).run('rollback', reference, '--reason', 'r', '--confirm', id)
  expect(ran.exit).toBe(5)
  expect(ran.stderr).toBe(
    `error: couldn't rollback ${reference}: The provider cannot undo this [rotation.undoImpossible]\n` +
      '  why      transit cannot go back\n  hint     start another one\n  changed  nothing\n' +
      `  next     rekey describe ${reference}\n  request  req-1\n`,
  )
})

test('approving on a terminal shows the plan and asks', async () => {
  const terminal = await stage.terminal({ answers: ['yes'] })
  const ran = await terminal.run('approve', reference)
  expect(ran.exit).toBe(0)
  expect(ran.stderr).toContain('plan: plan-1')
  expect(writes()).toMatchObject([{ body: { planHash: 'plan-1' } }])
  const no = await (await stage.terminal({ answers: ['no'] })).run('approve', reference)
  expect(no.exit).toBe(2)
  expect(writes()).toHaveLength(1)
})

test('approving without a terminal needs the hash of the plan that was seen', async () => {
  const terminal = await stage.terminal()
  const blind = await terminal.run('approve', reference)
  expect(blind.exit).toBe(2)
  expect(blind.stderr).toContain('--plan-hash plan-1')
  expect(writes()).toEqual([])
  expect((await terminal.run('approve', reference, '--plan-hash', 'plan-1')).exit).toBe(0)
  expect((await terminal.run('approve', reference, '--plan-hash', 'plan-0')).exit).toBe(5)
})

test('an acknowledgement is of the version that the rotation waits for', async () => {
  const terminal = await stage.terminal()
  const ran = await terminal.run(
    'ack',
    reference,
    '--consumer',
    'orders-api',
    '--evidence',
    'deploy 7',
  )
  expect(ran.exit).toBe(0)
  expect(writes()).toMatchObject([
    { body: { consumer: 'orders-api', version: 4, evidence: 'deploy 7' } },
  ])
  expect(ran.stdout).toBe(`${reference}  acknowledged by orders-api for v4\n`)
})

test('a token that may not read the rotation acknowledges by saying the version', async () => {
  stage.server.interfere('GET', `/v1/rotations/${id}`, problem('auth.denied'))
  const terminal = await stage.terminal()
  const blind = await terminal.run('ack', reference, '--consumer', 'orders-api')
  expect([blind.exit, blind.stderr.includes('add --version')]).toEqual([4, true])
  expect(
    (await terminal.run('ack', reference, '--consumer', 'orders-api', '--version', '4')).exit,
  ).toBe(0)
  expect(
    (await terminal.run('ack', reference, '--consumer', 'orders-api', '--version', '3')).exit,
  ).toBe(2)
})

test('a consumer is named as consumers are', async () => {
  const ran = await (
    await stage.terminal()
  ).run('ack', reference, '--consumer', '../x', '--version', '4')
  expect(ran.exit).toBe(2)
  expect(stage.server.seen).toEqual([])
})
