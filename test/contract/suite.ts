// One suite for every type of every provider. What is expected follows from what the type declares, never from its name.
// C-numbers are those of the conformance list that the suite implements.

import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Check } from 'typebox/value'
import type { KeyType, Provider, Session } from '#domain/provider.ts'
import { call, connectTo, currentOf, failure, makeOrder, newMaterial, rotate } from './bench.ts'
import { countEffects, type CountedPeer } from './effects.ts'
import type { ContractPeer } from './peer.ts'
import { missing, when, type Bench, type Part } from './parts.ts'
import { faultContract } from './suite-faults.ts'
import { mintingContract } from './suite-minting.ts'
import { rightsContract } from './suite-rights.ts'
import { switchingContract } from './suite-switching.ts'

export interface ContractArgs {
  readonly provider: Provider
  /** For instance `vault.kv2.secret`. */
  readonly type: string
  readonly start: () => Promise<ContractPeer>
  /** What this peer does not have. */
  readonly without?: readonly Part[]
  /** Which system it is, where the type is tried at another one too. */
  readonly at?: string
}

export const providerContract = ({
  provider,
  type: name,
  start,
  without = [],
  at,
}: ContractArgs): void => {
  const type = provider.types.find((candidate) => candidate.type === name)
  if (type === undefined) throw new Error(`${provider.id} declares no type ${name}`)

  const row = at === undefined ? name : `${name} (${at})`

  describe(`${row} keeps the provider contract`, () => {
    let peer: ContractPeer
    let counted: CountedPeer
    let session: Session
    const bench: Bench = {
      provider,
      type,
      has: (part) => !without.includes(part),
      get peer() {
        return peer
      },
      get session() {
        return session
      },
    }

    beforeAll(async () => {
      counted = countEffects(await start())
      peer = counted.peer
      session = connectTo(provider, peer)
    }, 60_000)
    afterAll(async () => {
      await session?.close()
      await peer?.stop()
    })

    afterEach(async ({ task }) => {
      task.meta.contract = { type: row, effects: await counted.effects(), without }
    })

    declarations(bench)
    reading(bench)
    mintingContract(bench)
    switchingContract(bench)
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
    if (traits.publishTarget) expect(traits.material).toBe('ours')
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
    // A target is the same place whichever key is published to it.
    if (traits.publishTarget) expect(id({ ...a, keyName: 'another' })).toBe(id(a))
  })

  when(type.generate !== undefined)('generated material never repeats', () => {
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
    if (traits.material === 'provider' && !traits.publishable)
      refused.push(session.readMaterial(object, current, call()))
    const checks = ['roundTrip', 'login', 'oldDataReadable'] as const
    for (const how of checks.filter((check) => !traits.verifies.includes(check))) {
      const order = { object, providerVersion: current, material: null, how, preImage: {} }
      refused.push(session.verify(order, call()))
    }
    for (const error of await Promise.all(refused.map((work) => failure(work)))) {
      expect(error).toMatchObject({ kind: 'unsupported', effect: 'none' })
    }
    expect(await peer.versions(object)).toBe(1)
  })
}

const reading = (bench: Bench): void => {
  const { type } = bench

  when(bench.has('inventory'))(
    'C02 the inventory pages to its end without losing or repeating anything while others come',
    async () => {
      const { peer, session } = bench
      const many = peer.beyondOnePage ?? missing('inventory')
      const made = new Set<string>()
      const idOf = (ref: Parameters<KeyType['objectId']>[0]['ref'], keyName: string): string =>
        type.objectId({ settings: peer.settings, ref, keyName })
      for (let i = 0; i < many; i++) {
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
      expect(pages).toBeGreaterThan(1)
    },
  )

  when(bench.has('inventory'))('C02 a foreign cursor is refused', async () => {
    const error = await failure(bench.session.inventory(type.type, 'bm90IG91cnM', call()))
    expect(error.effect).toBe('none')
  })

  when(bench.has('unborn'))('C03 what does not exist is notFound', async () => {
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

  when(type.traits.material === 'ours')('the pre-image holds no material', async () => {
    const { peer, session } = bench
    const planted = newMaterial(type, peer)
    const object = await peer.newObject()
    await rotate(bench, object, planted)
    const { preImage } = await session.prepare(object, await currentOf(session, object), call())
    const value = planted?.reveal()
    if (typeof value === 'string') expect(JSON.stringify(preImage)).not.toContain(value)
  })

  test('C44 closing again is no error, and a call on a closed session does no harm', async () => {
    const { peer, provider } = bench
    const object = await peer.newObject()
    const other = connectTo(provider, peer)
    await other.describe(object, call())
    await other.close()
    await other.close()
    // A session without connections may go on to answer.
    const after = await other.describe(object, call()).catch((error: unknown) => error)
    if (after instanceof Error) expect(after).toMatchObject({ effect: 'none' })
    expect(await peer.versions(object)).toBe(1)
  })
}
