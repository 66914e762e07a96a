// Ten thousand keys on one screen: what is drawn of them, and how little is asked for it.

import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '#runtime/clock.ts'
import { incidentOf, someone } from '#test/store/records.ts'
import { openApi, type Api } from '#test/support/http.ts'
import { openTerminal } from './terminal.ts'

let api: Api
let url: string
let id: string

const event = `INSERT INTO audit.event (id, body, writer_kid, writer_sig)
  VALUES (gen_random_uuid(), '{}', '\\x00000000', decode(repeat('00', 64), 'hex'))`
/** In one transaction with an event, as the guard asks for. */
const written = async (statement: string): Promise<void> => {
  const session = await api.house.session('superuser')
  await session.query('BEGIN')
  await session.query(event)
  await session.query(statement)
  await session.query('COMMIT')
}
/** Of the keys from the first to the last of these numbers. */
const become = (state: string, from: number, to: number): Promise<void> =>
  written(
    `UPDATE app.incident_key SET state = '${state}', detail = 'the portal is away (try again later)' WHERE position BETWEEN ${from} AND ${to}`,
  )

beforeAll(async () => {
  api = await openApi()
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`
  await api.house.connection('vault')
  id = api.house.ids.next()
  const at = systemClock.now()
  await api.house.ledger.commit(someone, async (tx) => {
    const execution = { hash: '0'.repeat(64), at, by: { id: 'a', name: 'a' } }
    await tx.writeIncident.insert(incidentOf(id, { state: 'executing', execution }))
    const target = { id, name: 'a leak' }
    return { value: null, audit: [{ action: 'incident.opened', target, outcome: 'succeeded' }] }
  })
  await written(
    `INSERT INTO app.key (id, name, connection, type, ref, object_id, purpose, owner, environment, labels, consumers, usable_by, revision, created_at, updated_at)
     SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'key-' || n, 'vault', 'local.secret', '{}', 'local:' || n,
       'tests', 'team', 'test', '{}', '{}', '{}', 1, now(), now() FROM generate_series(1, 10000) n`,
  )
  const silentSince = new Date(at.getTime() - 60_000).toISOString()
  await written(
    `INSERT INTO app.incident_key (incident_id, key_id, key_name, connection, position, plan, state, updated_at)
     SELECT '${id}', ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'key-' || n, CASE n % 2 WHEN 0 THEN 'vault' ELSE 'till' END,
       n, '{}', 'pending', '${silentSince}' FROM generate_series(1, 10000) n`,
  )
  await become('refused', 501, 10_000)
  await become('failed', 1, 100)
})
afterAll(() => api.close())

interface Asked {
  readonly path: string
  readonly bytes: number
}
const watch = async (size?: { readonly columns: number; readonly rows: number }) => {
  const asked: Asked[] = []
  const shell = await openTerminal({
    env: { REKEY_URL: url, REKEY_TOKEN: api.adminToken },
    ...(size === undefined ? {} : { size }),
    fetch: async (input, init) => {
      const answer = await globalThis.fetch(input, init)
      const { pathname, search } = new URL(input instanceof Request ? input.url : input)
      asked.push({ path: pathname + search, bytes: (await answer.clone().text()).length })
      return answer
    },
  })
  return { asked, shell }
}
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await systemClock.pause(20) // oxlint-disable-line no-await-in-loop -- until it does
}

test('a screen has what is where, who is silent and what failed; a look costs a few thousand bytes', async () => {
  const { asked, shell } = await watch({ columns: 100, rows: 24 })
  const watching = shell.start('incident', 'watch', `incident/${id}`)
  await until(() => watching.stderr().includes('9600 of 10000 at rest'))
  const screen = watching.stderr()
  expect(screen).toMatch(/pending +400/)
  expect(screen).toMatch(/refused +9500/)
  expect(screen).toMatch(/left at till: 200, the oldest silent for \d/)
  expect(screen).toContain('failed: key-1: the portal is away (try again later)')
  expect(screen).toContain(`… and 97 more failed: rekey describe incident/${id}`)
  // Several looks, in which nothing has failed meanwhile.
  const before = asked.length
  await until(() => asked.length >= before + 5)
  await become('failed', 101, 200)
  await until(() => watching.stderr().includes('… and 197 more failed'))
  watching.interrupt()
  const left = await watching.ended
  expect([left.exit, left.stderr]).toEqual([
    130,
    expect.stringContaining(`rekey incident watch incident/${id}`),
  ])
  expect(new Set(asked.map(({ path }) => path))).toEqual(
    new Set([`/v1/incidents/${id}`, `/v1/incidents/${id}/keys?state=failed&limit=3`]),
  )
  expect(asked.filter(({ path }) => path.includes('/keys'))).toHaveLength(2)
  for (const { bytes } of asked) expect(bytes).toBeLessThan(8_000)
})

test('without a terminal it says a line now and then, and how it ended', async () => {
  const { asked, shell } = await watch()
  const watching = shell.start('incident', 'watch', `incident/${id}`)
  await until(() => asked.filter(({ path }) => !path.includes('/keys')).length >= 4)
  await written(`UPDATE app.incident SET state = 'partly' WHERE id = '${id}'`)
  const ended = await watching.ended
  expect(ended.exit).toBe(6)
  expect(ended.stdout).toContain('9500 refused')
  const lines = ended.stderr.split('\n').filter((line) => /^(?:executing|partly): /.test(line))
  expect(lines[0]).toContain('executing: ')
  expect(lines.at(-1)).toContain('partly: ')
  // Looks are a second apart and lines five: of the looks until then hardly any said one.
  expect(lines.length).toBeLessThan(asked.filter(({ path }) => !path.includes('/keys')).length)
})
