// Which policy applies to which key. It is written down (key.policy, key.policySelectedAt and the key's schedule row) by
// whoever writes keys or policies (reassign.ts), in the same transaction, so that the planner finds due keys by index.
//
// Every writer of keys or policies holds the lock `policies` until its commit: two writes that are each fine and overlap
// together cannot pass each other. Overlap (two policies of one priority select one key) is refused on the write that
// would create it. Where it exists all the same, no policy applies to the key, and its status says so.

import type { Policy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import { matches, type Selectable } from '#domain/names.ts'
import { type ResolvedPolicy, resolveStored } from '#domain/policy.ts'
import type { Tx } from '#domain/ports.ts'

/** Policies as they are matched: highest priority first, each resolved once. */
export type PolicyBook = readonly { readonly policy: Policy; readonly resolved: ResolvedPolicy }[]

export const policyBook = (policies: readonly Policy[]): PolicyBook =>
  policies
    .map((policy) => ({ policy, resolved: resolveStored(policy) }))
    .toSorted((a, b) => b.resolved.priority - a.resolved.priority)

export const lockPolicies = async (tx: Tx): Promise<void> => tx.lock('policies')

export interface Chosen {
  readonly policy: Policy | null
  readonly resolved: ResolvedPolicy | null
  /** Two or more of the highest priority that select the key: none of them applies. */
  readonly tied: readonly Policy[]
}

export const choosePolicy = (book: PolicyBook, key: Selectable): Chosen => {
  const found = book.filter(({ policy }) => matches(policy.spec.selector, key))
  const [first, second] = found
  if (!first) return { policy: null, resolved: null, tied: [] }
  if (second && second.resolved.priority === first.resolved.priority) {
    const tied = found.filter(({ resolved }) => resolved.priority === first.resolved.priority)
    return { policy: null, resolved: null, tied: tied.map(({ policy }) => policy) }
  }
  return { policy: first.policy, resolved: first.resolved, tied: [] }
}

/** Pairs of one priority that both select the key, whatever else outranks them. */
export const overlapsOf = (
  book: PolicyBook,
  key: Selectable,
): ReadonlyMap<string, readonly [string, string]> => {
  const found = book.filter(({ policy }) => matches(policy.spec.selector, key))
  const pairs = new Map<string, readonly [string, string]>()
  for (const [i, a] of found.entries()) {
    for (const b of found.slice(i + 1)) {
      if (a.resolved.priority !== b.resolved.priority) continue
      const pair = [a.policy.name, b.policy.name].toSorted() as [string, string]
      pairs.set(pair.join(' '), pair)
    }
  }
  return pairs
}

export const overlapError = ([a, b]: readonly [string, string], key: string): RekeyError =>
  new RekeyError('policy.overlap', {
    detail: `The policies "${a}" and "${b}" would both apply to the key "${key}".`,
    hint: 'Narrow one of the selectors, or give the policies different priorities.',
    extra: { policies: [a, b], key },
  })

/** For a new key: the policy that will apply. Throws `policy.overlap` when two of them meet on it. */
export const policyForNewKey = (
  book: PolicyBook,
  key: Selectable & { readonly name: string },
): Chosen => {
  for (const pair of overlapsOf(book, key).values()) throw overlapError(pair, key.name)
  return choosePolicy(book, key)
}

/** Policy fields of a key that changes hands at `now`; an unchanged choice keeps its time. */
export const selection = (
  before: Pick<Key, 'policy' | 'policySelectedAt'> | null,
  chosen: Chosen,
  now: Date,
): Pick<Key, 'policy' | 'policySelectedAt'> => {
  const policy = chosen.policy?.name ?? null
  if (before && before.policy === policy)
    return { policy, policySelectedAt: before.policySelectedAt }
  return { policy, policySelectedAt: policy === null ? null : now }
}
