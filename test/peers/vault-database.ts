// Vault's database engine over the PostgreSQL of the run: static roles of real users. What Vault does there is counted in the
// server's own log.

import { randomBytes } from 'node:crypto'
import { startPostgres } from './postgres.ts'
import type { VaultPeer } from './vault.ts'

export type VaultDatabase = Awaited<ReturnType<typeof addDatabase>>

/** Mounts `database/`, with `orders` as the name of the PostgreSQL. Stopped by itself, after Vault. */
export const addDatabase = async (vault: VaultPeer) => {
  const server = await startPostgres()
  const { at, root, prefix, sql, id } = server
  await vault.api('POST', 'sys/mounts/database', { type: 'database' })
  await vault.api('POST', 'database/config/orders', {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    connection_url: `postgresql://{{username}}:{{password}}@${at.host}:${at.port}/${at.database}?sslmode=disable`,
    username: root.user,
    password: root.password,
    password_authentication: 'scram-sha-256',
  })
  return {
    server,
    /** What a connection says in `databases`. */
    settings: { name: 'orders', ...at },
    /** A static role, and a user of the same name; Vault gives it its first password. */
    role: async (more: object = {}): Promise<string> => {
      const name = `${prefix}_${randomBytes(4).toString('hex')}`
      await server.role(name, 'LOGIN')
      await vault.api('POST', `database/static-roles/${name}`, {
        db_name: 'orders',
        username: name,
        rotation_period: '8760h',
        ...more,
      })
      return name
    },
    /** As whoever reads it from Vault. */
    password: async (role: string): Promise<string> =>
      String((await vault.api('GET', `database/static-creds/${role}`)).data['password']),
    rotatedAt: async (role: string): Promise<string> =>
      String((await vault.api('GET', `database/static-roles/${role}`)).data['last_vault_rotation']),
    /** How many passwords the server was given for the user. */
    passwordsOf: async (role: string): Promise<number> => {
      const log = await server.log()
      return log.split(`ALTER ROLE ${id(role)} WITH PASSWORD`).length - 1
    },
    /** The user is let in by what a reader gets now. */
    letsIn: async (role: string, password: string): Promise<string | null> =>
      server.tryLogin(role, password),
    sql,
    stop: () => server.stop(),
  }
}
