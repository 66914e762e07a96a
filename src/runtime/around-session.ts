// A session whose every call passes through one place.

import { type SessionOperation, sessionOperations } from '#domain/metrics.ts'
import type { Session } from '#domain/provider.ts'

export const aroundSession = (
  session: Session,
  around: (
    operation: SessionOperation,
    call: () => Promise<unknown>,
    args: readonly unknown[],
  ) => Promise<unknown>,
): Session => {
  const methods = sessionOperations.map((operation) => [
    operation,
    (...args: readonly unknown[]) =>
      around(operation, async () => Reflect.apply(session[operation], session, args), args),
  ])
  const { publicKeys, promised } = session
  // Built from the list of a session's methods, each passed on as it is.
  return {
    ...Object.fromEntries(methods),
    ...(publicKeys ? { publicKeys: (objects) => publicKeys.call(session, objects) } : {}),
    ...(promised ? { promised: (...of) => promised.apply(session, of) } : {}),
    close: () => session.close(),
  } as Session
}
