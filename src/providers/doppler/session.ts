import {
  ProviderError,
  type ConnectArgs,
  type ObjectAddress,
  type Session,
} from '#domain/provider.ts'
import { check } from './check.ts'
import { makeClient } from './client.ts'
import { inventory } from './inventory.ts'
import { makeSecret } from './secret.ts'
import { apiUrlOf } from './settings.ts'
import { makeTokens } from './token.ts'

/** What a session does with objects; each type has one. */
type ObjectSession = Omit<Session, 'check' | 'missingRights' | 'inventory' | 'close'>

export const connect = ({ settings, credential, ports }: ConnectArgs): Session => {
  const ask = makeClient(apiUrlOf(settings), credential, ports)
  const types: Readonly<Record<string, ObjectSession>> = {
    'doppler.secret': makeSecret({ ask, ports }),
    'doppler.serviceToken': makeTokens(ask, ports.now),
  }
  const of = ({ type }: Pick<ObjectAddress, 'type'>): ObjectSession => {
    const found = types[type]
    if (found !== undefined) return found
    throw new ProviderError('unsupported', 'none', 'the doppler provider has no such key type')
  }
  const describe: Session['describe'] = async (object, call) => of(object).describe(object, call)
  return {
    describe,
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
    create: async (order, call) => of(order.object).create(order, call),
    prepare: async (object, current, call) => of(object).prepare(object, current, call),
    mint: async (order, call) => of(order.object).mint(order, call),
    probeMint: async (order, call) => of(order.object).probeMint(order, call),
    verify: async (order, call) => of(order.object).verify(order, call),
    promote: async (order, call) => of(order.object).promote(order, call),
    probePromote: async (order, call) => of(order.object).probePromote(order, call),
    suspend: async (object, version, call) => of(object).suspend(object, version, call),
    reinstate: async (object, version, call) => of(object).reinstate(object, version, call),
    retire: async (object, version, how, call) => of(object).retire(object, version, how, call),
    stateOf: async (object, version, call) => of(object).stateOf(object, version, call),
    lastUsed: async (object, version, call) => of(object).lastUsed(object, version, call),
    readMaterial: async (object, version, call) => of(object).readMaterial(object, version, call),
    operate: async (object, version, operation, input, call) =>
      of(object).operate(object, version, operation, input, call),
    // No timers, and the sockets are those of `ports.fetch`.
    close: async () => undefined,
  }
}
