import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
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
    [{ type: 'brk' }, 422, '/roles'],
    [{ roles: undefined }, 400, '/roles'],
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

describe('a token makes none that is mightier', () => {
  const hours = (n: number) => Date.now() + n * 3_600_000

  test('in life: what is not said ends with the maker', async () => {
    const maker = await api.token(['admin'], { expiresIn: '2h' })
    const longer = await make({ name: 'longer', expiresIn: '3h' }, maker)
    expect(longer.json).toMatchObject({
      status: 403,
      code: 'auth.denied',
      errors: [{ pointer: '/expiresIn' }],
    })
    const same = await make({ name: 'same' }, maker)
    expect(Date.parse(same.json.expiresAt)).toBeLessThanOrEqual(hours(2))
    const shorter = await make({ name: 'shorter', expiresIn: '1h' }, maker)
    expect(Date.parse(shorter.json.expiresAt)).toBeLessThanOrEqual(hours(1))
  })

  test('in addresses: what is not said is the maker’s', async () => {
    const own = ['10.1.0.0/16', '2001:db8::/32']
    const maker = await api.token(['admin'], { addresses: own })
    const from = (addresses?: readonly string[]) =>
      api.call('POST', '/v1/api-keys', {
        token: maker,
        from: '10.1.2.3',
        body: { name: 'k', type: 'svc', roles: ['viewer'], ...(addresses && { addresses }) },
      })
    for (const wider of [
      ['10.0.0.0/8'],
      ['10.2.0.1'],
      ['0.0.0.0/0'],
      ['10.1.0.1', '::/0'],
      ['::ffff:10.1.0.0/112'],
    ]) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      expect((await from(wider)).json, wider.join()).toMatchObject({
        status: 403,
        errors: [{ pointer: '/addresses' }],
      })
    }
    expect((await from()).json.addresses).toEqual(own)
    expect((await from(['10.1.7.0/24', '2001:db8:1::1'])).status).toBe(201)
  })

  test('in reach: a scope binds no consumer and no key outside of it', async () => {
    await api.house.consumer('theirs', { labels: { team: 'b' } })
    await api.house.consumer('mine', { labels: { team: 'a' } })
    const scope = { matchLabels: { team: 'a' } }
    const maker = await api.token(['admin'], { scope })
    const bind = (more: object) =>
      make({ name: 'ack', type: 'ack', roles: ['consumer'], scope, ...more }, maker)
    for (const foreign of ['theirs', 'nobody']) {
      // oxlint-disable-next-line no-await-in-loop -- one server
      expect((await bind({ consumer: foreign })).json).toMatchObject({
        status: 422,
        detail: `There is no consumer "${foreign}".`,
      })
    }
    expect((await bind({ consumer: 'mine' })).status).toBe(201)
    expect(
      (await make({ roles: ['consumer'], keys: ['no-such-key'], scope }, maker)).json.errors,
    ).toEqual([{ pointer: '/keys/0', detail: 'does not exist' }])
  })
})

describe('the use of a token', () => {
  test('is shown in the list, of the last time', async () => {
    const own = await openApi()
    const { json } = await own.call('POST', '/v1/api-keys', {
      body: { name: 'used', type: 'svc', roles: ['viewer'] },
    })
    const seen = async () =>
      (await own.call('GET', '/v1/api-keys?limit=200')).json.items.find(
        (item: { id: string }) => item.id === json.id,
      ).lastUsedAt
    expect(await seen()).toBeNull()
    await own.call('GET', '/v1/me', { token: json.token })
    await own.call('GET', '/v1/api-keys', { token: json.token })
    await expect.poll(seen).not.toBeNull()
    expect(Date.parse(await seen())).toBeGreaterThan(Date.now() - 60_000)
    await own.close()
  })

  test('of several processes: the last one stays', async () => {
    const { json } = await make({ name: 'used' })
    const [early, late] = [new Date('2026-01-01T00:00:00Z'), new Date('2026-01-02T00:00:00Z')]
    await api.house.apiKeyUses.tell(new Map([[json.id, late]]))
    await api.house.apiKeyUses.tell(new Map([[json.id, early]]))
    const uses = await api.house.ledger.read((db) => db.apiKeys.lastUses([json.id, 'no-id']))
    expect(uses).toEqual(new Map([[json.id, late]]))
  })

  test('ends in the middle of a request whose body was still on its way', async () => {
    const { json } = await make({ name: 'slow', roles: ['admin'] })
    const body = new Readable({ read: () => {} })
    body.push('{"name": "left-behind", "type": "svc", ')
    const reply = api.app.inject({
      method: 'POST',
      url: '/v1/api-keys',
      headers: { authorization: `Bearer ${json.token}`, 'content-type': 'application/json' },
      payload: body,
    })
    // It has passed the door once its use was told.
    await expect
      .poll(() => api.house.ledger.read((db) => db.apiKeys.lastUses([json.id])))
      .not.toEqual(new Map())
    await api.call('DELETE', `/v1/api-keys/${json.id}`)
    api.house.clock.turnProcess(1_000)
    body.push('"roles": ["viewer"]}')
    body.push(null)
    expect((await reply).statusCode).toBe(401)
    api.house.clock.turnProcess(-1_000)
    expect((await api.call('GET', '/v1/api-keys?limit=200')).text).not.toContain('left-behind')
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
