import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  admin,
  codeOf,
  type House,
  openHouse,
  operator,
  refusal,
  scoped,
} from '../support/house.ts'
import { vaultLike } from '../support/store-provider.ts'

let house: House

beforeAll(async () => {
  house = await openHouse({ providers: [vaultLike] })
  await house.connection('vault')
  await house.connection('stores', {
    provider: 'storeLike',
    grants: [{ matchLabels: { app: 'shop' }, refs: ['store:shop/*'] }],
  })
})
afterAll(() => house.shut())

const monthly = { schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris' } }
const select = (app: string) => ({ selector: { matchLabels: { app } } })

describe('the body', () => {
  test('three forms say the same', async () => {
    const flat = { name: 'forms', labels: { a: 'b' }, ...select('forms'), ...monthly }
    const first = await house.policy('forms', flat)
    const nested = await house.replacePolicy('forms', {
      labels: { a: 'b' },
      spec: { ...select('forms'), ...monthly },
    })
    const file = await house.replacePolicy('forms', {
      apiVersion: 'rekey.dev/v1',
      kind: 'RotationPolicy',
      metadata: { name: 'forms', labels: { a: 'b' } },
      spec: { ...select('forms'), ...monthly },
    })
    expect([first.value.created, nested.value.changed, file.value.changed]).toEqual([
      true,
      false,
      false,
    ])
    expect(file.value.resource.revision).toBe(1)
  })

  test('what a GET answers can be put back', async () => {
    const { value } = await house.policy('back', { ...select('back'), ...monthly })
    const shown = {
      name: 'back',
      labels: {},
      annotations: {},
      ...value.resource.spec,
      status: { anything: true },
      audit: null,
    }
    expect((await house.replacePolicy('back', shown)).value.changed).toBe(false)
  })

  test('faults carry the pointer of the form that was sent, and what was meant', async () => {
    const flat = await refusal(
      house.policy('typo', {
        ...select('typo'),
        schedule: { cron: '0 3 1 * *', timezone: 'Europe/Pariss' },
      }),
    )
    expect(flat.places[0]).toMatchObject({ pointer: '/schedule/timezone' })
    expect(flat.places[0]?.detail).toContain('Europe/Paris')
    const nested = await refusal(
      house.policy('typo', { spec: { ...select('typo'), shedule: monthly.schedule } }),
    )
    expect(nested.code).toBe('request.invalid')
    expect(nested.places[0]?.pointer).toBe('/spec/shedule')
    const named = await refusal(
      house.policy('typo', { name: 'other', ...select('typo'), ...monthly }),
    )
    expect(named.places[0]?.pointer).toBe('/name')
  })

  test('a schedule that never fires has a code of its own', async () => {
    const schedule = { cron: '0 0 30 2 *', timezone: 'UTC' }
    expect(await codeOf(house.policy('never', { ...select('never'), schedule }))).toBe(
      'policy.neverFires',
    )
  })

  test('names that are paths or worse are refused', async () => {
    for (const name of ['../up', 'a/b', 'a\0b', 'UPPER', '-a', 'a'.repeat(64)]) {
      const document = {
        apiVersion: 'rekey.dev/v1',
        kind: 'RotationPolicy',
        metadata: { name },
        spec: { ...select('x'), ...monthly },
      }
      const put = house.deps
      const error = await refusal(
        import('#usecases/put-policy.ts').then(({ putPolicy }) =>
          putPolicy(put)(admin, {
            name: null,
            body: document,
            precondition: { match: null, absent: false },
          }),
        ),
      )
      expect([name, error.code]).toEqual([name, 'request.invalid'])
    }
  })

  test('names that mean nothing yet are warned about', async () => {
    const { value } = await house.policy('early', {
      selector: { connection: 'not-there' },
      ...monthly,
      notify: [{ sink: 'no-sink', events: ['stalled'] }],
    })
    expect(value.warnings.join('\n')).toMatch(/no connection not-there[\s\S]*no sink no-sink/)
  })

  test('keys that cannot all begin in its window are warned about', async () => {
    for (const name of ['crowd-1', 'crowd-2', 'crowd-3'])
      await house.register(name, { labels: { app: 'crowd' } }) // oxlint-disable-line no-await-in-loop -- three
    const narrow = { ...select('crowd'), schedule: { ...monthly.schedule, window: '2h' } }
    const { value } = await house.policy('crowded', { ...narrow, concurrency: { max: 2 } })
    expect(value.warnings.join()).toMatch(/of 3 keys at most 2 can begin in a window/)
  })
})

describe('which policy applies', () => {
  test('a key registered later, and one registered earlier, are both selected', async () => {
    await house.register('earlier', { labels: { app: 'which' } })
    const { value } = await house.policy('which', { ...select('which'), ...monthly })
    await house.register('later', { labels: { app: 'which' } })
    expect(value.selected).toBe(1)
    for (const name of ['earlier', 'later']) {
      const { key, status } = await house.key(name)
      expect(key.policy).toBe('which')
      expect(key.policySelectedAt).not.toBeNull()
      expect(status.nextRotationAt).not.toBeNull()
      expect(status.why).toContain('waits for its occurrence')
    }
  })

  test('a label change moves a key from one policy to another', async () => {
    await house.policy('from', { ...select('from'), ...monthly })
    await house.policy('to', { ...select('to'), ...monthly })
    await house.register('mover', { labels: { app: 'from' } })
    await house.putKey('mover', (body) => ({ ...body, labels: { app: 'to' } }))
    expect((await house.key('mover')).status.policy).toBe('to')
    await house.putKey('mover', (body) => ({ ...body, labels: {} }))
    const { status } = await house.key('mover')
    expect(status).toMatchObject({ policy: null, nextRotationAt: null })
    expect(status.why).toContain('No policy selects it')
  })

  test('the higher priority applies; without it the other one takes over', async () => {
    await house.register('ranked', { labels: { app: 'ranked' } })
    await house.policy('low', { ...select('ranked'), ...monthly })
    await house.policy('high', { ...select('ranked'), priority: 5, manual: true })
    expect((await house.key('ranked')).status.policy).toBe('high')
    await house.dropPolicy('high')
    expect((await house.key('ranked')).status.policy).toBe('low')
    await house.dropPolicy('low')
    expect((await house.key('ranked')).status.policy).toBeNull()
  })

  test('overlap is refused on the policy that would make it, with both names and a key', async () => {
    await house.register('contested', { labels: { app: 'contested' } })
    await house.policy('holder', { ...select('contested'), ...monthly })
    const error = await refusal(house.policy('second', { ...select('contested'), manual: true }))
    expect(error.code).toBe('policy.overlap')
    expect(error.extra).toEqual({ policies: ['holder', 'second'], key: 'contested' })
    expect(await house.ledger.read((db) => db.policies.get('second'))).toBeNull()
    expect((await house.key('contested')).status.policy).toBe('holder')
  })

  test('overlap is refused on the key that would make it, by its labels or its registration', async () => {
    await house.policy('by-a', { selector: { matchLabels: { a: 'overlap' } }, manual: true })
    await house.policy('by-b', { selector: { matchLabels: { b: 'overlap' } }, manual: true })
    await house.register('only-a', { labels: { a: 'overlap' } })
    const both = { a: 'overlap', b: 'overlap' }
    expect(await codeOf(house.putKey('only-a', (body) => ({ ...body, labels: both })))).toBe(
      'policy.overlap',
    )
    expect(await codeOf(house.register('both', { labels: both }))).toBe('policy.overlap')
    expect(await house.ledger.read((db) => db.keys.byName('both'))).toBeNull()
  })

  test('two writes that overlap only together cannot both pass', async () => {
    await house.policy('meet-a', { selector: { matchLabels: { app: 'meet' } }, manual: true })
    const both = await Promise.allSettled([
      house.register('met', { labels: { app: 'meet', meet: 'b' } }),
      house.policy('meet-b', { selector: { matchLabels: { meet: 'b' } }, manual: true }),
    ])
    const key = await house.ledger.read((db) => db.keys.byName('met'))
    const policy = await house.ledger.read((db) => db.policies.get('meet-b'))
    expect(key && policy).toBeNull()
    expect(both.some(({ status }) => status === 'fulfilled')).toBe(true)
  })

  test('the change of hands is in the audit log of the key', async () => {
    await house.register('told', { labels: { app: 'told' } })
    await house.policy('told', { ...select('told'), ...monthly })
    const [event] = await house.events({ key: 'told', action: 'key.policyChanged' })
    expect(event).toMatchObject({ before: { policy: null }, after: { policy: 'told' } })
  })
})

describe('enabling and rotating', () => {
  const due = async (name: string) => {
    const { key } = await house.key(name)
    return house.ledger.read((db) => db.schedule.get(key.id))
  }

  test('enabling never rotates at once', async () => {
    await house.register('calm', { labels: { app: 'calm' } })
    await house.policy('calm', { ...select('calm'), ...monthly, maxAge: '40d', enabled: false })
    expect((await due('calm'))?.dueAt ?? null).toBeNull()
    expect((await house.key('calm')).status.why).toContain('disabled')
    await house.clock.advance(100 * 86_400_000)
    const now = house.clock.now()
    await house.replacePolicy('calm', { ...select('calm'), ...monthly, maxAge: '40d' })
    const row = await due('calm')
    expect(row?.dueAt?.getTime()).toBeGreaterThan(now.getTime())
    // It is older than it may be, and that is told at once.
    expect((await house.key('calm')).status.overdue).toBe(true)
  })

  test('rotateOnEnable gives each key one occurrence, due now, that survives a change of the key', async () => {
    await house.register('eager', { labels: { app: 'eager' } })
    const { value } = await house.policy('eager', {
      ...select('eager'),
      ...monthly,
      rotateOnEnable: true,
    })
    const row = await due('eager')
    expect(row?.occurrence).toMatch(new RegExp(`^enable:${value.resource.revision}@`))
    expect(row?.dueAt?.getTime()).toBeLessThanOrEqual(house.clock.now().getTime())
    await house.putKey('eager', (body) => ({ ...body, owner: 'other' }))
    expect((await due('eager'))?.occurrence).toBe(row?.occurrence)
  })

  test('rotateOnEnable asks again only when it is enabled again', async () => {
    await house.register('once', { labels: { app: 'once' } })
    await house.policy('once', {
      ...select('once'),
      manual: true,
      enabled: false,
      rotateOnEnable: true,
    })
    expect((await due('once'))?.dueAt ?? null).toBeNull()
    await house.replacePolicy('once', { ...select('once'), manual: true, rotateOnEnable: true })
    const first = (await due('once'))?.occurrence
    await house.replacePolicy('once', {
      ...select('once'),
      manual: true,
      rotateOnEnable: true,
      description: 'new words',
    })
    expect((await due('once'))?.occurrence).toBe(first)
  })

  test('a paused policy and a frozen key say so', async () => {
    await house.register('still', { labels: { app: 'still' } })
    const until = new Date(house.clock.now().getTime() + 86_400_000).toISOString()
    await house.policy('still', {
      ...select('still'),
      ...monthly,
      pause: { until, reason: 'audit' },
    })
    expect((await house.key('still')).status.why).toContain('paused until')
    await house.replacePolicy('still', { ...select('still'), ...monthly })
    await house.freeze({
      until,
      reason: 'quarter close',
      selector: { matchLabels: { app: 'still' } },
    })
    expect((await house.key('still')).status.why).toContain('quarter close')
  })
})

describe('what types cannot do', () => {
  test('a gap must be accepted, by the keys selected and by the type that is named', async () => {
    const one = { selector: { type: 'storeLike.single' }, manual: true }
    expect(await codeOf(house.policy('gap', one))).toBe('policy.gapNotAccepted')
    expect((await house.policy('gap', { ...one, acceptGap: true })).value.created).toBe(true)
  })

  test('parameters that the type does not know are refused', async () => {
    const error = await refusal(
      house.policy('params', {
        selector: { type: 'local.key' },
        manual: true,
        generate: { algorythm: 'aes256' },
      }),
    )
    expect(error.code).toBe('policy.impossible')
    expect(error.places[0]?.pointer).toBe('/generate/algorythm')
  })
})

describe('authority', () => {
  const shop = scoped({ matchLabels: { app: 'shop' } })
  const publish = (path: string) => [
    { name: 'out', connection: 'stores', type: 'storeLike.secret', ref: { path } },
  ]

  test("a policy's selector lies within its author's scope", async () => {
    const labels = { app: 'shop' }
    expect(
      await codeOf(
        house.policy('wide', { labels, selector: { connection: 'vault' }, manual: true }, shop),
      ),
    ).toBe('auth.denied')
    expect(
      await codeOf(house.policy('unlabelled', { ...select('shop'), manual: true }, shop)),
    ).toBe('auth.denied')
    expect(
      (await house.policy('shop', { labels, ...select('shop'), manual: true }, shop)).value.created,
    ).toBe(true)
  })

  test('a policy out of scope is not there, and cannot be taken over by its name', async () => {
    await house.policy('foreign', { ...select('bank'), manual: true })
    const take = { labels: { app: 'shop' }, ...select('shop'), manual: true }
    expect(await codeOf(house.replacePolicy('foreign', take, shop))).toBe('resource.notFound')
    expect(await codeOf(house.dropPolicy('foreign', shop))).toBe('resource.notFound')
  })

  test('publishing needs a grant at the target for the labels that the selector demands', async () => {
    const ok = { selector: { matchLabels: { app: 'shop', x: '1' } }, manual: true }
    expect(
      (await house.policy('pub', { ...ok, publish: publish('shop/db') }, operator)).value.created,
    ).toBe(true)
    expect(
      await codeOf(house.policy('pub-2', { ...ok, publish: publish('bank/db') }, operator)),
    ).toBe('connection.notGranted')
    const loose = {
      selector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['shop'] }] },
      manual: true,
    }
    expect(
      await codeOf(house.policy('pub-3', { ...loose, publish: publish('shop/db') }, operator)),
    ).toBe('connection.notGranted')
  })

  test('an admin needs it too: what publishes by itself is stopped by taking the grant back', async () => {
    const bank = { ...select('bank'), manual: true, publish: publish('bank/db') }
    expect(await codeOf(house.policy('pub-4', bank))).toBe('connection.notGranted')
  })

  test('a target is not carried to other keys by an edit', async () => {
    const base = {
      selector: { matchLabels: { app: 'shop', y: '1' } },
      manual: true,
      publish: publish('shop/db'),
    }
    await house.policy('carried', base)
    expect(
      (await house.replacePolicy('carried', { ...base, description: 'words' }, operator)).value
        .changed,
    ).toBe(true)
    const widened = { ...base, selector: { matchLabels: { y: '1' } } }
    expect(await codeOf(house.replacePolicy('carried', widened, operator))).toBe(
      'connection.notGranted',
    )
  })

  test('unknown connections and things that are no targets are refused', async () => {
    const base = { ...select('targets'), manual: true }
    const nowhere = [
      { name: 'out', connection: 'nowhere', type: 'storeLike.secret', ref: { path: 'x' } },
    ]
    expect(await codeOf(house.policy('t2', { ...base, publish: nowhere }))).toBe(
      'request.impossible',
    )
    const noTarget = [
      { name: 'out', connection: 'stores', type: 'storeLike.single', ref: { path: 'x' } },
    ]
    expect(await codeOf(house.policy('t3', { ...base, publish: noTarget }))).toBe(
      'request.impossible',
    )
  })

  test('a connection that policies publish to is in use', async () => {
    const error = await refusal(house.dropConnection('stores'))
    expect(error.code).toBe('connection.inUse')
  })
})

test('revisions are kept, with their authors', async () => {
  await house.policy('kept', { ...select('kept'), manual: true })
  await house.replacePolicy(
    'kept',
    { ...select('kept'), manual: true, description: 'two' },
    operator,
  )
  const { items } = await house.ledger.read((db) =>
    db.policies.revisions('kept', { limit: 10, after: null }),
  )
  expect(items.map(({ revision, author }) => [revision, author.name])).toEqual([
    [2, 'olga'],
    [1, 'ada'],
  ])
})
