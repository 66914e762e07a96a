// Where Prisma and its pg adapter put what PostgreSQL said. It differs by kind of call, and at COMMIT it differs again:
//
//   model call, statement time              P2039   meta.driverAdapterError.cause.originalCode
//   $executeRaw, $queryRaw                  P2010   the same place
//   interactive transaction, at COMMIT      DriverAdapterError without code or meta: cause.originalCode
//   $transaction([…]) or single, at COMMIT  P2039   the first place
//   unique                                  P2002   …cause.constraint.index names the index
//   serialization, deadlock                 P2034   originalCode 40001, 40P01
//   too long, no connection                 P2028   none
//   server away, bad password               P1001, P1000
//   backend killed inside a transaction     a plain Error, no code at all: the outcome is unknown
//
// DETAIL, HINT and CONSTRAINT are lost on the way, so our triggers say everything by a class of their own, RKnnn.

import { RekeyError } from '#domain/errors.ts'
import { ProviderError } from '#domain/provider.ts'

/** What our triggers say. */
export const rk = {
  appendOnly: 'RK001',
  notAudited: 'RK002',
  guarded: 'RK003',
  versionEdge: 'RK004',
  rotationEdge: 'RK005',
  epoch: 'RK006',
  kekRetired: 'RK007',
  incidentEdge: 'RK008',
  pepperRetired: 'RK009',
} as const

/** No space is left for what is to be written. */
export const diskFull = '53100'

/** The SQLSTATE behind an error of Prisma, or null where there is none. */
export const sqlState = (e: unknown): string | null => {
  const code = member(adapterCause(e), 'originalCode')
  return typeof code === 'string' ? code : null
}

/** Prisma's own code: P2028 and the like. */
export const prismaCode = (e: unknown): string | null => {
  const code = member(e, 'code')
  return typeof code === 'string' && /^P\d{4}$/.test(code) ? code : null
}

/** The index that a unique violation hit, or null. */
export const violatedIndex = (e: unknown): string | null => {
  const index = member(member(adapterCause(e), 'constraint'), 'index')
  return typeof index === 'string' ? index : null
}

/** Whether the same transaction, run again, may succeed: the database undid it and said so. */
export const isConflict = (e: unknown): boolean =>
  prismaCode(e) === 'P2034' || ['40001', '40P01'].includes(sqlState(e) ?? '') || isLostStatement(e)

/** Whether the session refused a prepared statement before it did anything: it has none of that name, has one already, or has one
 *  that would return other columns than it did. Nothing else here is "not supported" (0A000), and the text is in the server's language. */
export const isLostStatement = (e: unknown): boolean =>
  ['26000', '42P05', '0A000'].includes(sqlState(e) ?? '')

/** It was sealed, or known, by a key that has been retired meanwhile. */
export const isOfRetiredKey = (e: unknown): boolean =>
  sqlState(e) === rk.kekRetired || sqlState(e) === rk.pepperRetired

/** 503: the process follows within two seconds. */
export const stoodStill = (cause: unknown): RekeyError =>
  new RekeyError('service.unavailable', {
    detail:
      'This process stood still while a key of the installation was retired; it takes up the present one now',
    cause,
  })

/** Says in our words that the database could not be reached, or has no room: whoever waits for it can tell. */
export const orUnavailable = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (e) {
    if (isOfRetiredKey(e)) throw stoodStill(e)
    if (!isUnavailable(e)) throw e
    const detail =
      sqlState(e) === diskFull
        ? 'The disk of the database is full'
        : 'The database cannot be reached'
    throw new RekeyError('service.unavailable', { detail, cause: e })
  }
}

/** Whether the database could not be reached, was too slow, or went away in the middle. */
export const isUnavailable = (e: unknown): boolean => {
  // Their sentences hold names that callers chose.
  if (e instanceof RekeyError || e instanceof ProviderError) return false
  const prisma = prismaCode(e)
  if (
    prisma !== null &&
    ['P1000', 'P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037'].includes(prisma)
  )
    return true
  if (isLostStatement(e)) return true
  const state = sqlState(e)
  // 55P03: another transaction held a lock for longer than ours may wait.
  if (state !== null) return /^(08|53|55P03|57P|58)/.test(state)
  const kind = member(adapterCause(e), 'kind')
  if (
    kind === 'DatabaseNotReachable' ||
    kind === 'ConnectionClosed' ||
    kind === 'SocketTimeout' ||
    kind === 'TlsConnectionError'
  )
    return true
  return (
    e instanceof Error &&
    /connection error|Connection terminated|timeout exceeded when trying to connect|not queryable|ECONNRE|EPIPE|Can't reach database|Server has closed the connection/i.test(
      e.message,
    )
  )
}

/** Whether the session was ended by the server or the network: at the first statement of a transaction, nothing was done. */
export const isDeadSession = (e: unknown): boolean =>
  sqlState(e) === '57P01' ||
  member(adapterCause(e), 'kind') === 'ConnectionClosed' ||
  (e instanceof Error &&
    /connection error|Connection terminated|not queryable|ECONNRESET|EPIPE/i.test(e.message))

/** A unique violation that a caller brought about, as the error that the caller sees; null for all else. */
export const callersFault = (e: unknown): RekeyError | null => {
  const index = violatedIndex(e)
  if (index === null) return null
  const code =
    byIndex[index] ?? (index.endsWith('_pkey') && resources.has(index) ? 'resource.exists' : null)
  return code === null ? null : new RekeyError(code, { cause: e })
}

const byIndex: Readonly<
  Record<string, 'resource.exists' | 'key.objectTaken' | 'rotation.inProgress'>
> = {
  key_name_taken: 'resource.exists',
  key_object_taken: 'key.objectTaken',
  rotation_one_open: 'rotation.inProgress',
  rotation_one_an_occurrence: 'rotation.inProgress',
}
const resources: ReadonlySet<string> = new Set([
  'connection_pkey',
  'policy_pkey',
  'consumer_pkey',
  'sink_pkey',
])

export const adapterCause = (e: unknown): unknown =>
  member(member(member(e, 'meta'), 'driverAdapterError'), 'cause') ?? member(e, 'cause')

export const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
