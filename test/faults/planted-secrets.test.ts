// I18: secrets that pass through Rekey are in no log, table, audit record, job, error, reply, trace or metric, in no form,
// however the provider fails and whatever it echoes.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Session } from '#domain/provider.ts'
import { type Fault, type FaultProxy, startFaultProxy } from '#test/support/fault-proxy.ts'
import { type OtlpReceiver, startOtlpReceiver } from '#test/support/otlp-receiver.ts'
import { peer } from '#test/support/peers.ts'
import { errorText, findPlanted, formsOf, type Places, tablesOf } from '#test/support/planted.ts'
import { openRoles, type Roles, untilEnded } from '#test/support/roles.ts'
import {
  answerWith,
  startWebhookReceiver,
  type WebhookReceiver,
} from '#test/support/webhook-receiver.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { call, open, order, putSecret } from '../providers/vault/bench.ts'

/** Characters that every encoding writes differently. */
const planted = (name: string): string => `${name}+${randomBytes(9).toString('base64')}/ é&=?#%`

test('the search finds a secret inside of other text, in each of its forms', () => {
  const secret = planted('self')
  const bytes = Buffer.from(`before ${secret} after`)
  const shifted = Buffer.from(`x${secret}yz`)
  for (const text of [
    bytes.toString(),
    bytes.toString('base64'),
    shifted.toString('base64url'),
    bytes.toString('hex'),
    `?q=${encodeURIComponent(secret)}&`,
    JSON.stringify({ secret }),
  ]) {
    expect(findPlanted(new Map([['here', text]]), { secret }), text).not.toEqual([])
  }
  expect(findPlanted(new Map([['here', 'nothing']]), { secret })).toEqual([])
  expect(formsOf(secret).size).toBeGreaterThan(6)
})

