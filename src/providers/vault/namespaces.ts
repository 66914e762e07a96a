// Vault without a licence takes the header X-Vault-Namespace and does as if it were not there: what a connection with a
// namespace wrote would stand in the root, over what others have at the same path. So the server is asked once, before
// anything else and before a credential goes out, for a namespace that cannot be there. A server that has namespaces refuses
// that; one that answers has none.

import { ProviderError, type Call, type ProviderPorts } from '#domain/provider.ts'
import type { Client } from './client.ts'
import { trimSlashes } from './paths.ts'
import type { VaultSettings } from './settings.ts'
import { textOf } from '../untyped-json.ts'

/** Throws ProviderError: `precondition` where the setting would be ignored. Asks once; what is proven stays so. */
export type ProveNamespace = (call: Call) => Promise<void>

export const makeNamespaceProof = (
  settings: Pick<VaultSettings, 'namespace'>,
  client: Client,
  { random }: Pick<ProviderPorts, 'random'>,
): ProveNamespace => {
  const namespace = trimSlashes(settings.namespace ?? '')
  // The root has that name too.
  let proven = namespace === '' || namespace === 'root'
  return async (call) => {
    if (proven) return
    const nobodys = `${namespace}/rekey-${Buffer.from(random(8)).toString('hex')}`
    if (!(await isRefused(client, nobodys, call)) && !(await isEnterprise(client, call)))
      throw new ProviderError('precondition', 'none', 'this Vault has no namespaces', {
        hint: `take \`namespace\` out of the settings: this server ignores it, and would work in its root instead of ${namespace}`,
      })
    proven = true
  }
}

/** Vault's own word, whichever it is; whoever cannot be reached proves nothing. */
const refusals: readonly ProviderError['kind'][] = [
  'notFound',
  'forbidden',
  'auth',
  'permanent',
  'unsupported',
]

const isRefused = async (client: Client, namespace: string, call: Call): Promise<boolean> => {
  try {
    // Whoever has no token gets an empty list of what is mounted.
    await client.send({ verb: 'read', path: 'sys/internal/ui/mounts', namespace }, null, call)
    return false
  } catch (error) {
    if (error instanceof ProviderError && refusals.includes(error.kind)) return true
    throw error
  }
}

/** It keeps namespaces apart whatever it answers to strangers. */
const isEnterprise = async (client: Client, call: Call): Promise<boolean> => {
  const { body } = await client.send(healthRequest, null, call)
  return body['enterprise'] === true || textOf(body['version']).includes('+')
}

/** Of the server: in a namespace it is refused. */
export const healthRequest = {
  verb: 'read',
  path: 'sys/health',
  namespace: '',
  accept: [429, 472, 473, 501, 503],
} as const
