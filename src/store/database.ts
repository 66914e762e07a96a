// The one pool of a process. Only files of this folder see what is in it.

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
    // A session in the pool that breaks is replaced; without a listener the error would end the process.
    { onPoolError: () => undefined, onConnectionError: () => undefined },
  )
  const client = new PrismaClient({ adapter, errorFormat: 'minimal' })
  return { client, close: () => client.$disconnect() }
}
