// `kill -9` of every process, and of the database with it, in the middle of an emergency: started again it ends as it was
// previewed, each version switched off once by the record, and none forgotten.

import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { withClient } from '#store/bootstrap.ts'
import { long } from '#test/support/peers.ts'
import { openRekey, type RekeyProcess } from '#test/support/rekey-process.ts'

const names = Array.from({ length: 120 }, (_, n) => `leaked-${n}`)

let rekey: RekeyProcess
long.describe('kill -9 in the middle of an emergency', () => {
  beforeAll(async () => {
    rekey = await openRekey()
    await rekey.start()
    // Slow enough to be met in the middle.
    await rekey.ask('PUT', '/v1/connections/built-in', {
      provider: 'local',
      settings: { requestsPerSecond: 60 },
    })
    for (const name of names) {
      await rekey.ask('POST', '/v1/keys', {
        name,
        connection: 'built-in',
        type: 'local.secret',
        purpose: 'tests',
        owner: 'team',
        environment: 'test',
        create: true,
      })
    }
  }, 240_000)
  afterAll(() => rekey?.stop())

  const refused = (of: Readonly<Record<string, number>>): number => of['refused'] ?? 0
  const statesOf = async (id: string): Promise<Readonly<Record<string, number>>> => {
    const url = await rekey.databaseUrl()
    const { rows } = await withClient(url, (db) =>
      db.query<{ state: string; n: string }>(
        'SELECT state, count(*) AS n FROM app.incident_version WHERE incident_id = $1 GROUP BY 1',
        [id],
      ),
    )
    return Object.fromEntries(rows.map(({ state, n }) => [state, Number(n)]))
  }
  const person = async (name: string, roles: readonly string[]): Promise<string> =>
    (await rekey.ask('POST', '/v1/api-keys', { name, type: 'pat', roles })).token
  const postAs = (token: string) => async (path: string, body: object) => {
    const reply = await rekey.call('POST', path, body, {
      'idempotency-key': randomUUID(),
      authorization: `Bearer ${token}`,
    })
    expect(reply.status, JSON.stringify(reply.json)).toBeLessThan(300)
    return reply.json
  }

  test('it ends as previewed, no key twice, none forgotten', { timeout: 300_000 }, async () => {
    const post = postAs(await person('ada', ['responder', 'viewer']))
    const incident = await post('/v1/incidents', {
      title: 'a leak',
      severity: 'critical',
      selector: { owner: 'team' },
      mode: 'revokeOnly',
      reason: 'a test',
    })
    const { id } = incident
    const preview = await post(`/v1/incidents/${id}/preview`, {})
    expect(preview.keys).toHaveLength(names.length)
    const agree = postAs(await person('bob', ['approver', 'viewer']))
    await agree(`/v1/incidents/${id}/approvals`, { previewHash: preview.hash })
    await post(`/v1/incidents/${id}/executions`, { previewHash: preview.hash, confirm: id })
    for (const [share, database] of [
      [0.1, false],
      [0.5, true],
    ] as const) {
      for (let n = 0; n < 2_000; n++) {
        if (refused(await statesOf(id)) >= names.length * share) break
        await pause(20)
      }
      await rekey.kill({ database })
      await rekey.start()
    }
    await expect
      .poll(async () => (await rekey.ask('GET', `/v1/incidents/${id}`)).state, {
        timeout: 180_000,
        interval: 500,
      })
      .toBe('contained')
    expect(await statesOf(id)).toEqual({ refused: names.length })
    const url = await rekey.databaseUrl()
    const { rows } = await withClient(url, (db) =>
      db.query<{ n: string; states: string }>(
        `SELECT (SELECT count(*) FROM app.intent WHERE incident_id = $1 AND outcome = 'succeeded') AS n,
             (SELECT string_agg(DISTINCT state, ' ') FROM vault.material) AS states`,
        [id],
      ),
    )
    expect(rows[0]).toEqual({ n: String(names.length), states: 'disabled' })
  })
})
