// Ends a token: the next request that carries it is refused, in every process. The row stays, so that the audit log's ids
// keep their meaning.

import type { Actor } from '#domain/actor.ts'
import type { Committed, Ledger } from '#domain/ports.ts'
import { scopeWithin, toldOfApiKey } from './create-api-key.ts'
import type { SeenApiKey } from './list-api-keys.ts'
import { notFound } from './rights.ts'

export const deleteApiKey =
  ({ ledger }: { readonly ledger: Ledger }) =>
  async (actor: Actor, id: string): Promise<Committed<SeenApiKey>> =>
    ledger.commit(actor, async (tx) => {
      const key = await tx.apiKeys.byId(id)
      if (key === null || key.deletedAt !== null || !scopeWithin(key.scope, actor.scope)) {
        throw notFound('API key', id)
      }
      const now = await tx.now()
      if (!(await tx.writeApiKey.delete(id, now))) throw notFound('API key', id)
      return {
        value: {
          apiKey: { ...key, deletedAt: now },
          lastUsedAt: (await tx.apiKeys.lastUses([id])).get(id) ?? null,
          breakGlass: await tx.breakGlass.get(id),
        },
        audit: [
          {
            action: 'apiKey.deleted',
            target: { id, name: key.name },
            outcome: 'succeeded',
            before: toldOfApiKey(key),
          },
        ],
      }
    })
