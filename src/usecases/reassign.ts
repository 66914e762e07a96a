// Which policy applies to which key after a write of policies or keys: called with the rows written and the lock of
// assign-policies.ts held, in the same transaction. It is judged by the state at the end: two policies that change places are
// no overlap in between, and a key that leaves a policy and comes back within one write keeps its time.
//
// Keys come in batches by id, so that memory stays flat at 100,000 keys.

import type { Policy } from '#domain/connection.ts'
import type { Key } from '#domain/key.ts'
import { matches, type Selector } from '#domain/names.ts'
import { enableOccurrence } from '#domain/occurrences.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import {
  type Chosen,
  choosePolicy,
  overlapError,
  overlapsOf,
  type PolicyBook,
  policyBook,
  selection,
} from './assign-policies.ts'
import type { BelowFloor } from './below-floor.ts'
import { countMoves, type Move } from './moves.ts'
import { sameSchedule, scheduleOf } from './plan-schedule.ts'
import {
  makeReassignmentTally,
  type NextRun,
  type Reassigned,
  type RowChange,
} from './tally-reassignment.ts'

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

export interface Reassignment {
  /** By the name of each policy that changed. */
  readonly policies: ReadonlyMap<string, Reassigned>
  /** Some keys whose policy changed: enough for a reader, bounded for 100,000. */
  readonly changed: readonly KeyChange[]
  /** As they are now: the keys that were handed in as moved, by id. */
  readonly moved: ReadonlyMap<string, { readonly key: Key; readonly next: NextRun }>
  /** Keys that this write makes due at once (`atOnceMs`), and were not. */
  readonly dueAtOnce: number
  /** What guarded keys before and after: whoever writes asks weakening.ts about them. */
  readonly moves: readonly Move[]
  /** Policies that by this write guard keys for which a floor asks for more: to be refused (below-floor.ts). */
  readonly below: readonly BelowFloor[]
}

export interface KeyChange {
  readonly id: string
  readonly name: string
  readonly from: string | null
  readonly to: string | null
}

export interface Changes {
  readonly policies: readonly PolicyChange[]
  /** Keys whose row was written too, as they were before, by id. */
  readonly moved?: ReadonlyMap<string, Key>
}

const batchSize = 2_000
const toldChanges = 100

/** Assigns and schedules anew all keys that the old or the new selector of a changed policy matches, and those that moved.
 *  Throws `policy.overlap` where two policies meet on a key that did not before. */
export const reassign = async (
  tx: Tx,
  { policies: changes, moved = new Map() }: Changes,
  now: Date,
): Promise<Reassignment> => {
  const all = await tx.policies.all()
  const touched = new Map(changes.map((change) => [change.name, change]))
  const others = all.filter(({ name }) => !touched.has(name))
  const books = {
    old: policyBook([...others, ...changes.flatMap(({ before }) => before ?? [])]),
    now: policyBook(all),
  }
  const tally = makeReassignmentTally([...touched.keys()], now)
  const changed: KeyChange[] = []
  const arrived = new Map<string, { readonly key: Key; readonly next: NextRun }>()
  const moves = countMoves(books, touched, (await tx.floors.get()).items)

  for await (const keys of affectedKeys(tx, changes, moved)) {
    const choices = keys.map((key): Choice => {
      for (const { name, after } of changes) {
        if (after && matches(after.spec.selector, key)) tally.seesType(name, key)
      }
      if (!moved.has(key.id) && onlyWordsOf(changes, key)) return { key, chosen: null, next: key }
      const chosen = withoutNewOverlap(books, moved.get(key.id) ?? key, key)
      return { key, chosen, next: nextOf(key, chosen, touched, now) }
    })
    const rows = await writeBatch(tx, choices, touched, now)
    for (const { key, next } of choices) {
      const row = rows.get(key.id) ?? null
      tally.sees(key, next, row)
      if (moved.has(key.id)) arrived.set(key.id, { key: next, next: runOf(row) })
      moves.note(moved.get(key.id) ?? key, next)
      if (next.policy !== key.policy && changed.length < toldChanges)
        changed.push({ id: key.id, name: key.name, from: key.policy, to: next.policy })
    }
  }
  return {
    ...tally.result(),
    changed,
    moved: arrived,
    moves: moves.moves(),
    below: moves.below(),
  }
}

const runOf = (row: RowChange | null): NextRun => ({
  before: row?.before?.dueAt ?? null,
  after: row?.after.dueAt ?? null,
})

interface Choice {
  readonly key: Key
  /** Null: nothing about it is decided anew. */
  readonly chosen: Chosen | null
  readonly next: Key
}

const onlyWordsOf = (changes: readonly PolicyChange[], key: Key): boolean =>
  changes
    .filter(({ before, after }) =>
      [before, after].some((policy) => policy && matches(policy.spec.selector, key)),
    )
    .every((change) => change.onlyWords === true)

