import {
  ProviderError,
  type ConnectArgs,
  type ObjectAddress,
  type Session,
} from '#domain/provider.ts'
import { makeCertificate } from './certificate.ts'
import { check, rightsOf } from './check.ts'
import { makeAzure } from './clients.ts'
import { inventory } from './inventory.ts'
import { missingOf } from './rights.ts'
import { makeKey } from './key.ts'
import { makeSecret } from './secret.ts'
import { readSettings } from './settings.ts'

/** What a session does with objects; each type has one. */
export type ObjectSession = Omit<Session, 'check' | 'missingRights' | 'inventory' | 'close'>

export const connect = (args: ConnectArgs): Session => {
  const azure = makeAzure(args, readSettings(args.settings))
  const types: Readonly<Record<string, ObjectSession>> = {
    'azure.keyvault.secret': makeSecret(azure, args.ports.now),
    'azure.keyvault.key': makeKey(azure, args.ports),
    'azure.keyvault.certificate': makeCertificate(azure, args.ports),
  }
  const of = ({ type }: Pick<ObjectAddress, 'type'>): ObjectSession => {
    const found = types[type]
    if (azure.settings.isHsm && type !== 'azure.keyvault.key')
      throw new ProviderError('unsupported', 'none', 'a managed HSM has keys, and nothing else')
    if (found !== undefined) return found
    throw new ProviderError('unsupported', 'none', 'the azure provider has no such key type')
  }
  return {
    check: (call, objects = []) => check({ azure, now: args.ports.now }, objects, call),
    // Asked every few minutes: by reads alone, which leave no failed changes in the vault's own log.
    missingRights: async (object, call) =>
      missingOf(
        azure,
        (await rightsOf(azure, object, call)).filter(({ asksByWrite }) => asksByWrite !== true),
        call,
      ),
    inventory: async (type, cursor, call) => inventory(azure, args.settings, type, cursor, call),
    describe: async (object, call) => of(object).describe(object, call),
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
