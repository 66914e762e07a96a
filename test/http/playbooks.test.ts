// Playbooks over HTTP: written, reviewed by another, overdue told once; taken by incidents, whose steps are ticked off.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemActor } from '#domain/actor.ts'
import { noticeData, noticeOf } from '#domain/notice.ts'
import { makeIds } from '#runtime/ids.ts'
import { raiseUnreviewed } from '#usecases/raise-unreviewed.ts'
import { tickStep } from '#usecases/tick-step.ts'
import type { Json } from '../support/examples.ts'
import { admin } from '../support/house.ts'
import { type Answer, type Api, openApi } from '../support/http.ts'

let api: Api
let tokens: Readonly<Record<'olga' | 'rosa' | 'anna' | 'tina', string>>

const hour = 3_600_000
const scheduler = systemActor('scheduler', 'test')
const body = {
  title: 'A key has leaked',
  owner: 'team-security',
  steps: [
    { title: 'Tell the partner', owner: 'duty manager', within: '1h' },
    { title: 'Look who used it', text: 'As a fact.', command: 'rekey describe key/NAME' },
    { title: 'Tell the customers' },
  ],
  reviewEvery: '30d',
  labels: { team: 'a' },
}

beforeAll(async () => {
  api = await openApi()
  await api.house.connection('vault')
  await api.house.register('orders', { connection: 'vault', labels: { team: 'a' } })
  tokens = {
    olga: await api.token(['operator']),
    rosa: await api.token(['responder']),
    anna: await api.token(['approver']),
    tina: await api.token(['responder'], { scope: { matchLabels: { team: 'b' } } }),
  }
})
afterAll(() => api.close())

type Who = keyof typeof tokens
const put = (name: string, more: object = {}, who: Who = 'olga', headers = {}): Promise<Answer> =>
  api.call('PUT', `/v1/playbooks/${name}`, {
    token: tokens[who],
    headers,
    body: { ...body, ...more },
  })
const get = async (name: string): Promise<Json> =>
  (await api.call('GET', `/v1/playbooks/${name}`)).json
const review = (name: string, revision: number, who: Who): Promise<Answer> =>
  api.call('POST', `/v1/playbooks/${name}/reviews`, {
    token: tokens[who],
    body: { revision, text: 'walked through' },
  })
const refusal = ({ status, json }: Answer) => [status, json.code]
const now = () => api.house.clock.now()
const look = () => raiseUnreviewed(api.house.ledger, scheduler, now())

