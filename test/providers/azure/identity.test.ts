// How a connection comes to a token, and what is told where it does not: by the real @azure/identity and MSAL, against the
// stand-in of Entra.

import { generateKeyPairSync } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Check } from 'typebox/value'
import type { JsonObject } from '#domain/json.ts'
import type { Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { azure } from '#providers/azure/provider.ts'
import { makeEgress } from '#runtime/egress.ts'
import { makeSafeFetch } from '#runtime/safe-fetch.ts'
import { azureAddress, azureSettings, requestUrl } from '#test/contract/azure-peer.ts'
import { call, expectNoLeak, failure } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { selfSigned } from '#test/peers/azure/der.ts'
import { startStrictAzure, type StrictAzure } from '#test/peers/azure/strict.ts'
import { newAttributes } from '#test/peers/azure/wire.ts'
import { startUntrusted } from '#test/support/untrusted.ts'

let strict: StrictAzure
beforeAll(async () => {
  strict = await startStrictAzure()
  strict.secrets.add('known', {
    value: 'x',
    contentType: null,
    attributes: newAttributes(undefined),
    tags: {},
    kid: null,
  })
})
afterAll(() => strict.stop())
afterEach(() => {
  strict.entra.fail(null)
  strict.closeTo(null)
  strict.useAccessPolicies(false)
  strict.skew(0)
})

const known = azureAddress('azure.keyvault.secret', 'known')

const connect = (
  more: {
    readonly settings?: JsonObject
    readonly credential?: JsonObject | null
    readonly now?: () => Date
    readonly fetch?: typeof fetch
  } = {},
): Session => {
  const { credential = { clientSecret: strict.admin.clientSecret } } = more
  return azure.connect({
    connection: 'azure',
    externalId: 'x',
    settings: { ...azureSettings(strict, strict.address, strict.admin), ...more.settings },
    credential: credential === null ? null : new Secret(JSON.stringify(credential)),
    ports: {
      ...plainPorts(),
      ...(more.now === undefined ? {} : { now: more.now }),
      ...(more.fetch === undefined ? {} : { fetch: more.fetch }),
    },
  })
}

const rows = async (session: Session, objects = [known]) => {
  const checks = await session.check(call(), objects)
  expectNoLeak(checks, [new Secret(strict.admin.clientSecret)])
  return checks
}

describe('a token is had', () => {
  test('by a client secret, of the tenant that the vault names', async () => {
    const settings = azureSettings(strict, strict.address, strict.admin)
    const { tenantId: _unsaid, ...rest } = settings
    const session = azure.connect({
      connection: 'azure',
      externalId: 'x',
      settings: rest,
      credential: new Secret(JSON.stringify({ clientSecret: strict.admin.clientSecret })),
      ports: plainPorts(),
    })
    expect((await session.describe(known, call())).versions).toHaveLength(1)
  })

  test('by a certificate', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const { pem } = selfSigned({ key: privateKey, commonName: 'rekey' })
    strict.admin.certificates.push(pem)
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const session = connect({ credential: { certificate: `${pem}${key}` } })
    expect((await session.describe(known, call())).versions).toHaveLength(1)
  })

  test('once for many calls, and again when the vault no longer takes it, in the middle of a call', async () => {
    const session = connect()
    await session.describe(known, call())
    const before = strict.entra.requests()
    for (let i = 0; i < 5; i++) await session.describe(known, call())
    expect(strict.entra.requests()).toBe(before)
    strict.revokeTokens()
    expect((await session.describe(known, call())).versions).toHaveLength(1)
    expect(strict.entra.requests()).toBeGreaterThan(before)
  })
})

