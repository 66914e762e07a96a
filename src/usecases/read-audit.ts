// Reading the audit log. It is the auditor's; one with a scope reads the events of keys and rotations within it, and names
// one of them, since the log itself knows no labels. Reading is an event too: one for a principal and hour (9-security.md
// 11), so that reading the log does not fill the log.

import { type Actor, inScope } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { AuditFilter, Ledger, Page, Paged, Reads, StoredEvent } from '#domain/ports.ts'
import { mustSee, notFound } from './rights.ts'
import type { Tally } from './tally.ts'

export interface ReadAuditDeps {
  readonly ledger: Ledger
  /** Of an hour; shared by all requests of a process. */
  readonly tally: Tally
}

export const readAudit =
  ({ ledger, tally }: ReadAuditDeps) =>
  async (actor: Actor, filter: AuditFilter, page: Page): Promise<Paged<StoredEvent>> => {
    const found = await ledger.read(async (db) => {
      const since = actor.scope ? await mustNameOwn(db, actor, filter) : null
      const { from } = filter
      return db.audit.list(
        since && !(from && from > since) ? { ...filter, from: since } : filter,
        page,
      )
    })
    await tally.count(actor.id, async (reads) => {
      await ledger.note(actor, {
        action: 'audit.read',
        target: { id: 'audit', name: 'audit' },
        outcome: 'succeeded',
        after: { reads },
      })
    })
    return found
  }

/** For a key, since when: an earlier key of the same name may have been somebody else's. */
const mustNameOwn = async (db: Reads, actor: Actor, filter: AuditFilter): Promise<Date | null> => {
  if (filter.key !== undefined) {
    return mustSee(actor, await db.keys.byName(filter.key), 'key', filter.key).createdAt
  }
  const id = filter.rotation ?? filter.correlationId
  if (id !== undefined) {
    const rotation = await db.rotations.get(id)
    const key = rotation && (await db.keys.byId(rotation.keyId))
    if (!key || !inScope(actor, key)) throw notFound('rotation', id)
    return null
  }
  throw new RekeyError('auth.denied', {
    detail:
      'The token is limited to a scope, so it reads the events of one key or rotation at a time.',
    hint: 'Add ?key= or ?rotation=.',
  })
}
