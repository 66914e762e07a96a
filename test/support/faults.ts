// Faults between the engine and a session: what a network, a provider or a dying process does to one call.

import type { Sessions } from '#domain/ports.ts'
import { type Call, ProviderError, type Session } from '#domain/provider.ts'

export const faultKinds = [
  'refused',
  'lost before it arrived',
  'reply lost',
  'killed before',
  'killed after',
] as const
export type FaultKind = (typeof faultKinds)[number]
export type FaultyMethod = 'create' | 'mint' | 'promote' | 'suspend' | 'reinstate' | 'retire'

export interface FaultPlan {
  /** The next call of this method meets the fault; those after it do not. */
  arm(method: FaultyMethod, kind: FaultKind): void
  /** Resolves when the armed fault was met. */
  readonly met: () => Promise<void>
  readonly wrap: (session: Session) => Session
  /** Writes that reached the session, by method. */
  readonly writes: Map<FaultyMethod, number>
}

export const makeFaultPlan = (): FaultPlan => {
  let armed: { readonly method: FaultyMethod; readonly kind: FaultKind } | null = null
  let tell = (): void => {}
  let met = Promise.resolve()
  const writes = new Map<FaultyMethod, number>()

  const through = async <T>(method: FaultyMethod, send: () => Promise<T>): Promise<T> => {
    const kind = armed?.method === method ? armed.kind : null
    if (kind !== null) armed = null
    const reach = async (): Promise<T> => {
      writes.set(method, (writes.get(method) ?? 0) + 1)
      return send()
    }
    switch (kind) {
      case null:
        return reach()
      case 'refused':
        tell()
        throw new ProviderError('throttled', 'none', 'too many requests')
      case 'lost before it arrived':
        tell()
        throw new ProviderError('timeout', 'unknown', 'no reply')
      case 'reply lost':
        await reach()
        tell()
        throw new ProviderError('timeout', 'unknown', 'no reply')
      case 'killed before':
        tell()
        return forever()
      case 'killed after':
        await reach()
        tell()
        return forever()
    }
  }
  return {
    writes,
    arm(method, kind) {
      armed = { method, kind }
      met = new Promise((resolve) => {
        tell = resolve
      })
    },
    met: () => met,
    wrap: (session) => ({
      ...session,
      create: (order, call) => through('create', () => session.create(order, call)),
      mint: (order, call: Call) => through('mint', () => session.mint(order, call)),
      promote: (order, call) => through('promote', () => session.promote(order, call)),
      suspend: (object, version, call) =>
        through('suspend', () => session.suspend(object, version, call)),
      reinstate: (object, version, call) =>
        through('reinstate', () => session.reinstate(object, version, call)),
      retire: (object, version, how, call) =>
        through('retire', () => session.retire(object, version, how, call)),
    }),
  }
}

/** Methods that take the place of a session's own until they are taken away. */
export const makeStandIns = () => {
  let over: (session: Session) => Partial<Session> = () => ({})
  return {
    /** Sessions that are opened from now on have these. */
    put: (next: (session: Session) => Partial<Session>): void => {
      over = next
    },
    away: (): void => {
      over = () => ({})
    },
    wrap: (session: Session): Session => ({ ...session, ...over(session) }),
  }
}

/** Connections that cannot be opened. */
export const shutSessions = (sessions: Sessions): Sessions => ({
  ...sessions,
  open: () => Promise.reject(new ProviderError('auth', 'none', 'no door')),
})

/** A process that was killed in the middle of a call never goes on. */
export const forever = <T>(): Promise<T> => new Promise(() => {})

/** A request that was sent and whose sender is gone: it lands when the test says so. */
export const makeDeferral = () => {
  let wanted: FaultyMethod | null = null
  let tell = (): void => {}
  let late: (() => Promise<unknown>) | null = null
  const through = <T>(method: FaultyMethod, send: () => Promise<T>): Promise<T> => {
    if (wanted !== method) return send()
    wanted = null
    late = send
    tell()
    return forever()
  }
  return {
    /** Takes the next call of the method; resolves when it was made. */
    next: (method: FaultyMethod): Promise<void> => {
      wanted = method
      return new Promise((resolve) => {
        tell = resolve
      })
    },
    land: async (): Promise<void> => {
      if (late === null) throw new Error('nothing is on its way')
      await late()
      late = null
    },
    none: (): void => {
      wanted = null
      late = null
    },
    wrap: (session: Session): Session => ({
      ...session,
      mint: (order, call) => through('mint', () => session.mint(order, unbounded(call))),
      promote: (order, call) => through('promote', () => session.promote(order, unbounded(call))),
      suspend: (object, version, call) =>
        through('suspend', () => session.suspend(object, version, unbounded(call))),
      reinstate: (object, version, call) =>
        through('reinstate', () => session.reinstate(object, version, unbounded(call))),
      retire: (object, version, how, call) =>
        through('retire', () => session.retire(object, version, how, unbounded(call))),
    }),
  }
}

/** What is on the wire already has no deadline of its sender's any more. */
const unbounded = (call: Call): Call => ({ ...call, signal: new AbortController().signal })
