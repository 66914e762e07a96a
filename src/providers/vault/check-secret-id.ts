// Whether the secret_id of an AppRole ends, by use or by time. Rekey logs in with it at each start, whenever a token has come
// to its end, and in every process: it asks its providers for ever. One that ends stops rotations at a moment that nobody chose.

import { ProviderError, type Call, type Check, type ProviderPorts } from '#domain/provider.ts'
import type { Reply } from './client.ts'
import { vaultPath } from './paths.ts'
import type { Ask } from './session.ts'
import type { Tokens } from './tokens.ts'
import { numberOf, textOf } from '../untyped-json.ts'

const soonMs = 7 * 24 * 3_600_000

/** Nothing where the token may not ask, or none was logged in with: the least rights do not hold the right to ask. */
export const checkSecretId = async (
  at: {
    readonly ask: Ask
    readonly ports: Pick<ProviderPorts, 'now'>
    readonly tokens: Pick<Tokens, 'secretId'>
    readonly role: string
  },
  call: Call,
): Promise<readonly Check[]> => {
  const used = at.tokens.secretId()
  if (used === null || at.role === '') return []
  const path = vaultPath('auth', used.mount, 'role', at.role, 'secret-id', 'lookup')
  const reply = await at
    .ask({ verb: 'write', path, body: { secret_id: used.secretId }, accept: [403, 404] }, call)
    .catch((error: unknown): null => {
      if (error instanceof ProviderError) return null
      throw error
    })
  return reply?.status === 200 ? rowsOf(reply, at.ports.now()) : []
}

const rowsOf = ({ data }: Reply, now: Date): readonly Check[] => {
  const uses = numberOf(data['secret_id_num_uses'])
  const end = new Date(textOf(data['expiration_time']))
  // Without an end Vault says the year 1.
  const ends = !Number.isNaN(end.getTime()) && end.getUTCFullYear() > 1
  return [
    uses > 0
      ? {
          name: 'secretId.uses',
          outcome: 'missing',
          detail: `the secret_id may log in ${uses} more times, and Rekey logs in for ever`,
          hint: 'make one of a role with secret_id_num_uses=0',
        }
      : { name: 'secretId.uses', outcome: 'ok', detail: 'it logs in any number of times' },
    ...(ends
      ? [
          {
            name: 'secretId.ttl',
            outcome: end.getTime() - now.getTime() < soonMs ? 'missing' : 'ok',
            detail: `the secret_id ends at ${end.toISOString()}`,
            hint: 'give the connection another one before, or make it with secret_id_ttl=0',
          } as const,
        ]
      : []),
  ]
}
