// The word of a second admin, without which a token to break glass with opens nothing.

import type { Actor } from '#domain/actor.ts'
import type { ApiKey } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Committed, Ledger, Reads, Tx } from '#domain/ports.ts'
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
      await mustBeAnother(tx, key, actor)
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

/** Two people: not the maker, nor a token that the maker made for itself, or both of a third one. All but the first admin key,
 *  from which every token comes. */
const mustBeAnother = async (tx: Tx, key: ApiKey, actor: Actor): Promise<void> => {
  const refuse = (detail: string): never => {
    throw new RekeyError('rotation.selfApproval', {
      detail,
      hint: 'Ask an admin whose token comes from elsewhere.',
    })
  }
  const makers = await lineOf(tx, key.createdBy)
  const approvers = await lineOf(tx, actor.id)
  if (actor.id === key.createdBy) refuse('You made this token.')
  if (approvers.some(({ id }) => id === key.createdBy))
    refuse('The admin who made this token made yours, too.')
  if (makers.some(({ id }) => id === actor.id)) refuse('You made the token that made this one.')
  const common = approvers.find(({ id, first }) => !first && makers.some((one) => one.id === id))
  if (common !== undefined) refuse('Your token and the maker’s were made by one and the same.')
}

interface Ancestor {
  readonly id: string
  /** A key that Rekey itself made. */
  readonly first: boolean
}

const longestLine = 100

/** The principal and who made its token, and theirs, up to somebody who has none of Rekey's. */
const lineOf = async (db: Reads, principal: string): Promise<readonly Ancestor[]> => {
  const line: Ancestor[] = []
  for (let id: string | null = principal; id !== null && line.length < longestLine;) {
    const key: ApiKey | null = await db.apiKeys.byId(id) // oxlint-disable-line no-await-in-loop -- one after the other
    const first: boolean = key !== null && key.createdBy.startsWith('system:')
    line.push({ id, first })
    id = first ? null : (key?.createdBy ?? null)
  }
  return line
}
