// Wherever somebody else must agree: one person with two tokens is not somebody else (docs/adr/0026), and is not counted twice.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { byDifferentPeople } from '#usecases/another-person.ts'
import { mustBeApproved } from '#usecases/incident-approvals.ts'
import { overriddenGates } from '#usecases/rotation-gates.ts'
import { actorOf, admin } from '../support/house.ts'
import { openApi, type Answer, type Api } from '../support/http.ts'
import { audience, startIssuer, type TestIssuer } from '../support/issuer.ts'

let api: Api
let issuer: TestIssuer
/** Ann and Bob have tokens that the first admin key made; Jane and John sign in. What they made is theirs. */
let tokens: Readonly<Record<Who, string>>
type Who = 'first' | 'ann' | 'ann2' | 'ann3' | 'bob' | 'jane' | 'jane2' | 'jane3' | 'john'

beforeAll(async () => {
  api = await openApi({ allow: ['127.0.0.1'] })
  issuer = await startIssuer(() => api.house.clock.now())
  const claims = [{ match: { sub: ['jane', 'john', 'kim'] }, roles: ['admin'], everybody: true }]
  const believed = await api.call('PUT', '/v1/issuers', {
    body: { items: [{ issuer: issuer.url, audience, claims }] },
    headers: { 'if-match': '*' },
  })
  expect(believed.status, believed.text).toBe(200)
  const first = api.adminToken
  const ann = await made(first)
  const jane = await issuer.sign({ sub: 'jane' })
  tokens = {
    first,
    ann,
    ann2: await made(ann),
    ann3: await made(ann),
    bob: await made(first),
    jane,
    jane2: await made(jane),
    jane3: await made(jane),
    john: await issuer.sign({ sub: 'john' }),
  }
  await api.house.connection('vault', { grants: [{ matchLabels: {}, refs: ['*'] }] })
  await api.house.register('leaked')
  await api.house.register('routine', { labels: { app: 'routine' } })
  await api.house.register('guarded', { labels: { app: 'guarded' } })
  const asked = { manual: true, approval: { required: 1, roles: ['approver'] } }
  for (const app of ['routine', 'guarded'])
    await api.house.policy(app, { selector: { matchLabels: { app } }, ...asked }) // oxlint-disable-line no-await-in-loop -- one database
})
afterAll(async () => {
  await issuer.close()
  await api.close()
})

const made = async (by: string): Promise<string> => {
  const { status, text, json } = await post(by, '/v1/api-keys', {
    name: 'one-more',
    type: 'pat',
    roles: ['admin'],
  })
  expect(status, text).toBe(201)
  return json.token
}
const post = (token: string, path: string, body: unknown = {}): Promise<Answer> =>
  api.call('POST', path, { token, body, headers: { 'idempotency-key': api.house.ids.next() } })
const idOf = async (who: Who): Promise<string> =>
  (await api.call('GET', '/v1/me', { token: tokens[who] })).json.id

const incidentBy = async (token: string) => {
  const body = { title: 'x', severity: 'low', mode: 'disable', reason: 'x' }
  const opened = await post(token, '/v1/incidents', { ...body, selector: { keys: ['leaked'] } })
  const { id } = opened.json
  const { hash } = (await post(token, `/v1/incidents/${id}/preview`)).json
  return { id: String(id), hash: String(hash) }
}

/** The rotation as its worker has brought it to the gate that asks for people. */
const waitingBy = async (token: string) => {
  const started = await post(token, '/v1/rotations', { key: 'routine', reason: 'x' })
  const { id, planHash } = started.json
  const { house } = api
  const world = { sessions: house.sessions, types: house.deps.types, fetch, send: neverSends }
  await makeAdvanceRotation(
    { ...house.deps, timers: house.timers, world },
    { instance: 'w', bell: { ring: async () => {} }, report: () => {} },
  )(id)
  return { id: String(id), planHash: String(planHash) }
}
const neverSends = () => Promise.reject(new Error('nothing is sent here'))
const end = ({ id }: { readonly id: string }) =>
  post(tokens.first, `/v1/rotations/${id}/cancel`, { reason: 'enough' })

