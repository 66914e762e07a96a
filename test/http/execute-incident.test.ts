// Executed = previewed: between the two another client changes the world, and nothing is executed; in the same world, exactly the
// set is. What workers do with it is told in test/usecases.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../support/examples.ts'
import { admin } from '../support/house.ts'
import { openApi, type Answer, type Api } from '../support/http.ts'

let api: Api
let rosa: string
let anna: string
let operator: string
beforeAll(async () => {
  api = await openApi()
  rosa = await api.token(['responder'])
  anna = await api.token(['approver'])
  operator = await api.token(['operator'])
})
afterAll(() => api.close())

const of = (id: string, path = '') => `/v1/incidents/${id}${path}`

/** Two keys with a label of their own, at a connection of their own, under a policy of their own. */
const stage = async (team: string): Promise<void> => {
  await api.house.connection(team, {
    provider: 'jwks',
    settings: { issuer: `https://${team}.example.com` },
    grants: [{ matchLabels: { team }, refs: ['*'] }],
  })
  for (const name of ['one', 'two'])
    await api.house.register(`${team}-${name}`, {
      connection: team,
      type: 'jwks.signing',
      ref: { audiences: ['https://shop.example.com'] },
      labels: { team },
    })
  await api.house.policy(team, { selector: { matchLabels: { team } }, manual: true })
}

/** All keys of a team, or one key by its name. */
const approved = async (team: string, mode = 'revokeOnly', token = rosa) => {
  const body = { title: 'A leak', severity: 'high', mode, reason: 'a test' }
  const opened = await api.call('POST', '/v1/incidents', {
    token,
    body: {
      ...body,
      selector: team.endsWith('-one') ? { keys: [team] } : { matchLabels: { team } },
    },
  })
  const { id } = opened.json
  const preview = await api.call('POST', of(id, '/preview'), { token })
  expect(preview.status, preview.text).toBe(200)
  const { hash, keys } = preview.json
  const answer = await api.call('POST', of(id, '/approvals'), {
    token: anna,
    body: { previewHash: hash },
  })
  expect(answer.status, answer.text).toBe(201)
  return { id: String(id), hash: String(hash), keys }
}

let tries = 0
const execute = (
  id: string,
  body: Json,
  { token = rosa, key = `k${(tries += 1)}` }: { token?: string; key?: string | null } = {},
): Promise<Answer> =>
  api.call('POST', of(id, '/executions'), {
    token,
    body,
    headers: key === null ? {} : { 'idempotency-key': key },
  })

const executed = async (id: string): Promise<readonly Json[]> =>
  (await api.call('GET', of(id, '/keys?limit=200'))).json.items

const refusal = ({ status, json }: Answer) => [status, json.code]
const ifMatch = { headers: { 'if-match': '*' } }

test('in the same world exactly the set is executed, each key due, and no other', async () => {
  await stage('same')
  await stage('other')
  const { id, hash, keys } = await approved('same')
  const answer = await execute(id, { previewHash: hash, confirm: id })
  expect([answer.status, answer.json.state, answer.json.execution.hash]).toEqual([
    202,
    'executing',
    hash,
  ])
  expect(answer.json.counts).toEqual({ pending: 2 })
  const items = await executed(id)
  expect(
    items.map(({ key, versions }) => [key, versions.map(({ version }: Json) => version)]),
  ).toEqual(
    keys.map(({ key, versions }: Json) => [key, versions.map(({ version }: Json) => version)]),
  )
  const due = await api.house.sql(
    `SELECT key_id FROM app.incident_key_timer WHERE due_at IS NOT NULL`,
  )
  expect(due).toHaveLength(2)
  const status = (await api.call('GET', '/v1/keys/same-one')).json.status
  expect(status.incident).toBe(id)
  expect(status.why).toContain(`Incident ${id} has it`)
  const refused = await api.call('DELETE', '/v1/keys/same-one', ifMatch)
  expect(refusal(refused)).toEqual([409, 'key.busy'])
  const moved = await api.call('PUT', '/v1/connections/same', {
    body: { provider: 'jwks', settings: { issuer: 'https://elsewhere.example.com' } },
    ...ifMatch,
  })
  expect([...refusal(moved), moved.json.incident]).toEqual([409, 'connection.inUse', id])
})

