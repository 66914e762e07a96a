// Policies as code, through the command line against the real server: two owners, edits, conflicts, prune, approvals, keys.

import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openApi, type Api } from '#test/support/http.ts'
import { makeFaultPlan } from '#test/support/faults.ts'
import { openTerminal, type TerminalOptions } from './terminal.ts'

const faults = makeFaultPlan()
let api: Api
let url: string
let n = 0
let app: string

beforeAll(async () => {
  api = await openApi({ wrap: faults.wrap })
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`
  await api.house.connection('vault', { grants: [{ matchLabels: { team: 'a' }, refs: ['*'] }] })
})
beforeEach(() => {
  n += 1
  app = `app${n}`
})
afterAll(() => api.close())

const terminal = (token = api.adminToken, more: TerminalOptions = {}) =>
  openTerminal({ ...more, env: { REKEY_URL: url, REKEY_TOKEN: token } })

const policy = (name: string, more = ''): string => `apiVersion: rekey.dev/v1
kind: RotationPolicy
metadata: { name: ${name}, labels: { team: a } }
spec:
  selector: { matchLabels: { app: ${app} } }
  schedule: { cron: "0 3 1 * *", timezone: UTC }
${more}`

const key = (name: string, more = ''): string => `apiVersion: rekey.dev/v1
kind: Key
metadata: { name: ${name}, labels: { app: ${app}, team: a } }
spec:
  connection: vault
  type: local.secret
  purpose: a test
  owner: team
  environment: test
  create: true
${more}`

const consumer = (name: string, owner = 'team'): string => `apiVersion: rekey.dev/v1
kind: Consumer
metadata: { name: ${name} }
spec: { owner: ${owner} }
`

test('two owners: apply, edit, diff, apply, a conflict in between, prune', async () => {
  const shell = await terminal()
  await shell.file('a/policy.yaml', policy(`p-${app}`))
  await shell.file('a/key.yaml', `${key(`k-${app}`)}---\n${consumer(`c-${app}`)}`)
  await shell.file('b/consumer.yaml', consumer(`other-${app}`))
  const [a, b] = [`a-${app}`, `b-${app}`]
  const first = await shell.run('apply', '-f', 'a', '--owner', a, '--yes')
  expect([first.exit, first.stdout.replaceAll(/ +/g, ' ')]).toEqual([
    0,
    `consumer/c-${app} created a/key.yaml\nkey/k-${app} created a/key.yaml\npolicy/p-${app} created a/policy.yaml\n`,
  ])
  expect(first.stderr).toContain(`! 1 key gains this policy: k-${app}`)
  expect((await shell.run('apply', '-f', 'b', '--owner', b, '--prune', '--yes')).exit).toBe(0)

  const same = await shell.run('diff', '-f', 'a', '--owner', a, '--prune', '--exit-code')
  expect([same.exit, same.stdout]).toEqual([
    0,
    'plan: 0 to create, 0 to update, 0 to delete, 3 unchanged\n',
  ])
  await shell.file('a/policy.yaml', policy(`p-${app}`, '  soak: 2h\n'))
  const edited = await shell.run('diff', '-f', 'a', '--owner', a, '--exit-code')
  expect([edited.exit, edited.stderr]).toEqual([10, ''])
  expect(edited.stdout).toBe(
    `~ policy/p-${app}\n    + spec.soak: 2h\n  ! soak is tightened from 1h to 2h\nplan: 0 to create, 1 to update, 0 to delete, 2 unchanged\n`,
  )
  expect((await shell.run('diff', '-f', 'a', '--owner', a)).exit).toBe(0)
  expect((await shell.run('apply', '-f', 'a', '--owner', a, '--yes')).exit).toBe(0)

  // The other team copies the file.
  await shell.file('b/stolen.yaml', policy(`p-${app}`, '  soak: 9h\n'))
  const conflict = await shell.run('apply', '-f', 'b', '--owner', b, '--yes')
  expect(conflict.exit).toBe(5)
  expect(conflict.stderr).toContain('b/stolen.yaml:3:19')
  expect(conflict.stderr).toContain(
    `belongs to the owner "${a}", and this plan is of the owner "${b}"`,
  )
  expect(conflict.stderr).toMatch(/changed +nothing/)

  // One team lets go of a key; the other's things stay.
  await shell.file('a/key.yaml', consumer(`c-${app}`))
  const pruned = await shell.run('apply', '-f', 'a', '--owner', a, '--prune', '--yes')
  expect([pruned.exit, pruned.stdout]).toEqual([
    0,
    expect.stringContaining(`key/k-${app}       deleted`),
  ])
  const left = await shell.run('get', 'consumers', '-o', 'name')
  expect(left.stdout).toContain(`consumer/other-${app}\n`)
})

test('what get prints as YAML can be applied again and changes nothing, for every kind', async () => {
  const shell = await terminal()
  await shell.file(
    'p.yaml',
    [policy(`p-${app}`, '  enabled: true\n'), key(`k-${app}`), consumer(`c-${app}`)].join('---\n'),
  )
  await shell.run('apply', '-f', 'p.yaml', '--yes')
  const printed = await Promise.all(
    [`policy/p-${app}`, `key/k-${app}`, `consumer/c-${app}`, 'connection/vault'].map(
      async (name) => (await shell.run('get', name, '-o', 'yaml')).stdout,
    ),
  )
  await shell.file('again.yaml', printed.join('---\n'))
  expect((await shell.run('diff', '-f', 'again.yaml', '--exit-code')).stdout).toBe(
    'plan: 0 to create, 0 to update, 0 to delete, 4 unchanged\n',
  )
})

test('on a terminal it shows the plan and asks; deletions ask for the owner, typed', async () => {
  const owner = `team-${app}`
  const no = await terminal(api.adminToken, { answers: ['no'] })
  await no.file('c.yaml', consumer(`c-${app}`))
  const refused = await no.run('apply', '-f', 'c.yaml', '--owner', owner)
  expect([refused.exit, refused.questions]).toEqual([2, ['Apply this plan? Type yes']])
  expect(refused.stderr).toContain(`+ consumer/c-${app}\n    + spec.owner: team\n`)
  const yes = await terminal(api.adminToken, { answers: ['yes'] })
  await yes.file('c.yaml', consumer(`c-${app}`))
  expect((await yes.run('apply', '-f', 'c.yaml', '--owner', owner)).exit).toBe(0)
  const typed = await terminal(api.adminToken, { answers: [owner] })
  await typed.file('d.yaml', consumer(`d-${app}`))
  const pruned = await typed.run('apply', '-f', 'd.yaml', '--owner', owner, '--prune')
  expect([pruned.exit, pruned.questions]).toEqual([0, [`Type ${owner} to go on`]])
})

test('without a terminal it never waits: it says which flag, and does nothing', async () => {
  const shell = await terminal()
  await shell.file('c.yaml', consumer(`c-${app}`))
  const ran = await shell.run('apply', '-f', 'c.yaml')
  expect([ran.exit, ran.stdout]).toEqual([2, ''])
  expect(ran.stderr).toContain('add --yes')
  expect((await shell.run('get', `consumer/c-${app}`)).exit).toBe(3)
  await shell.run('apply', '-f', 'c.yaml', '--yes')
  // Nothing to change asks for nothing.
  expect(await shell.run('apply', '-f', 'c.yaml')).toMatchObject({
    exit: 0,
    stdout: `consumer/c-${app}  unchanged  c.yaml\n`,
  })
})

test('a dry run shows the plan and keeps nothing', async () => {
  const shell = await terminal()
  await shell.file('c.yaml', consumer(`c-${app}`))
  const ran = await shell.run('apply', '-f', 'c.yaml', '--dry-run')
  expect([ran.exit, ran.stdout]).toEqual([
    0,
    `+ consumer/c-${app}\n    + spec.owner: team\nplan: 1 to create, 0 to update, 0 to delete, 0 unchanged\n`,
  ])
  const json = JSON.parse((await shell.run('diff', '-f', 'c.yaml', '-o', 'json')).stdout)
  expect(json).toMatchObject({ dryRun: true, items: [{ action: 'create', kind: 'Consumer' }] })
  expect((await shell.run('diff', '-f', 'c.yaml', '-o', 'name')).stdout).toBe(`consumer/c-${app}\n`)
  const { status } = await api.call('GET', `/v1/plans/${json.id}`)
  expect(status).toBe(404)
})

test('what must be meant is refused with the flag, shown by diff, and done with it', async () => {
  const shell = await terminal()
  const owner = `team-${app}`
  await shell.file('p/p.yaml', policy(`p-${app}`))
  await shell.file('p/k.yaml', key(`k-${app}`))
  await shell.run('apply', '-f', 'p', '--owner', owner, '--yes')
  await shell.file('p/p.yaml', consumer(`c-${app}`))
  const words = ['-f', 'p', '--owner', owner, '--prune']
  const refused = await shell.run('apply', ...words, '--yes')
  expect([refused.exit, refused.stderr]).toEqual([
    2,
    expect.stringContaining('if that is meant, add --allow-policy-deletion'),
  ])
  expect(refused.stderr).toContain('[plan.policyDeletion]')
  expect((await shell.run('diff', ...words)).stdout).toContain(
    `needs --allow-policy-deletion: policy/p-${app} is deleted, and applies to 1 key.`,
  )
  expect((await shell.run('apply', ...words, '--yes', '--allow-policy-deletion')).exit).toBe(0)
})

test('faults that only the server knows are shown in the lines of their files, all at once', async () => {
  const shell = await terminal()
  await shell.file('p/a.yaml', key(`a-${app}`).replace('local.secret', 'local.nothing'))
  await shell.file('p/b.yaml', key(`b-${app}`).replace('connection: vault', 'connection: nowhere'))
  expect((await shell.run('validate', '-f', 'p')).exit).toBe(0)
  const ran = await shell.run('apply', '-f', 'p', '--yes')
  expect(ran.exit).toBe(2)
  expect(ran.stderr).toContain('p/a.yaml:6:9  error')
  expect(ran.stderr).toMatch(/ 6 \| {3}type: local\.nothing\n +\| +\^{13} /)
  expect(ran.stderr).toContain('p/b.yaml:5:15  error')
  const json = await shell.run('apply', '-f', 'p', '--yes', '-o', 'json')
  expect(JSON.parse(json.stderr).errors).toMatchObject([
    { file: 'p/a.yaml', line: 6, column: 9, pointer: '/spec/type' },
    { file: 'p/b.yaml', line: 5, column: 15, pointer: '/spec/connection' },
  ])
})

test('a weakening waits for somebody else, who sees the plan and approves it by its hash', async () => {
  const owner = `team-${app}`
  const shell = await terminal(await api.token(['operator']))
  await shell.file('p/k.yaml', key(`k-${app}`))
  await shell.file('p/p.yaml', policy(`p-${app}`))
  expect((await shell.run('apply', '-f', 'p', '--owner', owner, '--yes')).exit).toBe(0)
  await shell.file('p/p.yaml', policy(`p-${app}`, '  retire: destroy\n'))
  const waits = await shell.run('apply', '-f', 'p', '--owner', owner, '--yes')
  expect(waits.exit).toBe(7)
  const [reference = ''] = /plan\/[0-9a-f-]{36}/.exec(waits.stderr) ?? []
  expect(waits.stderr).toContain(`rekey approve ${reference}`)
  expect((await shell.run('apply', reference, '--yes')).exit).toBe(5)

  const blind = await terminal(await api.token(['approver']))
  const unseen = await blind.run('approve', reference)
  expect([unseen.exit, unseen.stderr]).toEqual([2, expect.stringContaining('--plan-hash')])
  const approver = await terminal(await api.token(['approver']), { answers: ['yes'] })
  const approved = await approver.run('approve', reference)
  expect(approved).toMatchObject({ exit: 0, stdout: `${reference}  approved\n` })
  expect(approved.stderr).toContain('! retire is loosened from disable to destroy')
  expect((await shell.run('apply', reference, '--yes')).stdout).toContain('changed')
})

test('keys that are refused do not keep the others back: 6, and the same plan goes on', async () => {
  const shell = await terminal()
  for (const name of ['a', 'b', 'c']) await shell.file(`p/${name}.yaml`, key(`${name}-${app}`))
  await shell.file('p/p.yaml', policy(`p-${app}`))
  faults.arm('create', 'refused')
  const partly = await shell.run('apply', '-f', 'p', '--yes')
  expect(partly.exit).toBe(6)
  expect(partly.stdout.replaceAll(/ +/g, ' ')).toBe(
    `key/a-${app} refused p/a.yaml\nkey/b-${app} created p/b.yaml\nkey/c-${app} created p/c.yaml\npolicy/p-${app} created p/p.yaml\n`,
  )
  const [reference = ''] = /plan\/[0-9a-f-]{36}/.exec(partly.stderr) ?? []
  const finished = await shell.run('apply', reference, '--yes')
  expect([finished.exit, finished.stdout]).toEqual([
    0,
    expect.stringContaining(`key/a-${app}     created`),
  ])
  const { json } = await api.call('GET', `/v1/keys/a-${app}`)
  expect(json.status).toMatchObject({ policy: `p-${app}`, primaryVersion: 1 })
})

test('the world moves between looking and applying: a conflict, and nothing is done', async () => {
  const shell = await terminal()
  await shell.file('p.yaml', policy(`p-${app}`))
  await shell.run('apply', '-f', 'p.yaml', '--yes')
  await shell.file('p.yaml', policy(`p-${app}`, '  soak: 3h\n'))
  const slow = await terminal(api.adminToken, {
    answers: ['yes'],
    fetch: async (input, init) => {
      if (typeof input === 'string' && input.endsWith('/apply')) {
        const live = await api.call('GET', `/v1/policies/p-${app}`)
        await api.call('PUT', `/v1/policies/p-${app}`, {
          body: { ...live.json, soak: '5h' },
          headers: { 'if-match': live.headers['etag'] ?? '' },
        })
      }
      return fetch(input, init)
    },
  })
  await slow.file('p.yaml', policy(`p-${app}`, '  soak: 3h\n'))
  const ran = await slow.run('apply', '-f', 'p.yaml')
  expect(ran.exit).toBe(5)
  expect(ran.stderr).toContain('[plan.stale]')
  expect((await api.call('GET', `/v1/policies/p-${app}`)).json.soak).toBe('5h')
})

test('a lost reply is asked for again, and the plan is applied once', async () => {
  let lost = 0
  const shell = await terminal(api.adminToken, {
    fetch: async (input, init) => {
      const reply = await fetch(input, init)
      if (typeof input !== 'string' || !input.endsWith('/apply') || lost > 0) return reply
      lost += 1
      throw new TypeError('fetch failed', { cause: { code: 'ECONNRESET' } })
    },
  })
  await shell.file('c.yaml', consumer(`c-${app}`))
  const ran = await shell.run('apply', '-f', 'c.yaml', '--yes')
  expect([ran.exit, lost]).toEqual([0, 1])
  const { json } = await api.call('GET', `/v1/consumers/c-${app}`)
  expect(json.status.revision).toBe(1)
})