peer('vault').describe('planted secrets', () => {
  let vault: VaultPeer
  let proxy: FaultProxy
  let receiver: WebhookReceiver
  let roles: Roles
  let collector: OtlpReceiver
  const secrets: Record<string, string> = {}
  const places: Places = new Map()
  /** What came back of all calls but those that hand a secret over. */
  const replies: string[] = []

  const send = async (method: string, path: string, body?: unknown, token?: string) => {
    const reply = await roles.call(method, path, body, token)
    replies.push(`${method} ${path.split('?')[0]}: ${reply.text}`)
    return reply
  }
  const vaultToken = async (): Promise<string> => {
    const made = await vault.api('POST', 'auth/token/create', { policies: ['root'], ttl: '1h' })
    return String(made.auth['client_token'])
  }
  const labels = { set: 'planted' }
  const connection = (token: string) => ({
    provider: 'vault',
    settings: { address: proxy.address, auth: { method: 'token' } },
    credential: { from: 'value', value: token },
    grants: [{ matchLabels: labels, refs: ['*'] }],
  })
  /** A provider that says back all that it was sent, and more. */
  const echo = (): string => JSON.stringify({ errors: Object.values(secrets) })

  beforeAll(async () => {
    vault = await startVault()
    proxy = await startFaultProxy(vault.address)
    secrets['sink secret'] = `whsec_${randomBytes(32).toString('base64')}`
    receiver = await startWebhookReceiver(secrets['sink secret'])
    collector = await startOtlpReceiver()
    roles = await openRoles({
      env: {
        REKEY_LOG_LEVEL: 'debug',
        REKEY_EGRESS_ALLOW: '127.0.0.1',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      },
      // What a provider says when keys are compared is kept too.
      comparing: true,
    })
    secrets['admin token'] = roles.token
    secrets['vault token'] = await vaultToken()
    secrets['adopted kv2 value'] = planted('adopted')
    secrets['another field'] = planted('other')
    secrets['published before'] = planted('published')
    secrets['wrong vault token'] = `hvs.${randomBytes(24).toString('base64url')}`
    secrets['wrong api token'] = `rekey_pat_${randomBytes(18).toString('hex')}`
    secrets['misplaced value'] = planted('misplaced')
  })
  afterAll(async () => {
    await roles.close()
    await collector.close()
    await receiver.close()
    await proxy.stop()
    await vault.stop()
  })

  test('rotations that go well, fail, and are undone', async () => {
    const kv = await send('PUT', '/v1/connections/kv', connection(secrets['vault token'] ?? ''))
    expect(kv.status, kv.text).toBe(201)
    await send('PUT', '/v1/connections/built-in', { provider: 'local' })
    await send('PUT', '/v1/sinks/siem', {
      type: 'webhook',
      url: receiver.url,
      secret: secrets['sink secret'],
    })
    await vault.api('POST', 'secret/data/app', {
      data: { password: secrets['adopted kv2 value'], other: secrets['another field'] },
    })
    await vault.api('POST', 'secret/data/copy', { data: { token: secrets['published before'] } })
    await roles.ask('POST', '/v1/keys', {
      name: 'app',
      connection: 'kv',
      type: 'vault.kv2.secret',
      ref: { mount: 'secret', path: 'app', field: 'password' },
      purpose: 'tests',
      owner: 'team',
      environment: 'test',
      labels,
    })
    await send('POST', '/v1/keys', {
      name: 'local',
      connection: 'built-in',
      type: 'local.secret',
      purpose: 'canary-of-this-test',
      owner: 'team',
      environment: 'test',
      labels,
      create: true,
    })
    const quick = {
      manual: true,
      overlap: { min: '0s' },
      soak: '0s',
      retry: { attempts: 2, initial: '1s', max: '1s' },
      publish: [
        {
          name: 'copy',
          connection: 'kv',
          type: 'vault.kv2.secret',
          ref: { mount: 'secret', path: 'copy', field: 'token' },
        },
      ],
    }
    await send('PUT', '/v1/policies/kv', {
      ...quick,
      selector: { connection: 'kv', matchLabels: labels },
    })
    await send('PUT', '/v1/policies/local', {
      ...quick,
      selector: { connection: 'built-in', matchLabels: labels },
    })

    const rotate = async (key: string): Promise<string> =>
      (await send('POST', '/v1/rotations', { key, reason: 'a test' })).json.id
    const current = async (path: string, field: string): Promise<string> =>
      Object((await vault.api('GET', `secret/data/${path}`)).data['data'])[field]

    await untilEnded(roles, await rotate('app'))
    secrets['new kv2 value'] = await current('app', 'password')
    // A receiver knows its own secret, and what it was sent.
    receiver.answer((response, { headers, body }) =>
      answerWith(
        500,
        {},
        JSON.stringify([secrets['sink secret'], headers, body]),
      )(response, { headers, body }),
    )
    await send('POST', '/v1/sinks/siem/tests', {})
    await untilEnded(roles, await rotate('local'))
    secrets['new local value'] = await current('copy', 'token')
    const reader = await roles.ask('POST', '/v1/api-keys', {
      name: 'reader',
      type: 'svc',
      roles: ['consumer'],
      keys: ['local'],
    })
    secrets['api token'] = reader.token
    const read = await roles.call('GET', '/v1/keys/local/value', undefined, reader.token)
    expect(read.status, read.text).toBe(200)

    // The write at the target is refused, with everything that was sent in the refusal: undone.
    const refuse = proxy.inject(
      { method: 'POST', path: /\/secret\/data\/copy/ },
      { kind: 'status', status: 403, body: echo() },
      10,
    )
    expect((await untilEnded(roles, await rotate('app'))).phase).toBe('rolledBack')
    refuse.remove()
    // A lost reply, and one that arrives as an error although it was done.
    proxy.inject({ method: 'POST', path: /\/secret\/data\/app/ }, { kind: 'cutAfter' })
    expect((await untilEnded(roles, await rotate('app'))).phase).toBe('completed')
    secrets['newest kv2 value'] = await current('app', 'password')
    proxy.inject(
      { method: 'POST', path: /\/secret\/data\/copy/ },
      { kind: 'errorAfter', status: 500 },
    )
    expect((await untilEnded(roles, await rotate('local'))).phase).toBe('completed')
    secrets['newest local value'] = await current('copy', 'token')
  })

  test('requests that are refused', async () => {
    const fault = (kind: Fault) => proxy.inject({ path: /./ }, kind, 1_000)
    await send('PUT', '/v1/connections/wrong', connection(secrets['wrong vault token'] ?? ''))
    await send('POST', '/v1/connections/wrong/checks', {})
    for (const kind of [
      { kind: 'status', status: 403, body: echo() },
      { kind: 'status', status: 500, body: echo() },
      { kind: 'status', status: 200, body: echo() },
      { kind: 'cutBefore' },
    ] as const satisfies readonly Fault[]) {
      const rule = fault(kind)
      await send('POST', '/v1/connections/kv/checks', {})
      await send('GET', '/v1/connections/kv/inventory?type=vault.kv2.secret')
      const refused = await send('POST', '/v1/keys', {
        name: `refused-${replies.length}`,
        connection: 'kv',
        type: 'vault.kv2.secret',
        ref: { mount: 'secret', path: 'nowhere', field: 'password' },
        purpose: 'tests',
        owner: 'team',
        environment: 'test',
      })
      expect(refused.status).toBeGreaterThanOrEqual(400)
      rule.remove()
    }
    // Of its health a server speaks at debug level only.
    await send('GET', '/readyz')
    const value = secrets['misplaced value']
    await send('GET', '/v1/me', undefined, secrets['wrong api token'])
    await send('GET', `/v1/keys?token=${encodeURIComponent(value ?? '')}`)
    for (const body of [
      { provider: 'vault', settings: { password: value }, credential: { from: 'value', value } },
      { provider: 'vault', settings: { address: value }, credential: value },
      { provider: 'vault', credential: { from: 'value', value, more: value } },
      { provider: 'vault', credential: { from: value } },
      [value],
    ]) {
      const reply = await send('PUT', '/v1/connections/bad', body)
      expect(reply.status).toBeGreaterThanOrEqual(400)
    }
    for (const body of [{ type: 'webhook', url: receiver.url, secret: value }, { secret: [value] }])
      expect((await send('PUT', '/v1/sinks/bad', body)).status).toBeGreaterThanOrEqual(400)
  })

  test('errors of the adapter, with their causes', async () => {
    const texts: string[] = []
    const session = open(proxy.address, secrets['vault token'] ?? '')
    const object = await putSecret(vault, { password: secrets['adopted kv2 value'] ?? '' })
    const ready = await order(session, object, '1', secrets['adopted kv2 value'])
    const calls: readonly ((at: Session) => Promise<unknown>)[] = [
      (at) => at.describe(object, call()),
      (at) => at.prepare(object, '1', call()),
      (at) => at.mint(ready, call()),
      (at) => at.readMaterial(object, '1', call()),
      (at) => at.suspend(object, '1', call({ incident: true })),
      (at) => at.inventory('vault.kv2.secret', null, call()),
    ]
    const faults: readonly Fault[] = [
      { kind: 'status', status: 400, body: echo() },
      { kind: 'status', status: 403, body: echo() },
      { kind: 'status', status: 500, body: echo() },
      { kind: 'status', status: 200, body: Object.values(secrets).join() },
      { kind: 'cutBefore' },
    ]
    for (const fault of faults) {
      const rule = proxy.inject({ path: /./ }, fault, 1_000)
      for (const ask of calls)
        texts.push(
          errorText(
            await ask(session).then(
              () => null,
              (error: unknown) => error,
            ),
          ),
        )
      rule.remove()
    }
    const wrong = open(proxy.address, secrets['wrong vault token'] ?? '')
    for (const ask of calls)
      texts.push(
        errorText(
          await ask(wrong).then(
            () => null,
            (error: unknown) => error,
          ),
        ),
      )
    await Promise.all([session.close(), wrong.close()])
    expect(texts.filter((text) => text.includes('ProviderError')).length).toBeGreaterThan(25)
    places.set('errors', texts.join('\n'))
  })

  test('nothing of it is anywhere', async () => {
    for (const [table, text] of await tablesOf(roles.urls.superuser)) places.set(table, text)
    places.set('replies', replies.join('\n'))
    places.set('log', roles.said())
    places.set('webhooks', JSON.stringify(receiver.received))
    await collector.until((spans) => spans.some(({ name }) => name === 'PUT /v1/sinks/{name}'))
    places.set('traces', collector.text())
    const metrics = roles.metrics.map(async (url) => (await fetch(url)).text())
    places.set('metrics', (await Promise.all(metrics)).join('\n'))

    // What must be there is found there, so what is not found is not there.
    const canary = findPlanted(places, { canary: 'canary-of-this-test' }).join()
    for (const place of ['app.key', 'audit.event', 'replies']) expect(canary).toContain(place)
    for (const [place, text] of [
      ['log', '"level":"debug"'],
      ['log', '/v1/connections/{name}'],
      ['errors', 'ProviderError'],
      ['webhooks', 'webhook-signature'],
      ['traces', 'provider.mint'],
      ['metrics', 'rekey_provider_call_errors_total{provider="vault"'],
    ] as const)
      expect(places.get(place)?.includes(text), `${text} in ${place}`).toBe(true)
    expect([...places.keys()].some((name) => name.startsWith('queue.'))).toBe(true)
    expect([...places.keys()].some((name) => name.startsWith('vault.'))).toBe(true)
    expect(receiver.received.length).toBeGreaterThan(0)
    expect(Object.keys(secrets).length).toBe(14)
    for (const [name, secret] of Object.entries(secrets))
      expect(secret?.length, name).toBeGreaterThan(20)

    expect(findPlanted(places, secrets)).toEqual([])
  })
})
