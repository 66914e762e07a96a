// One suite for every type of every provider. What is expected follows from what the type declares, never from its name.
// C-numbers are those of the conformance list that the suite implements.

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Check } from 'typebox/value'
import type { KeyType, Provider, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { call, connectTo, currentOf, failure, makeOrder, newMaterial, rotate } from './bench.ts'
import type { ContractPeer } from './peer.ts'
import { faultContract } from './suite-faults.ts'
import { rightsContract } from './suite-rights.ts'

export interface ContractArgs {
  readonly provider: Provider
  /** For instance `vault.kv2.secret`. */
  readonly type: string
  readonly start: () => Promise<ContractPeer>
}

/** What the parts of the suite share; `peer` and `session` are there once the tests run. */
export interface Bench {
  readonly provider: Provider
  readonly type: KeyType
  readonly peer: ContractPeer
  readonly session: Session
}

export const providerContract = ({ provider, type: name, start }: ContractArgs): void => {
  const type = provider.types.find((candidate) => candidate.type === name)
  if (type === undefined) throw new Error(`${provider.id} declares no type ${name}`)

  describe(`${name} keeps the provider contract`, () => {
    let peer: ContractPeer
    let session: Session
    const bench: Bench = {
      provider,
      type,
      get peer() {
        return peer
      },
      get session() {
        return session
      },
    }

    beforeAll(async () => {
      peer = await start()
      session = connectTo(provider, peer)
    }, 60_000)
    afterAll(async () => {
      await session?.close()
      await peer?.stop()
    })

    declarations(bench)
    reading(bench)
    minting(bench)
    switching(bench)
    faultContract(bench)
    rightsContract(bench)
  })
}

const declarations = (bench: Bench): void => {
  const { type, provider } = bench
  const { traits } = type

  test('C01 declares nothing that contradicts itself', () => {
    expect(type.generate !== undefined).toBe(traits.material === 'ours')
    expect(traits.consistency.confirmations).toBeGreaterThan(0)
    if (traits.suspend) expect(traits.revokes).toBe('version')
    if (traits.slot === 'internal') expect(traits.undo).not.toBe('reactivate')
    if (traits.deliver || traits.publishTarget) expect(traits.material).toBe('ours')
    if (traits.undo === 'pointer') expect(traits.staging).toBe('native')
  })

  test('C01 schemas take what the peer uses, and no unknown field', async () => {
    const { peer } = bench
    const object = await peer.newObject()
    expect(Check(provider.settingsSchema, peer.settings)).toBe(true)
    expect(Check(provider.settingsSchema, { ...peer.settings, colour: 'red' })).toBe(false)
    expect(Check(type.refSchema, object.ref)).toBe(true)
    expect(Check(type.refSchema, { ...object.ref, colour: 'red' })).toBe(false)
    expect(Check(type.generateSchema, { colour: 'red' })).toBe(false)
  })

  test('C01 an object has one id, and another object another', async () => {
    const { peer } = bench
    const [a, b] = [await peer.newObject(), await peer.newObject()]
    const id = (of: typeof a): string =>
      type.objectId({ settings: peer.settings, ref: of.ref, keyName: of.keyName })
    expect(id(a)).toBe(id(a))
    expect(id(a)).not.toBe(id(b))
  })

  test.runIf(type.generate !== undefined)('generated material never repeats', () => {
    const made = Array.from({ length: 50 }, () => {
      const value = newMaterial(type, bench.peer)?.reveal() ?? ''
      return typeof value === 'string' ? value : Buffer.from(value).toString('hex')
    })
    expect(new Set(made).size).toBe(50)
  })

  test('C01 what it does not declare is refused as unsupported, with nothing done', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const current = await currentOf(session, object)
    const refused: Promise<unknown>[] = []
    if (traits.staging !== 'native')
      refused.push(
        session.promote({ object, operationId: randomUUID(), from: null, to: current }, call()),
      )
    if (!traits.suspend)
      refused.push(
        session.suspend(object, current, call()),
        session.reinstate(object, current, call()),
      )
    if (traits.operations.length === 0)
      refused.push(session.operate(object, current, 'sign', new Uint8Array(32), call()))
    if (traits.material === 'provider' && traits.slot === 'internal')
      refused.push(session.readMaterial(object, current, call()))
    for (const error of await Promise.all(refused.map((work) => failure(work)))) {
      expect(error).toMatchObject({ kind: 'unsupported', effect: 'none' })
    }
    expect(await peer.versions(object)).toBe(1)
  })
}

