// The whole API, users of a real PostgreSQL behind a proxy that fails on purpose, and an engine that tests ring by hand.

import { expect } from 'vitest'
import type { Session } from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import { isOpen, type Phase } from '#domain/rotation-machine.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { startPostgres } from '#test/peers/postgres.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { openApi } from './http.ts'
import { makeShelf } from './shelf.ts'
import { startTcpFaultProxy } from './tcp-fault-proxy.ts'

type Method = 'mint' | 'verify' | 'suspend' | 'retire' | 'create' | 'reinstate'
/** Runs in place of a call of a session; `go` makes the call. Once. */
export type Meet = (go: () => Promise<unknown>) => Promise<unknown>

export const openPostgresStage = async () => {
  const peer = await startPostgres()
  const proxy = await startTcpFaultProxy(peer.at)
  const shelf = makeShelf()
  const met = new Map<Method, Meet>()
  const wrap = (session: Session): Session => {
    const meeting = (method: Method) => [
      method,
      (...args: readonly unknown[]) => {
        const go = (): Promise<unknown> => Reflect.apply(session[method], session, args)
        const meet = met.get(method)
        met.delete(method)
        return meet ? meet(go) : go()
      },
    ]
    const methods: readonly Method[] = [
      'mint',
      'verify',
      'suspend',
      'retire',
      'create',
      'reinstate',
    ]
    return { ...session, ...Object.fromEntries(methods.map(meeting)) } as Session
  }
  const api = await openApi({ providers: [shelf.provider], wrap })
  const { house } = api
  const { ledger, timers, clock, ids, hashJson, deps } = house
  const faults: unknown[] = []
  const worker = (instance: string) =>
    makeAdvanceRotation(
      {
        ledger,
        timers,
        world: {
          sessions: house.sessions,
          types: deps.types,
          fetch: globalThis.fetch,
          send: makeSendToWebhook({ fetch: globalThis.fetch, clock }),
        },
        clock,
        ids,
      },
      {
        instance,
        bell: { ring: async () => undefined },
        report: (_id, error) => faults.push(error),
      },
    )
  const advance = worker('w1')
  const plan = makePlanRotations({ ledger, timers, ids, types: deps.types, hashJson }, 'w1')
  const grants = [{ matchLabels: {}, refs: ['*'] }]
  const rekey = await peer.login('CREATEROLE')
  // Whatever is sent stands in the server's log.
  await peer.sql(`ALTER ROLE ${peer.id(rekey.user)} SET log_statement = 'all'`)
  await house.connection('pg', {
    provider: 'postgres',
    settings: { ...peer.at, port: proxy.port },
    credential: { from: 'value', value: rekey },
    grants,
  })
  await house.connection('shelf', { provider: 'shelf', grants })

  const rotation = async (id: string): Promise<Rotation> => {
    const found = await ledger.read((db) => db.rotations.get(id))
    if (!found) throw new Error(`no rotation ${id}`)
    return found
  }
  const posted = (url: string, body: object) =>
    api.call('POST', url, { body, headers: { 'idempotency-key': ids.next() } })
  const stage = {
    peer,
    proxy,
    shelf,
    api,
    house,
    rekey,
    faults,
    worker,
    rotation,
    meet: (method: Method, meet: Meet) => met.set(method, meet),
    async drain(): Promise<void> {
      for (let n = 0; n < 200; n++) {
        while ((await plan()) > 0);
        const due = await timers.due(100)
        if (due.length === 0) return
        for (const id of due) await advance(id)
      }
      throw new Error('it goes round in circles')
    },
    /** Turns the clock in steps until the rotation is in one of the phases. */
    async until(id: string, wanted: readonly Phase[] | 'end', stepMs = 10_000): Promise<Rotation> {
      for (let n = 0; n < 300; n++) {
        await stage.drain()
        const now = await rotation(id)
        if (wanted === 'end' ? !isOpen(now.phase) : wanted.includes(now.phase)) return now
        if (now.phase === 'stalled') throw new Error(`stalled: ${now.stalledReason}`)
        await clock.advance(stepMs)
      }
      const { phase } = await rotation(id)
      throw new Error(`still ${phase} ${faults.map(String).join()}`)
    },
    /** Rekey's user may change these, and end their sessions. */
    grant: async (users: readonly string[]) => {
      const names = users.map(peer.id).join(', ')
      await peer.sql(
        `GRANT ${names} TO ${peer.id(rekey.user)} WITH ADMIN TRUE, INHERIT TRUE, SET FALSE`,
      )
    },
    /** A pair whose first user is in use, with the password that somebody gave it; its key and a policy without waiting. */
    pair: async (name: string, spec: Readonly<Record<string, unknown>> = {}) => {
      const pair = await peer.pair(`${peer.prefix}_${name}`)
      await stage.grant(pair.users)
      await stage.policy(name, spec)
      await house.register(name, {
        connection: 'pg',
        type: 'postgres.user',
        ref: { users: pair.users },
        labels: { key: name },
        create: false,
      })
      return pair
    },
    policy: (key: string, spec: Readonly<Record<string, unknown>> = {}) =>
      house.policy(key, {
        selector: { matchLabels: { key } },
        manual: true,
        overlap: { min: '0s' },
        soak: '0s',
        ...spec,
      }),
    async rotate(key: string): Promise<string> {
      const reply = await posted('/v1/rotations', { key, reason: 'a test' })
      expect(reply.status, reply.text).toBe(202)
      return reply.json.id
    },
    rollback: async (id: string) => {
      const reply = await posted(`/v1/rotations/${id}/rollback`, { reason: 'a test' })
      expect(reply.status, reply.text).toBe(202)
    },
    /** What a consumer reads through Rekey. */
    async value(key: string): Promise<{ readonly username: string; readonly password: string }> {
      const reply = await api.call('GET', `/v1/keys/${key}/value`)
      expect(reply.status, reply.text).toBe(200)
      return JSON.parse(reply.json.value)
    },
    close: async () => {
      await api.close()
      await proxy.stop()
      await peer.stop()
    },
  }
  return stage
}
