// Nobody weakens alone what guards a key, by whatever way (9-security.md 4).

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { RekeyError } from '#domain/errors.ts'
import { admin, codeOf, type House, openHouse, operator, refusal } from '../support/house.ts'

let house: House
let n = 0
/** Each test has a key and a policy of its own. */
let app: string
let key: string
let policy: string
let strict: Readonly<Record<string, unknown>>

beforeAll(async () => {
  house = await openHouse()
  await house.connection('vault', { grants: [{ matchLabels: { team: 'a' }, refs: ['*'] }] })
})
afterAll(() => house.shut())
beforeEach(async () => {
  n += 1
  app = `app-${n}`
  key = `key-${n}`
  policy = `policy-${n}`
  strict = {
    selector: { matchLabels: { app } },
    schedule: { cron: '0 3 1 * *', timezone: 'UTC' },
    approval: { required: 2 },
    retire: 'keep',
  }
  await house.register(key, { labels: { team: 'a', app } })
  await house.policy(policy, strict)
})

const replace = (change: Readonly<Record<string, unknown>>, actor = operator) =>
  house.replacePolicy(policy, { ...strict, ...change }, actor)
const pointers = (error: RekeyError) => error.places.map(({ pointer }) => pointer)

describe('the text of a policy', () => {
  test('that asks for fewer approvals is refused, with the field and what it would take', async () => {
    const error = await refusal(replace({ approval: { required: 1 } }))
    expect(error.code).toBe('policy.weakening')
    expect(pointers(error)).toEqual(['/approval/required'])
    expect(error.message).toContain(`the key "${key}"`)
    expect(error.message).toContain('2 approvals by approver')
    expect(error.extra['weakens']).toMatchObject([
      { policy, to: policy, keys: 1, required: 2, fields: [{ from: '2', to: '1' }] },
    ])
    expect((await house.key(key)).key.policy).toBe(policy)
  })

  test('is refused with pointers of the form that was sent', async () => {
    const sent = { spec: { ...strict, retire: 'destroy' } }
    expect(pointers(await refusal(house.replacePolicy(policy, sent, operator)))).toEqual([
      '/spec/retire',
    ])
  })

  test('is refused to an admin too, as long as the policy itself asks for approvals', async () => {
    expect(await codeOf(replace({ approval: { required: 1 } }, admin))).toBe('policy.weakening')
  })

  test('that asks for none is weakened by an admin, seen and recorded; by an operator not', async () => {
    await house.register(`${key}-b`, { labels: { team: 'a', app: `${app}-b` } })
    const mild = { selector: { matchLabels: { app: `${app}-b` } }, manual: true }
    await house.policy(`${policy}-b`, mild, operator)
    const weaker = { ...mild, soak: '1m' }
    expect(await codeOf(house.replacePolicy(`${policy}-b`, weaker, operator))).toBe(
      'policy.weakening',
    )
    const { value } = await house.replacePolicy(`${policy}-b`, weaker)
    expect(value.warnings.join()).toContain('soak: 1h → 1m')
    const [event] = await house.events({ action: 'policy.put' })
    expect(event?.after).toMatchObject({
      weakens: [{ policy: `${policy}-b`, required: 0, fields: [{ pointer: '/soak' }] }],
    })
  })

  test('takes the emergency approvals where those are lowered, from an admin too', async () => {
    await house.register(`${key}-b`, { labels: { app: `${app}-b` } })
    const mild = { selector: { matchLabels: { app: `${app}-b` } }, manual: true }
    await house.policy(`${policy}-b`, mild)
    const error = await refusal(
      house.replacePolicy(`${policy}-b`, { ...mild, emergency: { approvals: 0 } }),
    )
    expect(pointers(error)).toEqual(['/emergency/approvals'])
  })

  test('that selects no key is changed freely', async () => {
    const idle = { ...strict, selector: { matchLabels: { app: 'nobody' } } }
    await house.policy(`${policy}-b`, idle, operator)
    await house.replacePolicy(`${policy}-b`, { ...idle, approval: { required: 0 } }, operator)
  })

  test('that becomes stricter, or changes its pace and words, is written', async () => {
    await replace({ approval: { required: 3 }, soak: '2h' })
    await replace({
      approval: { required: 3 },
      soak: '2h',
      description: 'x',
      schedule: { cron: '0 4 * * *', timezone: 'UTC' },
    })
  })

  test('is refused on a dry run too', async () => {
    const sent = { name: policy, body: { ...strict, retire: 'destroy' } }
    const { putPolicy } = await import('#usecases/put-policy.ts')
    const { rehearsing } = await import('../support/house.ts')
    expect(
      await codeOf(
        putPolicy({ ...house.deps, ledger: rehearsing(house.ledger) })(operator, {
          ...sent,
          precondition: { match: 'any', absent: false },
        }),
      ),
    ).toBe('policy.weakening')
  })
})

