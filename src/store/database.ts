// The one pool of a process. Only files of this folder see what is in it.

import { createHash } from 'node:crypto'
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient, type Prisma } from './generated/client.ts'
import { isLostStatement } from './sql-state.ts'

/** What a query runs on: the pool, or the transaction that `commit` opened. */
export type Db = Prisma.TransactionClient

export interface Database {
  readonly client: PrismaClient
  /** How long a query or a transaction waits for a session. */
  readonly waitMs: number
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
  const { waitMs = 5_000 } = options
  const names = makeStatementNames()
  const adapter = new Adapter(
    names.stop,
    {
      connectionString: options.url,
      max: options.poolSize ?? 10,
      connectionTimeoutMillis: waitMs,
      application_name: 'rekey',
      // A session that waits for a lock longer than a transaction may last is of no use to anybody.
      lock_timeout: 10_000,
      // A process that stands still in the middle of a transaction (stopped, swapped out, paused with its machine) would hold
      // its locks for as long: nothing closes its socket, and others come no further than their own wait for them.
      idle_in_transaction_session_timeout: 60_000,
    },
    {
      // A session in the pool that breaks is replaced; without a listener the error would end the process.
      onPoolError: () => undefined,
      onConnectionError: () => undefined,
      statementNameGenerator: names.of,
    },
  )
  const client = new PrismaClient({ adapter, errorFormat: 'minimal' })
  return { client, waitMs, close: () => client.$disconnect() }
}

/** A session that does not have, or cannot use, what was prepared in it refuses before it does anything. Outside of a transaction
 *  the statement is sent once more, without a name; a transaction is over, and the ledger runs it again. */
class Adapter extends PrismaPg {
  readonly #stop: () => void

  constructor(stop: () => void, ...of: ConstructorParameters<typeof PrismaPg>) {
    super(...of)
    this.#stop = stop
  }

  override async connect(): ReturnType<PrismaPg['connect']> {
    const adapter = await super.connect()
    const { queryRaw, executeRaw, startTransaction } = adapter
    const repeat = <T>(send: () => Promise<T>): Promise<T> => this.#watch(send).catch(once(send))
    adapter.queryRaw = (query) => repeat(() => queryRaw.call(adapter, query))
    adapter.executeRaw = (query) => repeat(() => executeRaw.call(adapter, query))
    adapter.startTransaction = async (isolation) => {
      const tx = await startTransaction.call(adapter, isolation)
      const inside = { queryRaw: tx.queryRaw, executeRaw: tx.executeRaw }
      tx.queryRaw = (query) => this.#watch(() => inside.queryRaw.call(tx, query))
      tx.executeRaw = (query) => this.#watch(() => inside.executeRaw.call(tx, query))
      return tx
    }
    return adapter
  }

  async #watch<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await send()
    } catch (e) {
      if (isLostStatement(e)) this.#stop()
      throw e
    }
  }
}

const once =
  <T>(send: () => Promise<T>) =>
  (e: unknown): Promise<T> => {
    if (!isLostStatement(e)) throw e
    return send()
  }

interface StatementNames {
  readonly of: (query: { readonly sql: string }) => string
  /** No statement has a name from now on. */
  readonly stop: () => void
}

/** A statement that comes often is parsed and planned once a session, which is two fifths of what a short one costs the server.
 *  Not all of them: each holds memory in each session. A name is drawn from its statement: a pooler that does not know of
 *  them may give the session of one process to another, which then gets an error, and never the other's statement. So may a
 *  migration that changes what a statement returns. At the first such error names end for this process: it is a little
 *  slower, and asks nothing more of its sessions. */
const makeStatementNames = (): StatementNames => {
  const seen = new Map<string, number>()
  const names = new Map<string, string>()
  let stopped = false
  const of = (sql: string): string => {
    if (stopped || endsOrBegins.test(sql)) return ''
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
  return {
    of: ({ sql }) => of(sql),
    stop: () => {
      stopped = true
      names.clear()
      seen.clear()
    },
  }
}
const mostPrepared = 100
/** What must get through in every session, or a transaction would stay open in it. */
const endsOrBegins = /^\s*(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b/i