describe('a playbook', () => {
  test('is a resource like the others: made, the same again, changed, read back, deleted', async () => {
    const made = await put('round')
    expect([made.status, made.headers['etag']]).toEqual([201, '"1"'])
    expect((await put('round', {}, 'olga', { 'if-match': '"1"' })).json.status.revision).toBe(1)
    expect(refusal(await put('round', { title: 'x' }))).toEqual([428, 'precondition.required'])
    const read = await get('round')
    const again = await api.call('PUT', '/v1/playbooks/round', {
      headers: { 'if-match': '"1"' },
      body: { ...read, title: 'Another' },
    })
    expect(again.json).toMatchObject({ ...body, title: 'Another', status: { revision: 2 } })
    const gone = await api.call('DELETE', '/v1/playbooks/round', { headers: { 'if-match': '"2"' } })
    expect(gone.status).toBe(200)
    expect((await api.call('GET', '/v1/playbooks/round')).status).toBe(404)
    const told = await api.house.events({})
    const ours = told.filter(({ target }) => target.kind === 'playbook' && target.id === 'round')
    expect(ours.map(({ action }) => action).toReversed()).toEqual([
      'playbook.put',
      'playbook.put',
      'playbook.put',
      'playbook.deleted',
    ])
  })

  test.each([
    ['no step', { steps: [] }, '/steps'],
    [
      'a step with a field that there is not',
      { steps: [{ title: 'x', run: 'y' }] },
      '/steps/0/run',
    ],
    ['a time that is no duration', { steps: [{ title: 'x', within: '60' }] }, '/steps/0/within'],
    ['a mode that there is not', { appliesTo: { modes: ['shout'] } }, '/appliesTo/modes/0'],
    ['a review every second', { reviewEvery: '1s' }, '/reviewEvery'],
  ])('with %s is refused, and nothing is kept', async (_what, more, pointer) => {
    const answer = await put('bad', more)
    expect(refusal(answer)).toEqual([400, 'request.invalid'])
    expect(answer.json.errors.map((error: Json) => error.pointer)).toContain(pointer)
    expect((await api.call('GET', '/v1/playbooks/bad')).status).toBe(404)
  })

  test('is no longer than somebody reads at night', async () => {
    const steps = Array.from({ length: 9 }, () => ({ title: 'Read', text: 'x'.repeat(3_600) }))
    const answer = await put('long', { steps })
    expect(answer.json, answer.text).toMatchObject({ status: 400, code: 'request.invalid' })
    expect(answer.json.errors).toMatchObject([{ pointer: '/steps' }])
    expect((await put('long', { steps: steps.slice(1) })).status).toBe(201)
  })

  test('is reviewed by another than its last author, and only as it was read', async () => {
    await put('reviewed')
    expect(refusal(await review('reviewed', 1, 'olga'))).toEqual([403, 'playbook.selfApproval'])
    expect(refusal(await review('reviewed', 2, 'rosa'))).toEqual([412, 'precondition.failed'])
    await api.house.clock.advance(hour)
    const { status, json } = await review('reviewed', 1, 'rosa')
    expect(status, JSON.stringify(json)).toBe(201)
    expect(json.status).toMatchObject({ review: { revision: 1, text: 'walked through' } })
    const { reviewDueAt, review: signed } = json.status
    expect(Date.parse(reviewDueAt) - Date.parse(signed.at)).toBe(30 * 24 * hour)
    // Whoever changes it becomes its author; the date of the next review stays.
    const changed = await put('reviewed', { title: 'New' }, 'rosa', { 'if-match': '*' })
    expect(changed.json.status).toMatchObject({
      revision: 2,
      review: { revision: 1 },
      reviewDueAt: json.status.reviewDueAt,
    })
    expect(refusal(await review('reviewed', 2, 'rosa'))).toEqual([403, 'playbook.selfApproval'])
    expect((await review('reviewed', 2, 'olga')).status).toBe(201)
  })

  test('whose review is overdue is told once, shown, and told anew when that happens again', async () => {
    await put('late', { reviewEvery: '2h' })
    const told = async () =>
      (await api.house.events({ action: 'playbook.reviewOverdue' })).filter(
        ({ target }) => target.id === 'late',
      )
    await look()
    expect(await told()).toEqual([])
    expect((await get('late')).status.overdue).toBe(false)
    await api.house.clock.advance(2 * hour)
    await Promise.all([look(), look()])
    await look()
    const [event, ...more] = await told()
    expect(more).toEqual([])
    if (!event) throw new Error('nobody was told')
    expect(noticeOf(event)).toBe('overdue')
    expect(noticeData(event, null)).toMatchObject({
      key: 'late',
      owner: 'team-security',
      next: 'rekey describe playbook/late',
    })
    expect((await get('late')).status.overdue).toBe(true)
    const checks = async () =>
      (await api.call('GET', '/v1/checks')).json.items.filter(
        (check: Json) => check.name === 'playbooks' && check.detail.includes('late'),
      )
    expect(await checks()).toMatchObject([{ state: 'warn' }])
    expect((await review('late', 1, 'rosa')).status).toBe(201)
    expect((await get('late')).status.overdue).toBe(false)
    await api.house.clock.advance(2 * hour)
    await look()
    expect(await told()).toHaveLength(2)
  })
})