describe('ways around it', () => {
  const weak = () => ({ selector: { matchLabels: { app } }, manual: true, priority: 5 })

  test.each<[string, () => Promise<unknown>]>([
    ['deleting the policy', () => house.dropPolicy(policy, operator)],
    ['deleting it as an admin', () => house.dropPolicy(policy)],
    ['switching it off', () => replace({ enabled: false })],
    [
      'leaving it to people',
      () => house.replacePolicy(policy, { ...strict, schedule: undefined, manual: true }, operator),
    ],
    ['another selector', () => replace({ selector: { matchLabels: { app: 'else' } } })],
    [
      'a selector that leaves the key out',
      () =>
        replace({
          selector: { matchLabels: { app }, matchExpressions: [{ key: 'x', operator: 'Exists' }] },
        }),
    ],
    ['a weaker policy above it', () => house.policy(`${policy}-above`, weak(), operator)],
    [
      'a weaker policy above it that publishes elsewhere',
      () => house.policy(`${policy}-above`, { ...strict, priority: 5, acceptGap: true }, operator),
    ],
    [
      'labels that it does not select',
      () => house.putKey(key, (body) => ({ ...body, labels: { team: 'a' } }), operator),
    ],
    [
      'a key that is only watched',
      () => house.putKey(key, (body) => ({ ...body, observe: 'native' }), operator),
    ],
    ['a key that is deleted and registered anew', () => house.deleteKey(key, operator)],
  ])('%s is refused', async (_how, way) => {
    expect(await codeOf(way())).toBe('policy.weakening')
    const { key: after } = await house.key(key)
    expect([after.policy, after.observe]).toEqual([policy, null])
  })

  test('a weaker policy that waits below, raised or uncovered', async () => {
    const below = { ...weak(), priority: -1 }
    await house.policy(`${policy}-below`, below, operator)
    expect(
      await codeOf(house.replacePolicy(`${policy}-below`, { ...below, priority: 1 }, operator)),
    ).toBe('policy.weakening')
    const error = await refusal(house.dropPolicy(policy, operator))
    expect(error.extra['weakens']).toMatchObject([{ policy, to: `${policy}-below` }])
    expect(await codeOf(replace({ priority: -2 }))).toBe('policy.weakening')
  })

  test('labels that lead to a policy that is as strict are given', async () => {
    await house.policy(`${policy}-b`, { ...strict, selector: { matchLabels: { app: `${app}-b` } } })
    const { value } = await house.putKey(
      key,
      (body) => ({ ...body, labels: { team: 'a', app: `${app}-b` } }),
      operator,
    )
    expect(value.resource.policy).toBe(`${policy}-b`)
  })

  test('a key without a policy comes under any', async () => {
    await house.register(`${key}-b`, { labels: { team: 'a', tier: app } }, operator)
    await house.policy(
      `${policy}-b`,
      { selector: { matchLabels: { tier: app } }, manual: true, soak: '0s' },
      operator,
    )
  })

  test('a key whose policy asks for no approval is deleted', async () => {
    await house.register(`${key}-b`, { labels: { team: 'a', tier: app } }, operator)
    await house.policy(`${policy}-b`, {
      ...strict,
      selector: { matchLabels: { tier: app } },
      approval: { required: 0 },
    })
    await house.deleteKey(`${key}-b`, operator)
  })

  test('of two writers at once, each harmless alone, the second sees what the first did', async () => {
    const below = { ...strict, priority: -1 }
    await house.policy(`${policy}-below`, below, operator)
    const outcomes = await Promise.allSettled([
      house.replacePolicy(`${policy}-below`, { ...below, approval: { required: 0 } }, operator),
      replace({ selector: { matchLabels: { app: 'else' } } }),
    ])
    expect(outcomes.some(({ status }) => status === 'rejected')).toBe(true)
  })
})