const reading = (bench: Bench): void => {
  const { type } = bench

  test('C02 the inventory pages to its end without losing or repeating anything while others come', async () => {
    const { peer, session } = bench
    const made = new Set<string>()
    const idOf = (ref: Parameters<KeyType['objectId']>[0]['ref'], keyName: string): string =>
      type.objectId({ settings: peer.settings, ref, keyName })
    for (let i = 0; i < (peer.beyondOnePage ?? 3); i++) {
      const object = await peer.newObject()
      made.add(idOf(object.ref, object.keyName))
    }
    const seen: string[] = []
    let cursor: string | null = null
    let pages = 0
    do {
      const page: Awaited<ReturnType<Session['inventory']>> = await session.inventory(
        type.type,
        cursor,
        call(),
      )
      seen.push(...page.items.map((item) => item.objectId))
      cursor = page.next
      pages += 1
      await peer.newObject()
    } while (cursor !== null)
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toEqual(expect.arrayContaining([...made]))
    if (peer.beyondOnePage !== null) expect(pages).toBeGreaterThan(1)
  })

  test('C02 a foreign cursor is refused', async () => {
    const error = await failure(bench.session.inventory(type.type, 'bm90IG91cnM', call()))
    expect(error.effect).toBe('none')
  })

  test('C03 what does not exist is notFound', async () => {
    const { peer, session } = bench
    const object = peer.unborn()
    const errors = [
      await failure(session.describe(object, call())),
      await failure(session.prepare(object, '1', call())),
    ]
    for (const error of errors) expect(error).toMatchObject({ kind: 'notFound', effect: 'none' })
    expect(await session.stateOf(object, '1', call())).toBe('absent')
  })

  test('C04 describing, preparing, probing and verifying write nothing', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const before = [await peer.versions(object), await peer.writes?.(object)]
    const order = await makeOrder(bench, object)
    const providerVersion = await currentOf(session, object)
    expect(await session.probeMint(order, call())).toEqual({ answer: 'absent' })
    const verdict = await session.verify(
      { object, providerVersion, material: null, how: 'roundTrip', preImage: order.preImage },
      call(),
    )
    expect(verdict.ok).toBe(true)
    expect([await peer.versions(object), await peer.writes?.(object)]).toEqual(before)
  })

  test.runIf(type.traits.material === 'ours')('the pre-image holds no material', async () => {
    const { peer, session } = bench
    const planted = newMaterial(type, peer)
    const object = await peer.newObject()
    await rotate(bench, object, planted)
    const { preImage } = await session.prepare(object, await currentOf(session, object), call())
    const value = planted?.reveal()
    if (typeof value === 'string') expect(JSON.stringify(preImage)).not.toContain(value)
  })

  test('C44 a closed session does nothing more, and closing again is no error', async () => {
    const { peer, provider } = bench
    const object = await peer.newObject()
    const other = connectTo(provider, peer)
    await other.describe(object, call())
    await other.close()
    await other.close()
    const error = await failure(other.describe(object, call()))
    expect(error.effect).toBe('none')
  })
}

