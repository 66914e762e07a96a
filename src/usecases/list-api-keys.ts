// The tokens that there are, without what would let anybody use them.

import type { Actor } from '#domain/actor.ts'
import type { ApiKey } from '#domain/connection.ts'
import type { Ledger, Page, Paged } from '#domain/ports.ts'
import { scopeWithin } from './create-api-key.ts'

/** A scoped admin sees those that reach no further than itself; a page of it may hold fewer than `limit`. */
export const listApiKeys =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'read'> }) =>
  async (actor: Actor, page: Page): Promise<Paged<ApiKey>> => {
    const found = await ledger.read((db) => db.apiKeys.list(page))
    return {
      items: found.items.filter(
        (key) => key.deletedAt === null && scopeWithin(key.scope, actor.scope),
      ),
      next: found.next,
    }
  }
