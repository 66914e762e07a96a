// What is proven to be gone: Doppler answers much with 404 and 403 that has another cause.

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ObjectAddress, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { doppler as provider } from '#providers/doppler/provider.ts'
import { call } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { startDoppler, type Doppler } from '#test/peers/doppler/doppler.ts'
import { startFaultProxy, type FaultProxy } from '#test/support/fault-proxy.ts'
import { peer } from '#test/support/peers.ts'

peer('doppler').describe('refused by Doppler', () => {
  let doppler: Doppler
  let proxy: FaultProxy
  beforeAll(async () => {
    doppler = await startDoppler()
    proxy = await startFaultProxy(doppler.address)
  })
  afterAll(async () => {
    await proxy?.stop()
    await doppler?.stop()
  })

  const connect = (credential: string): Session =>
    provider.connect({
      connection: 'x',
      externalId: 'x',
      settings: { apiUrl: proxy.address },
      credential: new Secret(credential),
      ports: plainPorts(),
    })
  const address = (type: string, ref: ObjectAddress['ref']): ObjectAddress => ({
    type,
    ref,
    keyId: randomUUID(),
    keyName: 'x',
  })
  /** Sees its own config, and that there is any other it does not. */
  const stranger = (): Session => {
    const own = doppler.workplace.config('refused', `own-${randomUUID()}`)
    return connect(doppler.workplace.token(own, 'own', 'read', null).key)
  }
  const refused = (object: ObjectAddress, providerVersion: string, material: string | null) =>
    ({
      object,
      providerVersion,
      material: material === null ? null : new Secret(material),
      how: 'refused',
      preImage: {},
    }) as const

  test('a secret of a config that the token no longer sees is neither gone nor refused', async () => {
    const config = doppler.workplace.config('refused', `c-${randomUUID()}`)
    config.secrets.set('PASSWORD', { raw: 'served still', visibility: 'masked' })
    const object = address('doppler.secret', {
      project: 'refused',
      config: config.name,
      name: 'PASSWORD',
    })
    const { versions } = await connect(doppler.admin).describe(object, call())
    const version = versions[0]?.id ?? ''
    const blind = stranger()
    const notFound = expect.objectContaining({ kind: 'notFound', effect: 'none' })
    await expect(blind.verify(refused(object, version, null), call())).rejects.toEqual(notFound)
    await expect(blind.stateOf(object, version, call())).rejects.toEqual(notFound)
    await expect(blind.retire(object, version, 'destroy', call())).rejects.toEqual(notFound)
  })

  test('a token of a config that the connection no longer sees is not gone', async () => {
    const config = doppler.workplace.config('refused', `c-${randomUUID()}`)
    const { slug } = doppler.workplace.token(config, 'app', 'read', null)
    const object = address('doppler.serviceToken', {
      project: 'refused',
      config: config.name,
      access: 'read',
    })
    const blind = stranger()
    const notFound = expect.objectContaining({ kind: 'notFound', effect: 'none' })
    await expect(blind.stateOf(object, slug, call())).rejects.toEqual(notFound)
    await expect(blind.verify(refused(object, slug, null), call())).rejects.toEqual(notFound)
  })

  test('that a network keeps us out, or that it opens another door, does not prove a token refused', async () => {
    const config = doppler.workplace.config('refused', `c-${randomUUID()}`)
    const row = doppler.workplace.token(config, 'app', 'read', null)
    const object = address('doppler.serviceToken', {
      project: 'refused',
      config: config.name,
      access: 'read',
    })
    const session = connect(doppler.admin)
    const body = JSON.stringify({ messages: ['Your IP is not allowed'], success: false })
    proxy.inject({ path: /^\/v3\/me$/ }, { kind: 'status', status: 403, body }, 1)
    await expect(session.verify(refused(object, row.slug, row.key), call())).rejects.toMatchObject({
      kind: 'forbidden',
    })
    expect(await session.verify(refused(object, 'another', row.key), call())).toMatchObject({
      ok: false,
      detail: 'Doppler accepts what Rekey holds of it, as another token',
    })
    await session.retire(object, row.slug, 'destroy', call())
    expect(await session.verify(refused(object, row.slug, row.key), call())).toMatchObject({
      ok: true,
      facts: { status: 401 },
    })
  })
  test.each(['', '{"error":"no route"}', '<html>sign in</html>'])(
    'an answer without Doppler’s words (%j) is nobody’s verdict',
    async (body) => {
      const config = doppler.workplace.config('refused', `c-${randomUUID()}`)
      const row = doppler.workplace.token(config, 'app', 'read', null)
      const place = { project: 'refused', config: config.name }
      const token = address('doppler.serviceToken', { ...place, access: 'read' })
      const secret = address('doppler.secret', { ...place, name: 'PASSWORD' })
      const session = connect(doppler.admin)
      const unknown = (effect: 'none' | 'unknown') => ({ kind: 'transient', effect })

      proxy.inject({ path: /^\/v3\/me$/ }, { kind: 'status', status: 401, body })
      await expect(session.verify(refused(token, row.slug, row.key), call())).rejects.toMatchObject(
        unknown('none'),
      )

      proxy.inject({ method: 'DELETE', path: /tokens/ }, { kind: 'status', status: 404, body })
      await expect(session.retire(token, row.slug, 'destroy', call())).rejects.toMatchObject(
        unknown('unknown'),
      )
      expect(await session.stateOf(token, row.slug, call())).toBe('enabled')

      config.secrets.set('PASSWORD', { raw: 'served still', visibility: 'masked' })
      proxy.inject({ path: /config\/secret\?/ }, { kind: 'status', status: 404, body })
      await expect(session.stateOf(secret, 'any', call())).rejects.toMatchObject(unknown('none'))
      proxy.reset()
    },
  )

  test('a gateway that says yes has written nothing', async () => {
    const config = doppler.workplace.config('refused', `c-${randomUUID()}`)
    config.secrets.set('PASSWORD', { raw: 'old', visibility: 'masked' })
    const object = address('doppler.secret', {
      project: 'refused',
      config: config.name,
      name: 'PASSWORD',
    })
    const session = connect(doppler.admin)
    const { versions } = await session.describe(object, call())
    const { preImage } = await session.prepare(object, versions[0]?.id ?? '', call())
    const order = {
      object,
      operationId: 'o:minting:1',
      preImage,
      generate: {},
      material: new Secret('new'),
    }
    proxy.inject({ method: 'POST', path: /secrets/ }, { kind: 'status', status: 200, body: '{}' })
    await expect(session.mint(order, call())).rejects.toMatchObject({ effect: 'unknown' })
    expect(await session.probeMint(order, call())).toEqual({ answer: 'absent' })
    proxy.reset()
  })
})
