// What one write does to the guard of keys: which policy held before, which holds after, and which floors the latter
// undercuts by this write. Told once for each pair, with a count, since a write may touch 100,000 keys. weakening.ts asks for
// approvals by the first, below-floor.ts refuses the second.

import { type Floor, undercuts } from '#domain/floor.ts'
import type { Key } from '#domain/key.ts'
import { matchesLabels } from '#domain/names.ts'
import type { ResolvedPolicy } from '#domain/policy.ts'
import type { PolicyBook } from './assign-policies.ts'
import type { BelowFloor } from './below-floor.ts'

export interface Guard {
  readonly policy: string
  readonly resolved: ResolvedPolicy
}

/** Keys that go from one policy to another, or stay with one whose text changes. Those that had none are not told. */
export interface Move {
  readonly from: Guard
  /** Null: no policy applies to them any more. */
  readonly to: Guard | null
  readonly keys: number
  /** The name of one of them. */
  readonly example: string
}

export interface Moves {
  note(before: Key, after: Key): void
  moves(): readonly Move[]
  below(): readonly BelowFloor[]
}

export const countMoves = (
  books: { readonly old: PolicyBook; readonly now: PolicyBook },
  /** Names of policies whose text changed. */
  rewritten: ReadonlyMap<string, unknown>,
  floors: readonly Floor[],
): Moves => {
  const old = byName(books.old)
  const now = byName(books.now)
  const moves = new Map<string, { -readonly [K in keyof Move]: Move[K] }>()
  const below = new Map<string, BelowFloor | null>()
  const noteFloors = (before: Key, after: Key): void => {
    const guard = after.policy === null ? undefined : now.get(after.policy)
    if (!guard) return
    const stays = before.policy === after.policy && !rewritten.has(guard.policy)
    for (const [i, floor] of floors.entries()) {
      if (!matchesLabels(floor.matchLabels, after.labels)) continue
      // It was so before, and was accepted when the floor was set.
      if (stays && matchesLabels(floor.matchLabels, before.labels)) continue
      const id = `${guard.policy} ${i}`
      if (below.has(id)) continue
      const found = undercuts(guard.resolved, floor)
      below.set(
        id,
        found.length === 0 ? null : { policy: guard.policy, undercuts: found, example: after.name },
      )
    }
  }
  return {
    note: (before, after) => {
      if (floors.length > 0) noteFloors(before, after)
      if (before.policy === null) return
      const watched = after.observe !== null && before.observe === null
      if (before.policy === after.policy && !rewritten.has(before.policy) && !watched) return
      const id = `${before.policy} ${after.policy ?? ''} ${watched ? 'watched' : ''}`
      const known = moves.get(id)
      if (known) {
        known.keys += 1
        return
      }
      const from = old.get(before.policy)
      if (!from) return
      const to = after.policy === null ? null : (now.get(after.policy) ?? null)
      moves.set(id, {
        from,
        to: to && watched ? unscheduled(to) : to,
        keys: 1,
        example: after.name,
      })
    },
    moves: () => [...moves.values()],
    below: () => [...below.values()].filter((one) => one !== null),
  }
}

const byName = (book: PolicyBook): ReadonlyMap<string, Guard> =>
  new Map(book.map(({ policy: { name }, resolved }) => [name, { policy: name, resolved }]))

/** A key that Rekey only watches does not rotate by itself, whatever its policy says. */
const unscheduled = ({ policy, resolved }: Guard): Guard => ({
  policy,
  resolved: { ...resolved, enabled: false },
})
