import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  actorOf,
  admin,
  codeOf,
  type House,
  openHouse,
  operator,
  refusal,
  scoped,
} from '../support/house.ts'
import {
  actions,
  connectionOf,
  consumerOf,
  item,
  keyOf,
  plansOf,
  policyOf,
  texts,
  yamlOf,
} from '../support/plans.ts'

let house: House
let plans: ReturnType<typeof plansOf>
let n = 0
/** Each test has labels and names of its own. */
let app: string

beforeAll(async () => {
  house = await openHouse()
  plans = plansOf(house)
  await house.connection('vault', { grants: [{ matchLabels: {}, refs: ['local:*'] }] as never })
})
beforeEach(() => {
  n += 1
  app = `app${n}`
})
afterAll(() => house.shut())

const everyKind = () => [
  policyOf(`policy-${app}`, app),
  keyOf(`key-${app}`, app, { consumers: [`consumer-${app}`] }),
  consumerOf(`consumer-${app}`),
  connectionOf(`connection-${app}`),
]

describe('a plan', () => {
  test('says what would be done, in the order of what needs what, and changes nothing', async () => {
    const before = await house.sql('SELECT count(*)::int AS n FROM app.policy')
    const plan = await plans.plan(everyKind(), { owner: app })
    expect(actions(plan)).toEqual([
      `create Connection connection-${app}`,
      `create Consumer consumer-${app}`,
      `create Key key-${app}`,
      `create RotationPolicy policy-${app}`,
    ])
    expect(await house.sql('SELECT count(*)::int AS n FROM app.policy')).toEqual(before)
    expect(await house.ledger.read((db) => db.keys.byName(`key-${app}`))).toBeNull()
    const [event] = await house.events({ action: 'plan.created' })
    expect(event).toMatchObject({ target: { id: plan.id }, after: { items: { create: 4 } } })
    expect(item(plan, 'RotationPolicy', `policy-${app}`)).toMatchObject({
      diff: [
        { pointer: '/spec/schedule/cron', after: '0 3 1 * *' },
        { pointer: '/spec/schedule/timezone', after: 'Europe/Paris' },
        { pointer: '/spec/selector/matchLabels/app', after: app },
      ],
      effects: [{ type: 'keysGained', count: 1, names: [`key-${app}`] }],
    })
    expect(texts(item(plan, 'Key', `key-${app}`))).toEqual([
      'the present version of its object is adopted; where there is no object, it is made',
      `the policy policy-${app} applies`,
    ])
  })

  test('is applied once, is all unchanged the next time, and belongs to its owner', async () => {
    const plan = await plans.plan(everyKind(), { owner: app })
    const applied = await plans.apply(plan)
    expect(applied.plan.finishedAt).not.toBeNull()
    expect([applied.pending.size, applied.refused.size]).toEqual([0, 0])
    const key = await house.key(`key-${app}`)
    expect([key.key.managedBy, key.key.policy, key.status.primaryVersion]).toEqual([
      app,
      `policy-${app}`,
      1,
    ])
    expect(key.status.nextRotationAt).not.toBeNull()
    const events = await house.events({ action: 'plan.applied' })
    const cause = events.find((event) => event.target.id === plan.id)?.id
    const caused = (await house.events()).filter((event) => event.causationId === cause)
    expect(caused.map(({ action }) => action).toSorted()).toEqual([
      'connection.put',
      'consumer.put',
      'policy.put',
    ])
    const again = await plans.plan(everyKind(), { owner: app, prune: true })
    expect(again.items.map(({ action }) => action)).toEqual(Array(4).fill('unchanged'))
    expect(again.items.flatMap(({ diff, effects }) => [...diff, ...effects])).toEqual([])
  })

  test('applied a second time does nothing and says so', async () => {
    const plan = await plans.plan(everyKind())
    await plans.apply(plan)
    const before = (await house.events()).length
    const again = await plans.apply(plan)
    expect(again.plan.finishedAt).not.toBeNull()
    expect((await house.events()).length).toBe(before)
  })

  test('rehearsed, makes no plan; applied as a dry run, changes nothing', async () => {
    const rehearsed = await plans.plan(everyKind(), { dryRun: true })
    expect(await codeOf(plans.see(rehearsed.id))).toBe('resource.notFound')
    const plan = await plans.plan(everyKind())
    const dry = await plans.apply(plan, admin, true)
    expect([...dry.pending]).toEqual([`key-${app}`])
    expect((await plans.see(plan.id)).plan.appliedAt).toBeNull()
    expect(await house.ledger.read((db) => db.policies.get(`policy-${app}`))).toBeNull()
  })

  test('of texts tells faults by file, line and column', async () => {
    const error = await refusal(
      plans.plan([
        { file: 'a.yaml', text: yamlOf(policyOf(`p-${app}`, app)) },
        { file: 'b.yaml', text: 'apiVersion: rekey.dev/v1\nkind: Policy\n' },
        { file: 'c.yaml', text: yamlOf(policyOf(`p-${app}`, app)) },
      ]),
    )
    expect(error.code).toBe('request.invalid')
    expect(error.places).toMatchObject([
      { file: 'b.yaml', line: 2, column: 7 },
      { file: 'c.yaml', line: 1, detail: `RotationPolicy p-${app} stands in a.yaml too` },
    ])
  })

  test('tells what is wrong with all of its documents at once, each where it stands', async () => {
    const error = await refusal(
      plans.plan([
        { file: 'a.yaml', text: yamlOf(keyOf(`a-${app}`, app, { connection: 'nowhere' })) },
        keyOf(`b-${app}`, app, { type: 'local.nothing' }),
        keyOf(`c-${app}`, app, { ref: { nothing: 1 } }),
      ]),
    )
    expect(error.places).toMatchObject([
      { file: 'a.yaml', line: 1, pointer: '/spec/connection' },
      { pointer: '/documents/1/spec/type' },
      { pointer: '/documents/2/spec/ref/nothing' },
    ])
    expect(error.message).toMatch(/^3 documents are refused\. The first, key\/a-app\d+: /)
  })

  test('of two keys that name one object, or of an object that is managed, is refused', async () => {
    await house.connection(`one-${app}`, { provider: 'local' })
    const twice = [
      keyOf(`a-${app}`, app, { connection: `one-${app}` }),
      keyOf(`a-${app}`, app, { connection: `one-${app}` }),
    ]
    expect(await codeOf(plans.plan(twice))).toBe('request.invalid')
  })
})