/** What the second client does, and what the refusal says of it. */
const changes: readonly (readonly [string, (team: string) => Promise<Answer | void>, Json])[] = [
  [
    'a key is added',
    async (team) =>
      api.call('POST', '/v1/keys', {
        token: operator,
        body: {
          name: `${team}-three`,
          connection: team,
          type: 'jwks.signing',
          ref: { audiences: ['https://shop.example.com'] },
          purpose: 'x',
          owner: 'x',
          environment: 'x',
          labels: { team },
          create: true,
        },
      }),
    (team: string) => ({ added: [`${team}-three`], removed: [], changed: [] }),
  ],
  [
    'a rotation of one is started',
    async (team) =>
      api.call('POST', '/v1/rotations', {
        token: operator,
        body: { key: `${team}-one`, reason: 'a test' },
        headers: { 'idempotency-key': `rotate-${team}` },
      }),
    (team: string) => ({ added: [], removed: [], changed: [`${team}-one`] }),
  ],
  [
    'a label moves',
    async (team) => {
      const { json, headers } = await api.call('GET', `/v1/keys/${team}-one`)
      return api.call('PUT', `/v1/keys/${team}-one`, {
        body: { ...json, labels: { team: 'moved' } },
        headers: { 'if-match': headers['etag'] ?? '' },
      })
    },
    (team: string) => ({ added: [], removed: [`${team}-one`], changed: [] }),
  ],
  [
    'a key is deleted',
    async (team) => api.call('DELETE', `/v1/keys/${team}-two`, ifMatch),
    (team: string) => ({ added: [], removed: [`${team}-two`], changed: [] }),
  ],
  [
    'a policy is changed',
    async (team) =>
      api.call('PUT', `/v1/policies/${team}`, {
        body: { selector: { matchLabels: { team } }, manual: true, soak: '2h' },
        ...ifMatch,
      }),
    (team: string) => ({ added: [], removed: [], changed: [`${team}-one`, `${team}-two`] }),
  ],
  [
    'a connection is pointed elsewhere',
    async (team) =>
      api.call('PUT', `/v1/connections/${team}`, {
        body: { provider: 'jwks', settings: { issuer: `https://${team}2.example.com` } },
        ...ifMatch,
      }),
    (team: string) => ({ added: [], removed: [], changed: [`${team}-one`, `${team}-two`] }),
  ],
  [
    'a connection logs in with one from now on',
    async (team) => {
      const { json, headers } = await api.call('GET', `/v1/keys/${team}-one`)
      return api.call('PUT', `/v1/keys/${team}-one`, {
        body: { ...json, usableBy: ['pays'] },
        headers: { 'if-match': headers['etag'] ?? '' },
      })
    },
    (team: string) => ({ added: [], removed: [], changed: [`${team}-one`] }),
  ],
  [
    'a floor is raised',
    async (team) =>
      api.call('PUT', '/v1/floors', {
        body: { items: [{ matchLabels: { team }, spec: { emergency: { approvals: 2 } } }] },
        ...ifMatch,
      }),
    (team: string) => ({ added: [], removed: [], changed: [`${team}-one`, `${team}-two`] }),
  ],
]

describe('when between preview and execution', () => {
  test.each(
    changes.map(([what, change, differs], i) => [what, `world-${i}`, change, differs] as const),
  )('%s, nothing is executed, and what differs is named', async (_what, team, change, differs) => {
    await stage(team)
    const { id, hash } = await approved(team)
    const done = await change(team)
    if (done) expect(done.status, done.text).toBeLessThan(300)
    const answer = await execute(id, { previewHash: hash, confirm: id })
    expect(refusal(answer), answer.text).toEqual([409, 'incident.previewStale'])
    expect((({ added, removed, changed }) => ({ added, removed, changed }))(answer.json)).toEqual(
      differs(team),
    )
    expect(await executed(id)).toEqual([])
    expect((await api.call('GET', of(id))).json.execution).toBeNull()
    // Looked at again, it is another preview, which nobody has approved.
    await api.call('POST', of(id, '/preview'), { token: rosa })
    const again = await execute(id, { previewHash: hash, confirm: id })
    expect(refusal(again)).toEqual([409, 'incident.previewStale'])
  })
})

