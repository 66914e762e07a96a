// Faults between the adapter and the peer (C20 to C24, C30, C31, C33, C40). After each, whatever the caller was told, the
// engine's way back must end with exactly one new version, and nothing secret may stand in what was thrown.

import { createServer } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type MintOrder,
  type ObjectAddress,
  ProviderError,
  type Session,
} from '#domain/provider.ts'
import type { Fault } from '#test/support/fault-proxy.ts'
import { call, connectTo, failure, makeOrder, recover } from './bench.ts'
import type { Faults } from './peer.ts'
import { missing, when, type Bench } from './parts.ts'
import { arranged, changesOf, type Arranged } from './suite-changes.ts'

/** Where nobody listens any more. Low ports will not do: fetch refuses some of them without dialling. */
const closedPort = async (): Promise<number> => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}

export const faultContract = (bench: Bench): void => {
  test('C30 with a signal that is aborted already nothing is sent', async () => {
    const { peer, session } = bench
    const object = await peer.newObject()
    const order = await makeOrder(bench, object)
    const before = await peer.versions(object)
    const error = await failure(session.mint(order, call({ signal: AbortSignal.abort() })), [
      order.material,
    ])
    expect(error).toMatchObject({ kind: 'timeout', effect: 'none' })
    expect(await peer.versions(object)).toBe(before)
  })

  if (!bench.has('faults')) return
  describe('when the network or the peer fails', () => {
    const faults = (): Faults => bench.peer.faults ?? missing('faults')

    afterEach(() => {
      faults().proxy.reset()
    })

    /** A session through the proxy and an order that is ready to be sent. */
    const arrange = async (
      through: Faults,
    ): Promise<{ session: Session; object: ObjectAddress; order: MintOrder; before: number }> => {
      const session = connectTo(bench.provider, bench.peer, { settings: through.settings })
      const object = await bench.peer.newObject()
      const order = await makeOrder({ ...bench, session }, object)
      return { session, object, order, before: await bench.peer.versions(object) }
    }
    const answerOfOurs = bench.type.traits.attribution === 'exact' ? 'ours' : 'goalMet'

    /** The engine's way back: it ends with one new version that works, and nothing beside it. */
    const mendedBy = async (
      session: Session,
      { object, order, before }: Omit<Awaited<ReturnType<typeof arrange>>, 'session'>,
    ): Promise<void> => {
      const { providerVersion, material } = await recover(session, order)
      expect(await bench.peer.versions(object)).toBe(before + 1)
      const verdict = await session.verify(
        {
          object,
          providerVersion,
          material: material ?? order.material,
          how: 'roundTrip',
          preImage: order.preImage,
        },
        call(),
      )
      expect(verdict).toMatchObject({ ok: true })
    }
    const planted = (order: MintOrder): readonly (typeof order.material)[] => [
      order.material,
      bench.peer.credential,
    ]

    const lossy: readonly {
      readonly name: string
      readonly fault: Fault
      readonly done: boolean
    }[] = [
      {
        name: 'C20 the connection is cut before the request arrives',
        fault: { kind: 'cutBefore' },
        done: false,
      },
      {
        name: 'C21 the connection is cut after the effect',
        fault: { kind: 'cutAfter' },
        done: true,
      },
      {
        name: 'C22 a 500 comes after the effect',
        fault: { kind: 'errorAfter', status: 500 },
        done: true,
      },
      {
        name: 'C22 a 503 comes after the effect',
        fault: { kind: 'errorAfter', status: 503 },
        done: true,
      },
      {
        name: 'C22 a 502 page of a proxy comes',
        fault: { kind: 'html', status: 502 },
        done: false,
      },
      {
        name: 'C22 a page comes with status 200',
        fault: { kind: 'html', status: 200 },
        done: false,
      },
    ]

    const ofHttp = new Set(['errorAfter', 'html'])
    // Titles are whole here: vitest shortens those that it fills in.
    for (const { name, fault, done } of lossy)
      when(bench.has('http') || !ofHttp.has(fault.kind))(
        `${name}: the effect is unknown, the probe knows, and one version comes of it`,
        async () => {
          const through = faults()
          const { session, object, order, before } = await arrange(through)
          const rule = through.proxy.inject(through.mint(object), fault)
          const error = await failure(session.mint(order, call()), planted(order))
          expect(error.effect).toBe('unknown')
          // Sent once: no library on the way has tried again by itself.
          expect(rule.hits()).toBe(1)
          expect(await bench.peer.versions(object)).toBe(before + (done ? 1 : 0))
          const probe = await session.probeMint(order, call())
          expect(probe.answer).toBe(done ? answerOfOurs : 'absent')
          await mendedBy(session, { object, order, before })
          await session.close()
        },
      )

    when(bench.has('http'))(
      'C23 throttling is no effect, with the time that the peer asks for',
      async () => {
        const through = faults()
        const { session, object, order, before } = await arrange(through)
        through.proxy.inject(through.mint(object), {
          kind: 'status',
          status: 429,
          headers: { 'retry-after': '3' },
        })
        const told = await failure(session.mint(order, call()), planted(order))
        expect(told).toMatchObject({
          kind: 'throttled',
          effect: 'none',
          retryAfterMs: 3000,
          retryable: true,
        })
        through.proxy.inject(through.mint(object), { kind: 'status', status: 429 })
        const untold = await failure(session.mint(order, call()), planted(order))
        expect(untold).toMatchObject({ kind: 'throttled', effect: 'none', retryAfterMs: null })
        expect(await bench.peer.versions(object)).toBe(before)
        await session.mint(order, call())
        expect(await bench.peer.versions(object)).toBe(before + 1)
        await session.close()
      },
    )

    test('C24 an effect that lands after the caller gave up is found', async () => {
      const through = faults()
      const { session, object, order, before } = await arrange(through)
      const rule = through.proxy.inject(through.mint(object), { kind: 'hold' })
      const patience = new AbortController()
      const lost = failure(session.mint(order, call({ signal: patience.signal })), planted(order))
      await rule.hit()
      patience.abort()
      expect(await lost).toMatchObject({ kind: 'timeout', effect: 'unknown' })
      expect((await session.probeMint(order, call())).answer).toBe('absent')
      await rule.release()
      expect(['ours', 'goalMet']).toContain((await session.probeMint(order, call())).answer)
      await mendedBy(session, { object, order, before })
      await session.close()
    })

    // A killed process leaves its order in the database, and nothing in memory: another session goes on from there.
    for (const { when: at, sent } of [
      { when: 'between the intent and the request', sent: false },
      { when: 'between the effect and the record of it', sent: true },
    ])
      test(`C25 killed ${at}: another session finds out, and one version comes of it`, async () => {
        const { session, object, order, before } = await arrange(faults())
        if (sent) await session.mint(order, call())
        await session.close()
        const other = connectTo(bench.provider, bench.peer)
        const stored = { ...order, preImage: structuredClone(order.preImage) }
        const probe = await other.probeMint(stored, call())
        expect(probe.answer).toBe(sent ? answerOfOurs : 'absent')
        await mendedBy(other, { object, order: stored, before })
        await other.close()
      })

    test('C25 killed while the request is on its way: another session finds out, and one version comes of it', async () => {
      const through = faults()
      const { session, object, order, before } = await arrange(through)
      const rule = through.proxy.inject(through.mint(object), { kind: 'holdAnswer' })
      const dying = new AbortController()
      const died = failure(session.mint(order, call({ signal: dying.signal })), planted(order))
      await rule.hit()
      dying.abort()
      expect(await died).toMatchObject({ kind: 'timeout', effect: 'unknown' })
      rule.remove()
      const other = connectTo(bench.provider, bench.peer)
      expect((await other.probeMint(order, call())).answer).toBe(answerOfOurs)
      await mendedBy(other, { object, order, before })
      await other.close()
      await session.close()
    })

    for (const change of changesOf(bench.type.traits))
      test(`C21 ${change.name}, cut after each of its requests in turn: done again, it is done`, async () => {
        const through = faults()
        const session = connectTo(bench.provider, bench.peer, { settings: through.settings })
        const told = (at: Arranged): Promise<string> => change.state(bench.session, at)
        for (let passing = 0; ; passing++) {
          if (passing === 30) throw new Error('it does not end')
          const at = await arranged(bench, change.before)
          const was = await told(at)
          const rule = through.proxy.inject(
            { path: /./, ...through.requests, after: passing },
            { kind: 'cutAfter' },
          )
          const error = await change.run(session, at).then(
            () => null,
            (thrown: unknown) => thrown,
          )
          if (error !== null) expect(error).toBeInstanceOf(ProviderError)
          // What is said to have had no effect had none.
          if (error instanceof ProviderError && error.effect === 'none')
            expect(await told(at)).toBe(was)
          through.proxy.reset()
          await change.run(session, at)
          expect(change.after).toContain(await told(at))
          if (rule.hits() === 0) break
        }
        await session.close()
      })

    // A provider without a token, a compare-and-swap or a chosen id cannot: there the engine waits `lateEffectMs`.
    when(bench.type.traits.exactlyOnce !== 'probe')(
      'C24 a late effect that meets the second try makes no second version',
      async () => {
        const through = faults()
        const { session, object, order, before } = await arrange(through)
        const rule = through.proxy.inject(through.mint(object), { kind: 'hold' })
        await failure(
          session.mint(order, call({ signal: AbortSignal.timeout(300) })),
          planted(order),
        )
        await recover(session, order)
        await rule.release()
        expect(await bench.peer.versions(object)).toBe(before + 1)
        expect((await session.probeMint(order, call())).answer).toBe('ours')
        await session.close()
      },
    )

    test('C30 an abort ends the call within 250 ms', async () => {
      const through = faults()
      const { session, object, order } = await arrange(through)
      const rule = through.proxy.inject(through.mint(object), { kind: 'hold' })
      const abort = new AbortController()
      const work = failure(session.mint(order, call({ signal: abort.signal })), planted(order))
      await rule.hit()
      const at = performance.now()
      abort.abort()
      const error = await work
      expect(performance.now() - at).toBeLessThan(250)
      expect(error).toMatchObject({ kind: 'timeout', effect: 'unknown' })
      rule.remove()
      await session.close()
    })

    test('C31 a deadline is kept, whatever the peer does', async () => {
      const through = faults()
      const { session, object } = await arrange(through)
      through.proxy.inject({ path: /./ }, { kind: 'delay', ms: 3000 }, 100)
      const at = performance.now()
      const error = await failure(
        session.describe(object, call({ signal: AbortSignal.timeout(400) })),
      )
      // Long before the peer would have answered; how soon after an abort, C30 says.
      expect(performance.now() - at).toBeLessThan(1_500)
      expect(error).toMatchObject({ kind: 'timeout', effect: 'none', retryable: true })
      await session.close()
    })

    test('a peer that is not there is transient, with no effect', async () => {
      const through = faults()
      const { object, order } = await arrange(through)
      const nobody =
        through.nobody ??
        (JSON.parse(
          JSON.stringify(through.settings).replaceAll(
            through.proxy.address,
            `http://127.0.0.1:${await closedPort()}`,
          ),
        ) as typeof through.settings)
      const session = connectTo(bench.provider, bench.peer, { settings: nobody })
      const errors = [
        await failure(session.describe(object, call())),
        await failure(session.mint(order, call()), planted(order)),
      ]
      for (const error of errors) expect(error).toMatchObject({ kind: 'transient', effect: 'none' })
      await session.close()
    })

    test('a read survives one broken connection', async () => {
      const through = faults()
      const { session, object } = await arrange(through)
      const rule = through.proxy.inject({ path: /./ }, { kind: 'cutBefore' })
      await session.describe(object, call())
      expect(rule.hits()).toBe(1)
      await session.close()
    })

    when(bench.has('http'))(
      'C33 every documented error is the kind that it should be',
      async () => {
        const through = faults()
        const { session, object, order, before } = await arrange(through)
        for (const fixture of through.fixtures) {
          const { status } = fixture
          through.proxy.inject(
            through.mint(object),
            {
              kind: 'status',
              status,
              ...(fixture.headers === undefined ? {} : { headers: fixture.headers }),
              ...(fixture.body === undefined ? {} : { body: fixture.body }),
            },
            // A second answer for those that log in again and retry.
            2,
          )
          const error = await failure(session.mint(order, call()), planted(order))
          expect({
            name: fixture.name,
            kind: error.kind,
            effect: error.effect,
            status: error.status,
          }).toEqual({
            name: fixture.name,
            kind: fixture.kind,
            effect: fixture.effect,
            status,
          })
          through.proxy.reset()
        }
        expect(await bench.peer.versions(object)).toBe(before)
        await session.close()
      },
    )
  })
}
