// Making versions: exactly one, known for ours, never over somebody else's.

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Session } from '#domain/provider.ts'
import { call, connectTo, currentOf, failure, makeOrder, newMaterial, rotate } from './bench.ts'
import { missing, when, type Bench } from './parts.ts'

export const mintingContract = (bench: Bench): void => {
  const { type } = bench
  const { traits } = type

  test('C05 C28 minting makes one version, by one write, and keeps the old one', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const before = await peer.versions(object)
    const writes = await peer.writes?.(object)
    const old = await currentOf(session, object)
    const order = await makeOrder(bench, object)
    const { providerVersion } = await session.mint(order, call())
    expect(await peer.versions(object)).toBe(before + 1)
    if (writes !== undefined) expect(await peer.writes?.(object)).toBe(writes + 1)
    const { versions } = await session.describe(object, call())
    const byId = new Map(versions.map((version) => [version.id, version]))
    expect(byId.get(providerVersion)?.state).toBe('enabled')
    if (traits.slot !== 'single') expect(byId.get(old)?.state).toBe('enabled')
    // C06: with a stage, nobody gets the new version before it is promoted.
    if (traits.staging === 'native') expect(byId.get(old)?.current).toBe(true)
    if (traits.staging === 'none') expect(byId.get(providerVersion)?.current).toBe(true)
  })

  test('minting the same order again makes no second version', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const before = await peer.versions(object)
    const order = await makeOrder(bench, object)
    const first = await session.mint(order, call())
    const again = await session.mint(order, call()).catch((error: unknown) => error)
    if (again instanceof Error) expect(again).toMatchObject({ kind: 'conflict', effect: 'none' })
    else expect(again).toMatchObject({ providerVersion: first.providerVersion })
    expect(await peer.versions(object)).toBe(before + 1)
  })

  test('the probe of an order that was carried out finds its version', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const order = await makeOrder(bench, object)
    const { providerVersion } = await session.mint(order, call())
    const probe = await session.probeMint(order, call())
    expect(probe).toMatchObject({
      answer: traits.attribution === 'exact' ? 'ours' : 'goalMet',
      value: { providerVersion },
    })
  })

  test('C07 the new version passes a round trip, and not with other material', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const { to, order } = await rotate(bench, object)
    const verify = (material: typeof order.material): ReturnType<Session['verify']> =>
      session.verify(
        { object, providerVersion: to, material, how: 'roundTrip', preImage: order.preImage },
        call(),
      )
    expect(await verify(order.material)).toMatchObject({ ok: true })
    if (order.material === null) return
    const others = (await rotate(bench, await peer.newObject())).order.material
    expect(await verify(newMaterial(type, peer) ?? others)).toMatchObject({ ok: false })
  })

  test('C07 a version that was never made does not pass', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const order = await makeOrder(bench, object)
    const work = session.verify(
      {
        object,
        providerVersion: '999',
        material: null,
        how: 'roundTrip',
        preImage: order.preImage,
      },
      call(),
    )
    const verdict = await work.catch((error: unknown) => error)
    if (verdict instanceof Error) expect(verdict).toMatchObject({ kind: 'notFound' })
    else expect(verdict).toMatchObject({ ok: false })
  })

  when(traits.verifies.includes('oldDataReadable'))(
    'C07 what the old version made is readable after the rotation',
    async () => {
      const { peer, session } = bench
      const object = await peer.newObject()
      const { from, order } = await rotate(bench, object)
      const verdict = await session.verify(
        {
          object,
          providerVersion: from,
          material: null,
          how: 'oldDataReadable',
          preImage: order.preImage,
        },
        call(),
      )
      expect(verdict).toMatchObject({ ok: true })
    },
  )

  when(traits.staging === 'native')(
    'C08 promoting is a compare-and-swap, and its probe tells',
    async () => {
      const { peer, session } = bench
      const object = await peer.newObject()
      const from = await currentOf(session, object)
      const { providerVersion: to } = await session.mint(await makeOrder(bench, object), call())
      const order = { object, operationId: randomUUID(), from, to }
      expect((await session.probePromote(order, call())).answer).toBe('absent')
      await session.promote(order, call())
      expect(await currentOf(session, object)).toBe(to)
      expect(['ours', 'goalMet']).toContain((await session.probePromote(order, call())).answer)
      const stale = await failure(session.promote({ ...order, from: '999', to: from }, call()))
      expect(stale).toMatchObject({ kind: 'conflict', effect: 'none' })
      expect(await currentOf(session, object)).toBe(to)
    },
  )

  when(traits.undo === 'pointer')('C09 undo moves the pointer back', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const { from, to } = await rotate(bench, object)
    await session.promote({ object, operationId: randomUUID(), from: to, to: from }, call())
    expect(await currentOf(session, object)).toBe(from)
  })

  when(traits.undo === 'rollForward')(
    'C09 undo writes the old material again, as a new version',
    async () => {
      const { peer, session } = bench
      const object = await peer.newObject()
      const old = await session.readMaterial(object, await currentOf(session, object), call())
      const { to } = await rotate(bench, object)
      const back = await rotate(bench, object, old)
      const restored = await session.readMaterial(object, back.to, call())
      expect(restored.reveal()).toEqual(old.reveal())
      expect(await currentOf(session, object)).toBe(back.to)
      // One place: what was in it is gone with the write.
      const left = traits.slot === 'single' ? 'absent' : 'enabled'
      expect(await session.stateOf(object, to, call())).toBe(left)
    },
  )

  when(bench.has('foreign'))(
    'C27 a foreign change between reading and minting is not overwritten, and the probe does not call it ours',
    async () => {
      const { peer, session } = bench
      const foreign = peer.foreign ?? missing('foreign')
      const object = await peer.newObject()
      const order = await makeOrder(bench, object)
      await foreign(object)
      const versions = await peer.versions(object)
      const error = await failure(session.mint(order, call()), [order.material])
      expect(error).toMatchObject({ kind: 'conflict', effect: 'none' })
      expect(await peer.versions(object)).toBe(versions)
      const probe = await session.probeMint(order, call())
      expect(probe.answer).toBe(traits.attribution === 'exact' ? 'foreign' : 'goalMet')
    },
  )

  when(traits.exactlyOnce === 'cas')(
    'C26 of two engines that race at one object, one wins and the other is told so',
    async () => {
      const { peer, provider, session } = bench
      const other = connectTo(provider, peer)
      for (let round = 0; round < 5; round++) {
        const object = await peer.newObject()
        const before = await peer.versions(object)
        const orders = [await makeOrder(bench, object), await makeOrder(bench, object)] as const
        const results = await Promise.allSettled([
          session.mint(orders[0], call()),
          other.mint(orders[1], call()),
        ])
        const lost = results.filter((result) => result.status === 'rejected')
        expect(lost).toHaveLength(1)
        expect(lost[0]?.reason).toMatchObject({ kind: 'conflict', effect: 'none' })
        expect(await peer.versions(object)).toBe(before + 1)
        const probes = await Promise.all(orders.map((order) => session.probeMint(order, call())))
        expect(probes.map((probe) => probe.answer).toSorted()).toEqual(['foreign', 'ours'])
      }
      await other.close()
    },
  )

  when(bench.has('create'))('create makes the object once, however often it is asked', async () => {
    const { peer, session } = bench
    const object = peer.unborn()
    // Nothing is there to be read before.
    const order = {
      object,
      operationId: `${randomUUID()}:create:1`,
      preImage: {},
      generate: {},
      material: newMaterial(type, peer),
    }
    expect(await session.probeMint(order, call())).toEqual({ answer: 'absent' })
    const first = await session.create(order, call())
    const again = await session.create(order, call()).catch((error: unknown) => error)
    // Where it cannot be told whose it is, the probe accepts it and a repeat may not; what is shown once cannot be told again.
    if (again instanceof Error && (traits.attribution === 'goalMet' || first.material))
      expect(again).toMatchObject({ kind: 'conflict', effect: 'none' })
    else expect(again).toMatchObject({ providerVersion: first.providerVersion })
    expect(await peer.versions(object)).toBe(1)
    expect(await currentOf(session, object)).toBe(first.providerVersion)
    expect(['ours', 'goalMet']).toContain((await session.probeMint(order, call())).answer)
  })

  when(bench.has('create') && bench.has('foreign'))(
    'create does not take what somebody else has made',
    async () => {
      const { peer, session } = bench
      const object = await peer.newObject()
      const order = {
        object,
        operationId: randomUUID(),
        preImage: {},
        generate: {},
        material: newMaterial(type, peer),
      }
      const made = await session.create(order, call()).catch((error: unknown) => error)
      if (made instanceof Error) expect(made).toMatchObject({ kind: 'conflict', effect: 'none' })
      expect(await peer.versions(object)).toBe(1)
    },
  )

  when(bench.has('names'))(
    'C46 names of any script and with reserved characters are the names they say',
    async () => {
      const { peer, session } = bench
      const ids = new Set<string>()
      const { good, put } = peer.names ?? missing('names')
      for (const object of good) {
        if (put !== undefined) await put(object)
        else {
          const order = await makeOrder(bench, object, { current: null })
          await session.create(order, call())
        }
        const { to, order: second } = await rotate(bench, object)
        const verdict = await session.verify(
          {
            object,
            providerVersion: to,
            material: second.material,
            how: 'roundTrip',
            preImage: second.preImage,
          },
          call(),
        )
        expect(verdict, JSON.stringify(object.ref)).toMatchObject({ ok: true })
        expect(await peer.versions(object)).toBe(2)
        ids.add(
          type.objectId({ settings: peer.settings, ref: object.ref, keyName: object.keyName }),
        )
      }
      expect(ids.size).toBe(peer.names?.good.length)
    },
  )

  when(bench.has('names'))(
    'C46 names that mean another place are refused before anything is sent',
    async () => {
      const { peer, provider } = bench
      const sent = peer.faults?.proxy.seen().length
      const session = connectTo(
        provider,
        peer,
        peer.faults === undefined ? {} : { settings: peer.faults.settings },
      )
      for (const object of (peer.names ?? missing('names')).bad) {
        const error = await failure(session.prepare(object, null, call()))
        expect(error, JSON.stringify(object.ref)).toMatchObject({
          kind: 'permanent',
          effect: 'none',
        })
      }
      expect(peer.faults?.proxy.seen().length).toBe(sent)
      await session.close()
    },
  )
}