describe('nothing is executed', () => {
  const refusedAs = async (
    more: Json,
    how: Parameters<typeof execute>[2] = {},
    before: (id: string) => Promise<unknown> = async () => undefined,
  ) => {
    const { id, hash } = await approved('same-world')
    await before(id)
    const answer = await execute(id, { previewHash: hash, confirm: id, ...more }, how)
    expect(await executed(id)).toEqual([])
    return refusal(answer)
  }
  beforeAll(() => stage('same-world'))

  test('by a wrong confirmation', async () => {
    expect(await refusedAs({ confirm: 'yes' })).toEqual([422, 'incident.confirmationWrong'])
  })
  test('by a foreign or malformed hash', async () => {
    const stale = [409, 'incident.previewStale']
    expect(await refusedAs({ previewHash: 'f'.repeat(64) })).toEqual(stale)
    expect(await refusedAs({ previewHash: 'x' })).toEqual([400, 'request.invalid'])
  })
  test('without an Idempotency-Key', async () => {
    expect(await refusedAs({}, { key: null })).toEqual([428, 'idempotency.missing'])
  })
  test('by whoever may not', async () => {
    expect(await refusedAs({}, { token: anna })).toEqual([403, 'auth.denied'])
    expect(await refusedAs({}, { token: operator })).toEqual([403, 'auth.denied'])
    const tina = await api.token(['responder'], { scope: { matchLabels: { team: 'x' } } })
    expect(await refusedAs({}, { token: tina })).toEqual([404, 'resource.notFound'])
  })
  test('after an hour', async () => {
    const later = () => api.house.clock.advance(3_600_001)
    expect(await refusedAs({}, {}, later)).toEqual([409, 'incident.previewExpired'])
  })
  test('once it is closed', async () => {
    const close = (id: string) =>
      api.call('POST', of(id, '/closures'), { token: anna, body: { reason: 'x' } })
    expect(await refusedAs({}, {}, close)).toEqual([409, 'incident.wrongState'])
  })
  test('without an approval, or with that of somebody who has lost the right since', async () => {
    const made = await api.call('POST', '/v1/api-keys', {
      body: { name: 'short', type: 'pat', roles: ['approver'] },
    })
    const opened = await api.call('POST', '/v1/incidents', {
      token: rosa,
      body: {
        title: 'x',
        severity: 'low',
        mode: 'disable',
        reason: 'x',
        selector: { keys: ['same-world-one'] },
      },
    })
    const { id } = opened.json
    const { hash } = (await api.call('POST', of(id, '/preview'), { token: rosa })).json
    const order = { previewHash: hash, confirm: id }
    expect(refusal(await execute(id, order))).toEqual([409, 'incident.approvalMissing'])
    await api.call('POST', of(id, '/approvals'), {
      token: made.json.token,
      body: { previewHash: hash },
    })
    await api.call('DELETE', `/v1/api-keys/${made.json.id}`)
    const answer = await execute(id, order)
    expect([...refusal(answer), answer.json.needed]).toEqual([409, 'incident.approvalMissing', 1])
    expect(await executed(id)).toEqual([])
  })
  test('by a dry run, which says what would be', async () => {
    const { id, hash } = await approved('same-world')
    const dry = await api.call('POST', `${of(id, '/executions')}?dryRun=all`, {
      token: rosa,
      body: { previewHash: hash, confirm: id },
      headers: { 'idempotency-key': 'dry' },
    })
    expect([dry.status, dry.json.dryRun]).toEqual([200, true])
    expect((await api.call('GET', of(id))).json.state).toBe('previewed')
  })
})

