// Keys of every kind: what is proven of them, what a suspended version still does, and managed HSMs.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ObjectAddress, Session, VerifyHow } from '#domain/provider.ts'
import { azure } from '#providers/azure/provider.ts'
import {
  azureAddress,
  azureCredential,
  azureSettings,
  putKey,
  requestUrl,
} from '#test/contract/azure-peer.ts'
import { call, currentOf, failure, makeOrder } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { startStrictAzure, type StrictAzure } from '#test/peers/azure/strict.ts'

let strict: StrictAzure
let hsm: StrictAzure
beforeAll(async () => {
  strict = await startStrictAzure()
  hsm = await startStrictAzure({ hsm: true })
})
afterAll(async () => {
  await strict.stop()
  await hsm.stop()
})

const ports = plainPorts()
const type = azure.types.find((one) => one.type === 'azure.keyvault.key')
if (type === undefined) throw new Error('no type')
const bench = { type, peer: { ports } as never }

const toVault = (): Session =>
  azure.connect({
    connection: 'azure',
    externalId: 'x',
    settings: azureSettings(strict, strict.address, strict.admin),
    credential: azureCredential(strict.admin),
    ports,
  })

const address = (name: string): ObjectAddress => azureAddress('azure.keyvault.key', name)

const kinds = [
  { name: 'ec', kty: 'EC', operations: ['sign', 'verify'], left: ['verify'] },
  { name: 'rsa-sign', kty: 'RSA', operations: ['sign', 'verify'], left: ['verify'] },
  { name: 'rsa-encrypt', kty: 'RSA', operations: ['encrypt', 'decrypt'], left: ['decrypt'] },
  { name: 'rsa-wrap', kty: 'RSA', operations: ['wrapKey', 'unwrapKey'], left: ['unwrapKey'] },
  {
    name: 'rsa-all',
    kty: 'RSA',
    operations: ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey'],
    left: ['decrypt', 'verify', 'unwrapKey'],
  },
] as const

describe.each(kinds)('a key that is $kty for $operations', ({ name, kty, operations, left }) => {
  test('is made after its likeness; suspended it makes nothing new, and reads what it made; back, it is as it was', async () => {
    putKey(strict, name, { kty, operations })
    const session = toVault()
    const object = address(name)
    const from = await currentOf(session, object)
    const order = await makeOrder({ session, ...bench }, object, { current: from })
    const { providerVersion: to } = await session.mint(order, call())
    const made = strict.keys.version(name, to).value
    expect(made.pair.kty).toBe(kty)
    expect(made.operations).toEqual(operations)
    const verify = (how: VerifyHow, providerVersion: string) =>
      session.verify(
        { object, providerVersion, material: null, how, preImage: order.preImage },
        call(),
      )
    expect(await verify('roundTrip', to)).toMatchObject({ ok: true })

    await session.suspend(object, from, call())
    const old = strict.keys.version(name, from).value
    expect(old.operations).toEqual(left)
    expect(await verify('refused', from)).toMatchObject({
      ok: true,
      facts: { oldData: 'readable' },
    })
    expect(await verify('oldDataReadable', from)).toMatchObject({ ok: true })

    await session.reinstate(object, from, call())
    expect(old.operations).toEqual(operations)
    expect(await verify('refused', from)).toMatchObject({ ok: false })

    await session.suspend(object, from, call())
    await session.suspend(object, from, call({ incident: true }))
    expect(old.attributes.enabled).toBe(false)
    expect(await verify('refused', from)).toMatchObject({ ok: true, facts: { oldData: 'refused' } })
    expect(await verify('oldDataReadable', from)).toMatchObject({ ok: false })
    await session.reinstate(object, from, call())
    expect(old).toMatchObject({ operations, attributes: { enabled: true } })
  })

  test('needs the rights of its use, and no others', async () => {
    putKey(strict, name, { kty, operations })
    const role = strict.application(
      [
        {
          dataActions: ['keys/read', 'keys/create/action', 'keys/update/action'].map(
            (action) => `Microsoft.KeyVault/vaults/${action}`,
          ),
          scope: `/keys/${name}`,
        },
      ],
      strict.admin.clientId,
    )
    const session = azure.connect({
      connection: 'azure',
      externalId: 'x',
      settings: azureSettings(strict, strict.address, role),
      credential: azureCredential(role),
      ports,
    })
    const first: string = operations[0]
    const needs = operations.includes('sign' as never)
      ? ['sign']
      : first === 'encrypt'
        ? ['encrypt', 'decrypt']
        : ['wrap', 'unwrap']
    expect(await session.missingRights(address(name), call())).toEqual(
      needs.map((one) => `needs Microsoft.KeyVault/vaults/keys/${one}/action on /keys/${name}`),
    )
  })
})