describe('checks tell before anything rotates:', () => {
  const entra: readonly {
    readonly code: number
    readonly status: number
    readonly hint: RegExp
  }[] = [
    { code: 7000215, status: 401, hint: /secret’s value, not its id/ },
    { code: 7000222, status: 401, hint: /make a new one/ },
    { code: 700016, status: 400, hint: /clientId, tenantId/ },
    { code: 90002, status: 400, hint: /tenantId/ },
    { code: 700024, status: 401, hint: /clock/ },
    { code: 700023, status: 401, hint: /authorityHost/ },
    { code: 7000112, status: 401, hint: /enable/ },
    { code: 700213, status: 400, hint: /federated/ },
    { code: 500011, status: 400, hint: /one cloud/ },
    { code: 53003, status: 400, hint: /exclude it from the policy/ },
    { code: 999999, status: 400, hint: /AADSTS999999/ },
  ]
  test.each(entra)('Entra’s AADSTS$code', async ({ code, status, hint }) => {
    strict.entra.fail({ status, code })
    expect(await rows(connect())).toEqual([
      expect.objectContaining({
        name: 'login',
        outcome: 'missing',
        hint: expect.stringMatching(hint),
      }),
    ])
  })

  test.each([
    [90055, 'throttled'],
    [90033, 'transient'],
  ])('Entra’s AADSTS%i with a 400 is %s, and no refusal of the credential', async (code, kind) => {
    strict.entra.fail({ status: 400, code })
    expect((await failure(connect().describe(known, call()))).kind).toBe(kind)
  })

  test('a wrong secret, from Entra itself', async () => {
    const [row] = await rows(connect({ credential: { clientSecret: 'wrong' } }))
    expect(row).toMatchObject({ outcome: 'missing', detail: 'Entra refused the client secret' })
  })

  test('settings of another tenant than the vault’s', async () => {
    const tenantId = '11111111-0000-4000-8000-000000000001'
    const [row] = await rows(connect({ settings: { tenantId } }))
    expect(row?.hint).toContain(`the vault is of tenant ${strict.entra.tenantId}`)
  })

  test('no credential at all, and a certificate without its key', async () => {
    expect((await rows(connect({ credential: null })))[0]?.detail).toBe(
      'the connection has no credential',
    )
    const [row] = await rows(connect({ credential: { certificate: 'nothing of the kind' } }))
    expect(row).toMatchObject({ outcome: 'missing', hint: expect.stringContaining('PEM') })
  })

  test.each([
    ['ForbiddenByFirewall', /firewall/],
    ['ForbiddenByConnection', /private endpoint/],
  ] as const)('a vault that is closed: %s', async (inner, hint) => {
    strict.closeTo(inner)
    expect(await rows(connect())).toEqual([
      expect.objectContaining({
        name: 'login',
        outcome: 'missing',
        hint: expect.stringMatching(hint),
      }),
    ])
  })

  test.each([false, true])(
    'each right that is missing, by its action (access policies: %s)',
    async (policies) => {
      strict.useAccessPolicies(policies)
      const nobody = strict.application([], strict.admin.clientId)
      const checks = await rows(connect({ credential: { clientSecret: nobody.clientSecret } }))
      expect(checks.filter(({ outcome }) => outcome === 'missing').map(({ hint }) => hint)).toEqual(
        [
          'needs Microsoft.KeyVault/vaults/secrets/readMetadata/action on /secrets/known',
          'needs Microsoft.KeyVault/vaults/secrets/getSecret/action on /secrets/known',
          'needs Microsoft.KeyVault/vaults/secrets/setSecret/action on /secrets/known',
          'needs Microsoft.KeyVault/vaults/secrets/update/action on /secrets/known',
        ],
      )
      expect(checks[0]).toMatchObject({ name: 'login', outcome: 'ok' })
      expect(strict.secrets.get('known').versions).toHaveLength(1)
    },
  )

  test('a clock that differs', async () => {
    strict.skew(-10 * 60_000)
    expect(await rows(connect())).toContainEqual(
      expect.objectContaining({ name: 'clock', outcome: 'missing' }),
    )
  })

  test('a page of a proxy, nobody there', async () => {
    const page: typeof fetch = async () =>
      new Response('<html>login</html>', { status: 200, headers: { 'content-type': 'text/html' } })
    expect((await rows(connect({ fetch: page })))[0]?.hint).toContain(
      'a proxy or firewall answered',
    )
    const [row] = await rows(connect({ settings: { vaultUrl: 'http://127.0.0.1:2' } }))
    expect(row).toMatchObject({
      outcome: 'missing',
      detail: expect.stringContaining('ECONNREFUSED'),
    })
  })

  test.each(['vaultUrl', 'authorityHost'])(
    'a certificate that nobody vouches for, and nothing is sent to who shows it (%s)',
    async (setting) => {
      const impostor = await startUntrusted()
      const egress = makeEgress({ allow: [] })
      for (const own of [null, makeSafeFetch({ egress, kind: 'provider', insecure: false })]) {
        const [row, ...more] = await rows(
          connect({
            settings: { [setting]: impostor.address },
            ...(own === null ? {} : { fetch: own.fetch }),
          }),
        )
        expect(row).toMatchObject({
          name: 'login',
          outcome: 'missing',
          detail: expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT'),
          hint: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
        })
        expect(more).toEqual([])
        await own?.close()
      }
      expect(impostor.requests()).toBe(0)
      await impostor.stop()
    },
  )

  test('a wrong address that asks for a token of something else gets none', async () => {
    const sent: string[] = []
    const elsewhere: typeof fetch = async (url, init) => {
      sent.push(requestUrl(url))
      if (!requestUrl(url).startsWith(strict.address)) return fetch(url, init)
      return new Response('{}', {
        status: 401,
        headers: {
          'www-authenticate': `Bearer authorization="${strict.entra.address}/${strict.entra.tenantId}", resource="https://management.azure.com"`,
        },
      })
    }
    const [row] = await rows(connect({ fetch: elsewhere }))
    expect(row).toMatchObject({
      outcome: 'missing',
      hint: expect.stringContaining('check `vaultUrl`'),
    })
    expect(sent.every((url) => url.startsWith(strict.address))).toBe(true)
  })
})

describe('settings', () => {
  const ok = (settings: JsonObject): boolean => Check(azure.settingsSchema, settings)

  test('the cloud follows from the address of the vault or the managed HSM', () => {
    const endpoints = (vaultUrl: string) => azure.endpoints({ vaultUrl })
    expect(endpoints('https://Payments.vault.azure.net/')).toEqual([
      'https://payments.vault.azure.net',
      'https://login.microsoftonline.com',
    ])
    expect(endpoints('https://x.vault.usgovcloudapi.net')[1]).toBe(
      'https://login.microsoftonline.us',
    )
    expect(endpoints('https://x.managedhsm.azure.cn')[1]).toBe('https://login.chinacloudapi.cn')
  })

  test('an address of no known cloud needs its authority, and a cloud that is said must be the address’s', () => {
    expect(ok({ vaultUrl: 'https://x.vault.azure.net' })).toBe(true)
    expect(ok({ vaultUrl: 'https://x.vault.azure.net', cloud: 'public' })).toBe(true)
    expect(ok({ vaultUrl: 'https://x.vault.azure.net', cloud: 'china' })).toBe(false)
    expect(ok({ vaultUrl: 'https://vault.azure.net.example.com' })).toBe(false)
    expect(ok({ vaultUrl: 'https://x.vault.azure.net/secrets/a' })).toBe(false)
    expect(
      ok({
        vaultUrl: 'https://x.vault.local.azurestack.external',
        authorityHost: 'https://login.local',
      }),
    ).toBe(true)
    expect(ok({ vaultUrl: 'https://x.y.example', authorityHost: 'http://login.local' })).toBe(false)
  })
})