describe('the difference and what it leads to', () => {
  test('a policy that changes: fields, keys, next run, what is loosened and tightened', async () => {
    await plans.planAndApply(everyKind())
    const edited = policyOf(`policy-${app}`, app, {
      schedule: { cron: '0 3 15 * *', timezone: 'Europe/Paris' },
      soak: '10m',
      overlap: { min: '48h' },
      blackouts: [{ name: 'now', from: '2099-01-01T00:00:00Z', to: '2099-01-02T00:00:00Z' }],
    })
    const plan = await plans.plan([edited])
    const { action, diff, effects } = item(plan, 'RotationPolicy', `policy-${app}`)
    expect(action).toBe('update')
    expect(diff).toEqual([
      { pointer: '/spec/blackouts', after: edited.spec['blackouts'] },
      { pointer: '/spec/overlap/min', after: '48h' },
      { pointer: '/spec/schedule/cron', before: '0 3 1 * *', after: '0 3 15 * *' },
      { pointer: '/spec/soak', after: '10m' },
    ])
    expect(effects.map(({ type }) => type)).toEqual(['nextRun', 'loosened', 'tightened'])
    expect(effects[0]?.text).toMatch(
      /^the next run moves from \d{4}-\d\d-01T0[12]:00:00.000Z to \d{4}-\d\d-15T0[12]:00:00.000Z$/,
    )
    expect(effects[1]).toMatchObject({
      text: 'soak is loosened from 1h to 10m',
      pointer: '/soak',
      from: '1h',
      to: '10m',
    })
    expect(effects[2]?.text).toBe('overlap.min is tightened from 1d to 2d')
  })

  test('lists with names are compared by name', async () => {
    const blackouts = (...names: readonly string[]) => ({
      blackouts: names.map((name) => ({
        name,
        from: '2099-01-01T00:00:00Z',
        to: name === 'c' ? '2099-01-03T00:00:00Z' : '2099-01-02T00:00:00Z',
      })),
    })
    await plans.planAndApply([policyOf(`p-${app}`, app, blackouts('a', 'b'))])
    const changed = { ...blackouts('x', 'b') }
    const plan = await plans.plan([policyOf(`p-${app}`, app, changed)])
    expect(item(plan, 'RotationPolicy', `p-${app}`).diff.map(({ pointer }) => pointer)).toEqual([
      '/spec/blackouts/0/from',
      '/spec/blackouts/0/name',
      '/spec/blackouts/0/to',
      '/spec/blackouts/0/from',
      '/spec/blackouts/0/name',
      '/spec/blackouts/0/to',
    ])
    const moved = await plans.plan([policyOf(`p-${app}`, app, blackouts('b', 'a'))])
    expect(item(moved, 'RotationPolicy', `p-${app}`).diff).toHaveLength(1)
  })

  test('keys that are past their maxAge are told as overdue', async () => {
    for (const name of ['a', 'b', 'c']) await house.register(`${name}-${app}`, { labels: { app } })
    for (let i = 0; i < 12; i++) await house.register(`fill-${i}-${app}`, {})
    await house.clock.advance(86_400_000)
    const plan = await plans.plan([policyOf(`p-${app}`, app, { maxAge: '1h' })])
    expect(texts(item(plan, 'RotationPolicy', `p-${app}`)).slice(0, 3)).toEqual([
      `3 keys gain this policy: a-${app}, b-${app}, c-${app}`,
      '3 are overdue now, and due in the next window, or without one within a day',
      '3 keys become due at once',
    ])
  })

  test('a key that changes hands says so', async () => {
    await plans.planAndApply([
      policyOf(`one-${app}`, app),
      policyOf(`two-${app}`, `${app}-two`, { schedule: { cron: '0 3 2 * *', timezone: 'UTC' } }),
      keyOf(`key-${app}`, app),
    ])
    const plan = await plans.plan([keyOf(`key-${app}`, `${app}-two`)])
    const { diff, effects } = item(plan, 'Key', `key-${app}`)
    expect(diff).toEqual([{ pointer: '/metadata/labels/app', before: app, after: `${app}-two` }])
    expect(effects[0]?.text).toBe(`the policy two-${app} applies instead of one-${app}`)
    expect(effects[1]?.type).toBe('nextRun')
  })
})

