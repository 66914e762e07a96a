import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Sent, serveHouse, type ServedHouse } from '../support/served-house.ts'

let house: ServedHouse
let admin: string
let operator: string
let viewer: string

beforeAll(async () => {
  house = await serveHouse({ allow: ['hooks.internal'] })
  admin = await house.token(['admin'])
  operator = await house.token(['operator'])
  viewer = await house.token(['viewer'])
  await house.send(admin, 'PUT', '/v1/connections/vault', {
    provider: 'local',
    grants: [{ matchLabels: { team: 'pay' }, refs: ['*'] }],
  })
})
afterAll(() => house.shut())

const etag = (sent: Sent) => ({ 'if-match': String(sent.headers['etag']) })
const whsec = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

const resources = {
  connection: {
    path: '/v1/connections/round',
    body: { provider: 'local', labels: { a: 'b' } },
    edit: { labels: { a: 'c' } },
  },
  consumer: {
    path: '/v1/consumers/round',
    body: {
      owner: 'shop',
      labels: { uses: 'x' },
      keys: ['some-key'],
      reload: { webhook: 'https://shop.example.com/reload', secret: whsec },
    },
    edit: { owner: 'shop two' },
  },
  sink: {
    path: '/v1/sinks/round',
    body: {
      type: 'webhook',
      url: 'https://pager.example.com/in',
      secret: whsec,
      events: ['stalled'],
    },
    edit: { events: ['stalled', 'overdue'] },
  },
  policy: {
    path: '/v1/policies/round',
    body: {
      selector: { matchLabels: { app: 'round' } },
      schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris' },
    },
    edit: { description: 'edited' },
  },
  freeze: {
    path: '/v1/freeze',
    body: { until: '2099-01-01T00:00:00Z', reason: 'holidays', selector: { type: 'no.type' } },
    edit: { reason: 'longer' },
  },
}

describe.each(Object.entries(resources))('%s', (_kind, { path, body, edit }) => {
  test('create, read, edit, put back, delete', async () => {
    const created = await house.send(admin, 'PUT', path, body)
    expect([created.status, created.body]).toEqual([
      201,
      expect.objectContaining({ audit: expect.objectContaining({ eventId: expect.any(String) }) }),
    ])
    expect(created.headers['etag']).toBe('"1"')

    const read = await house.send(admin, 'GET', path)
    expect([read.status, read.headers['etag']]).toEqual([200, '"1"'])
    const same = await house.send(
      admin,
      'PUT',
      path,
      { ...read.body, audit: created.body['audit'] },
      etag(read),
    )
    expect([same.status, same.headers['etag']]).toEqual([200, '"1"'])

    const rehearsed = await house.send(
      admin,
      'PUT',
      `${path}?dryRun=all`,
      { ...read.body, ...edit },
      etag(read),
    )
    expect([rehearsed.status, rehearsed.body['dryRun']]).toEqual([200, true])
    const edited = await house.send(admin, 'PUT', path, { ...read.body, ...edit }, etag(read))
    expect([edited.status, edited.headers['etag']]).toEqual([200, '"2"'])
    expect(
      (await house.send(admin, 'PUT', path, { ...read.body, ...edit }, etag(read))).status,
    ).toBe(412)
    expect((await house.send(admin, 'PUT', path, body)).status).toBe(428)
    expect((await house.send(admin, 'PUT', path, body, { 'if-none-match': '*' })).status).toBe(412)

    expect((await house.send(admin, 'DELETE', path)).status).toBe(428)
    expect((await house.send(admin, 'DELETE', path, undefined, etag(edited))).status).toBe(200)
    expect((await house.send(admin, 'GET', path)).status).toBe(404)
  })

  test('unknown fields, and secrets in replies', async () => {
    const typo = await house.send(admin, 'PUT', path, { ...body, speling: 1 })
    expect([typo.status, typo.body['code']]).toEqual([400, 'request.invalid'])
    expect(JSON.stringify(typo.body['errors'])).toContain('/speling')
    const created = await house.send(admin, 'PUT', path, body)
    expect(created.text).not.toContain('whsec_')
    await house.send(admin, 'DELETE', path, undefined, etag(created))
  })

  test('viewers do not write', async () => {
    const refused = await house.send(viewer, 'PUT', path, body)
    expect([refused.status, refused.body['code']]).toEqual([403, 'auth.denied'])
  })
})