/** Somebody asks; the answer is to whoever agrees. */
const places: Readonly<Record<string, (by: string, agreeing: string) => Promise<Answer>>> = {
  'an incident': async (by, agreeing) => {
    const { id, hash } = await incidentBy(by)
    return post(agreeing, `/v1/incidents/${id}/approvals`, { previewHash: hash })
  },
  'a preview of somebody else’s incident': async (by, agreeing) => {
    const { id } = await incidentBy(await api.token(['responder']))
    const { hash } = (await post(by, `/v1/incidents/${id}/preview`)).json
    return post(agreeing, `/v1/incidents/${id}/approvals`, { previewHash: hash })
  },
  'a rotation': async (by, agreeing) => {
    const rotation = await waitingBy(by)
    const { planHash } = rotation
    const answer = await post(agreeing, `/v1/rotations/${rotation.id}/approvals`, { planHash })
    await end(rotation)
    return answer
  },
  'a plan that weakens': async (by, agreeing) => {
    const spec = { selector: { matchLabels: { app: 'guarded' } }, manual: true }
    const document = { apiVersion: 'rekey.dev/v1', kind: 'RotationPolicy', spec }
    const plan = await post(by, '/v1/plans', {
      documents: [{ ...document, metadata: { name: 'guarded' } }],
    })
    const { id, hash } = plan.json
    return post(agreeing, `/v1/plans/${id}/approvals`, { hash })
  },
  'a token to break glass with': async (by, agreeing) => {
    const glass = await post(by, '/v1/api-keys', { name: 'envelope', type: 'brk' })
    return post(agreeing, `/v1/api-keys/${glass.json.id}/approvals`)
  },
  'an override': async (by, agreeing) => {
    const rotation = await waitingBy(tokens.john)
    await held(rotation.id)
    await post(by, `/v1/rotations/${rotation.id}/overrides`, { reason: 'x' })
    const answer = await post(agreeing, `/v1/rotations/${rotation.id}/overrides`, { reason: 'x' })
    await end(rotation)
    return answer
  },
  'a review of what was executed by breaking glass': async (by, agreeing) => {
    const { id } = await incidentBy(by)
    await brokenGlass(id)
    return post(agreeing, `/v1/incidents/${id}/reviews`, { text: 'it was right' })
  },
}

/** As if it waited for an acknowledgement: how it comes there is told in test/usecases. */
const held = async (id: string): Promise<void> => {
  await api.house.sql(
    `UPDATE app.rotation_timer SET waiting_for = jsonb_build_object('gate', 'acknowledgement', 'since', '2026-01-01T00:00:00Z', 'missing', '[]'::jsonb, 'text', 'x') WHERE rotation_id = '${id}'`,
  )
}

/** As if an envelope had been used for it, whose maker has nothing to do with anybody here. */
const brokenGlass = async (id: string): Promise<void> => {
  await api.house.ledger.commit(admin, async (tx) => {
    const found = await tx.incidents.get(id)
    if (!found) throw new Error('there is no incident')
    const at = await tx.now()
    const by = { id: 'user:envelope', name: 'envelope' }
    const execution = { hash: found.preview?.hash ?? '', at, by }
    const revision = found.revision + 1
    const next = { ...found, breakGlass: by.id, execution, state: 'executing', revision } as const
    await tx.writeIncident.update(next, found)
    const target = { id, name: found.title }
    return { value: null, audit: [{ action: 'incident.executed', target, outcome: 'succeeded' }] }
  })
}

const pairs = [
  ['ann', 'ann', 'same'],
  ['ann', 'ann2', 'madeBy'],
  ['ann2', 'ann', 'made'],
  ['ann2', 'ann3', 'siblings'],
  ['jane', 'jane2', 'madeBy'],
  ['jane2', 'jane', 'made'],
  ['jane2', 'jane3', 'siblings'],
  ['first', 'bob', 'madeBy'],
  ['bob', 'first', 'made'],
  ['ann2', 'bob', null],
  ['jane2', 'john', null],
  ['jane', 'first', null],
] as const satisfies readonly (readonly [Who, Who, string | null])[]

describe.each(Object.entries(places))('%s', (place, ask) => {
  test.each(pairs)('of %s is agreed to by %s: kinship %s', async (by, agreeing, kinship) => {
    const answer = await ask(tokens[by], tokens[agreeing])
    const override = place === 'an override'
    // Of the first admin key's word nothing is left once somebody speaks whose token it made.
    if (kinship === null || (override && by === 'first')) {
      expect(answer.status, answer.text).toBe(override ? 202 : 201)
      return
    }
    if (override && kinship === 'same') {
      expect(answer.json.code).toBe('resource.exists')
      return
    }
    const code = place.match(/incident|review/) ? 'incident' : 'rotation'
    expect(answer.json).toMatchObject({ status: 403, code: `${code}.selfApproval`, kinship })
    expect(answer.json.detail).not.toBe('')
    expect(answer.json.hint).toMatch(/somebody whose token comes from elsewhere/)
  })
})