describe('judged by the state at the end', () => {
  test('two policies change places', async () => {
    await plans.planAndApply([
      policyOf(`a-${app}`, `${app}-x`),
      policyOf(`b-${app}`, `${app}-y`),
      keyOf(`key-${app}`, `${app}-x`),
    ])
    const done = await plans.planAndApply([
      policyOf(`a-${app}`, `${app}-y`),
      policyOf(`b-${app}`, `${app}-x`),
    ])
    expect(done.plan.finishedAt).not.toBeNull()
    expect((await house.key(`key-${app}`)).key.policy).toBe(`b-${app}`)
  })

  test('a key whose labels move together with the selector keeps its policy and its time', async () => {
    await plans.planAndApply([policyOf(`p-${app}`, app), keyOf(`key-${app}`, app)])
    const before = (await house.key(`key-${app}`)).key
    await house.clock.advance(3_600_000)
    await plans.planAndApply([
      policyOf(`p-${app}`, `${app}-new`),
      keyOf(`key-${app}`, `${app}-new`),
    ])
    const after = (await house.key(`key-${app}`)).key
    expect(after.labels).toEqual({ app: `${app}-new` })
    expect([after.policy, after.policySelectedAt]).toEqual([before.policy, before.policySelectedAt])
  })

  test('a policy takes the place of one that is pruned', async () => {
    await plans.planAndApply([policyOf(`old-${app}`, app), keyOf(`key-${app}`, app)], {
      owner: app,
    })
    const done = await plans.planAndApply([policyOf(`new-${app}`, app), keyOf(`key-${app}`, app)], {
      owner: app,
      prune: true,
      allow: ['policyDeletion'],
    })
    expect(actions(done.plan)).toEqual([
      `unchanged Key key-${app}`,
      `create RotationPolicy new-${app}`,
      `delete RotationPolicy old-${app}`,
    ])
    expect((await house.key(`key-${app}`)).key.policy).toBe(`new-${app}`)
  })

  test('two policies that meet in the end are refused at the one that is written', async () => {
    await plans.planAndApply([policyOf(`p-${app}`, app), keyOf(`key-${app}`, app)])
    const error = await refusal(
      plans.plan([{ file: 'x.yaml', text: yamlOf(policyOf(`q-${app}`, app)) }]),
    )
    expect(error.code).toBe('policy.overlap')
    expect(error.places).toMatchObject([{ file: 'x.yaml', pointer: '/spec/selector', line: 1 }])
    expect(
      await codeOf(
        plans.plan([
          policyOf(`q-${app}`, `${app}x`),
          keyOf(`k2-${app}`, app),
          policyOf(`r-${app}`, app),
        ]),
      ),
    ).toBe('policy.overlap')
  })
})