describe('names', () => {
  test.each([
    '../up',
    '..%2fup',
    '%2e%2e%2fpolicies',
    'a%00b',
    'UPPER',
    'a_b',
    '%F0%9F%94%91',
    'a'.repeat(64),
  ])('%s is no name', async (name) => {
    for (const kind of ['connections', 'keys', 'policies', 'consumers', 'sinks']) {
      const { status } = await house.send(admin, 'GET', `/v1/${kind}/${name}`)
      expect([kind, [400, 404].includes(status)]).toEqual([kind, true])
    }
    expect([400, 404, 405]).toContain(
      (await house.send(admin, 'PUT', `/v1/consumers/${name}`, { owner: 'x' })).status,
    )
  })

  test('the body does not name another than the path', async () => {
    const reply = await house.send(admin, 'PUT', '/v1/consumers/one', { name: 'two', owner: 'x' })
    expect([reply.status, reply.body['code']]).toEqual([400, 'request.invalid'])
  })

  test('control characters in text are refused', async () => {
    expect(
      (await house.send(admin, 'PUT', '/v1/consumers/one', { owner: 'a\u0000b' })).status,
    ).toBe(400)
    expect(
      (await house.send(admin, 'PUT', '/v1/consumers/one', { owner: 'a\u202eb' })).status,
    ).toBe(400)
  })
})

describe('keys over HTTP', () => {
  const body = {
    connection: 'vault',
    type: 'local.secret',
    purpose: 'p',
    owner: 'o',
    environment: 'test',
    create: true,
  }

  test('register, read, edit, list, delete', async () => {
    const made = await house.send(operator, 'POST', '/v1/keys', {
      name: 'over-http',
      ...body,
      labels: { team: 'pay' },
    })
    expect([made.status, made.headers['location'], made.headers['etag']]).toEqual([
      201,
      '/v1/keys/over-http',
      '"1"',
    ])
    const read = await house.send(viewer, 'GET', '/v1/keys/over-http')
    expect(read.body['status']).toMatchObject({
      primaryVersion: 1,
      policy: null,
      openRotation: null,
      incident: null,
      overdue: false,
    })
    const put = await house.send(
      operator,
      'PUT',
      '/v1/keys/over-http',
      { ...read.body, owner: 'else' },
      etag(read),
    )
    expect([put.status, put.body['owner']]).toEqual([200, 'else'])
    const listed = await house.send(
      viewer,
      'GET',
      '/v1/keys?label=team=pay&connection=vault&type=local.secret&overdue=false',
    )
    expect((listed.body['items'] as unknown as { name: string }[]).map(({ name }) => name)).toEqual(
      ['over-http'],
    )
    const versions = await house.send(viewer, 'GET', '/v1/keys/over-http/versions')
    expect(versions.body['items']).toMatchObject([
      { version: 1, state: 'active', primary: true, rotation: null },
    ])
    expect(
      (await house.send(operator, 'DELETE', '/v1/keys/over-http', undefined, etag(put))).status,
    ).toBe(200)
    expect((await house.send(viewer, 'GET', '/v1/keys/over-http')).status).toBe(404)
  })

  test('a dry run of a registration answers and makes nothing', async () => {
    const reply = await house.send(admin, 'POST', '/v1/keys?dryRun=all', { name: 'dry', ...body })
    expect([reply.status, reply.body['dryRun'], reply.body['name']]).toEqual([200, true, 'dry'])
    expect((await house.send(admin, 'GET', '/v1/keys/dry')).status).toBe(404)
  })

  test('moving a key to another object is 422 with a hint', async () => {
    const made = await house.send(admin, 'POST', '/v1/keys', { name: 'stuck', ...body })
    const moved = await house.send(
      admin,
      'PUT',
      '/v1/keys/stuck',
      { ...made.body, connection: 'other' },
      etag(made),
    )
    expect([moved.status, moved.body['code']]).toEqual([422, 'request.impossible'])
    expect(moved.body['hint']).toBeTruthy()
  })

  test('values and operations are for bound consumers, and are not cached', async () => {
    await house.send(admin, 'POST', '/v1/keys', { name: 'secret', ...body })
    await house.send(admin, 'POST', '/v1/keys', {
      name: 'signer',
      ...body,
      type: 'local.key',
      generate: { algorithm: 'ed25519' },
    })
    const consumer = await house.token(['consumer'], { keys: ['secret', 'signer'] })
    const value = await house.send(consumer, 'GET', '/v1/keys/secret/value?version=1')
    expect([value.status, value.headers['cache-control']]).toEqual([200, 'no-store'])
    expect(String(value.body['value']).length).toBeGreaterThan(10)
    expect((await house.send(operator, 'GET', '/v1/keys/secret/value')).status).toBe(403)
    expect((await house.send(consumer, 'GET', '/v1/keys/stuck/value')).status).toBe(404)
    const signed = await house.send(consumer, 'POST', '/v1/keys/signer/signatures', {
      input: Buffer.from('hello').toString('base64'),
    })
    expect([signed.status, signed.body['version']]).toEqual([200, 1])
    expect(
      (await house.send(consumer, 'POST', '/v1/keys/signer/signatures', { input: 'not base64!' }))
        .status,
    ).toBe(400)
    expect(
      (await house.send(consumer, 'POST', '/v1/keys/signer/encryptions', { input: 'aGk=' })).status,
    ).toBe(422)
    expect((await house.send(consumer, 'GET', '/v1/keys/signer/value')).body['code']).toBe(
      'key.notDeliverable',
    )
  })

  test('one scope does not see the other', async () => {
    await house.send(admin, 'POST', '/v1/keys', {
      name: 'theirs',
      ...body,
      labels: { team: 'web' },
    })
    const pay = await house.token(['operator', 'viewer', 'auditor'], {
      scope: { matchLabels: { team: 'pay' } },
    })
    for (const path of [
      '/v1/keys/theirs',
      '/v1/keys/theirs/versions',
      '/v1/connections/vault',
      '/v1/audit/events?key=theirs',
    ]) {
      expect([path, (await house.send(pay, 'GET', path)).status]).toEqual([path, 404])
    }
    expect((await house.send(pay, 'GET', '/v1/audit/events')).status).toBe(403)
    expect((await house.send(pay, 'GET', '/v1/keys')).body['items']).toEqual([])
  })
})

