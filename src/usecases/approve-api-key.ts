// The word of a second admin, without which a token to break glass with opens nothing.

import type { Actor } from '#domain/actor.ts'
import type { ApiKey } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Committed, Ledger, Tx } from '#domain/ports.ts'
import { mustBeAnother } from './another-person.ts'
import { scopeWithin } from './create-api-key.ts'
import type { SeenApiKey } from './list-api-keys.ts'
import { notFound } from './rights.ts'

export const approveApiKey =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, id: string): Promise<Committed<SeenApiKey>> =>
    ledger.commit(actor, async (tx) => {
      await tx.lock(`apiKey:${id}`)
      const key = await tx.apiKeys.byId(id)
      if (key === null || key.deletedAt !== null || !scopeWithin(key.scope, actor.scope))
        throw notFound('API key', id)
      const at = await tx.now()
      await mustBeApprovable(tx, key, at)
      await mustBeAnother(tx, actor, {
        asking: [{ id: key.createdBy, did: 'made this token' }],
        code: 'rotation.selfApproval',
      })
      await tx.writeBreakGlass.approve(id, { at, by: actor.id, byName: actor.name })
      const breakGlass = await tx.breakGlass.get(id)
      return {
        value: { apiKey: key, breakGlass, lastUsedAt: null },
        audit: [
          {
            action: 'apiKey.approved',
            target: { id, name: key.name },
            outcome: 'succeeded',
            after: {
              type: key.type,
              expiresAt: key.expiresAt?.toISOString() ?? null,
              sinks: breakGlass?.sinks.map(({ name, url }) => ({ name, url })) ?? [],
            },
          },
        ],
      }
    })

const mustBeApprovable = async (tx: Tx, key: ApiKey, now: Date): Promise<void> => {
  const refuse = (detail: string): never => {
    throw new RekeyError('request.impossible', { detail })
  }
  const glass = await tx.breakGlass.get(key.id)
  if (glass === null) return refuse('Only tokens to break glass with are approved.')
  if (glass.approvedAt !== null) refuse('It is approved already.')
  if (key.expiresAt !== null && key.expiresAt <= now) refuse('It has expired.')
}
