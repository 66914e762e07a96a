// Both halves of a pair in an emergency, at a real PostgreSQL: each is switched off, each old password is really tried, and the
// order is the one that was shown.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Incident } from '#domain/incident.ts'
import { previewText } from '#cli/incident-text.ts'
import { halfText } from '#domain/pair-halves.ts'
import { withIncidents } from '#test/support/incidents.ts'
import { openPostgresStage } from '#test/support/postgres-stage.ts'

type Stage = Awaited<ReturnType<typeof openPostgresStage>>
let stage: Stage
let incidents: ReturnType<typeof withIncidents>
beforeAll(async () => {
  stage = await openPostgresStage()
  const { house, drain, deps } = stage.api
  const { ledger, ids, clock, database } = house
  incidents = withIncidents({ ledger, ids, clock, database, drain, deps })
})
afterAll(() => stage?.close())

const noLogin = '28000'

/** A pair in overlap: version 1 on `_a`, version 2 on `_b`, which is handed out. Both are in use, and their passwords known. */
const inOverlap = async (name: string, min = '30d') => {
  const { users } = await stage.peer.pair(`${stage.peer.prefix}_${name}`)
  await stage.grant(users)
  for (const user of users) await stage.peer.sql(`DROP ROLE ${stage.peer.id(user)}`)
  await stage.policy(name, { overlap: { min } })
  const { value: key } = await stage.house.register(name, {
    connection: 'pg',
    type: 'postgres.user',
    ref: { users },
    labels: { key: name },
    create: true,
  })
  const first = await stage.value(name)
  const rotation = await stage.rotate(name)
  await stage.until(rotation, [min === '0s' ? 'completed' : 'overlapping'])
  const second = await stage.value(name)
  expect([first.username, second.username]).toEqual(users)
  const logins = () =>
    Promise.all(
      [first, second].map(({ username, password }) => stage.peer.tryLogin(username, password)),
    )
  if (min !== '0s') expect(await logins()).toEqual([null, null])
  return { key, users, rotation, logins }
}

const shown = async (incident: Incident, users: readonly [string, string]) => {
  const preview = await stage.house.ledger.read((db) => db.incidents.preview(incident.id))
  const texts = preview?.keys[0]?.halves?.map(halfText) ?? []
  return texts.map((text) =>
    users.reduce((said, user) => said.replaceAll(user, user.slice(-1)), text),
  )
}

test('revokeFirst: both are refused at once, and then the first one gets the new password', async () => {
  const { key, users, logins, rotation } = await inOverlap('leaked')
  const incident = await incidents.preview('revokeFirst', ['leaked'])
  expect(await shown(incident, users)).toEqual([
    '1. a: version 1 is switched off, and tried',
    '1. b: version 2 is switched off, and tried',
    '2. a: gets the new password, which is handed out',
  ])
  await incidents.execute(incident)
  await incidents.contain()
  expect(await logins()).toEqual([noLogin, noLogin])
  const settled = await incidents.settle(incident)
  expect([settled.state, await incidents.said(incident)]).toEqual(['contained', expect.anything()])
  expect(await incidents.evidence(incident)).toMatchObject(
    [1, 2].map((version) => ({
      version,
      state: 'refused',
      operation: 'login',
      code: expect.any(String),
    })),
  )
  const now = await stage.value('leaked')
  expect(now.username).toBe(users[0])
  expect(await stage.peer.tryLogin(now.username, now.password)).toBeNull()
  expect(await logins()).toEqual(['28P01', noLogin])
  expect(
    (await stage.house.versions(key.id)).map(({ state, primary }) => [state, primary]),
  ).toEqual([
    ['compromised', false],
    ['compromised', false],
    ['active', true],
  ])
  expect((await stage.rotation(rotation)).phase).toBe('abandoned')
  // And the next rotation takes the other half, whose leaked password is gone with it.
  await stage.until(await stage.rotate('leaked'), ['overlapping'])
  expect((await stage.value('leaked')).username).toBe(users[1])
  expect(await logins()).toEqual(['28P01', '28P01'])
})

test('rotateFast: the half that is handed out goes on until the other one has the new password', async () => {
  const { key, users, logins } = await inOverlap('fast')
  const incident = await incidents.preview('rotateFast', ['fast'])
  expect(await shown(incident, users)).toEqual([
    '1. a: version 1 is switched off, and tried',
    '2. a: gets the new password, which is handed out',
    '3. b: version 2 is switched off, and tried',
  ])
  await incidents.execute(incident)
  await incidents.contain()
  expect(await logins()).toEqual([noLogin, null])
  expect((await incidents.settle(incident)).state).toBe('contained')
  const [first, second] = await incidents.evidence(incident)
  expect([first, second]).toMatchObject([{ state: 'refused' }, { state: 'refused' }])
  const now = await stage.value('fast')
  expect(now.username).toBe(users[0])
  expect(await logins()).toEqual(['28P01', noLogin])
  const made = (await stage.house.versions(key.id)).at(-1)
  expect(first?.provenAt?.getTime()).toBeLessThanOrEqual(made?.createdAt.getTime() ?? 0)
  expect(second?.requestedAt?.getTime()).toBeGreaterThanOrEqual(made?.activatedAt?.getTime() ?? 0)
})

