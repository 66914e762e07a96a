import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tokenType } from '#domain/token.ts'
import { adminKeyFile } from '#runtime/admin-key-file.ts'
import { sha256 } from '#runtime/sha256.ts'
import { ensureAdminKey, resetAdminKey, type AdminKeyDeps } from '#usecases/admin-key.ts'
import { openApi, type Api } from '../support/http.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api.close())

const make = (body: Readonly<Record<string, unknown>>, token?: string) =>
  api.call('POST', '/v1/api-keys', {
    body: { name: 'k', type: 'svc', roles: ['viewer'], ...body },
    ...(token === undefined ? {} : { token }),
  })

describe('a token', () => {
  test('is shown once, works, and only its hash is stored', async () => {
    const { status, headers, json } = await make({ name: 'deploy', expiresIn: '7d' })
    expect(status).toBe(201)
    expect(tokenType(json.token)).toBe('svc')
    expect(headers['location']).toBe(`/v1/api-keys/${json.id}`)
    expect(headers['cache-control']).toBe('no-store')
    expect((await api.call('GET', '/v1/me', { token: json.token })).json).toMatchObject({
      id: json.id,
      name: 'deploy',
    })
    const list = await api.call('GET', '/v1/api-keys')
    expect(list.json.items.find((item: { id: string }) => item.id === json.id)).toMatchObject({
      name: 'deploy',
      roles: ['viewer'],
    })
    expect(list.text).not.toContain('token')
    expect(list.text).not.toContain('hash')
    const everything = await api.house.sql(
      'SELECT (SELECT json_agg(k)::text FROM app.api_key k) || (SELECT json_agg(e)::text FROM audit.event e) AS text',
    )
    expect(JSON.stringify(everything)).not.toContain(json.token.slice(10))
    const [event] = await api.house.events({ action: 'apiKey.created' })
    expect(event).toMatchObject({ id: json.audit.eventId, target: { id: json.id, name: 'deploy' } })
  })

  test('on a dry run is not made', async () => {
    const { json } = await api.call('POST', '/v1/api-keys?dryRun=all', {
      body: { name: 'never', type: 'pat', roles: ['viewer'] },
    })
    expect(json).toMatchObject({ dryRun: true, name: 'never', token: '' })
    expect((await api.call('GET', '/v1/api-keys?limit=200')).text).not.toContain('never')
  })

  test.each([
    [{ type: 'brk' }, 422, '/type'],
    [{ type: 'ack', roles: ['consumer'] }, 422, '/consumer'],
    [{ type: 'ack', roles: ['consumer', 'viewer'], consumer: 'c' }, 422, '/roles'],
    [{ roles: ['consumer'] }, 422, '/consumer'],
    [{ roles: ['viewer'], consumer: 'c' }, 422, '/roles'],
    [{ expiresIn: '0s' }, 422, '/expiresIn'],
    [{ expiresIn: '3' }, 400, '/expiresIn'],
    [{ roles: [] }, 400, '/roles'],
    [{ roles: ['boss'] }, 400, '/roles/0'],
    [{ name: '../x' }, 400, '/name'],
    [{ type: 'rk' }, 400, '/type'],
    [{ scope: {} }, 400, '/scope'],
    [{ addresses: ['10.0.0.0/33'] }, 400, '/addresses/0'],
    [{ addresses: ['example.com'] }, 400, '/addresses/0'],
    [{ addresses: ['fe80::1%eth0'] }, 400, '/addresses/0'],
    [{ token: 'mine' }, 400, '/token'],
  ])('with %j is %i at %s', async (body, status, pointer) => {
    const answer = await make(body)
    expect({ status: answer.status, pointer: answer.json.errors?.[0]?.pointer }).toEqual({
      status,
      pointer,
    })
  })

  test('is made by an admin only', async () => {
    for (const role of ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      expect((await make({}, await api.token([role]))).status, role).toBe(403)
    }
  })

  test('reaches no further than the scope of who makes it', async () => {
    const scope = { matchLabels: { team: 'a' }, connections: ['c1', 'c2'] }
    const mine = await api.token(['admin'], { scope })
    for (const wider of [
      undefined,
      { matchLabels: { team: 'a' } },
      { matchLabels: { team: 'b' }, connections: ['c1'] },
      { ...scope, connections: ['c3'] },
    ]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      const answer = await make(wider === undefined ? {} : { scope: wider }, mine)
      expect(answer.json, JSON.stringify(wider)).toMatchObject({
        status: 403,
        code: 'auth.denied',
        errors: [{ pointer: '/scope' }],
      })
    }
    const narrower = await make(
      { name: 'inner', scope: { matchLabels: { team: 'a', env: 'x' }, connections: ['c1'] } },
      mine,
    )
    expect(narrower.status).toBe(201)
    const outer = await make({ name: 'outer' })
    const seen = (await api.call('GET', '/v1/api-keys?limit=200', { token: mine })).json.items.map(
      (i: { name: string }) => i.name,
    )
    expect(seen).toContain('inner')
    expect(seen).not.toContain('outer')
    expect(
      (await api.call('DELETE', `/v1/api-keys/${outer.json.id}`, { token: mine })).status,
    ).toBe(404)
  })
})