test('an execution whose reply was lost is asked for again with its key, and done once', async () => {
  await stage('twice')
  const { id, hash } = await approved('twice')
  const order = { previewHash: hash, confirm: id }
  const first = await execute(id, order, { key: 'once' })
  const replay = await execute(id, order, { key: 'once' })
  expect([first.status, replay.status, replay.headers['idempotency-replayed']]).toEqual([
    202,
    202,
    'true',
  ])
  expect(await api.house.events({ action: 'incident.executed', correlationId: id })).toHaveLength(1)
  const other = await execute(id, { ...order, confirm: 'x' }, { key: 'once' })
  expect(refusal(other)).toEqual([422, 'idempotency.mismatch'])
  const anew = await execute(id, order)
  expect(refusal(anew)).toEqual([409, 'incident.wrongState'])
})

/** At rest, and nothing of it was done: as after a night without its provider. */
const failed = async (id: string, state: 'failed' | 'refused' = 'failed'): Promise<void> => {
  await api.house.ledger.commit(admin, async (tx) => {
    const found = await tx.incidents.get(id)
    if (!found) throw new Error('there is no incident')
    const { items } = await tx.incidents.keys(id, null, { limit: 200, after: null })
    const ids = items.map(({ keyId }) => keyId)
    const versions = await tx.incidents.versionsOf(id, ids)
    const provenAt = state === 'refused' ? await tx.now() : null
    await tx.writeIncident.putVersions(
      versions.map((version) => ({ ...version, state, provenAt, operation: 'read', code: 'x' })),
    )
    await tx.writeIncident.putKeys(items.map((key) => ({ ...key, state })))
    const next = { ...found, state: 'partly', revision: found.revision + 1 } as const
    await tx.writeIncident.update(next, found)
    const target = { id, name: found.title }
    return { value: null, audit: [{ action: 'incident.partly', target, outcome: 'succeeded' }] }
  })
}

const asked = async (id: string): Promise<void> => {
  await api.house.ledger.commit(admin, async (tx) => {
    const { items } = await tx.incidents.keys(id, null, { limit: 200, after: null })
    await tx.writeIncident.putKeys(items.map((key) => ({ ...key, restoration: 'asked' })))
    const target = { id, name: id }
    return { value: null, audit: [{ action: 'incident.partly', target, outcome: 'succeeded' }] }
  })
}

const point = (team: string, host: string) =>
  api.call('PUT', `/v1/connections/${team}`, {
    body: {
      provider: 'jwks',
      settings: { issuer: `https://${host}.example.com` },
      grants: [{ matchLabels: { team }, refs: ['*'] }],
    },
    ...ifMatch,
  })

describe('what was executed goes on where it was shown, or not at all', () => {
  test('tried once more while its connection points elsewhere, nothing is, and what differs is named', async () => {
    await stage('retried')
    const { id, hash } = await approved('retried')
    const order = { previewHash: hash, confirm: id }
    expect((await execute(id, order)).status).toBe(202)
    await failed(id)
    expect((await point('retried', 'elsewhere')).status).toBe(200)
    const answer = await execute(id, order)
    expect(refusal(answer), answer.text).toEqual([409, 'incident.previewStale'])
    expect(answer.json).toMatchObject({
      added: [],
      removed: [],
      changed: ['retried-one', 'retried-two'],
      hint: expect.stringContaining('Point the connection back'),
    })
    expect((await executed(id)).map(({ state }) => state)).toEqual(['failed', 'failed'])
    // Back where it was, whatever its revision.
    expect((await point('retried', 'retried')).status).toBe(200)
    const again = await execute(id, order)
    expect([again.status, again.json.counts], again.text).toEqual([202, { pending: 2 }])
  })

  test('restored while its connection points elsewhere, nothing is', async () => {
    await stage('back')
    const { id, hash } = await approved('back', 'disable')
    expect((await execute(id, { previewHash: hash, confirm: id })).status).toBe(202)
    await failed(id)
    expect((await point('back', 'elsewhere')).status).toBe(200)
    const restore = () =>
      api.call('POST', of(id, '/restorations'), {
        token: rosa,
        body: { reason: 'x' },
        headers: { 'idempotency-key': `restore-${(tries += 1)}` },
      })
    const answer = await restore()
    expect([...refusal(answer), answer.json.changed.length]).toEqual([
      409,
      'incident.previewStale',
      2,
    ])
    expect((await point('back', 'back')).status).toBe(200)
    expect((await restore()).status).toBe(202)
  })
})

