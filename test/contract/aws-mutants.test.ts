// What the contract would see of an adapter that leaves the SDK's retries on for writes: the request whose answer was lost goes
// out twice. The stand-in must tell it from ours. (Of access keys a user has room for two: there the repeat is refused.)

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { ProviderPorts } from '#domain/provider.ts'
import { aws } from '#providers/aws/provider.ts'
import { peer } from '#test/support/peers.ts'
import { startAliases, startSecrets, startSymmetric } from './aws-peer.ts'
import { call, currentOf, newMaterial } from './bench.ts'

/** As the SDK does by itself: what broke is sent once more. */
const again =
  (fetch: ProviderPorts['fetch']): ProviderPorts['fetch'] =>
  async (...request) => {
    try {
      return await fetch(...request)
    } catch {
      return fetch(...request)
    }
  }

peer('moto').describe('an adapter of AWS that tries writes again', () => {
  test.each([
    { type: 'aws.kms.symmetric', start: startSymmetric, twice: true },
    { type: 'aws.kms.alias', start: startAliases, twice: true },
    // The client token makes the second one do nothing: that is what it is for.
    { type: 'aws.secretsmanager.secret', start: startSecrets, twice: false },
  ])('$type: made twice is $twice', async ({ type: name, start, twice }) => {
    const at = await start()
    const type = aws.types.find((one) => one.type === name)
    if (at.faults === undefined || type === undefined) throw new Error('no faults')
    const { proxy, settings, mint } = at.faults
    const made = async (mutant: boolean): Promise<number> => {
      const fetch = mutant ? again(at.ports.fetch) : at.ports.fetch
      const session = aws.connect({
        connection: 'mutant',
        externalId: 'x',
        settings,
        credential: at.credential,
        ports: { ...at.ports, fetch },
      })
      const object = await at.newObject()
      const current = await currentOf(session, object)
      const { preImage } = await session.prepare(object, current, call())
      const before = await at.versions(object)
      proxy.inject(mint(object), { kind: 'cutAfter' })
      const material = newMaterial(type, at)
      const order = { object, operationId: randomUUID(), preImage, generate: {}, material }
      await session.mint(order, call()).catch(() => undefined)
      proxy.reset()
      return (await at.versions(object)) - before
    }
    try {
      expect(await made(false)).toBe(1)
      expect(await made(true)).toBe(twice ? 2 : 1)
    } finally {
      await at.stop()
    }
  })
})
