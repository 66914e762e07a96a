import type { ConnectArgs, Call, ObjectAddress, Session } from '#domain/provider.ts'
import { ProviderError } from '#domain/provider.ts'
import { sessionByType, type ObjectSession } from '../session-by-type.ts'
import { check } from './check.ts'
import { makeClient, type Reply, type Request } from './client.ts'
import { inventory } from './inventory.ts'
import { makeIssuer } from './issuer.ts'
import { makeKv2 } from './kv2.ts'
import { readPodToken } from './logins.ts'
import { makeNamespaceProof } from './namespaces.ts'
import { readDatabases } from './databases.ts'
import { missingRights, type Right } from './rights.ts'
import { makeSecretId } from './secret-id.ts'
import { readSettings } from './settings.ts'
import { makeStaticRole } from './static-role.ts'
import { makeTokens } from './tokens.ts'
import { makeTransit } from './transit.ts'

/** One authenticated request. Throws ProviderError. */
export type Ask = (request: Request, call: Call) => Promise<Reply>

/** A key type of Vault's. */
export interface ObjectType extends ObjectSession {
  /** The rights that Rekey needs on an object that is there, `create` left out. */
  readonly rights: (object: ObjectAddress, call: Call) => Promise<readonly Right[]>
}

export const connect = ({
  settings: given,
  credential,
  fromHost = false,
  ports,
}: ConnectArgs): Session => {
  const settings = readSettings(given)
  const client = makeClient(settings, ports)
  const tokens = makeTokens({
    settings,
    credential,
    podToken: fromHost ? readPodToken : null,
    client,
    ports,
  })
  const proveNamespace = makeNamespaceProof(settings, client, ports)
  let closed = false
  let running = 0

  const ask: Ask = async (request, call) => {
    if (closed) throw new ProviderError('permanent', 'none', 'the session is closed')
    running += 1
    try {
      await proveNamespace(call)
      const token = await tokens.get(call)
      try {
        return await client.send(request, token, call)
      } catch (error) {
        // A 403 of Vault's is its word that nothing was done: with a new token the same write may go out again, and
        // still has its effect once.
        if (!(error instanceof ProviderError) || error.status !== 403 || error.effect !== 'none')
          throw error
        const another = await tokens.another(token, error.kind === 'auth', call)
        if (another === null) throw error
        return await client.send(request, another, call)
      }
    } finally {
      running -= 1
    }
  }

  const types: Readonly<Record<string, ObjectType>> = {
    'vault.kv2.secret': makeKv2(ask, ports.now),
    'vault.transit.key': makeTransit(ask, ports.random),
    'vault.pki.issuer': makeIssuer(ask, ports.now),
    'vault.approle.secretId': makeSecretId({ ask, client, ports }),
    'vault.database.staticRole': makeStaticRole({ ask, ports, databases: readDatabases(given) }),
  }
  const of = (type: string): ObjectType => {
    const found = types[type]
    if (found !== undefined) return found
    throw new ProviderError('unsupported', 'none', 'the vault provider has no such key type')
  }

  const rightsOf = async (object: ObjectAddress, call: Call): Promise<readonly Right[]> =>
    of(object.type).rights(object, call)

  return {
    check: (call, objects = []) =>
      check({ client, ask, ports, tokens, proveNamespace, rightsOf, objects }, call),
    missingRights: async (object, call) =>
      missingRights(ask, (await rightsOf(object, call)).filter(isForRotation), call),
    inventory: (type, cursor, call) => inventory({ ask, settings: given }, type, cursor, call),
    ...sessionByType(of),
    close: async () => {
      if (closed) return
      closed = true
      const token = tokens.ours()
      // While a call is still out, its token is left to end by itself.
      if (token === null || running > 0) return
      const call = { signal: AbortSignal.timeout(2_000) }
      await client
        .send(
          { verb: 'write', path: 'auth/token/revoke-self', body: {}, changes: true },
          token,
          call,
        )
        .catch(() => undefined)
    },
  }
}

/** Those that a rotation makes and proves a version with; what ends old ones is as the policy's `retire`. */
const isForRotation = ({ name }: Right): boolean => ['describe', 'rotate', 'verify'].includes(name)
