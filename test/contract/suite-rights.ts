// C41: the least-privilege document is enough, and each of its parts is needed; what is missing is named.

import { expect, test } from 'vitest'
import type { Session } from '#domain/provider.ts'
import { call, connectTo, failure, makeOrder, currentOf } from './bench.ts'
import type { ObjectAddress } from '#domain/provider.ts'
import { missing, when, type Bench } from './parts.ts'

export const rightsContract = (bench: Bench): void => {
  const { type } = bench

  /** All that Rekey does with a version, from finding the object to destroying the old version. */
  const wholeLife = async (session: Session, object: ObjectAddress): Promise<void> => {
    const { traits } = type
    await session.inventory(type.type, null, call())
    const from = await currentOf(session, object)
    const order = await makeOrder({ ...bench, session }, object, { current: from })
    const { providerVersion: to } = await session.mint(order, call())
    const how = 'roundTrip'
    const verdict = await session.verify(
      { object, providerVersion: to, material: order.material, how, preImage: order.preImage },
      call(),
    )
    expect(verdict).toMatchObject({ ok: true })
    if (traits.staging === 'native')
      await session.promote({ object, operationId: 'rights:promote', from, to }, call())
    if (traits.suspend) {
      await session.suspend(object, from, call())
      await session.reinstate(object, from, call())
    }
    if (traits.revokes === 'version') await session.retire(object, from, 'destroy', call())
  }

  when(bench.has('rights'))(
    'C41 the least rights are enough, and without any of them the missing one is named',
    async () => {
      const { peer, provider } = bench
      const rights = peer.rights ?? missing('rights')
      const names = Object.keys(rights.needed)
      const untold = new Set(rights.untold)
      for (const without of [null, ...names]) {
        const object = await peer.newObject()
        const documents = type.leastPrivilege(object.ref)
        const granted = [...rights.always, ...names]
          .filter((name) => name !== without)
          .map((name) => {
            const document = documents[name]
            if (document === undefined) throw new Error(`no document ${name}`)
            return document
          })
        const session = connectTo(provider, peer, { credential: await rights.grant(granted) })
        if (without === null) {
          await wholeLife(session, object)
          const checks = await session.check(call(), [object])
          // What the provider does not tell is said to be unknown, and nothing else is.
          const told = checks.filter(
            ({ name, outcome }) => outcome !== 'ok' && !(untold.has(name) && outcome === 'unknown'),
          )
          expect(told).toEqual([])
          expect(await session.missingRights(object, call())).toEqual([])
        } else {
          const error = await failure(wholeLife(session, object))
          expect(error, without).toMatchObject({ kind: 'forbidden', effect: 'none' })
          expect(error.hint, without).toMatch(rights.needed[without] ?? /./)
          const checks = await session.check(call(), [object])
          const missing = checks
            .filter((check) => check.outcome === 'missing')
            .map((check) => check.hint)
          if (without !== 'inventory' && !untold.has(without))
            expect(missing.join('\n'), without).toMatch(rights.needed[without] ?? /./)
          const kept = (await session.missingRights(object, call())).join('\n')
          if ((rights.rotates ?? ['describe', 'rotate', 'verify']).includes(without))
            expect(kept, without).toMatch(rights.needed[without] ?? /./)
          else expect(kept, without).toBe('')
        }
        await session.close()
      }
    },
  )

  test('checks of a working connection say so, and write nothing', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const checks = await session.check(call(), [object])
    expect(checks.length).toBeGreaterThan(0)
    expect(checks.filter((check) => check.outcome === 'missing')).toEqual([])
    expect(await peer.versions(object)).toBe(1)
  })
}
