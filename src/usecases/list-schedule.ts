// What is coming: for each key in the scope its first rotation within a span, and those of its schedule that follow in it.

import { type Actor, inScope } from '#domain/actor.ts'
import { type Fire, nextFires } from '#domain/fires.ts'
import type { Key } from '#domain/key.ts'
import { type ResolvedPolicy, resolveStored } from '#domain/policy.ts'
import type { KeySchedule, Ledger, Page, Paged, Reads } from '#domain/ports.ts'

export interface Coming {
  readonly key: string
  readonly policy: string | null
  readonly at: Date
  readonly nominal: Date | null
  readonly occurrence: string | null
  readonly trigger: 'schedule' | 'maxAge'
  readonly overdue: boolean
  /** Later ones of the same schedule, with the key's jitter; at most ten. */
  readonly following: readonly Fire[]
}

export interface Span {
  readonly from: Date
  readonly to: Date
}

const mostFollowing = 10
/** A narrow scope over a large fleet gets short pages rather than a long wait; the cursor goes on from there. */
const mostRounds = 20

export const listSchedule =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'read'> }) =>
  (actor: Actor, span: Span, page: Page): Promise<Paged<Coming>> =>
    ledger.read(async (db) => {
      const policies = new Map<string, ResolvedPolicy | null>()
      const items: Coming[] = []
      let { after } = page
      for (let round = 0; round < mostRounds; round += 1) {
        // oxlint-disable-next-line no-await-in-loop -- a page names the next one
        // Also of those whose next one comes before the span: what follows it may lie inside.
        const rows = await db.schedule.between(new Date(0), span.to, {
          limit: page.limit - items.length,
          after,
        })
        const keys = new Map(
          (await db.keys.byIds(rows.items.map((row) => row.keyId))).map((key) => [key.id, key]),
        ) // oxlint-disable-line no-await-in-loop -- one connection
        for (const row of rows.items) {
          const key = keys.get(row.keyId)
          // Without an occurrence it is only looked at again then.
          if (!key || key.deletedAt || !row.dueAt || !row.occurrence || !inScope(actor, key))
            continue
          const policy = await resolved(db, policies, key) // oxlint-disable-line no-await-in-loop -- remembered
          const found = coming(key, row, row.dueAt, policy, span)
          if (found !== null) items.push(found)
        }
        after = rows.next
        if (after === null || items.length >= page.limit) break
      }
      return { items, next: after }
    })

const resolved = async (
  db: Reads,
  known: Map<string, ResolvedPolicy | null>,
  { policy }: Key,
): Promise<ResolvedPolicy | null> => {
  if (policy === null) return null
  if (!known.has(policy)) {
    const found = await db.policies.get(policy)
    known.set(policy, found && resolveStored(found))
  }
  return known.get(policy) ?? null
}

/** Null where nothing is known to come within the span. */
const coming = (
  key: Key,
  row: KeySchedule,
  dueAt: Date,
  policy: ResolvedPolicy | null,
  { from, to }: Span,
): Coming | null => {
  const isIn = dueAt >= from
  const after = isIn ? (row.nominal ?? dueAt) : earliest(from, policy)
  const fires = policy === null ? [] : nextFires(policy, key.id, after, mostFollowing + 2)
  const later = fires.filter(({ at }) => at > dueAt && at >= from && at < to)
  const next = { at: dueAt, nominal: row.nominal, occurrence: row.occurrence }
  const [first, following] = isIn ? [next, later] : [later[0], later.slice(1)]
  if (first === undefined) return null
  return {
    key: key.name,
    policy: key.policy,
    at: first.at,
    nominal: first.nominal,
    occurrence: first.occurrence,
    trigger: isIn ? (row.trigger ?? 'schedule') : 'schedule',
    overdue: row.overdueSince !== null,
    following: following.slice(0, mostFollowing),
  }
}

/** Jitter moves an occurrence to later: one from before the moment may come after it. */
const earliest = (moment: Date, policy: ResolvedPolicy | null): Date =>
  new Date(moment.getTime() - (policy?.schedule?.jitterMs ?? 0) - 1)