/** Bob asks to weaken a guard; once Jane has agreed, `after` happens. Resolves to what becomes of it, and whether somebody else can
 *  still agree. */
const agreedThen = async (said: string, after: () => Promise<unknown>) => {
  const spec = { selector: { matchLabels: { app: 'guarded' } }, manual: true }
  const document = { apiVersion: 'rekey.dev/v1', kind: 'RotationPolicy', spec }
  const labels = { n: api.house.ids.next().slice(-12) }
  const plan = await post(tokens.bob, '/v1/plans', {
    documents: [{ ...document, metadata: { name: 'guarded', labels } }],
  })
  const { id, hash } = plan.json
  const agree = (token: string) => post(token, `/v1/plans/${id}/approvals`, { hash })
  expect((await agree(said)).status).toBe(201)
  await after()
  return { apply: () => post(tokens.bob, `/v1/plans/${id}/apply`, { hash }), agree }
}

describe('what was said counts no more, and somebody else is needed,', () => {
  const leaver = async (more: object = {}) => {
    const body = { name: 'leaver', type: 'pat', roles: ['approver'], ...more }
    return (await post(tokens.first, '/v1/api-keys', body)).json
  }
  const ways: readonly (readonly [string, () => ReturnType<typeof agreedThen>])[] = [
    [
      'where the token was deleted since',
      async () => {
        const { id, token } = await leaver()
        return agreedThen(token, () => api.call('DELETE', `/v1/api-keys/${id}`))
      },
    ],
    [
      'where the token has ended since',
      async () => {
        const { token } = await leaver({ expiresIn: '1m' })
        return agreedThen(token, () => api.house.clock.advance(61_000))
      },
    ],
    [
      'where an admin has ended the sessions of whoever said it',
      async () =>
        agreedThen(await issuer.sign({ sub: 'jane' }), () =>
          post(tokens.first, '/v1/sessions/revocations', {
            principal: `${issuer.url}#jane`,
            reason: 'a stolen laptop',
          }),
        ),
    ],
  ]
  test.each(ways)('%s: a plan', async (_how, way) => {
    const { apply, agree } = await way()
    const refused = await apply()
    expect([refused.status, refused.json.code]).toEqual([409, 'policy.weakening'])
    expect((await agree(tokens.ann2)).status).toBe(201)
    expect((await apply()).status).toBe(200)
    const guarded = { selector: { matchLabels: { app: 'guarded' } }, manual: true }
    const put = await api.call('PUT', '/v1/policies/guarded', {
      body: {
        name: 'guarded',
        spec: { ...guarded, approval: { required: 1, roles: ['approver'] } },
      },
      headers: { 'if-match': '*' },
    })
    expect(put.status, put.text).toBe(200)
  })

  test('of a rotation, whose approver said so in a session that was ended; what they say afterwards does', async () => {
    const { id, planHash } = await waitingBy(tokens.bob)
    const agree = (token: string) => post(token, `/v1/rotations/${id}/approvals`, { planHash })
    expect((await agree(await issuer.sign({ sub: 'jane' }))).status).toBe(201)
    const counted = () =>
      api.house.ledger.read(async (db) =>
        (await byDifferentPeople(db, await db.approvals.of(id))).map((one) => one.principalId),
      )
    expect(await counted()).toEqual([`${issuer.url}#jane`])
    const revoked = await post(tokens.first, '/v1/sessions/revocations', {
      principal: `${issuer.url}#jane`,
      reason: 'a stolen laptop',
    })
    expect(revoked.status, revoked.text).toBe(200)
    expect(await counted()).toEqual([])
    // A moment later, with what they sign in with then.
    await api.house.clock.advance(1_000)
    const anew = await agree(await issuer.sign({ sub: 'jane' }))
    expect(anew.status, anew.text).toBe(201)
    expect(await counted()).toEqual([`${issuer.url}#jane`])
    expect((await agree(await issuer.sign({ sub: 'jane' }))).json.code).toBe('resource.exists')
    const { id: other, hash } = await incidentBy(tokens.bob)
    const again = await post(
      await issuer.sign({ sub: 'jane' }),
      `/v1/incidents/${other}/approvals`,
      {
        previewHash: hash,
      },
    )
    expect(again.json.state, again.text).toBe('previewed')
    await end({ id })
  })
})

