// Values published to files, through the API: who may, what applications read, and what undo brings back.

import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { VerifyOrder } from '#domain/provider.ts'
import { makeFaultPlan } from '#test/support/faults.ts'
import { actorOf } from '#test/support/house.ts'
import { findPlanted, tablesOf } from '#test/support/planted.ts'
import { openRunningApi, type RunningApi } from '#test/support/running-api.ts'

let directory: string
let api: RunningApi
const plans = makeFaultPlan()
/** Versions that do not work, whatever the file says. */
let refused = (_order: VerifyOrder): boolean => false
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'rekey-publish-'))
  api = await openRunningApi({
    publishDir: directory,
    wrap: (session) =>
      plans.wrap({
        ...session,
        verify: async (order, call) =>
          refused(order)
            ? { ok: false, detail: 'it does not log in', facts: {} }
            : session.verify(order, call),
      }),
  })
  await api.house.connection('vault')
  await api.house.connection('files', {
    provider: 'file',
    grants: [{ matchLabels: {}, refs: ['file:apps-*'] }],
  })
})
afterAll(async () => {
  await api?.close()
  rmSync(directory, { recursive: true, force: true })
})

const target = (path: string) => ({ name: 'app', connection: 'files', type: 'file', ref: { path } })
const arrange = async (key: string, path: string) => {
  await api.house.register(key, { labels: { key } })
  await api.policy(key, { publish: [target(path)], overlap: { min: '1h' } })
}
const read = (path: string): string => readFileSync(join(directory, path), 'utf8')
const valueOf = async (key: string, version: number): Promise<string> => {
  const { value } = await api.house.value(
    key,
    actorOf('reader', ['consumer'], { keys: [key] }),
    version,
  )
  return Buffer.from(value.reveal()).toString()
}

test.each([{ held: 'before-planted' }, { held: null }])(
  'a file that held $held: the application reads the new value, and rolled back what was there',
  async ({ held }) => {
    const key = held === null ? 'made' : 'held'
    const path = `apps-${key}`
    if (held !== null) writeFileSync(join(directory, path), held, { mode: 0o600 })
    await arrange(key, path)
    const id = await api.rotate(key)
    await api.reach(id, ['overlapping'])
    expect(read(path)).toBe(await valueOf(key, 2))
    expect((await api.rollback(id)).status).toBe(202)
    expect((await api.reach(id, 'end')).phase).toBe('rolledBack')
    if (held === null) expect(readdirSync(directory)).not.toContain(path)
    else expect(read(path)).toBe(held)
  },
)

test('rolled back where a person has already put back what the file held: the undo ends', async () => {
  const path = 'apps-by-hand'
  writeFileSync(join(directory, path), 'before-planted', { mode: 0o600 })
  await arrange('by-hand', path)
  const id = await api.rotate('by-hand')
  await api.reach(id, ['overlapping'])
  writeFileSync(join(directory, path), 'before-planted')
  expect((await api.rollback(id)).status).toBe(202)
  expect((await api.reach(id, ['rolledBack', 'stalled'])).phase).toBe('rolledBack')
  expect(read(path)).toBe('before-planted')
})

test.each(['killed before', 'killed after'] as const)(
  'a worker that is %s the write: another one ends it, with the value in the file',
  async (kind) => {
    const key = kind.replace(' ', '-')
    await arrange(key, `apps-${key}`)
    plans.arm('create', kind)
    const id = await api.rotate(key)
    const dying = api.worker('dies')
    const rung = (async () => {
      for (let n = 0; n < 20; n++) await dying(id)
    })()
    void rung.catch(() => undefined)
    await plans.met()
    await api.house.clock.advance(60_000)
    expect((await api.reach(id, 'end')).phase).toBe('completed')
    expect(read(`apps-${key}`)).toBe(await valueOf(key, 2))
  },
)

test('a link in the place of the file: nothing is written, and the rotation is undone', async () => {
  symlinkSync('/etc/hostname', join(directory, 'apps-link'))
  await arrange('link', 'apps-link')
  const id = await api.rotate('link')
  const { phase } = await api.until(id, ['rolledBack', 'stalled'])
  expect(phase).toBe('rolledBack')
  expect(readFileSync('/etc/hostname', 'utf8')).not.toBe(await valueOf('link', 1))
})

test('connections to files are made by admins, and what is written where is granted by them', async () => {
  const token = await api.token(['operator'])
  const made = await api.call('PUT', '/v1/connections/mine', { body: { provider: 'file' }, token })
  expect(made.status).toBe(403)
  await api.house.register('other', { labels: { key: 'other' } })
  await expect(api.policy('other', { publish: [target('elsewhere')] })).rejects.toMatchObject({
    code: 'connection.notGranted',
  })
  await expect(api.policy('other', { publish: [target('../etc/passwd')] })).rejects.toMatchObject({
    code: 'request.invalid',
  })
})

test('a file that is a key of its own: due, undone by writing the old value again, then replaced for good', async () => {
  const path = 'apps-own'
  const first = 'own-before-planted'
  writeFileSync(join(directory, path), first, { mode: 0o600 })
  const { value: key } = await api.house.register('own', {
    connection: 'files',
    type: 'file',
    ref: { path },
    labels: { key: 'own' },
    create: false,
  })
  await api.policy('own', {
    manual: undefined,
    maxAge: '10d',
    acceptGap: true,
    retire: 'keep',
    soak: '0s',
  })
  refused = ({ how }) => how === 'roundTrip' && read(path) !== first
  await api.house.clock.advance(10 * 86_400_000)
  await api.drain()
  const { json } = await api.call('GET', '/v1/rotations?key=own')
  expect(json.items).toMatchObject([{ trigger: 'maxAge' }])
  expect((await api.reach(json.items[0].id, 'end')).phase).toBe('rolledBack')
  expect(read(path)).toBe(first)

  refused = () => false
  expect((await api.reach(await api.rotate('own'), 'end')).phase).toBe('completed')
  expect(read(path)).not.toBe(first)
  const states = (await api.house.versions(key.id)).map(({ state, primary }) => [state, primary])
  expect(states).toEqual([
    ['deactivated', false],
    ['destroyed', false],
    ['active', true],
  ])
})

test('what a file held stands nowhere in the database', async () => {
  const places = await tablesOf(api.house.urls.superuser)
  const held = { held: 'before-planted', own: 'own-before-planted' }
  expect(findPlanted(places, held)).toEqual([])
})