describe('policies over HTTP', () => {
  const yaml = (name: string, body: string) => `# yaml-language-server: x
apiVersion: rekey.dev/v1
kind: RotationPolicy
metadata: { name: ${name} }
spec:
${body}`

  test('YAML is taken as it stands in a file', async () => {
    const text = yaml('from-file', '  selector: { matchLabels: { app: file } }\n  manual: true\n')
    const put = await house.send(operator, 'PUT', '/v1/policies/from-file', text)
    expect([put.status, put.body['manual']]).toEqual([201, true])
    expect((await house.send(operator, 'PUT', '/v1/policies/other', text)).status).toBe(400)
    const posted = await house.send(
      operator,
      'POST',
      '/v1/policies',
      yaml('posted', '  selector: { type: a.b }\n  manual: true\n'),
    )
    expect([posted.status, posted.headers['location']]).toEqual([201, '/v1/policies/posted'])
    expect(
      (
        await house.send(
          operator,
          'POST',
          '/v1/policies',
          yaml('posted', '  selector: { type: a.b }\n  manual: true\n'),
        )
      ).status,
    ).toBe(409)
  })

  test('faults in YAML carry line and column', async () => {
    const text = yaml(
      'bad',
      '  selector: { matchLabels: { app: file } }\n  schedule: { cron: "0 3 1 * *", timezone: Mars/Base }\n',
    )
    const put = await house.send(operator, 'PUT', '/v1/policies/bad', text)
    expect([put.status, put.body['code']]).toEqual([400, 'request.invalid'])
    expect((put.body['errors'] as unknown as { line?: number }[])[0]?.line).toBe(7)
  })

  test('revisions, overlap and warnings', async () => {
    const one = { selector: { matchLabels: { app: 'over' } }, manual: true }
    await house.send(admin, 'POST', '/v1/keys', {
      name: 'over',
      connection: 'vault',
      type: 'local.secret',
      purpose: 'p',
      owner: 'o',
      environment: 'test',
      create: true,
      labels: { app: 'over' },
    })
    const first = await house.send(operator, 'PUT', '/v1/policies/over-a', one)
    expect(first.body['status']).toMatchObject({ keys: 1, warnings: [] })
    const overlap = await house.send(operator, 'PUT', '/v1/policies/over-b', one)
    expect([
      overlap.status,
      overlap.body['code'],
      overlap.body['policies'],
      overlap.body['key'],
    ]).toEqual([409, 'policy.overlap', ['over-a', 'over-b'], 'over'])
    await house.send(
      operator,
      'PUT',
      '/v1/policies/over-a',
      { ...one, description: 'two' },
      etag(first),
    )
    const revisions = await house.send(viewer, 'GET', '/v1/policies/over-a/revisions?limit=1')
    expect((revisions.body['items'] as unknown as unknown[]).length).toBe(1)
    const next = await house.send(
      viewer,
      'GET',
      `/v1/policies/over-a/revisions?limit=1&cursor=${String(revisions.body['nextCursor'])}`,
    )
    expect(next.body['items']).toMatchObject([{ status: { revision: 1 } }])
    expect(
      (
        await house.send(
          viewer,
          'GET',
          `/v1/policies?cursor=${String(revisions.body['nextCursor'])}`,
        )
      ).status,
    ).toBe(400)
  })
})