const minting = (bench: Bench): void => {
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
    expect(await verify(newMaterial(type, peer))).toMatchObject({ ok: false })
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

  test.runIf(traits.authority === 'self')(
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

  test.runIf(traits.staging === 'native')(
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

  test.runIf(traits.undo === 'pointer')('C09 undo moves the pointer back', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const { from, to } = await rotate(bench, object)
    await session.promote({ object, operationId: randomUUID(), from: to, to: from }, call())
    expect(await currentOf(session, object)).toBe(from)
  })

  test.runIf(traits.undo === 'rollForward')(
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
      expect(await session.stateOf(object, to, call())).toBe('enabled')
    },
  )

  test('C27 a foreign change between reading and minting is not overwritten, and the probe does not call it ours', async ({
    skip,
  }) => {
    const { peer, session } = bench
    const foreign = peer.foreign ?? skip('nobody else can write there')
    const object = await peer.newObject()
    const order = await makeOrder(bench, object)
    await foreign(object)
    const versions = await peer.versions(object)
    const error = await failure(session.mint(order, call()), [order.material])
    expect(error).toMatchObject({ kind: 'conflict', effect: 'none' })
    expect(await peer.versions(object)).toBe(versions)
    const probe = await session.probeMint(order, call())
    expect(probe.answer).toBe(traits.attribution === 'exact' ? 'foreign' : 'goalMet')
  })

  test.runIf(traits.exactlyOnce === 'cas')(
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

  test('create makes the object once, however often it is asked', async ({ skip }) => {
    const { peer, session } = bench
    const object = peer.unborn()
    if (!peer.creates) skip('the provider creates nothing')
    const order = await makeOrder(bench, object, { current: null })
    expect(await session.probeMint(order, call())).toEqual({ answer: 'absent' })
    const first = await session.create(order, call())
    const again = await session.create(order, call())
    expect(again.providerVersion).toBe(first.providerVersion)
    expect(await peer.versions(object)).toBe(1)
    expect(await currentOf(session, object)).toBe(first.providerVersion)
    expect(['ours', 'goalMet']).toContain((await session.probeMint(order, call())).answer)
  })

  test('create does not take what somebody else has made', async ({ skip }) => {
    const { peer, session } = bench
    if (!peer.creates || traits.attribution !== 'exact') skip('not promised by this type')
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
  })

  test('C46 names of any script and with reserved characters are the names they say', async () => {
    const { peer, session } = bench
    const ids = new Set<string>()
    for (const object of peer.names?.good ?? []) {
      const order = await makeOrder(bench, object, { current: null })
      await session.create(order, call())
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
      ids.add(type.objectId({ settings: peer.settings, ref: object.ref, keyName: object.keyName }))
    }
    expect(ids.size).toBe(peer.names?.good.length ?? 0)
  })

  test('C46 names that mean another place are refused before anything is sent', async () => {
    const { peer, provider } = bench
    const sent = peer.faults?.proxy.seen().length
    const session = connectTo(
      provider,
      peer,
      peer.faults === undefined ? {} : { settings: peer.faults.settings },
    )
    for (const object of peer.names?.bad ?? []) {
      const error = await failure(session.prepare(object, null, call()))
      expect(error, JSON.stringify(object.ref)).toMatchObject({ kind: 'permanent', effect: 'none' })
    }
    expect(peer.faults?.proxy.seen().length).toBe(sent)
    await session.close()
  })
}

const switching = (bench: Bench): void => {
  const { type } = bench
  const { traits } = type

  test('C12 an enabled version is never reported as refused', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const { to, order } = await rotate(bench, object)
    const verdict = await session.verify(
      {
        object,
        providerVersion: to,
        material: order.material,
        how: 'refused',
        preImage: order.preImage,
      },
      call(),
    )
    expect(verdict).toMatchObject({ ok: false })
  })

  test.runIf(traits.suspend)(
    'C10 C12 a suspended version is refused, comes back, and doing either twice changes nothing',
    async () => {
      const { peer, session } = bench
      const object = await peer.newObject()
      const { from, to, order } = await rotate(bench, object)
      const refused = (providerVersion: string): ReturnType<Session['verify']> =>
        session.verify(
          { object, providerVersion, material: null, how: 'refused', preImage: order.preImage },
          call(),
        )
      for (let i = 0; i < 2; i++) {
        await session.suspend(object, from, call())
        expect(await session.stateOf(object, from, call())).toBe('disabled')
        expect(await refused(from)).toMatchObject({ ok: true })
      }
      expect(await session.stateOf(object, to, call())).toBe('enabled')
      for (let i = 0; i < 2; i++) {
        await session.reinstate(object, from, call())
        expect(await session.stateOf(object, from, call())).toBe('enabled')
        expect(await refused(from)).toMatchObject({ ok: false })
      }
    },
  )

  test.runIf(traits.revokes === 'version')(
    'C11 a destroyed version is refused, and never comes back',
    async () => {
      const { peer, session } = bench
      const object = await peer.newObject()
      const { from, to, order } = await rotate(bench, object)
      for (let i = 0; i < 2; i++) {
        await session.retire(object, from, 'destroy', call())
        expect(['destroyed', 'absent']).toContain(await session.stateOf(object, from, call()))
      }
      expect(
        await session.verify(
          {
            object,
            providerVersion: from,
            material: null,
            how: 'refused',
            preImage: order.preImage,
          },
          call(),
        ),
      ).toMatchObject({ ok: true })
      await failure(session.readMaterial(object, from, call()))
      if (traits.suspend) {
        const error = await failure(session.reinstate(object, from, call()))
        expect(['precondition', 'notFound']).toContain(error.kind)
      }
      expect(await session.stateOf(object, to, call())).toBe('enabled')
      expect(await currentOf(session, object)).toBe(to)
    },
  )

  test.runIf(traits.material === 'ours' && traits.authority === 'store')(
    'what was written can be read back, by its version',
    async () => {
      const { peer, session } = bench
      const object = await peer.newObject()
      const first = await rotate(bench, object)
      const second = await rotate(bench, object)
      for (const { to, order } of [first, second]) {
        const read = await session.readMaterial(object, to, call())
        expect(read).toBeInstanceOf(Secret)
        expect(Buffer.from(read.reveal())).toEqual(Buffer.from(order.material?.reveal() ?? ''))
      }
    },
  )
}
