// What can happen to a call of a worker, at its provider or at our database: it is refused, lost on the way, answered to
// nobody, it lands late; its worker dies in it, or is stopped for a while and then goes on as if nothing had been.

import { ProviderError, type Session } from '#domain/provider.ts'
import { forever } from '#test/support/faults.ts'

export const writeMethods = ['mint', 'promote', 'suspend', 'reinstate', 'retire'] as const
export const readMethods = [
  'probeMint',
  'stateOf',
  'verify',
  'describe',
  'prepare',
  'lastUsed',
] as const
export const sessionMethods = [...writeMethods, ...readMethods] as const
export type SessionMethod = (typeof sessionMethods)[number]
/** `commit`: a transaction of ours. */
export type Method = SessionMethod | 'commit'
export const isWrite = (method: Method): boolean =>
  (writeMethods as readonly Method[]).includes(method)

/** At our database only the process fails: that the database itself does is another test's matter. */
export const processFaults = [
  'killedBefore',
  'killedAfter',
  'stoppedBefore',
  'stoppedAfter',
] as const
export const faultKinds = [
  'throttled',
  'forbidden',
  'lost',
  'replyLost',
  'landsLate',
  'bug',
  'no',
  ...processFaults,
] as const
export type FaultKind = (typeof faultKinds)[number]

export interface Fault {
  readonly method: Method
  readonly kind: FaultKind
}

/** What a fault does to the process that makes the call. */
export interface Fate {
  /** Never to go on. */
  readonly dies: () => void
  /** Resolves when it goes on. */
  readonly stops: () => Promise<void>
  /** Does it when the request arrives at last, within the time in which it may. */
  readonly later: (effect: () => Promise<unknown>) => void
}

export const suffer = async (
  { kind, method }: Fault,
  fate: Fate,
  real: () => Promise<unknown>,
  signal: AbortSignal | null,
): Promise<unknown> => {
  const noReply = () =>
    new ProviderError('timeout', isWrite(method) ? 'unknown' : 'none', 'no reply')
  switch (kind) {
    case 'throttled':
      throw new ProviderError('throttled', 'none', 'too many requests')
    case 'forbidden':
      throw new ProviderError('forbidden', 'none', 'not allowed')
    case 'lost':
      throw noReply()
    case 'replyLost':
      await real()
      throw noReply()
    case 'landsLate':
      if (isWrite(method)) fate.later(real)
      throw noReply()
    case 'bug':
      throw new TypeError('a bug')
    // A new version that does not work, or a canary that is accepted.
    case 'no':
      return method === 'verify' ? { ok: false, detail: 'no', facts: {} } : real()
    case 'killedBefore':
      fate.dies()
      return forever()
    case 'killedAfter':
      await real()
      fate.dies()
      return forever()
    case 'stoppedBefore':
      await fate.stops()
      // The clock of its deadline went on meanwhile.
      if (signal?.aborted) throw noReply()
      return real()
    case 'stoppedAfter': {
      const reply = await real()
      await fate.stops()
      return reply
    }
  }
}

/** Every call of the methods goes through `pass`. */
export const throughAll = (
  session: Session,
  pass: (
    method: SessionMethod,
    args: readonly unknown[],
    real: () => Promise<unknown>,
  ) => Promise<unknown>,
): Session => {
  const over = sessionMethods.map((method) => [
    method,
    (...args: readonly unknown[]) =>
      pass(method, args, async () => Reflect.apply(session[method], session, args)),
  ])
  return { ...session, ...Object.fromEntries(over) }
}