describe('an incident', () => {
  const asked = { title: 'A theft', severity: 'high', mode: 'disable', reason: 'lost' }
  const open = async (more: object = {}): Promise<Json> => {
    const answer = await api.call('POST', '/v1/incidents', {
      token: tokens.rosa,
      body: { ...asked, selector: { keys: ['orders'] }, ...more },
    })
    expect(answer.status, answer.text).toBe(201)
    return answer.json
  }
  const tick = (id: string, step: number, more: object = {}, who: Who = 'rosa') =>
    api.call('POST', `/v1/incidents/${id}/steps`, {
      token: tokens[who],
      body: { step, outcome: 'done', ...more },
    })
  const change = (id: string, playbook: string | null, who: Who = 'rosa') =>
    api.call('PATCH', `/v1/incidents/${id}`, {
      token: tokens[who],
      headers: { 'if-match': '*' },
      body: { playbook },
    })

  beforeAll(async () => {
    await put('leak')
  })

  test('keeps the steps as they were when it took them', async () => {
    const { id, playbook } = await open({ playbook: 'leak' })
    expect(playbook).toMatchObject({ name: 'leak', revision: 1, reviewOverdue: false })
    await put('leak', { steps: [{ title: 'Run' }] }, 'rosa', { 'if-match': '*' })
    const titles = async () =>
      (await api.call('GET', `/v1/incidents/${id}`)).json.playbook.steps.map((s: Json) => s.title)
    expect(await titles()).toEqual(['Tell the partner', 'Look who used it', 'Tell the customers'])
    // Taken again under the same name it stays; by way of none it is the new one.
    await change(id, 'leak')
    expect(await titles()).toHaveLength(3)
    expect((await change(id, null)).json.playbook).toBe(null)
    expect((await change(id, 'leak')).json.playbook).toMatchObject({ revision: 2 })
    await put('leak', {}, 'rosa', { 'if-match': '*' })
  })

  test('says whether somebody has reviewed the revision that it took, and not one before', async () => {
    await put('read')
    await review('read', 1, 'rosa')
    const taken = async () => (await open({ playbook: 'read' })).playbook
    expect(await taken()).toMatchObject({ revisionReviewed: true, reviewOverdue: false })
    await put('read', { steps: [{ title: 'Run', command: 'x' }] }, 'olga', { 'if-match': '*' })
    expect(await taken()).toMatchObject({
      revision: 2,
      revisionReviewed: false,
      reviewOverdue: false,
    })
    const { id } = await open({ playbook: 'read' })
    const markdown = await api.call('GET', `/v1/incidents/${id}/report`, {
      headers: { accept: 'text/markdown' },
    })
    expect(markdown.text).toContain('Nobody had reviewed this revision.')
  })

  test('has its steps ticked off, by whom and when, and what is late is said', async () => {
    const { id } = await open({ playbook: 'leak' })
    await api.house.clock.advance(2 * hour)
    expect((await tick(id, 1, { note: 'called' })).json.playbook.steps[0]).toMatchObject({
      state: 'done',
      late: true,
      owner: 'duty manager',
      note: 'called',
    })
    expect(refusal(await tick(id, 1))).toEqual([409, 'resource.exists'])
    expect(refusal(await tick(id, 2, { outcome: 'notDone' }))).toEqual([422, 'request.impossible'])
    await tick(id, 2, { outcome: 'notDone', note: 'nobody has the log' }, 'anna')
    const { json: report } = await api.call('GET', `/v1/incidents/${id}/report`)
    const open2 = report.open.filter((line: string) => line.startsWith('Step '))
    expect(open2).toEqual([
      'Step 2 of the playbook leak (team-security) is not done, as somebody said: Look who used it',
      'Step 3 of the playbook leak (team-security) is not done: Tell the customers',
    ])
    await tick(id, 2)
    const { json: timeline } = await api.call('GET', `/v1/incidents/${id}/timeline`)
    const said = timeline.items.filter((item: Json) => item.action === 'incident.stepTicked')
    expect(said.map((item: Json) => item.reason)).toEqual([
      'step 1, Tell the partner: done; called',
      'step 2, Look who used it: not done; nobody has the log',
      'step 2, Look who used it: done',
    ])
    const markdown = await api.call('GET', `/v1/incidents/${id}/report`, {
      headers: { accept: 'text/markdown' },
    })
    expect(markdown.text).toContain('## Playbook')
    expect(markdown.text).toMatch(/\| 1 \| Tell the partner \| duty manager \| done, late \|/)
  })

  test('takes the last word on a step, also where it was said to a process whose clock is behind', async () => {
    const { id } = await open({ playbook: 'leak' })
    const { ledger, clock } = api.house
    const behind = makeIds({ now: () => new Date(clock.now().getTime() - 20_000) })
    await tick(id, 1)
    await clock.advance(1_000)
    const note = 'it was another partner'
    await tickStep({ ledger, ids: behind })(admin, id, { step: 1, outcome: 'notDone', note })
    const { json: incident } = await api.call('GET', `/v1/incidents/${id}`)
    expect(incident.playbook.steps[0]).toMatchObject({ state: 'notDone', note })
  })

  test('takes no other playbook once a step was ticked off, and no step once it is closed', async () => {
    await put('other')
    const { id } = await open({ playbook: 'leak' })
    await tick(id, 1)
    expect(refusal(await change(id, 'other'))).toEqual([409, 'incident.wrongState'])
    expect(refusal(await change(id, null))).toEqual([409, 'incident.wrongState'])
    expect(refusal(await tick(id, 4))).toEqual([422, 'request.impossible'])
    await api.call('POST', `/v1/incidents/${id}/closures`, {
      token: tokens.rosa,
      body: { reason: 'over' },
    })
    expect(refusal(await tick(id, 2))).toEqual([409, 'incident.wrongState'])
    const bare = await open()
    expect(refusal(await tick(bare.id, 1))).toEqual([409, 'incident.wrongState'])
  })

  test('takes none that is not there, or out of scope', async () => {
    const { id } = await open()
    const absent = await change(id, 'nothing')
    expect(refusal(absent)).toEqual([422, 'request.impossible'])
    expect(absent.json.errors).toMatchObject([{ pointer: '/playbook' }])
    const { status } = await api.call('POST', '/v1/incidents', {
      token: tokens.tina,
      body: { ...asked, selector: { providers: ['local'] }, playbook: 'leak' },
    })
    expect(status).toBe(422)
  })

  test('is told by its preview which playbooks are meant for it', async () => {
    await put('by-label', { appliesTo: { matchLabels: { team: 'a' }, modes: ['disable'] } })
    await put('by-type', { appliesTo: { types: ['local.secret'] } })
    await put('of-others', { appliesTo: { matchLabels: { team: 'b' } } })
    await put('other-mode', { appliesTo: { modes: ['revokeOnly'] } })
    const preview = async (id: string): Promise<readonly string[]> =>
      (await api.call('POST', `/v1/incidents/${id}/preview`, { token: tokens.rosa, body: {} })).json
        .playbooks
    const { id } = await open()
    expect(await preview(id)).toEqual(['by-label', 'by-type'])
    await change(id, 'leak')
    expect(await preview(id)).toEqual([])
  })
})
