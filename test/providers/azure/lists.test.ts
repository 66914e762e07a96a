// Key Vault's lists are behind its writes for a while, names of deleted objects are not free for a while, and not everybody who
// answers is Key Vault. None of it may lead to a decision.

import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ObjectAddress, Session } from '#domain/provider.ts'
import { azure } from '#providers/azure/provider.ts'
import {
  azureAddress,
  azureCredential,
  azureSettings,
  putCertificate,
  putKey,
} from '#test/contract/azure-peer.ts'
import { call, currentOf, failure, makeOrder, rotate } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { startStrictAzure, type StrictAzure } from '#test/peers/azure/strict.ts'
import { newAttributes } from '#test/peers/azure/wire.ts'
import { startFaultProxy, type FaultProxy } from '#test/support/fault-proxy.ts'

let strict: StrictAzure
let proxy: FaultProxy
let session: Session
beforeAll(async () => {
  strict = await startStrictAzure()
  proxy = await startFaultProxy(strict.address)
  session = azure.connect({
    connection: 'azure',
    externalId: 'x',
    settings: azureSettings(strict, proxy.address, strict.admin),
    credential: azureCredential(strict.admin),
    ports: plainPorts(),
  })
})
afterEach(() => {
  strict.stale(0)
  strict.windows.ms = 50
  proxy.reset()
})
afterAll(async () => {
  await session.close()
  await proxy.stop()
  await strict.stop()
})

const kinds = [
  {
    kind: 'secret',
    put: (name: string) =>
      strict.secrets.add(name, {
        value: randomUUID(),
        contentType: null,
        attributes: newAttributes(undefined),
        tags: {},
        kid: null,
      }),
    count: (name: string) => strict.secrets.get(name).versions.length,
  },
  {
    kind: 'key',
    put: (name: string) => putKey(strict, name),
    count: (name: string) => strict.keys.get(name).versions.length,
  },
  {
    kind: 'certificate',
    put: (name: string) => putCertificate(strict, name),
    count: (name: string) => strict.certificates.shelf.get(name).versions.length,
  },
] as const

describe.each(kinds)('a list from before the last write, of a $kind,', ({ kind, put, count }) => {
  const type = azure.types.find((one) => one.type === `azure.keyvault.${kind}`)
  if (type === undefined) throw new Error('no type')
  const bench = () => ({ session, type, peer: { ports: plainPorts() } as never })
  const arrange = (): ObjectAddress & { readonly name: string } => {
    const name = `lag-${randomUUID()}`
    put(name)
    return { ...azureAddress(type.type, name), name }
  }

  test('keeps no version on that is to be switched off', async () => {
    const object = arrange()
    const { from } = await rotate(bench(), object)
    await session.suspend(object, from, call())
    await session.reinstate(object, from, call())
    strict.stale(1)
    await session.suspend(object, from, call())
    for (const behind of [0, 1]) {
      strict.stale(behind)
      expect(await session.stateOf(object, from, call())).toBe('disabled')
    }
    strict.stale(1)
    await session.reinstate(object, from, call())
    strict.stale(0)
    expect(await session.stateOf(object, from, call())).toBe('enabled')
  })

  test('hides no version that was just made', async () => {
    const object = arrange()
    const order = await makeOrder(bench(), object)
    const { providerVersion } = await session.mint(order, call())
    strict.stale(1)
    expect(await session.probeMint(order, call())).toMatchObject({ answer: 'ours' })
    strict.stale(1)
    expect(await session.mint(order, call())).toMatchObject({ providerVersion })
    expect(count(object.name)).toBe(2)
    strict.stale(1)
    expect(await currentOf(session, object)).toBe(providerVersion)
    // What is prepared on such a list is carried out on a later one.
    strict.stale(1)
    const next = await makeOrder(bench(), object, { current: providerVersion })
    strict.stale(0)
    await session.mint(next, call())
    expect(count(object.name)).toBe(3)
  })

  test('of somebody else’s hides it no better', async () => {
    const object = arrange()
    const order = await makeOrder(bench(), object)
    put(object.name)
    // The stand-in keeps what was listed before its own writes: one of them is done here.
    const [first] = (await session.describe(object, call())).versions.filter(
      ({ current }) => !current,
    )
    await session.suspend(object, first?.id ?? '', call())
    strict.stale(1)
    expect(await failure(session.mint(order, call()))).toMatchObject({
      kind: 'conflict',
      effect: 'none',
    })
    expect(count(object.name)).toBe(2)
  })

  test.each([404, 403])(
    'an answer %i without Key Vault’s words is nobody’s verdict',
    async (status) => {
      const object = arrange()
      const current = await currentOf(session, object)
      const bare = () =>
        proxy.inject(
          { path: /\/(versions|[0-9a-f]{32}|lag-)/ },
          { kind: 'status', status, body: '' },
          20,
        )
      bare()
      const looks = [
        session.describe(object, call()),
        session.stateOf(object, current, call()),
        session.prepare(object, current, call()),
        session.verify(
          { object, providerVersion: current, material: null, how: 'refused', preImage: {} },
          call(),
        ),
      ]
      for (const error of await Promise.all(looks.map((look) => failure(look))))
        expect(error).toMatchObject({ kind: 'transient', effect: 'none' })
    },
  )
})