const nextOf = (
  key: Key,
  chosen: Chosen,
  changes: ReadonlyMap<string, PolicyChange>,
  now: Date,
): Key => {
  const after = { ...key, ...selection(key, chosen, now) }
  return changes.get(after.policy ?? '')?.restarts ? { ...after, policySelectedAt: now } : after
}

/** Only overlap that this write makes is refused; what was there before must not lock everybody out of the policy. */
const withoutNewOverlap = (
  books: { readonly old: PolicyBook; readonly now: PolicyBook },
  before: Key,
  key: Key,
): Chosen => {
  const met = [...overlapsOf(books.now, key)]
  if (met.length > 0) {
    const known = overlapsOf(books.old, before)
    const [, pair] = met.find(([id]) => !known.has(id)) ?? []
    if (pair) throw overlapError(pair, key.name)
  }
  return choosePolicy(books.now, key)
}

const writeBatch = async (
  tx: Tx,
  all: readonly Choice[],
  changes: ReadonlyMap<string, PolicyChange>,
  now: Date,
): Promise<ReadonlyMap<string, RowChange>> => {
  const decided = all.flatMap(({ key, chosen, next }) => (chosen ? [{ key, chosen, next }] : []))
  if (decided.length === 0) return new Map()
  const ids = decided.map(({ key }) => key.id)
  // What their schedules say was taken is read while they are held: the planner may be taking it.
  await tx.holdKeys(ids)
  const groups = new Map<string, { readonly next: Key; readonly ids: string[] }>()
  for (const { key, next } of decided) {
    if (next.policy === key.policy && next.policySelectedAt === key.policySelectedAt) continue
    const id = `${next.policy ?? ''} ${next.policySelectedAt?.getTime() ?? ''}`
    const group = groups.get(id)
    if (group) group.ids.push(key.id)
    else groups.set(id, { next, ids: [key.id] })
  }
  for (const { next, ids } of groups.values()) {
    await tx.writeKey.assignPolicy(ids, next.policy, next.policySelectedAt) // oxlint-disable-line no-await-in-loop -- few groups, one connection
  }
  const primaries = new Map(
    (await tx.versions.primaries(ids)).map((version) => [version.keyId, version]),
  )
  const previous = new Map((await tx.schedule.getMany(ids)).map((row) => [row.keyId, row]))
  const rows = new Map(
    decided.map(({ chosen, next }): readonly [string, RowChange] => {
      const before = previous.get(next.id) ?? null
      const primary = primaries.get(next.id) ?? null
      const row = scheduleOf(next, primary, chosen.resolved, before, now)
      const change = changes.get(next.policy ?? '')
      const atOnce = change?.rotates && change.after && primary && next.observe !== 'native'
      const after = atOnce
        ? {
            ...row,
            dueAt: now,
            occurrence: enableOccurrence(change.after.revision, now),
            nominal: now,
            trigger: 'schedule' as const,
          }
        : row
      return [next.id, { before, after }]
    }),
  )
  const anew = [...rows.values()].filter(({ before, after }) => !sameSchedule(after, before))
  if (anew.length > 0) await tx.writeSchedule.putMany(anew.map(({ after }) => after))
  return rows
}

/** Batches of the keys that a selector matches, before or after; then of those that moved. */
async function* affectedKeys(
  db: Reads,
  changes: readonly PolicyChange[],
  moved: ReadonlyMap<string, Key>,
): AsyncGenerator<readonly Key[]> {
  const selectors = changes.flatMap(({ before, after }) =>
    [before, after].flatMap((policy) => policy?.spec.selector ?? []),
  )
  for await (const keys of selectors.length === 0 ? [] : candidates(db, selectors)) {
    const found = keys.filter(
      (key) => !moved.has(key.id) && selectors.some((selector) => matches(selector, key)),
    )
    if (found.length > 0) yield found
  }
  // In one order, whatever that of the rows: what is told of them is part of a plan's hash.
  const ids = [...moved.keys()].toSorted()
  for (let at = 0; at < ids.length; at += batchSize) {
    const keys = await db.keys.byIds(ids.slice(at, at + batchSize))
    yield keys.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  }
}

/** All keys, or those of the connection and type that every selector names. */
async function* candidates(
  db: Reads,
  selectors: readonly Selector[],
): AsyncGenerator<readonly Key[]> {
  const same = (field: 'connection' | 'type'): string | undefined => {
    const [first, ...rest] = new Set(selectors.map((selector) => selector[field]))
    return rest.length === 0 ? first : undefined
  }
  const [connection, type] = [same('connection'), same('type')]
  const filter = {
    ...(connection === undefined ? {} : { connection }),
    ...(type === undefined ? {} : { type }),
  }
  let after: string | null = null
  do {
    const page: Awaited<ReturnType<Reads['keys']['batch']>> = await db.keys.batch(filter, {
      limit: batchSize,
      after,
    })
    yield page.items
    after = page.next
  } while (after !== null)
}
