// A PostgreSQL to rotate users of: the server of the whole run, with roles of its own for each file. `root` is a superuser of
// which the server logs every statement.

import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { inject } from 'vitest'

export const startPostgres = async () => {
  const url = new URL(inject('database').superuser)
  const at = { host: url.hostname, port: Number(url.port), database: 'postgres' }
  const client = new pg.Client({
    ...at,
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  })
  await client.connect()
  const sql = async <T extends object = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<readonly T[]> => (await client.query<T>(text, [...values])).rows
  const prefix = `p${randomBytes(4).toString('hex')}`
  const made = new Set<string>()
  const newPassword = (): string => randomBytes(18).toString('base64url')
  const id = pg.escapeIdentifier
  let count = 0

  const role = async (name: string, options: string): Promise<string> => {
    made.add(name)
    await sql(`CREATE ROLE ${id(name)} ${options}`)
    return name
  }
  const [{ directory } = { directory: '' }] = await sql<{ directory: string }>(
    `SELECT current_setting('data_directory') AS directory`,
  )
  const login = async (options: string): Promise<{ user: string; password: string }> => {
    const password = newPassword()
    const user = await role(`${prefix}_rekey${count++}`, `LOGIN PASSWORD '${password}' ${options}`)
    return { user, password }
  }
  const root = await login('SUPERUSER')
  await sql(`ALTER ROLE ${id(root.user)} SET log_statement = 'all'`)

  return {
    at,
    prefix,
    sql,
    id,
    root,
    login,
    role,
    newPassword,
    /** Removed with the rest at the end, whoever makes it. */
    expect: (...names: readonly string[]) => {
      for (const name of names) made.add(name)
    },
    /** The first logs in with `password`; the second cannot. */
    pair: async (
      name = `${prefix}_${count++}`,
    ): Promise<{ users: [string, string]; password: string }> => {
      const password = newPassword()
      const users: [string, string] = [`${name}_a`, `${name}_b`]
      await role(users[0], `LOGIN PASSWORD '${password}'`)
      await role(users[1], 'NOLOGIN')
      return { users, password }
    },
    /** All that the server has written down. */
    log: () => readFile(join(directory, 'server.log'), 'utf8'),
    /** Whether the password lets the user in: null, or the SQLSTATE. */
    tryLogin: async (user: string, password: string): Promise<string | null> => {
      const session = new pg.Client({ ...at, user, password })
      session.on('error', () => undefined)
      try {
        await session.connect()
        return null
      } catch (error) {
        return String((error as { code?: unknown }).code)
      } finally {
        await session.end().catch(() => undefined)
      }
    },
    /** A consumer that stays connected. */
    session: async (user: string, password: string): Promise<pg.Client> => {
      const session = new pg.Client({ ...at, user, password })
      session.on('error', () => undefined)
      await session.connect()
      return session
    },
    stop: async () => {
      const names = [...made]
      const there = (
        await sql<{ name: string }>(
          'SELECT rolname AS name FROM pg_roles WHERE rolname = ANY($1)',
          [names],
        )
      ).map(({ name }) => id(name))
      if (there.length > 0) await sql(`DROP ROLE ${there.join(', ')}`)
      await client.end()
    },
  }
}
