import { ProviderError, type ConnectArgs, type Session } from '#domain/provider.ts'
import { sessionByType, type ObjectSession } from '../session-by-type.ts'
import { makeCertificate } from './certificate.ts'
import { check, rightsOf } from './check.ts'
import { makeAzure } from './clients.ts'
import { inventory } from './inventory.ts'
import { missingOf } from './rights.ts'
import { makeKey } from './key.ts'
import { makeSecret } from './secret.ts'
import { readSettings } from './settings.ts'

export const connect = (args: ConnectArgs): Session => {
  const azure = makeAzure(args, readSettings(args.settings))
  const types: Readonly<Record<string, ObjectSession>> = {
    'azure.keyvault.secret': makeSecret(azure, args.ports.now),
    'azure.keyvault.key': makeKey(azure, args.ports),
    'azure.keyvault.certificate': makeCertificate(azure, args.ports),
  }
  const of = (type: string): ObjectSession => {
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
    ...sessionByType(of),
    // No timers, and the sockets are those of `ports.fetch`.
    close: async () => undefined,
  }
}
