// The whole API, users of a real PostgreSQL behind a proxy that fails on purpose, and an engine that tests ring by hand.

import { expect } from 'vitest'
import type { Session } from '#domain/provider.ts'
import type { Phase } from '#domain/rotation-machine.ts'
import { startPostgres } from '#test/peers/postgres.ts'
import { makeShelf } from './shelf.ts'
import { openRunningApi } from './running-api.ts'
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
  const api = await openRunningApi({ providers: [shelf.provider], wrap })
  const { house } = api
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

  const stage = {
    ...api,
    peer,
    proxy,
    shelf,
    api,
    rekey,
    meet: (method: Method, meet: Meet) => met.set(method, meet),
    until: (id: string, wanted: readonly Phase[] | 'end', stepMs = 10_000) =>
      api.reach(id, wanted, { looks: 300, stepMs }),
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
    rollback: async (id: string) => {
      const reply = await api.rollback(id)
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