describe('schedule', () => {
  beforeAll(async () => {
    const labels = { app: 'daily' }
    const body = {
      connection: 'vault',
      type: 'local.secret',
      purpose: 'p',
      owner: 'o',
      environment: 'test',
      create: true,
      labels,
    }
    await house.send(admin, 'POST', '/v1/keys', { name: 'daily-key', ...body })
    await house.send(admin, 'PUT', '/v1/policies/daily', {
      selector: { matchLabels: labels },
      schedule: { cron: '0 3 * * *', timezone: 'UTC' },
    })
  })

  test('lists what is coming, and what follows within the span', async () => {
    const reply = await house.send(viewer, 'GET', '/v1/schedule')
    const item = (
      reply.body['items'] as unknown as { key: string; at: string; following: string[] }[]
    ).find(({ key }) => key === 'daily-key')
    expect(item?.following).toHaveLength(10)
    expect(new Date(item?.following[0] ?? 0).getTime() - new Date(item?.at ?? 0).getTime()).toBe(
      86_400_000,
    )
  })

  test('tells of a span that lies behind the next rotation too', async () => {
    const inAYear = new Date(house.clock.now().getTime() + 300 * 86_400_000)
    const from = inAYear.toISOString()
    const to = new Date(inAYear.getTime() + 3 * 86_400_000).toISOString()
    const reply = await house.send(viewer, 'GET', `/v1/schedule?from=${from}&to=${to}`)
    const items = reply.body['items'] as unknown as {
      readonly key: string
      readonly at: string
      readonly trigger: string
      readonly following: readonly string[]
    }[]
    const daily = items.find(({ key }) => key === 'daily-key')
    expect(daily?.trigger).toBe('schedule')
    const all = [daily?.at ?? '', ...(daily?.following ?? [])]
    expect(all).toHaveLength(3)
    expect(all.filter((at) => at < from || at >= to)).toEqual([])
  })

  test('is a calendar that people subscribe to', async () => {
    const reply = await house.send(viewer, 'GET', '/v1/schedule', undefined, {
      accept: 'text/calendar',
    })
    expect([reply.status, reply.headers['content-type']]).toEqual([
      200,
      'text/calendar; charset=utf-8',
    ])
    expect(reply.text).toMatch(/^BEGIN:VCALENDAR\r\n/)
    expect(reply.text).toContain('SUMMARY:Rotate daily-key\r\n')
    expect(reply.text.split('BEGIN:VEVENT').length - 1).toBeGreaterThanOrEqual(11)
    expect(reply.text.split('\r\n').every((line) => Buffer.byteLength(line) <= 75)).toBe(true)
  })

  test('refuses a span that is none', async () => {
    expect(
      (
        await house.send(
          viewer,
          'GET',
          '/v1/schedule?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z',
        )
      ).status,
    ).toBe(400)
    expect((await house.send(viewer, 'GET', '/v1/schedule?from=yesterday')).status).toBe(400)
  })

  test('knows the scope', async () => {
    const other = await house.token(['viewer'], { scope: { matchLabels: { team: 'pay' } } })
    expect((await house.send(other, 'GET', '/v1/schedule')).body['items']).toEqual([])
  })
})

