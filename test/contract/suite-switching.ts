// Switching versions off and on, and proving that it is so.

import { expect, test } from 'vitest'
import type { Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { call, currentOf, failure, rotate } from './bench.ts'
import { when, type Bench } from './parts.ts'

export const switchingContract = (bench: Bench): void => {
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

  when(traits.suspend)(
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

  when(traits.revokes === 'version')(
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

  when(traits.material === 'ours' && traits.authority === 'store')(
    'what was written can be read back, by its version',
    async () => {
      const { peer, session } = bench
      const object = await peer.newObject()
      const first = await rotate(bench, object)
      const second = await rotate(bench, object)
      // One place holds one value.
      for (const { to, order } of traits.slot === 'single' ? [second] : [first, second]) {
        const read = await session.readMaterial(object, to, call())
        expect(read).toBeInstanceOf(Secret)
        expect(Buffer.from(read.reveal())).toEqual(Buffer.from(order.material?.reveal() ?? ''))
      }
    },
  )
}