describe('owners', () => {
  test('a document of another owner is a conflict with both names; a third one may take it over', async () => {
    await plans.planAndApply([policyOf(`p-${app}`, app)], { owner: 'payments' })
    const error = await refusal(
      plans.plan([{ file: 'p.yaml', text: yamlOf(policyOf(`p-${app}`, app, { soak: '2h' })) }], {
        owner: 'platform',
      }),
    )
    expect(error.code).toBe('plan.ownerConflict')
    expect(error.message).toBe(
      `policy/p-${app}: It belongs to the owner "payments", and this plan is of the owner "platform".`,
    )
    expect(error.places).toMatchObject([{ file: 'p.yaml', line: 1, pointer: '/metadata/name' }])
    expect(await codeOf(plans.plan([policyOf(`p-${app}`, app)]))).toBe('plan.ownerConflict')
    const taken = await plans.plan([policyOf(`p-${app}`, app)], {
      owner: 'platform',
      allow: ['ownerChange'],
    })
    expect(taken.needs).toMatchObject([{ allowance: 'ownerChange' }])
    expect(item(taken, 'RotationPolicy', `p-${app}`)).toMatchObject({
      action: 'update',
      diff: [{ pointer: '/status/owner', before: 'payments', after: 'platform' }],
      effects: [{ type: 'owner', text: 'it goes from payments to platform' }],
    })
    await plans.apply(taken)
    const policy = await house.ledger.read((db) => db.policies.get(`p-${app}`))
    expect(policy?.managedBy).toBe('platform')
  })

  test('what was written by hand comes under an owner when its document is applied', async () => {
    await house.policy(`p-${app}`, policyOf('', app).spec)
    await plans.planAndApply([policyOf(`p-${app}`, app)], { owner: app })
    const policy = await house.ledger.read((db) => db.policies.get(`p-${app}`))
    expect([policy?.managedBy, policy?.revision]).toEqual([app, 2])
  })

  test('pruning deletes what the owner has beside the documents, and nothing of others', async () => {
    await plans.planAndApply(everyKind(), { owner: app })
    await plans.planAndApply([consumerOf(`theirs-${app}`)], { owner: `${app}-other` })
    await house.consumer(`hand-${app}`)
    const kept = await plans.plan([], { owner: app })
    expect(kept.items).toEqual([])
    const plan = await plans.plan([consumerOf(`consumer-${app}`)], {
      owner: app,
      prune: true,
      allow: ['policyDeletion'],
    })
    expect(actions(plan)).toEqual([
      `unchanged Consumer consumer-${app}`,
      `delete RotationPolicy policy-${app}`,
      `delete Key key-${app}`,
      `delete Connection connection-${app}`,
    ])
    expect(texts(item(plan, 'Key', `key-${app}`))).toEqual([
      'its object stays at the provider as it is, and is not managed any more',
    ])
    await plans.apply(plan)
    const left = await house.ledger.read(async (db) => [
      await db.keys.byName(`key-${app}`),
      await db.policies.get(`policy-${app}`),
      await db.connections.get(`connection-${app}`),
    ])
    expect(left).toEqual([null, null, null])
    const others = await house.ledger.read(async (db) => [
      (await db.consumers.get(`theirs-${app}`))?.managedBy,
      (await db.consumers.get(`hand-${app}`))?.managedBy,
    ])
    expect(others).toEqual([`${app}-other`, null])
  })

  test('pruning needs an owner', async () => {
    const error = await refusal(plans.plan([], { prune: true }))
    expect([error.code, error.places[0]?.pointer]).toEqual(['request.invalid', '/owner'])
  })
})

