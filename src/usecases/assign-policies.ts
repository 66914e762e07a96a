// Which policy applies to which key. It is written down (key.policy, key.policySelectedAt and the key's schedule row) by
// whoever writes keys or policies, in the same transaction, so that the planner finds due keys by index.
//
// Every writer of keys or policies holds the lock `policies` until its commit: two writes that are each fine and overlap
// together cannot pass each other. Overlap (two policies of one priority select one key) is refused on the write that
// would create it. Where it exists all the same, no policy applies to the key, and its status says so.

import type { Policy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import { matches, type Selectable, type Selector } from '#domain/names.ts'
import { enableOccurrence } from '#domain/occurrences.ts'
import { type ResolvedPolicy, resolvePolicy } from '#domain/policy.ts'
import type { KeySchedule, Reads, Tx } from '#domain/ports.ts'
import { sameSchedule, scheduleOf } from './plan-schedule.ts'

/** Policies as they are matched: highest priority first, each resolved once. */
export type PolicyBook = readonly { readonly policy: Policy; readonly resolved: ResolvedPolicy }[]

export const policyBook = (policies: readonly Policy[]): PolicyBook =>
  policies
    .map((policy) => ({ policy, resolved: resolvePolicy(policy.spec) }))
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
const overlapsOf = (
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

/** For a key that is written: the policy that will apply. Throws `policy.overlap` when this change makes two of them meet. */
export const policyForKey = (
  book: PolicyBook,
  before: Selectable | null,
  after: Selectable & { readonly name: string },
): Chosen => {
  const known = before ? overlapsOf(book, before) : new Map<string, never>()
  for (const [id, pair] of overlapsOf(book, after)) {
    if (!known.has(id)) throw overlapError(pair, after.name)
  }
  return choosePolicy(book, after)
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

/** Writes the schedule row of one key anew. */
export const reschedule = async (
  tx: Tx,
  key: Key,
  resolved: ResolvedPolicy | null,
  now: Date,
): Promise<void> => {
  const [primary, previous] = [await tx.versions.primary(key.id), await tx.schedule.get(key.id)]
  const row = scheduleOf(key, primary, resolved, previous, now)
  if (!sameSchedule(row, previous)) await tx.writeSchedule.put(row)
}

export interface Reassigned {
  /** Keys that the policy applies to now. */
  readonly selected: number
  readonly gained: number
  readonly lost: number
  /** Distinct types of the keys that its selector matches, with one key's name each. */
  readonly types: ReadonlyMap<string, string>
  /** Some keys whose policy changed: enough for a reader, bounded for 100,000. */
  readonly changed: readonly {
    readonly id: string
    readonly name: string
    readonly from: string | null
    readonly to: string | null
  }[]
}

export interface PolicyChange {
  readonly name: string
  /** Null: created. */
  readonly before: Policy | null
  /** Null: deleted. */
  readonly after: Policy | null
  /** The schedule starts anew: enabled, or its `schedule` or `maxAge` changed. Nothing before now is made up for. */
  readonly restarts: boolean
  /** It was just enabled and asks for one rotation at once. */
  readonly rotates: boolean
  /** Nothing that decides which keys, or when: keys are counted and not written. */
  readonly onlyWords?: boolean
}

const batchSize = 2_000
const toldChanges = 100

/**
 * Assigns and schedules anew all keys that the old or the new selector of one policy matches; call it after the policy was
 * written, under the lock. Keys come in batches by id, so that memory stays flat at 100,000 keys.
 */
export const reassign = async (tx: Tx, change: PolicyChange, now: Date): Promise<Reassigned> => {
  const others = (await tx.policies.all()).filter((policy) => policy.name !== change.name)
  const old = policyBook(change.before ? [...others, change.before] : others)
  const book = policyBook(change.after ? [...others, change.after] : others)
  const total = { selected: 0, gained: 0, lost: 0 }
  const types = new Map<string, string>()
  const changed: Reassigned['changed'][number][] = []

  for await (const keys of affectedKeys(tx, change)) {
    if (change.onlyWords) {
      for (const key of keys) {
        if (!types.has(key.type)) types.set(key.type, key.name)
        if (key.policy === change.name) total.selected += 1
      }
      continue
    }
    const choices = keys.map((key) => {
      const mine = change.after !== null && matches(change.after.spec.selector, key)
      if (mine && !types.has(key.type)) types.set(key.type, key.name)
      const chosen = mine ? withoutNewOverlap(old, book, key, change.name) : choosePolicy(book, key)
      return { key, chosen, next: next(key, chosen, change, now) }
    })
    await writeBatch(tx, choices, change, now)
    for (const { key, next: after } of choices) {
      if (after.policy === change.name) total.selected += 1
      if (after.policy === key.policy) continue
      if (after.policy === change.name) total.gained += 1
      if (key.policy === change.name) total.lost += 1
      if (changed.length < toldChanges)
        changed.push({ id: key.id, name: key.name, from: key.policy, to: after.policy })
    }
  }
  return { ...total, types, changed }
}

interface Choice {
  readonly key: Key
  readonly chosen: Chosen
  readonly next: Key
}

const next = (key: Key, chosen: Chosen, change: PolicyChange, now: Date): Key => {
  const after = { ...key, ...selection(key, chosen, now) }
  return change.restarts && after.policy === change.name
    ? { ...after, policySelectedAt: now }
    : after
}

/** Only overlap that this change makes is refused; what was there before must not lock everybody out of the policy. */
const withoutNewOverlap = (old: PolicyBook, book: PolicyBook, key: Key, name: string): Chosen => {
  const known = overlapsOf(old, key)
  for (const [id, pair] of overlapsOf(book, key)) {
    if (pair.includes(name) && !known.has(id)) throw overlapError(pair, key.name)
  }
  return choosePolicy(book, key)
}

const writeBatch = async (
  tx: Tx,
  choices: readonly Choice[],
  change: PolicyChange,
  now: Date,
): Promise<void> => {
  const groups = new Map<string, { readonly next: Key; readonly ids: string[] }>()
  for (const { key, next: after } of choices) {
    if (after.policy === key.policy && after.policySelectedAt === key.policySelectedAt) continue
    const id = `${after.policy ?? ''} ${after.policySelectedAt?.getTime() ?? ''}`
    const group = groups.get(id)
    if (group) group.ids.push(key.id)
    else groups.set(id, { next: after, ids: [key.id] })
  }
  for (const { next: after, ids } of groups.values()) {
    await tx.writeKey.assignPolicy(ids, after.policy, after.policySelectedAt) // oxlint-disable-line no-await-in-loop -- few groups, one connection
  }
  const ids = choices.map(({ key }) => key.id)
  const primaries = new Map(
    (await tx.versions.primaries(ids)).map((version) => [version.keyId, version]),
  )
  const previous = new Map((await tx.schedule.getMany(ids)).map((row) => [row.keyId, row]))
  const rows = choices.flatMap(({ chosen, next: after }): readonly KeySchedule[] => {
    const before = previous.get(after.id) ?? null
    const primary = primaries.get(after.id) ?? null
    const row = scheduleOf(after, primary, chosen.resolved, before, now)
    const wanted =
      change.rotates &&
      change.after &&
      primary &&
      after.policy === change.name &&
      after.observe !== 'native'
        ? {
            ...row,
            dueAt: now,
            occurrence: enableOccurrence(change.after.revision, now),
            nominal: now,
            trigger: 'schedule' as const,
          }
        : row
    return sameSchedule(wanted, before) ? [] : [wanted]
  })
  if (rows.length > 0) await tx.writeSchedule.putMany(rows)
}

/** Batches of the keys that the new selector matches, then of those that only the old one did. */
async function* affectedKeys(
  db: Reads,
  { before, after }: PolicyChange,
): AsyncGenerator<readonly Key[]> {
  if (after) yield* selectedKeys(db, after.spec.selector)
  if (!before) return
  for await (const keys of selectedKeys(db, before.spec.selector)) {
    const rest = after ? keys.filter((key) => !matches(after.spec.selector, key)) : keys
    if (rest.length > 0) yield rest
  }
}

/** All keys that a selector matches, in batches. */
export async function* selectedKeys(db: Reads, selector: Selector): AsyncGenerator<readonly Key[]> {
  const filter = {
    ...(selector.connection === undefined ? {} : { connection: selector.connection }),
    ...(selector.type === undefined ? {} : { type: selector.type }),
  }
  let cursor: string | null = null
  do {
    const page: { readonly items: readonly Key[]; readonly next: string | null } =
      await db.keys.batch(filter, {
        limit: batchSize,
        after: cursor,
      })
    const keys = page.items.filter((key) => matches(selector, key))
    if (keys.length > 0) yield keys
    cursor = page.next
  } while (cursor !== null)
}
