// The embedded PostgreSQL as a peer of the contract suite. Effects are counted in its log.

import { randomUUID } from 'node:crypto'
import type { ObjectAddress } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { startPostgres } from '#test/peers/postgres.ts'
import { startTcpFaultProxy } from '#test/support/tcp-fault-proxy.ts'
import { plainPorts, type ContractPeer } from './peer.ts'

const addressOf = (users: readonly string[]): ObjectAddress => ({
  type: 'postgres.user',
  ref: { users: [...users] },
  keyId: randomUUID(),
  keyName: 'contract',
})

export const usersIn = ({ ref }: ObjectAddress): readonly string[] =>
  Array.isArray(ref['users']) ? ref['users'].map(String) : []

export const startPostgresUsers = async (): Promise<ContractPeer> => {
  const server = await startPostgres()
  const { at, sql, id, prefix } = server
  const proxy = await startTcpFaultProxy(at)
  const secretOf = (login: object): Secret<string> => new Secret(JSON.stringify(login))
  const settings = { ...at }
  let unborn = 0
  const pairOf = (one: string, other: string): ObjectAddress => {
    server.expect(one, other)
    return addressOf([one, other])
  }
  const good = [
    ['ключ', 'пароль'],
    ['鍵', '🔑'],
    ['a b', 'a"b\'c'],
    ['x#0123456789ab', 'x'],
    ['back\\slash', '$1 %I {}'],
    ['UPPER', 'upper'],
    [`${'ö'.repeat(20)}1`, `${'ö'.repeat(20)}2`],
  ] as const
  const bad = [
    ['a'.repeat(64), 'b'],
    ['ö'.repeat(32), 'b'],
    ['a\0b', 'b'],
    ['\ud800', 'b'],
    ['', 'b'],
    ['same', 'same'],
    ['pg_monitor', 'b'],
    ['public', 'b'],
  ] as const
  return {
    settings,
    credential: secretOf(server.root),
    ports: plainPorts(),
    beyondOnePage: 22,
    newObject: async () => addressOf((await server.pair()).users),
    unborn: () => pairOf(`${prefix}_u${unborn}_a`, `${prefix}_u${unborn++}_b`),
    versions: async (object) => {
      const [row] = await sql<{ n: number }>(
        `SELECT count(*)::int AS n FROM pg_authid WHERE rolname = ANY($1) AND rolcanlogin AND rolpassword IS NOT NULL`,
        [usersIn(object)],
      )
      return row?.n ?? 0
    },
    writes: async (object) => {
      const log = await server.log()
      return usersIn(object)
        .map((user) => log.split(`ALTER ROLE ${id(user)} WITH`).length - 1)
        .reduce((a, b) => a + b)
    },
    foreign: async (object) => {
      const [, standby = ''] = usersIn(object)
      await sql(`ALTER ROLE ${id(standby)} LOGIN PASSWORD '${server.newPassword()}'`)
    },
    faults: {
      proxy,
      settings: { ...settings, port: proxy.port },
      nobody: { ...settings, port: 1 },
      // The rest is the handshake.
      requests: { path: /SELECT|ALTER/ },
      mint: (object) => ({
        path: new RegExp(`ALTER ROLE "(?:${usersIn(object).join('|')})" WITH LOGIN PASSWORD`),
      }),
      fixtures: [],
    },
    rights: {
      grant: async (documents) => {
        const login = await server.login('')
        for (const document of documents) {
          const text = typeof document === 'string' ? document : ''
          await sql(text.replaceAll(/\brekey\b/g, id(login.user)))
        }
        return secretOf(login)
      },
      always: [],
      rotates: ['rotate', 'administer', 'suspend'],
      needed: {
        rotate: /CREATEROLE: ALTER ROLE/,
        administer: /ADMIN on the user: GRANT ".*_a"/,
        suspend: /end its sessions: GRANT ".*_a"/,
      },
    },
    names: {
      good: good.map(([one, other]) => pairOf(`${prefix} ${one}`, `${prefix} ${other}`)),
      bad: bad.map(([one, other]) => addressOf([one, other])),
    },
    stop: async () => {
      await proxy.stop()
      await server.stop()
    },
  }
}