test('a key that makes nothing new keeps what its operations were, whatever a list says', async () => {
  const name = `ops-${randomUUID()}`
  putKey(strict, name)
  const object = azureAddress('azure.keyvault.key', name)
  const type = azure.types.find((one) => one.type === object.type)
  if (type === undefined) throw new Error('no type')
  const { from } = await rotate({ session, type, peer: { ports: plainPorts() } as never }, object)
  const { value } = strict.keys.version(name, from)
  const before = [...value.operations]
  await session.suspend(object, from, call())
  // It is listed as it was before.
  strict.stale(1)
  await session.suspend(object, from, call())
  strict.stale(0)
  await session.reinstate(object, from, call())
  expect(strict.keys.version(name, from).value.operations).toEqual(before)
})

test('a name that is being deleted, is kept or comes back is waited for or told, and nothing is made', async () => {
  const name = `taken-${randomUUID()}`
  const object = azureAddress('azure.keyvault.secret', name)
  const type = azure.types.find((one) => one.type === object.type)
  if (type?.generate === undefined) throw new Error('no type')
  const material = type.generate({}, plainPorts().random)
  const order = { object, operationId: randomUUID(), preImage: {}, generate: {}, material }
  kinds[0].put(name)
  const current = await currentOf(session, object)
  const minting = {
    ...order,
    preImage: (await session.prepare(object, current, call())).preImage,
  }
  strict.windows.ms = 3_600_000
  strict.secrets.remove(name)
  expect(await failure(session.create(order, call()))).toMatchObject({
    kind: 'transient',
    effect: 'none',
  })
  // Between the look and the write: what the key was registered with is gone.
  expect(await failure(session.mint(minting, call()))).toMatchObject({ effect: 'none' })
  expect(await failure(session.prepare(object, current, call()))).toMatchObject({
    kind: 'notFound',
    hint: expect.stringContaining('recover it'),
  })
  strict.windows.ms = 0
  expect(await failure(session.create(order, call()))).toMatchObject({
    kind: 'conflict',
    effect: 'none',
    hint: `recover it, or purge it: /secrets/${name}`,
  })
  strict.windows.ms = 0
  strict.secrets.recover(name)
  strict.windows.ms = 3_600_000
  expect(await failure(session.mint(minting, call()))).toMatchObject({
    kind: 'transient',
    effect: 'none',
  })
  strict.windows.ms = 0
  await session.mint(minting, call())
  expect(strict.secrets.get(name).versions).toHaveLength(2)
})

test.each([
  ['a value', '/secrets/known?api-version=2025-07-01'],
  ['another list', '/keys?api-version=2025-07-01'],
  ['plain http', 'http'],
])('a cursor that leads to %s is refused, and nothing is asked', async (_what, path) => {
  const { origin, host } = new URL(proxy.address)
  const other = origin.startsWith('https:') ? `http://${host}/secrets` : `https://${host}/secrets`
  const token = path === 'http' ? other : `${origin}${path}`
  const cursor = Buffer.from(JSON.stringify({ token })).toString('base64url')
  expect(await failure(session.inventory('azure.keyvault.secret', cursor, call()))).toMatchObject({
    kind: 'permanent',
    effect: 'none',
    message: 'the cursor is not one of this inventory',
  })
})