describe('of two incidents over one key', () => {
  const restore = (id: string, token = rosa) =>
    api.call('POST', of(id, '/restorations'), {
      token,
      body: { reason: 'x' },
      headers: { 'idempotency-key': `restore-${(tries += 1)}` },
    })
  const run = async (team: string, token = rosa) => {
    const found = await approved(team, 'disable', token)
    const order = { previewHash: found.hash, confirm: found.id }
    const answer = await execute(found.id, order, { token })
    expect(answer.status, answer.text).toBe(202)
    await failed(found.id, 'refused')
    return found
  }

  test('one that disables is not executed while the other is switching the key on again; one that revokes is', async () => {
    await stage('on-again')
    const first = await run('on-again')
    const second = await approved('on-again', 'disable')
    const order = { previewHash: second.hash, confirm: second.id }
    expect((await restore(first.id)).status).toBe(202)
    const answer = await execute(second.id, order)
    expect(refusal(answer), answer.text).toEqual([409, 'key.busy'])
    expect(answer.json).toMatchObject({
      keys: ['on-again-one', 'on-again-two'],
      incident: first.id,
      hint: expect.stringContaining('ends by itself'),
    })
    expect(await executed(second.id)).toEqual([])
    const preview = await api.call('POST', of(second.id, '/preview'), { token: rosa })
    expect(preview.json.warnings.join(' ')).toMatch(
      /Another incident is switching on-again-one, on-again-two on again/,
    )
    const leak = await approved('on-again-one', 'revokeOnly')
    const shown = await api.call('GET', of(leak.id, '/preview'))
    expect(shown.json.warnings.join(' ')).toMatch(/on again: what this one means is ended all the/)
    const done = await execute(leak.id, { previewHash: leak.hash, confirm: leak.id })
    expect(done.status, done.text).toBe(202)
  })

  test('what failed of one that disables is not tried again meanwhile', async () => {
    await stage('again-held')
    const [first, second] = [await approved('again-held', 'disable'), await run('again-held')]
    const order = { previewHash: first.hash, confirm: first.id }
    expect((await execute(first.id, order)).status).toBe(202)
    await failed(first.id)
    await failed(second.id, 'refused')
    // As it was asked while the first one was not executed yet.
    await asked(second.id)
    expect(refusal(await execute(first.id, order))).toEqual([409, 'key.busy'])
    expect((await executed(first.id)).map(({ state }) => state)).toEqual(['failed', 'failed'])
  })

  test('the key is not switched on by one while the other holds it, and what may not be seen is not named', async () => {
    await stage('held')
    const tina = await api.token(['responder'], { scope: { matchLabels: { team: 'held' } } })
    const hers = await run('held', tina)
    const ours = await run('held-one', rosa)
    const answer = await restore(hers.id)
    expect([...refusal(answer), answer.json.incident]).toEqual([
      409,
      'incident.wrongState',
      ours.id,
    ])
    const hidden = await restore(hers.id, tina)
    expect([...refusal(hidden), hidden.json.incident]).toEqual([409, 'incident.wrongState', null])
    expect(hidden.json.detail).toContain('an incident that you may not see')
    expect(hidden.text).not.toContain(ours.id)
    // It may have the other one's keys back, and all of its own once the other is over.
    const one = await api.call('POST', of(hers.id, '/restorations'), {
      token: tina,
      body: { keys: ['held-two'], reason: 'x' },
      headers: { 'idempotency-key': 'held-two' },
    })
    expect(one.status, one.text).toBe(202)
    await failed(ours.id, 'refused')
    await api.call('POST', of(ours.id, '/closures'), { token: anna, body: { reason: 'x' } })
    await failed(hers.id, 'refused')
    expect((await restore(hers.id, tina)).status).toBe(202)
  })
})

