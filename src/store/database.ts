// The one pool of a process. Only files of this folder see what is in it.

import { createHash } from 'node:crypto'
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient, type Prisma } from './generated/client.ts'

/** What a query runs on: the pool, or the transaction that `commit` opened. */
export type Db = Prisma.TransactionClient

export interface Database {
  readonly client: PrismaClient
  close(): Promise<void>
}

export interface DatabaseOptions {
  /** Connection string of the role rekey_app. */
  readonly url: string
  readonly poolSize?: number
  /** How long a query waits for a session: for a new one, or for one that another query has. */
  readonly waitMs?: number
}

/** Connects lazily: the first query opens the first session. */
export const openDatabase = (options: DatabaseOptions): Database => {
  const adapter = new PrismaPg(
    {
      connectionString: options.url,
      max: options.poolSize ?? 10,
      connectionTimeoutMillis: options.waitMs ?? 5_000,
      application_name: 'rekey',
      // A session that waits for a lock longer than a transaction may last is of no use to anybody.
      lock_timeout: 10_000,
    },
    {
      // A session in the pool that breaks is replaced; without a listener the error would end the process.
      onPoolError: () => undefined,
      onConnectionError: () => undefined,
      statementNameGenerator: makeStatementNames(),
    },
  )
  const client = new PrismaClient({ adapter, errorFormat: 'minimal' })
  return { client, close: () => client.$disconnect() }
}

/** A statement that comes often is parsed and planned once a session, which is two fifths of what a short one costs the server.
 *  Not all of them: each holds memory in each session. Nothing here selects `*`, so a column that a migration adds changes no
 *  result, and PgBouncer carries prepared statements from 1.21 on (`max_prepared_statements`). A name is drawn from its
 *  statement: a pooler that does not know of them may give the session of one process to another, which then gets an error,
 *  and never the other's statement. */
const makeStatementNames = (): ((query: { readonly sql: string }) => string) => {
  const seen = new Map<string, number>()
  const names = new Map<string, string>()
  return ({ sql }) => {
    const name = names.get(sql)
    if (name !== undefined || names.size === mostPrepared || sql.length > 4_000) return name ?? ''
    const times = (seen.get(sql) ?? 0) + 1
    if (times < 20) {
      if (seen.size >= 2_000) seen.clear()
      seen.set(sql, times)
      return ''
    }
    seen.delete(sql)
    const given = `rekey_${createHash('sha256').update(sql).digest('hex').slice(0, 40)}`
    names.set(sql, given)
    return given
  }
}
const mostPrepared = 100
