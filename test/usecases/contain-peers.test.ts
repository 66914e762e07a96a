// Emergencies at real systems: what a Vault and a set of public keys refuse afterwards, how many requests a connection is sent,
// and that a system which goes on accepting is believed by nobody.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { peer } from '#test/support/peers.ts'
import { withIncidents } from '#test/support/incidents.ts'
import { openRunningApi, type RunningApi } from '#test/support/running-api.ts'
import { openVaultStage, type VaultStage } from '#test/support/vault-stage.ts'
import { startMoto, type Moto } from '#test/peers/aws/moto.ts'
import { account, region } from '#test/peers/aws/strict.ts'

const groundOf = ({ house, drain, deps }: RunningApi) =>
  withIncidents({
    ledger: house.ledger,
    ids: house.ids,
    clock: house.clock,
    database: house.database,
    drain,
    deps,
  })
const minute = 60_000

test('a signing key is refused after the largest cache age, and tried again then', async () => {
  const api = await openRunningApi({ allow: ['127.0.0.1'] })
  try {
    const incidents = groundOf(api)
    await api.put('/v1/connections/id', {
      provider: 'jwks',
      settings: { issuer: 'https://id.example.com', cacheMaxAge: '2m', tokenLifetime: '5m' },
    })
    await api.post('/v1/keys', {
      name: 'signer',
      connection: 'id',
      type: 'jwks.signing',
      ref: { audiences: ['https://orders.example.com'] },
      purpose: 'tokens',
      owner: 'team',
      environment: 'test',
      create: true,
    })
    const incident = await incidents.begin('revokeOnly', ['signer'])
    await incidents.contain()
    const [before] = await incidents.evidence(incident)
    expect(before).toMatchObject({ state: 'refusedAfter', provenAt: null, operation: 'verify' })
    const waitMs = (before?.refusedAfter?.getTime() ?? 0) - (before?.effectiveAt?.getTime() ?? 0)
    expect(waitMs).toBeGreaterThanOrEqual(2 * minute)
    expect((await incidents.get(incident)).state).toBe('executing')
    const settled = await incidents.settle(incident, 30_000)
    expect(settled.state).toBe('contained')
    const [after] = await incidents.evidence(incident)
    expect(after?.state).toBe('refusedAfter')
    expect(after?.provenAt?.getTime()).toBeGreaterThanOrEqual(before?.refusedAfter?.getTime() ?? 0)
  } finally {
    await api.close()
  }
})

test('caches that were told to keep a signing key for longer, before they were told otherwise, are waited for', async () => {
  const api = await openRunningApi({ allow: ['127.0.0.1'] })
  try {
    const incidents = groundOf(api)
    const connect = (cacheMaxAge: string, headers = {}) =>
      api.call('PUT', '/v1/connections/id', {
        body: {
          provider: 'jwks',
          settings: { issuer: 'https://id.example.com', cacheMaxAge },
        },
        headers,
      })
    await connect('40m')
    await api.post('/v1/keys', {
      name: 'signer',
      connection: 'id',
      type: 'jwks.signing',
      ref: { audiences: ['https://orders.example.com'] },
      purpose: 'tokens',
      owner: 'team',
      environment: 'test',
      create: true,
    })
    await api.call('GET', '/jwks/id', { token: null })
    const told = api.house.clock.now().getTime()
    await api.house.clock.advance(minute)
    expect((await connect('2m', { 'if-match': '*' })).status).toBe(200)
    const incident = await incidents.begin('revokeOnly', ['signer'])
    await incidents.contain()
    const [found] = await incidents.evidence(incident)
    expect(found).toMatchObject({ state: 'refusedAfter', provenAt: null })
    expect(found?.refusedAfter?.getTime()).toBeGreaterThanOrEqual(told + 40 * minute)
  } finally {
    await api.close()
  }
})

test('a connection is sent no more than its limit, whatever is at stake', async () => {
  const api = await openRunningApi()
  try {
    const incidents = groundOf(api)
    await api.house.connection('vault', { settings: { requestsPerSecond: 40 } })
    const names = Array.from({ length: 20 }, (_, n) => `paced-${n}`)
    for (const name of names) await api.house.register(name)
    const incident = await incidents.begin('revokeOnly', names)
    const began = performance.now()
    expect((await incidents.settle(incident, 100)).state).toBe('contained')
    // Each is switched off and tried: forty requests. Those of the first moment may have had places already.
    expect(performance.now() - began).toBeGreaterThan(((40 - 12) / 40) * 1_000)
    // Nobody was sent away with an intent in hand.
    expect((await incidents.intents(incident)).map(({ outcome }) => outcome)).toEqual(
      names.map(() => 'succeeded'),
    )
  } finally {
    await api.close()
  }
})

