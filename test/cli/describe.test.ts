import { expect, test } from 'vitest'
import { gates } from '#domain/rotation.ts'
import { adviceFor } from '#cli/next-command.ts'
import { phases } from '#domain/rotation-machine.ts'
import { aKey, aRotation } from './stand-in.ts'
import { withStandIn } from './with-stand-in.ts'

const stage = withStandIn()
const id = '0193a1b2-0000-7000-8000-000000000001'

test('a rotation: what it waits for, why, and the command to run next', async () => {
  stage.server.rotations.set(
    id,
    aRotation({
      id,
      phase: 'overlapping',
      toVersion: 4,
      waitingFor: {
        gate: 'acknowledgement',
        since: new Date(Date.now() - 7_500_000).toISOString(),
        missing: ['orders-api', 'batch'],
        text: 'consumers must acknowledge',
      },
      steps: [
        {
          phase: 'minting',
          attempt: 2,
          operationId: 'x',
          startedAt: '2025-11-24T01:00:00Z',
          endedAt: '2025-11-24T01:00:03Z',
          outcome: 'succeeded',
          detail: null,
        },
      ],
    }),
  )
  const ran = await (await stage.terminal()).run('describe', `rotation/${id}`)
  expect(ran.exit).toBe(0)
  expect(ran.stdout).toMatch(
    /why\n {2}acknowledgement since 2h5m\d*s?: consumers must acknowledge; missing orders-api, batch; these consumers have not acknowledged/,
  )
  expect(ran.stdout).toContain(
    `next\n  rekey ack rotation/${id} --consumer orders-api --version 4\n  rekey ack rotation/${id} --consumer batch --version 4\n  rekey override rotation/${id} --reason "…"\n`,
  )
  expect(ran.stdout).toMatch(/minting +– +2 +succeeded +2025-11-24 01:00:00Z \(.* ago\) +3s +–/)
})

test('a resting key: why it does not rotate, its versions, and how to rotate it', async () => {
  stage.server.keys.set('payments-db', aKey())
  stage.server.things['versions'] = [
    {
      version: 3,
      state: 'active',
      primary: true,
      materialKnown: true,
      providerVersions: ['p3'],
      createdAt: '2026-11-01T00:00:00Z',
      activatedAt: '2026-11-01T00:00:00Z',
    },
    {
      version: 2,
      state: 'suspended',
      primary: false,
      materialKnown: true,
      providerVersions: ['p2'],
      createdAt: '2026-10-01T00:00:00Z',
      activatedAt: null,
    },
    {
      version: 1,
      state: 'destroyed',
      primary: false,
      materialKnown: false,
      providerVersions: [],
      createdAt: '2026-09-01T00:00:00Z',
      activatedAt: null,
    },
  ]
  const ran = await (await stage.terminal()).run('describe', 'key/payments-db')
  expect(ran.exit).toBe(0)
  expect(ran.stdout).toContain('why\n  No policy selects it; it rotates when a person starts it.\n')
  expect(ran.stdout).toMatch(/ {2}v3 +active +primary +\S+ +known +p3\n {2}v2 +suspended/)
  expect(ran.stdout).toMatch(/ {2}v1 +destroyed/)
  expect(ran.stdout).toContain('next\n  rekey rotate key/payments-db --reason "…"\n')
})

test('a rotating key: what its rotation waits for', async () => {
  const status = {
    ...(aKey()['status'] as object),
    openRotation: id,
    policy: 'monthly',
    why: `Rotation ${id} is open.`,
  }
  stage.server.keys.set('payments-db', aKey({ status }))
  stage.server.rotations.set(
    id,
    aRotation({
      id,
      phase: 'stalled',
      waitingFor: { gate: 'person', since: '', missing: [], text: 'the quota is used up' },
    }),
  )
  const ran = await (await stage.terminal()).run('describe', 'key/payments-db')
  expect(ran.stdout).toContain('person: the quota is used up')
  expect(ran.stdout).toContain(
    `rekey resume rotation/${id} --reason "…"\n  rekey rollback rotation/${id}`,
  )
})

test('a policy: its keys, its open rotations, and why nothing rotates by it', async () => {
  stage.server.policies.set('monthly', {
    revision: 2,
    resource: {
      name: 'monthly',
      labels: {},
      enabled: false,
      selector: { connection: 'local' },
      schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris' },
      status: { revision: 2 },
    },
  })
  stage.server.keys.set('payments-db', aKey())
  stage.server.rotations.set(id, aRotation({ id, policy: 'monthly' }))
  const ran = await (await stage.terminal()).run('describe', 'policy/monthly')
  expect(ran.exit).toBe(0)
  expect(ran.stdout).toContain('it is disabled: nothing rotates by it')
  expect(ran.stdout).toContain('payments-db')
  expect(ran.stdout).toMatch(
    /next fire times\n(?:  \w{3} \d{4}-\d\d-01 03:00 \+0[12]:00 Europe\/Paris\n){5}/,
  )
  expect(ran.stdout).toContain(`rekey describe rotation/${id}`)
})

test('a connection: its keys and who may use it', async () => {
  stage.server.things['connections'] = [
    {
      name: 'local',
      provider: 'local',
      settings: {},
      credential: { from: 'none' },
      labels: {},
      grants: [{ matchLabels: { team: 'payments' }, refs: ['payments/*'] }],
    },
  ]
  stage.server.keys.set('payments-db', aKey())
  const terminal = await stage.terminal()
  const ran = await terminal.run('describe', 'connection/local')
  expect(ran.exit).toBe(0)
  expect((await terminal.run('describe', 'connection/local', '--check')).stdout).toMatch(
    /rights\n.*\n +ok +mint +may mint/,
  )
  expect((await terminal.run('describe', 'key/payments-db', '--check')).exit).toBe(2)
  expect(ran.stdout).toContain('team=payments may use payments/*')
  expect(ran.stdout).toContain('payments-db')
})

test('a thing that is not there is 3', async () => {
  const ran = await (await stage.terminal()).run('describe', 'key/nope')
  expect(ran.exit).toBe(3)
  expect(ran.stderr).toContain('next     rekey get keys')
})

test.each(gates)(
  'whatever waits for %s is told what to do, or that there is nothing to do',
  (gate) => {
    const waitingFor = { gate, missing: ['a'], text: 'x' }
    const rotation = { id, key: 'k', policy: 'p', phase: 'overlapping', waitingFor, toVersion: 4 }
    const advice = adviceFor(rotation, new Date(0))
    expect(advice.text).not.toBe('')
    for (const command of advice.commands) expect(command).toMatch(/^rekey [a-z]+(?: |$)/)
  },
)

test.each(phases)('in the phase %s there is something to say', (phase) => {
  expect(adviceFor({ id, key: 'k', phase, waitingFor: null }, new Date(0)).text).not.toBe('')
})

test('a rotation that is due for minutes and taken up by nobody: is a worker running?', async () => {
  const dueAt = new Date(Date.now() - 300_000).toISOString()
  stage.server.rotations.set(id, aRotation({ id, dueAt }))
  const ran = await (await stage.terminal()).run('describe', `rotation/${id}`)
  expect(ran.stdout).toMatch(/why\n {2}it is due since 5m\d*s? and no worker has taken it up/)
})