describe('what must be meant', () => {
  test('to make more than a fifth of all keys due at once', async () => {
    const own = await openHouse()
    try {
      const theirs = plansOf(own)
      await own.connection('vault')
      for (let i = 0; i < 5; i++)
        await own.register(`k${i}`, { labels: { app: i < 2 ? 'x' : 'y' } })
      const meant = { allow: ['massRotation'] as const }
      const policy = policyOf('p', 'x', { rotateOnEnable: true })
      const error = await refusal(theirs.plan([policy]))
      expect([error.code, error.message]).toEqual([
        'plan.massRotation',
        '2 of 5 keys become due at once: more than 20 %.',
      ])
      expect(error.hint).toBe('If that is meant, send massRotation in allow.')
      const one = await theirs.plan([policyOf('p', 'x', { maxAge: '90d' })])
      expect(one.needs).toEqual([])
      const plan = await theirs.plan([policy], meant)
      expect(plan.needs.map(({ allowance }) => allowance)).toEqual(['massRotation'])
      await theirs.apply(plan)
      // They are due already: nothing more comes of it.
      expect(
        (await theirs.plan([policyOf('p', 'x', { rotateOnEnable: true, soak: '2h' })])).needs,
      ).toEqual([])
    } finally {
      await own.shut()
    }
  })

  test('to delete a policy that applies to keys', async () => {
    const input = { owner: app, prune: true }
    await plans.planAndApply([policyOf(`p-${app}`, app), keyOf(`key-${app}`, app)], input)
    const error = await refusal(plans.plan([keyOf(`key-${app}`, app)], input))
    expect([error.code, error.message]).toEqual([
      'plan.policyDeletion',
      `policy/p-${app} is deleted, and applies to 1 key.`,
    ])
    await plans.planAndApply(
      [policyOf(`idle-${app}`, `${app}-none`), keyOf(`key-${app}`, app), policyOf(`p-${app}`, app)],
      input,
    )
    const idle = await plans.plan([keyOf(`key-${app}`, app), policyOf(`p-${app}`, app)], input)
    expect(idle.needs).toEqual([])
  })
})

