// What one write does to the guard of keys: which policy held before, which holds after. Told for each pair of both, with a
// count, since a write may touch 100,000 keys. weakening.ts asks for approvals by it.

import type { Key } from '#domain/key.ts'
import type { ResolvedPolicy } from '#domain/policy.ts'
import type { PolicyBook } from './assign-policies.ts'

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
  list(): readonly Move[]
}

export const countMoves = (
  books: { readonly old: PolicyBook; readonly now: PolicyBook },
  /** Names of policies whose text changed. */
  rewritten: ReadonlyMap<string, unknown>,
): Moves => {
  const old = byName(books.old)
  const now = byName(books.now)
  const moves = new Map<string, { -readonly [K in keyof Move]: Move[K] }>()
  return {
    note: (before, after) => {
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
    list: () => [...moves.values()],
  }
}

const byName = (book: PolicyBook): ReadonlyMap<string, Guard> =>
  new Map(book.map(({ policy: { name }, resolved }) => [name, { policy: name, resolved }]))

/** A key that Rekey only watches does not rotate by itself, whatever its policy says. */
const unscheduled = ({ policy, resolved }: Guard): Guard => ({
  policy,
  resolved: { ...resolved, enabled: false },
})