test('whoever may come in again after their sessions were ended says anew what they had said: of a plan, of an incident', async () => {
  const token = () => issuer.sign({ sub: 'kim' })
  const ended = () =>
    post(tokens.first, '/v1/sessions/revocations', {
      principal: `${issuer.url}#kim`,
      reason: 'a stolen laptop',
    })
  const { apply, agree } = await agreedThen(await token(), ended)
  expect((await apply()).json.code).toBe('policy.weakening')
  await api.house.clock.advance(1_000)
  expect((await agree(await token())).status).toBe(201)
  expect((await apply()).status).toBe(200)

  const { id, hash } = await incidentBy(tokens.bob)
  const approve = async () =>
    post(await token(), `/v1/incidents/${id}/approvals`, { previewHash: hash })
  expect((await approve()).json.state).toBe('previewed')
  expect((await ended()).status).toBe(200)
  await api.house.clock.advance(1_000)
  const anew = await approve()
  expect(anew.status, anew.text).toBe(201)
  expect((await approve()).json.code).toBe('resource.exists')
})

describe('two words of one person count once', () => {
  test('where two people must agree to an incident, when said and when it is executed', async () => {
    const rule = { matchLabels: {}, spec: { emergency: { approvals: 2 } } }
    const floors = (items: readonly unknown[]) =>
      api.call('PUT', '/v1/floors', { body: { items }, headers: { 'if-match': '*' } })
    await api.house.register('twice', { labels: { app: 'twice' } })
    expect((await floors([{ ...rule, matchLabels: { app: 'twice' } }])).status).toBe(200)
    const body = { title: 'x', severity: 'low', mode: 'disable', reason: 'x' }
    const { id } = (
      await post(tokens.bob, '/v1/incidents', { ...body, selector: { keys: ['twice'] } })
    ).json
    const { hash } = (await post(tokens.bob, `/v1/incidents/${id}/preview`)).json
    const approve = (who: Who) =>
      post(tokens[who], `/v1/incidents/${id}/approvals`, { previewHash: hash })
    expect((await approve('ann2')).json.state).toBe('awaitingApproval')
    expect((await approve('ann3')).json).toMatchObject({
      code: 'incident.selfApproval',
      detail: expect.stringContaining('said so already'),
    })
    // As it was written before anybody asked who made whose token.
    const principalId = await idOf('ann3')
    await api.house.ledger.commit(admin, async (tx) => {
      const at = await tx.now()
      const row = { incidentId: id, previewHash: hash, principalName: 'ann3', at }
      await tx.writeIncident.approve({ ...row, principalId, roles: ['admin'] })
      const target = { id, name: 'x' }
      return { value: null, audit: [{ action: 'incident.approved', target, outcome: 'succeeded' }] }
    })
    const execute = () =>
      post(tokens.bob, `/v1/incidents/${id}/executions`, { previewHash: hash, confirm: id })
    expect((await execute()).json).toMatchObject({
      code: 'incident.approvalMissing',
      detail: '1 of 2 approvals are given.',
    })
    expect((await approve('jane2')).json.state).toBe('previewed')
    await api.house.ledger.read(async (db) => {
      const incident = await db.incidents.get(id)
      if (!incident) throw new Error('there is no incident')
      await mustBeApproved(db, actorOf('bob', ['responder']), incident)
    })
    expect((await execute()).status).toBe(202)
    await floors([])
  })

  test('where two people must pass a gate, also those of before', async () => {
    const { id } = await waitingBy(tokens.john)
    await held(id)
    const says = (who: Who) =>
      post(tokens[who], `/v1/rotations/${id}/overrides`, { reason: 'x' }).then(
        ({ status }) => status,
      )
    expect(await says('ann2')).toBe(202)
    const principalId = await idOf('ann3')
    await api.house.ledger.commit(admin, async (tx) => {
      const [said] = await tx.approvals.of(id)
      if (!said) throw new Error('nobody has said so')
      await tx.writeApproval.insert({ ...said, principalId })
      const target = { id, name: 'routine' }
      return {
        value: null,
        audit: [{ action: 'rotation.overridden', target, outcome: 'succeeded' }],
      }
    })
    const passed = async () => {
      const rotation = await api.house.ledger.read((db) => db.rotations.get(id))
      if (!rotation) throw new Error('there is no rotation')
      return [...(await overriddenGates({ ledger: api.house.ledger }, rotation))]
    }
    expect(await passed()).toEqual([])
    expect(await says('bob')).toBe(202)
    expect(await passed()).toEqual(['acknowledgement'])
    await end({ id })
  })
})