describe('audit events', () => {
  test('are filtered, paged, and the auditor’s', async () => {
    const auditor = await house.token(['auditor'])
    const all = await house.send(
      auditor,
      'GET',
      '/v1/audit/events?action=policy.put&outcome=succeeded&limit=1',
    )
    expect(all.status).toBe(200)
    expect(all.body['items']).toMatchObject([
      { action: 'policy.put', receipt: { eventId: expect.any(String) } },
    ])
    expect(all.body['nextCursor']).toBeTruthy()
    const byKey = await house.send(auditor, 'GET', '/v1/audit/events?key=daily-key')
    expect((byKey.body['items'] as unknown as unknown[]).length).toBeGreaterThan(1)
    const later = await house.send(auditor, 'GET', '/v1/audit/events?from=2199-01-01T00:00:00Z')
    expect(later.body['items']).toEqual([])
    expect((await house.send(viewer, 'GET', '/v1/audit/events')).status).toBe(403)
    expect((await house.send(auditor, 'GET', '/v1/audit/events?action=policy.putt')).status).toBe(
      400,
    )
  })

  test('reading is one event for a principal and hour', async () => {
    const auditor = await house.token(['auditor'])
    for (let n = 0; n < 5; n += 1) await house.send(auditor, 'GET', '/v1/audit/events')
    const reads = await house.events({ action: 'audit.read' })
    const [latest] = reads
    expect(reads.filter(({ actor }) => actor.id === latest?.actor.id)).toHaveLength(1)
    await house.clock.advance(3_601_000)
    await house.send(auditor, 'GET', '/v1/audit/events')
    const again = (await house.events({ action: 'audit.read' })).filter(
      ({ actor }) => actor.id === latest?.actor.id,
    )
    expect(again.map(({ after }) => after)).toEqual([{ reads: 5 }, { reads: 1 }])
  })
})

describe('webhook addresses', () => {
  test.each([
    'https://127.0.0.1/x',
    'https://10.0.0.1/x',
    'https://169.254.169.254/latest',
    'https://[::1]/x',
    'http://example.com/x',
    'ftp://example.com/x',
    'https://localhost/x',
  ])('a sink does not point at %s', async (url) => {
    const reply = await house.send(admin, 'PUT', '/v1/sinks/inner', {
      type: 'webhook',
      url,
      secret: whsec,
    })
    expect([reply.status, reply.body['code']]).toEqual([422, 'connection.unusable'])
    const reload = await house.send(admin, 'PUT', '/v1/consumers/inner', {
      owner: 'x',
      reload: { webhook: url, secret: whsec },
    })
    expect(reload.status).toBe(422)
  })

  test('the secret belongs to the address: a new address asks for it again', async () => {
    const made = await house.send(admin, 'PUT', '/v1/sinks/bound', {
      type: 'webhook',
      url: 'https://a.example.com/x',
      secret: whsec,
    })
    const moved = await house.send(
      admin,
      'PUT',
      '/v1/sinks/bound',
      { type: 'webhook', url: 'https://b.example.com/x' },
      etag(made),
    )
    expect([moved.status, moved.body['code']]).toEqual([422, 'request.impossible'])
    expect(
      (
        await house.send(admin, 'PUT', '/v1/sinks/weak', {
          type: 'webhook',
          url: 'https://a.example.com/x',
          secret: 'hunter2',
        })
      ).status,
    ).toBe(400)
  })
})