describe('the admin key', () => {
  const withDirectory = async (work: (deps: AdminKeyDeps, fresh: Api) => Promise<void>) => {
    const fresh = await openApi()
    const directory = await mkdtemp(join(tmpdir(), 'rekey-admin-'))
    try {
      await work(
        { ledger: fresh.house.ledger, ids: fresh.house.ids, sha256, file: adminKeyFile(directory) },
        fresh,
      )
    } finally {
      await rm(directory, { recursive: true })
      await fresh.close()
    }
  }
  const read = async (deps: AdminKeyDeps) => (await readFile(deps.file.path, 'utf8')).trim()
  const statusOf = async (fresh: Api, token: string) =>
    (await fresh.call('GET', '/v1/api-keys', { token })).status

  test('is written once, for its owner only, and never expires', () =>
    withDirectory(async (deps, fresh) => {
      expect(await ensureAdminKey(deps)).toEqual({ made: true })
      const token = await read(deps)
      expect((await stat(deps.file.path)).mode & 0o777).toBe(0o600)
      expect(await ensureAdminKey(deps)).toEqual({ made: false })
      expect(await read(deps)).toBe(token)
      fresh.house.clock.turnProcess(3650 * 24 * 3_600_000)
      expect(await statusOf(fresh, token)).toBe(200)
    }))

  test('that an admin deleted does not come back with a restart', () =>
    withDirectory(async (deps, fresh) => {
      await ensureAdminKey(deps)
      const token = await read(deps)
      const { id } = (await fresh.call('GET', '/v1/me', { token })).json
      await fresh.call('DELETE', `/v1/api-keys/${id}`)
      expect(await ensureAdminKey(deps)).toEqual({ made: false })
      expect(await statusOf(fresh, token)).toBe(401)
    }))

  test('whose file was written before a crash is adopted by the next start', () =>
    withDirectory(async (deps, fresh) => {
      const broken: AdminKeyDeps = {
        ...deps,
        ledger: {
          ...deps.ledger,
          commit: (actor, work) =>
            deps.ledger.commit(actor, async (tx) => {
              await work(tx)
              throw new Error('the process dies here')
            }),
        },
      }
      await expect(ensureAdminKey(broken)).rejects.toThrow('dies here')
      const token = await read(deps)
      expect(await ensureAdminKey(deps)).toEqual({ made: true })
      expect(await read(deps)).toBe(token)
      expect(await statusOf(fresh, token)).toBe(200)
    }))

  test('of two starts at once is one', () =>
    withDirectory(async (deps, fresh) => {
      const made = await Promise.all([
        ensureAdminKey(deps),
        ensureAdminKey(deps),
        ensureAdminKey(deps),
      ])
      expect(made.filter((m) => m.made)).toHaveLength(1)
      expect(await statusOf(fresh, await read(deps))).toBe(200)
    }))

  test('is replaced by a reset, which ends the old one and survives what lies in its way', () =>
    withDirectory(async (deps, fresh) => {
      await ensureAdminKey(deps)
      const old = await read(deps)
      await writeFile(`${deps.file.path}.new`, 'left by a crash', { mode: 0o666 })
      await resetAdminKey(deps)
      const token = await read(deps)
      expect((await stat(deps.file.path)).mode & 0o777).toBe(0o600)
      expect(token).not.toBe(old)
      expect(await statusOf(fresh, token)).toBe(200)
      expect(await statusOf(fresh, old)).toBe(401)
      const events = await fresh.house.events({ actor: 'system:bootstrap' })
      expect(events.map((e) => e.action).toSorted()).toEqual([
        'apiKey.created',
        'apiKey.deleted',
        'apiKey.reset',
      ])
      expect(JSON.stringify(events)).not.toContain(token.slice(10))
    }))
})