describe('the world moves', () => {
  const between = async (change: () => Promise<unknown>) => {
    await plans.planAndApply(everyKind())
    const plan = await plans.plan([policyOf(`policy-${app}`, app, { soak: '3h' })])
    await change()
    return refusal(plans.apply(plan))
  }

  test('a policy that was changed since is not overwritten', async () => {
    const error = await between(() =>
      house.replacePolicy(`policy-${app}`, policyOf('', app, { soak: '9h' }).spec),
    )
    expect([error.code, error.extra['changed']]).toEqual(['plan.stale', [`policy/policy-${app}`]])
    const policy = await house.ledger.read((db) => db.policies.get(`policy-${app}`))
    expect(policy?.spec.soak).toBe('9h')
  })

  test('nor where it was changed and changed back', async () => {
    const error = await between(async () => {
      await house.replacePolicy(`policy-${app}`, policyOf('', app, { soak: '9h' }).spec)
      await house.replacePolicy(`policy-${app}`, policyOf('', app).spec)
    })
    expect([error.code, error.extra['changed']]).toEqual(['plan.stale', []])
  })

  test('a policy does not get keys that nobody was shown', async () => {
    await plans.planAndApply(everyKind())
    const plan = await plans.plan([policyOf(`more-${app}`, `${app}-more`)])
    await house.register(`new-${app}`, { labels: { app: `${app}-more` } })
    const error = await refusal(plans.apply(plan))
    expect([error.code, error.extra['changed']]).toEqual(['plan.stale', [`policy/more-${app}`]])
  })

  test('time that passes does not matter', async () => {
    await plans.planAndApply(everyKind())
    const plan = await plans.plan([policyOf(`policy-${app}`, app, { soak: '3h' })])
    await house.clock.advance(40 * 86_400_000)
    expect((await plans.apply(plan)).plan.finishedAt).not.toBeNull()
  })

  test('the hash of another plan applies nothing', async () => {
    const [one, two] = [await plans.plan(everyKind()), await plans.plan([consumerOf(`c-${app}`)])]
    expect(await codeOf(plans.apply({ id: one.id, hash: two.hash }))).toBe('plan.stale')
  })

  test('the same documents over the same world have one hash', async () => {
    const hashes = await Promise.all([
      plans.plan(everyKind()),
      plans.plan(everyKind().toReversed()),
    ])
    expect(new Set(hashes.map(({ hash }) => hash)).size).toBe(1)
  })
})

describe('who may', () => {
  test('connections are written by an admin only; where they are unchanged nobody minds', async () => {
    const documents = [connectionOf(`c-${app}`), consumerOf(`u-${app}`)]
    expect(await codeOf(plans.plan(documents, { by: operator }))).toBe('auth.denied')
    await plans.planAndApply(documents, { owner: app })
    const edited = [connectionOf(`c-${app}`), consumerOf(`u-${app}`, { owner: 'others' })]
    const done = await plans.planAndApply(edited, { owner: app, by: operator })
    expect(actions(done.plan)).toEqual([
      `unchanged Connection c-${app}`,
      `update Consumer u-${app}`,
    ])
    const error = await refusal(
      plans.plan([consumerOf(`u-${app}`, { owner: 'others' })], {
        owner: app,
        prune: true,
        by: operator,
      }),
    )
    expect(error.code).toBe('auth.denied')
  })

  test('rights are those of whoever applies it', async () => {
    const plan = await plans.plan([connectionOf(`c-${app}`)])
    expect(await codeOf(plans.apply(plan, operator))).toBe('auth.denied')
  })

  test('a scope limits what a plan reaches, and who sees it', async () => {
    const mine = scoped({ matchLabels: { app } })
    const theirs = scoped({ matchLabels: { app: 'else' } })
    await house.policy(`foreign-${app}`, policyOf('', `${app}-foreign`).spec)
    expect(await codeOf(plans.plan([policyOf(`foreign-${app}`, app)], { by: mine }))).toBe(
      'resource.notFound',
    )
    const wide = policyOf(`wide-${app}`, `${app}-wide`)
    expect(await codeOf(plans.plan([wide], { by: mine }))).toBe('auth.denied')
    const own = { ...policyOf(`own-${app}`, app) }
    const document = { ...own, metadata: { ...own.metadata, labels: { app } } }
    const plan = await plans.plan([document], { by: mine, owner: app })
    expect(await codeOf(plans.see(plan.id, theirs))).toBe('resource.notFound')
    expect((await plans.see(plan.id, operator)).plan.id).toBe(plan.id)
    await plans.apply(plan, mine)
    const admins = await plans.plan([consumerOf(`x-${app}`)], { owner: app })
    expect(await codeOf(plans.see(admins.id, mine))).toBe('resource.notFound')
    // What lies outside of the scope is not pruned either.
    await plans.apply(admins)
    const pruned = await plans.plan([document], { by: mine, owner: app, prune: true })
    expect(actions(pruned)).toEqual([`unchanged RotationPolicy own-${app}`])
  })
})

