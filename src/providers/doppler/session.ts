import { ProviderError, type ConnectArgs, type Session } from '#domain/provider.ts'
import { sessionByType, type ObjectSession } from '../session-by-type.ts'
import { check } from './check.ts'
import { makeClient } from './client.ts'
import { inventory } from './inventory.ts'
import { makeSecret } from './secret.ts'
import { apiUrlOf } from './settings.ts'
import { makeTokens } from './token.ts'

export const connect = ({ settings, credential, ports }: ConnectArgs): Session => {
  const ask = makeClient(apiUrlOf(settings), credential, ports)
  const types: Readonly<Record<string, ObjectSession>> = {
    'doppler.secret': makeSecret({ ask, ports }),
    'doppler.serviceToken': makeTokens(ask, ports.now),
  }
  const of = (type: string): ObjectSession => {
    const found = types[type]
    if (found !== undefined) return found
    throw new ProviderError('unsupported', 'none', 'the doppler provider has no such key type')
  }
  const objects = sessionByType(of)
  const { describe } = objects
  return {
    check: (call, objects = []) => check({ ask, now: ports.now, describe }, objects, call),
    // Doppler does not tell what a token may write; what it may read, the preflight reads.
    missingRights: async (object, call) => {
      try {
        await describe(object, call)
      } catch (error) {
        if (error instanceof ProviderError && error.kind === 'forbidden')
          return [error.hint ?? error.message]
      }
      return []
    },
    inventory: async (type, cursor, call) => inventory(ask, settings, { type, cursor }, call),
    ...objects,
    // No timers, and the sockets are those of `ports.fetch`.
    close: async () => undefined,
  }
}