test('the newest version is never switched off, and a version lives as long as the one before', async () => {
  const id = putKey(strict, 'lives')
  const { attributes } = strict.keys.version('lives', id).value
  attributes.exp = attributes.created + 1_000
  const session = toVault()
  const object = address('lives')
  expect(await failure(session.suspend(object, id, call()))).toMatchObject({ kind: 'precondition' })
  const { providerVersion } = await session.mint(
    await makeOrder({ session, ...bench }, object),
    call(),
  )
  const made = strict.keys.version('lives', providerVersion).value.attributes
  expect((made.exp ?? 0) - made.created).toBeGreaterThanOrEqual(999)
  expect((made.exp ?? 0) - made.created).toBeLessThanOrEqual(1_001)
})

test('a key of a certificate is left to it', async () => {
  const id = putKey(strict, 'of-a-certificate')
  Object.assign(strict.keys.version('of-a-certificate', id).value, { managed: true })
  const error = await failure(toVault().prepare(address('of-a-certificate'), id, call()))
  expect(error).toMatchObject({ kind: 'precondition', effect: 'none' })
  expect(error.hint).toContain('certificate')
})

test('Key Vault’s own rotation is told, and what it makes is somebody else’s', async () => {
  const id = putKey(strict, 'automatic')
  const session = toVault()
  const object = address('automatic')
  const ofVault = async () => (await session.describe(object, call())).facts['autoRotateSeconds']
  expect(await ofVault()).toBe(0)
  const policies = [
    { trigger: { timeAfterCreate: 'P90D' }, days: 90 },
    { trigger: { timeBeforeExpiry: 'P30D' }, days: 700 },
  ]
  for (const { trigger, days } of policies) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await fetch(`${strict.address}/keys/automatic/rotationpolicy?api-version=2025-07-01`, {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${strict.adminToken()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        lifetimeActions: [{ trigger, action: { type: 'Rotate' } }],
        attributes: { expiryTime: 'P2Y' },
      }),
    })
    // oxlint-disable-next-line no-await-in-loop -- see above
    expect(await ofVault()).toBe(days * 86_400)
  }
  const { risks } = await session.prepare(object, id, call())
  expect(risks.join()).toContain('rotates this key by itself about every 700 days')
  putKey(strict, 'automatic')
  expect(await failure(session.prepare(object, id, call()))).toMatchObject({ kind: 'conflict' })
})

describe('a managed HSM', () => {
  const vaultUrl = 'https://payments.managedhsm.azure.net'
  /** By its own name, and to the stand-in: what decides is the name. */
  const session = (): Session =>
    azure.connect({
      connection: 'hsm',
      externalId: 'x',
      settings: azureSettings(hsm, vaultUrl, hsm.admin),
      credential: azureCredential(hsm.admin),
      ports: {
        ...ports,
        fetch: (url, init) => fetch(requestUrl(url).replace(vaultUrl, hsm.address), init),
      },
    })

  test('has its keys rotated, by a token for managed HSMs', async () => {
    putKey(hsm, 'signer', { kty: 'EC-HSM' })
    const object = address('signer')
    const order = await makeOrder({ session: session(), ...bench }, object)
    const { providerVersion } = await session().mint(order, call())
    expect(hsm.keys.version('signer', providerVersion).value.pair.kty).toBe('EC-HSM')
    const checks = await session().check(call(), [object])
    expect(checks.filter(({ outcome }) => outcome !== 'ok')).toEqual([])
  })

  test('makes its first version in the HSM', async () => {
    const object = address('first')
    const order = {
      object,
      operationId: 'first:create:1',
      preImage: {},
      generate: {},
      material: null,
    }
    const { providerVersion } = await session().create(order, call())
    expect(hsm.keys.version('first', providerVersion).value.pair.kty).toBe('RSA-HSM')
  })

  test('has nothing but keys', async () => {
    const secret = azureAddress('azure.keyvault.secret', 'x')
    expect(await failure(session().describe(secret, call()))).toMatchObject({ kind: 'unsupported' })
  })
})
