// The tokens that there are, without what would let anybody use them.

import type { Actor } from '#domain/actor.ts'
import type { BreakGlass } from '#domain/break-glass.ts'
import type { ApiKey } from '#domain/connection.ts'
import type { Ledger, Page, Paged } from '#domain/ports.ts'
import { scopeWithin } from './create-api-key.ts'

export interface SeenApiKey {
  readonly apiKey: ApiKey
  /** Null: never, as far as is known. */
  readonly lastUsedAt: Date | null
  /** Of tokens to break glass with. */
  readonly breakGlass: BreakGlass | null
}

/** A scoped admin sees those that reach no further than itself; a page of it may hold fewer than `limit`. */
export const listApiKeys =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'read'> }) =>
  async (actor: Actor, page: Page): Promise<Paged<SeenApiKey>> =>
    ledger.read(async (db) => {
      const found = await db.apiKeys.list(page)
      const items = found.items.filter(
        (key) => key.deletedAt === null && scopeWithin(key.scope, actor.scope),
      )
      const uses = await db.apiKeys.lastUses(items.map(({ id }) => id))
      const glasses = await db.breakGlass.getMany(
        items.filter(({ type }) => type === 'brk').map(({ id }) => id),
      )
      return {
        items: items.map((apiKey) => ({
          apiKey,
          lastUsedAt: uses.get(apiKey.id) ?? null,
          breakGlass: glasses.find(({ apiKeyId }) => apiKeyId === apiKey.id) ?? null,
        })),
        next: found.next,
      }
    })