peer('vault').describe('at a real Vault', () => {
  let stage: VaultStage
  let incidents: ReturnType<typeof withIncidents>
  beforeAll(async () => {
    stage = await openVaultStage()
    incidents = groundOf(stage.api)
  })
  afterAll(() => stage.close())

  test('kv2: the value is given out no more, and readers get a new one', async () => {
    await stage.put('leaked', { password: 'old', user: 'app' })
    const key = await stage.kv('leaked', 'leaked')
    const incident = await incidents.begin('revokeFirst', ['leaked'])
    await incidents.contain()
    expect(await stage.states('leaked')).toEqual(['disabled'])
    expect((await incidents.settle(incident)).state).toBe('contained')
    expect(incidents.faults).toEqual([])
    expect(await stage.states('leaked')).toEqual(['disabled', 'enabled'])
    expect(await incidents.evidence(incident)).toMatchObject([
      { state: 'refused', operation: expect.any(String), code: expect.any(String) },
    ])
    expect(
      (await stage.house.versions(key.id)).map(({ state, primary }) => [state, primary]),
    ).toEqual([
      ['compromised', false],
      ['active', true],
    ])
    const now = Object((await stage.get('leaked')) ?? {})
    expect(now.password).not.toBe('old')
  })

  test('kv2: what was disabled comes back with its value', async () => {
    await stage.put('again', { password: 'old' })
    const key = await stage.kv('again', 'again')
    const incident = await incidents.settle(await incidents.begin('disable', ['again']))
    expect(incident.state).toBe('contained')
    expect(await stage.get('again')).toBeNull()
    await incidents.restore(incident)
    expect((await incidents.settle(incident)).state).toBe('contained')
    expect(await stage.get('again')).toEqual({ password: 'old' })
    expect(await stage.house.versions(key.id)).toMatchObject([{ state: 'active', primary: true }])
  })

  test('transit: its rotation revokes nothing, and the incident says so', async () => {
    await stage.transit('cipher')
    const incident = await incidents.settle(await incidents.begin('revokeFirst', ['cipher']))
    expect(incident.state).toBe('partly')
    const [evidence] = await incidents.evidence(incident)
    expect(['failed', 'unproven']).toContain(evidence?.state)
    expect(evidence?.provenAt).toBeNull()
  })
})

peer('moto').describe('at moto as it is', () => {
  let moto: Moto
  let api: RunningApi
  beforeAll(async () => {
    moto = await startMoto(region)
    api = await openRunningApi()
    await api.house.connection('aws', {
      provider: 'aws',
      settings: { region, account, endpoint: moto.address },
      credential: {
        from: 'value',
        value: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'x'.repeat(40) },
      },
      grants: [{ matchLabels: {}, refs: ['*'] }],
    })
  })
  afterAll(async () => {
    await api.close()
    await moto.stop()
  })

  test('an access key that is accepted although it is inactive is never refused', async () => {
    const incidents = groundOf(api)
    const iam = (text: string) => moto.send('iam', '', `Version=2010-05-08&${text}`)
    expect((await iam('Action=CreateUser&UserName=app')).status).toBe(200)
    const made = await iam('Action=CreateAccessKey&UserName=app')
    expect(made.status, made.text).toBe(200)
    const key = (
      await api.house.register('app', {
        connection: 'aws',
        type: 'aws.iam.accessKey',
        ref: { userName: 'app' },
        labels: { key: 'app' },
        create: false,
      })
    ).value
    // Of the next one Rekey knows the secret.
    await api.policy('app', { retire: 'keep' })
    expect((await api.reach(await api.rotate('app'), 'end')).phase).toBe('completed')
    const named = [{ key: 'app', version: 2 }]
    const incident = await incidents.settle(await incidents.begin('revokeOnly', ['app'], named))
    expect(incident.state).toBe('partly')
    const [evidence] = await incidents.evidence(incident)
    expect(['failed', 'unproven']).toContain(evidence?.state)
    expect(evidence?.provenAt).toBeNull()
    expect((await api.house.versions(key.id))[1]).toMatchObject({ state: 'compromised' })
  })
})
