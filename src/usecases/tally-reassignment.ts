// What a reassignment means for people: which policies gained or lost which keys, and what is due when.

import { hash53 } from '#domain/hash.ts'
import type { Key } from '#domain/key.ts'
import { atOnceMs } from '#domain/plan.ts'
import type { KeySchedule } from '#domain/ports.ts'

export interface Reassigned {
  /** Keys that the policy applies to now. */
  readonly selected: number
  readonly gained: KeyTally
  readonly lost: KeyTally
  /** Distinct types of the keys that its selector matches, with one key's name each. */
  readonly types: ReadonlyMap<string, string>
  /** Of its keys, those that this write makes due at once, and those that are past their maxAge now and were not. */
  readonly dueAtOnce: number
  readonly overdue: number
  /** The first run of any of its keys. */
  readonly next: NextRun
}

export interface KeyTally {
  readonly count: number
  /** The first few. */
  readonly names: readonly string[]
  /** Which ones, in one number: another set of keys has, but for chance, another one. */
  readonly digest: number
}

export interface NextRun {
  readonly before: Date | null
  readonly after: Date | null
}

export interface RowChange {
  readonly before: KeySchedule | null
  readonly after: KeySchedule
}

const toldNames = 20

/** `names`: of the policies that changed. */
export const makeReassignmentTally = (names: readonly string[], now: Date) => {
  const tallies = new Map(names.map((name) => [name, newTally()]))
  let dueAtOnce = 0
  return {
    seesType(policy: string, key: Key): void {
      const types = tallies.get(policy)?.types
      if (types && !types.has(key.type)) types.set(key.type, key.name)
    },
    /** `row` null: nothing about its schedule was decided anew. */
    sees(before: Key, after: Key, row: RowChange | null): void {
      const [from, to] = [tallies.get(before.policy ?? ''), tallies.get(after.policy ?? '')]
      if (to) to.selected += 1
      if (before.policy !== after.policy) {
        if (to) add(to.gained, after)
        if (from) add(from.lost, after)
      }
      if (!row) return
      if (from) from.next.before = earlier(from.next.before, row.before?.dueAt ?? null)
      if (to) to.next.after = earlier(to.next.after, row.after.dueAt)
      const newly = (is: (of: KeySchedule) => boolean): number =>
        is(row.after) && !(row.before && is(row.before)) ? 1 : 0
      const atOnce = newly((of) => isDueAtOnce(of, now))
      dueAtOnce += atOnce
      if (!to) return
      to.dueAtOnce += atOnce
      to.overdue += newly((of) => isOverdue(of, now))
    },
    result: (): {
      readonly policies: ReadonlyMap<string, Reassigned>
      readonly dueAtOnce: number
    } => ({ policies: tallies, dueAtOnce }),
  }
}

type Loose<T> = { -readonly [K in keyof T]: T[K] }
interface Tally extends Loose<Omit<Reassigned, 'gained' | 'lost' | 'types' | 'next'>> {
  readonly gained: Loose<KeyTally> & { readonly names: string[] }
  readonly lost: Loose<KeyTally> & { readonly names: string[] }
  readonly types: Map<string, string>
  readonly next: Loose<NextRun>
}

const newTally = (): Tally => ({
  selected: 0,
  gained: { count: 0, names: [], digest: 0 },
  lost: { count: 0, names: [], digest: 0 },
  types: new Map(),
  dueAtOnce: 0,
  overdue: 0,
  next: { before: null, after: null },
})

const add = (to: Tally['gained'], key: Key): void => {
  to.count += 1
  if (to.names.length < toldNames) to.names.push(key.name)
  to.digest = hash53(`${to.digest} ${key.id}`)
}

const earlier = (a: Date | null, b: Date | null): Date | null =>
  a === null || (b !== null && b < a) ? b : a

const isOverdue = ({ overdueAt }: KeySchedule, now: Date): boolean =>
  overdueAt !== null && overdueAt <= now

const isDueAtOnce = (row: KeySchedule, now: Date): boolean =>
  row.dueAt !== null && (row.dueAt.getTime() <= now.getTime() + atOnceMs || isOverdue(row, now))