test('disable: both are switched off, and both come back; the rotation goes on to its end', async () => {
  const { key, users, logins, rotation } = await inOverlap('unsure', '10m')
  const incident = await incidents.preview('disable', ['unsure'])
  expect(await shown(incident, users)).toEqual([
    '1. a: version 1 is switched off, and tried',
    '1. b: version 2 is switched off, and tried',
  ])
  await incidents.execute(incident)
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect(await incidents.evidence(incident)).toMatchObject([
    { state: 'refused', operation: 'login' },
    { state: 'refused', operation: 'login' },
  ])
  expect(await logins()).toEqual([noLogin, noLogin])
  await incidents.restore(incident)
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect(await incidents.evidence(incident)).toMatchObject([
    { state: 'restored' },
    { state: 'restored' },
  ])
  expect(await logins()).toEqual([null, null])
  expect(
    (await stage.house.versions(key.id)).map(({ state, primary }) => [state, primary]),
  ).toEqual([
    ['active', false],
    ['active', true],
  ])
  expect((await stage.until(rotation, 'end')).phase).toBe('completed')
  expect(await logins()).toEqual([noLogin, null])
})

/** On the shelf, where a password is set at once. */
const onShelf = async (name: string, min: string, approvals = 1) => {
  await stage.policy(name, { overlap: { min }, emergency: { approvals } })
  const { value: key } = await stage.house.register(name, {
    connection: 'shelf',
    type: 'shelf.pair',
    ref: { path: name },
    labels: { key: name },
    create: true,
  })
  const states = () => stage.shelf.rows(name).map(({ user, state }) => `${user} ${state}`)
  return { key, states }
}

test('one half has leaked, and the other is ended with it', async () => {
  const { states } = await onShelf('one', '30d')
  await stage.until(await stage.rotate('one'), ['overlapping'])
  const leaked = [{ key: 'one', version: 1 }]
  const incident = await incidents.settle(await incidents.begin('revokeOnly', ['one'], leaked))
  expect(incident.state).toBe('contained')
  expect(states()).toEqual(['a disabled', 'b disabled'])
})

test('only the half that is meant: what is off on the other one is not taken for gone when the new password is set', async () => {
  const { key, states } = await onShelf('half', '0s')
  for (const _turn of [1, 2])
    expect((await stage.until(await stage.rotate('half'), 'end')).phase).toBe('completed') // oxlint-disable-line no-await-in-loop -- one after the other
  // Version 3 on `a`, which is first where neither is in use; 2 is off, on `b`.
  expect(states()).toEqual(['a destroyed', 'b disabled', 'a enabled'])
  const leaked = [{ key: 'half', version: 3 }]
  const incident = await incidents.preview('revokeFirst', ['half'], leaked, 'meant')
  expect(await shown(incident, ['a', 'b'])).toEqual([
    '1. a: version 3 is switched off, and tried',
    '2. a: gets the new password, which is handed out',
    '– b: nothing is done to it',
  ])
  await incidents.execute(incident)
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect(states()).toEqual(['a destroyed', 'b disabled', 'a destroyed', 'a enabled'])
  expect((await stage.house.versions(key.id)).map(({ state }) => state)).toEqual([
    'destroyed',
    'deactivated',
    'compromised',
    'active',
  ])
})

test('over the API: preview, keys and report name the halves, and in words', async () => {
  const { states } = await onShelf('told', '30d', 0)
  await stage.until(await stage.rotate('told'), ['overlapping'])
  const selector = { keys: ['told'], pairs: 'both' }
  const asked = {
    title: 'A host',
    severity: 'high',
    mode: 'rotateFast',
    reason: 'stolen',
    selector,
  }
  const { json: opened } = await stage.post('/v1/incidents', asked)
  const path = `/v1/incidents/${opened.id}`
  const { json: preview } = await stage.post(`${path}/preview`, {})
  expect(preview.keys[0].halves).toEqual([
    { half: 'a', does: 'contain', step: 1, versions: [1] },
    { half: 'a', does: 'replace', step: 2, versions: [] },
    { half: 'b', does: 'contain', step: 3, versions: [2] },
  ])
  expect(preview.keys[0].warnings).toContain(
    'Whoever still uses a is cut off before there is a new password: it is put on a.',
  )
  expect(previewText(preview, 'rotateFast', stage.house.clock.now())).toContain(
    '1. a: version 1 is switched off, and tried',
  )
  await stage.post(`${path}/executions`, { previewHash: preview.hash, confirm: opened.id })
  const incident = await stage.house.ledger.read((db) => db.incidents.get(opened.id))
  if (!incident) throw new Error('no incident')
  expect((await incidents.settle(incident)).state).toBe('contained')
  const { json: report } = await stage.call('GET', `${path}/report`)
  expect(report.keys[0].versions).toMatchObject([
    { version: 1, half: 'a', state: 'refused' },
    { version: 2, half: 'b', state: 'refused' },
  ])
  const markdown = await stage.call('GET', `${path}/report`, {
    headers: { accept: 'text/markdown' },
  })
  expect(markdown.text).toMatch(/\| told \| 1, a \| refused /)
  expect(states()).toEqual(['a destroyed', 'b disabled', 'a enabled'])
})