test('what is revoked for good is not restored', async () => {
  await stage('for-good')
  const { id, hash } = await approved('for-good')
  await execute(id, { previewHash: hash, confirm: id })
  const answer = await api.call('POST', of(id, '/restorations'), {
    token: rosa,
    body: { reason: 'x' },
    headers: { 'idempotency-key': 'restore' },
  })
  expect(refusal(answer)).toEqual([409, 'incident.wrongMode'])
})

describe('with a token to break glass with', () => {
  let glass: string
  let id: string
  const by = (token: string) => (path: string, body: Json, key?: string) =>
    api.call('POST', path, {
      token,
      body,
      ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }),
    })
  beforeAll(async () => {
    await stage('glass')
    glass = await envelope()
  })
  const envelope = async (): Promise<string> => {
    const admins = [await api.token(['admin']), await api.token(['admin'])]
    const made = await by(admins[0] ?? '')('/v1/api-keys', { name: 'envelope', type: 'brk' })
    const agreed = await by(admins[1] ?? '')(`/v1/api-keys/${made.json.id}/approvals`, {})
    expect(agreed.status, agreed.text).toBe(201)
    return made.json.token
  }

  test('nobody else is needed: opened, previewed and executed alone', async () => {
    const act = by(glass)
    const opened = await act('/v1/incidents', {
      title: 'Nobody is awake',
      severity: 'critical',
      mode: 'revokeOnly',
      reason: 'a leak',
      selector: { matchLabels: { team: 'glass' } },
    })
    expect(opened.status, opened.text).toBe(201)
    ;({ id } = opened.json)
    const { json } = await act(of(id, '/preview'), {})
    expect([json.approvalsNeeded, json.keys.length]).toEqual([0, 2])
    const done = await act(of(id, '/executions'), { previewHash: json.hash, confirm: id }, 'glass')
    expect([done.status, done.json.state, done.json.breakGlass]).toEqual([202, 'executing', true])
  })

  test('another incident is not for it', async () => {
    const body = { title: 'x', severity: 'low', mode: 'disable', reason: 'x' }
    const other = await by(glass)('/v1/incidents', { ...body, selector: { keys: ['glass-one'] } })
    expect(refusal(other)).toEqual([403, 'auth.denied'])
  })

  test('what others executed is not tried again with it, nor by others what was executed with it before they signed', async () => {
    await stage('theirs')
    const theirs = await approved('theirs')
    const order = { previewHash: theirs.hash, confirm: theirs.id }
    expect((await execute(theirs.id, order)).status).toBe(202)
    await failed(theirs.id)
    const fresh = await envelope()
    const refused = await execute(theirs.id, order, { token: fresh })
    expect(refusal(refused), refused.text).toEqual([409, 'incident.previewStale'])
    await failed(id)
    const { hash } = (await api.call('GET', of(id))).json.execution
    const mine = { previewHash: hash, confirm: id }
    expect(refusal(await execute(id, mine))).toEqual([409, 'incident.reviewMissing'])
    expect((await execute(id, mine, { token: glass })).status).toBe(202)
    expect((await executed(theirs.id)).map(({ state }) => state)).toEqual(['failed', 'failed'])
  })

  test('it is not closed before somebody else has signed it, and not by itself', async () => {
    await api.house.ledger.commit(admin, async (tx) => {
      const found = await tx.incidents.get(id)
      if (!found) throw new Error('there is no incident')
      const next = { ...found, state: 'partly', revision: found.revision + 1 } as const
      await tx.writeIncident.update(next, found)
      const target = { id, name: found.title }
      return { value: null, audit: [{ action: 'incident.partly', target, outcome: 'succeeded' }] }
    })
    const close = () => by(anna)(of(id, '/closures'), { reason: 'x' })
    expect(refusal(await close())).toEqual([409, 'incident.reviewMissing'])
    const own = await by(glass)(of(id, '/reviews'), { text: 'I was right.' })
    expect(own.status).toBe(403)
    const report = (await api.call('GET', of(id, '/report'))).json
    expect(report.open.join(' ')).toContain('Somebody else reviews it')
    const signed = await by(anna)(of(id, '/reviews'), { text: 'It was right.' })
    expect([signed.status, signed.json.review.text]).toEqual([201, 'It was right.'])
    expect((await close()).json.state).toBe('closed')
  })
})