describe('secrets', () => {
  test('a credential that was sent stays where the file is silent, and goes with its settings', async () => {
    const address = 'https://vault.example.com'
    await house.connection(`sent-${app}`, {
      provider: 'vault',
      settings: { address, auth: { method: 'token' } },
      credential: { from: 'value', value: 'hvs.secret' },
    })
    const file = (settings: Record<string, unknown>, more = {}) =>
      connectionOf(`sent-${app}`, { provider: 'vault', settings: settings as never, ...more })
    const same = await plans.plan([file({ address, auth: { method: 'token' } })])
    expect(same.items[0]?.action).toBe('unchanged')
    const granted = await plans.planAndApply([
      file(
        { address, auth: { method: 'token' } },
        { grants: [{ matchLabels: { app }, refs: ['vault:*'] }] },
      ),
    ])
    expect(granted.plan.items[0]?.diff.map(({ pointer }) => pointer)).toEqual(['/spec/grants'])
    const kept = await house.ledger.read((db) => db.connections.get(`sent-${app}`))
    expect(kept?.credential.from).toBe('value')
    const moved = file({ address: 'https://evil.example.com', auth: { method: 'token' } })
    expect(await codeOf(plans.plan([moved]))).toBe('request.impossible')
    const none = await plans.planAndApply([
      file({ address, auth: { method: 'token' } }, { credential: { from: 'none' } }),
    ])
    expect(none.plan.items[0]?.diff).toContainEqual({
      pointer: '/spec/credential/from',
      after: 'none',
    })
  })

  test('a file with one is refused before anything is looked at, and never repeated', async () => {
    const error = await refusal(
      plans.plan([connectionOf(`c-${app}`, { credential: { from: 'value', value: 's3cr3t-9' } })]),
    )
    expect(error.code).toBe('request.invalid')
    expect(JSON.stringify([error.message, error.places, error.extra])).not.toContain('s3cr3t-9')
    expect(error.places[0]?.detail).toContain('a file holds no secret values')
  })
})

describe('a weakening', () => {
  const approver = actorOf('paul', ['approver'])
  const weak = () => policyOf(`policy-${app}`, app, { overlap: { min: '1h' } })

  test('is applied once somebody else with the role agrees to exactly this plan', async () => {
    await plans.planAndApply(everyKind())
    const plan = await plans.plan([weak()], { by: operator })
    expect(plan.approvals).toMatchObject([{ required: 1, roles: ['approver'] }])
    const error = await refusal(plans.apply(plan, operator))
    expect(error.code).toBe('policy.weakening')
    expect(await codeOf(plans.approve(plan, operator))).toBe('rotation.selfApproval')
    await plans.approve(plan, actorOf('otto', ['operator']))
    expect(await codeOf(plans.apply(plan, operator))).toBe('policy.weakening')
    expect(await codeOf(plans.approve({ ...plan, hash: 'x' }, approver))).toBe('plan.stale')
    await plans.approve(plan, approver)
    await plans.approve(plan, approver)
    expect((await plans.see(plan.id)).given.map(({ principalName }) => principalName)).toEqual([
      'otto',
      'paul',
    ])
    expect((await plans.apply(plan, operator)).plan.finishedAt).not.toBeNull()
  })

  test('by deleting the key together with the policy that guards it is one too', async () => {
    await plans.planAndApply(
      [policyOf(`p-${app}`, app, { approval: { required: 1 } }), keyOf(`key-${app}`, app)],
      { owner: app },
    )
    const plan = await plans.plan([], {
      owner: app,
      prune: true,
      allow: ['policyDeletion'],
      by: operator,
    })
    expect(plan.approvals).toMatchObject([{ required: 1 }])
    expect(await codeOf(plans.apply(plan, operator))).toBe('policy.weakening')
  })

  test('that is hidden behind another write of the same plan is one too', async () => {
    await plans.planAndApply([
      policyOf(`p-${app}`, app, { approval: { required: 2 } }),
      keyOf(`key-${app}`, app),
    ])
    const above = policyOf(`above-${app}`, app, { priority: 10 })
    const plan = await plans.plan([above], { by: operator })
    expect(plan.approvals).toMatchObject([{ required: 2, roles: ['approver'] }])
  })
})
