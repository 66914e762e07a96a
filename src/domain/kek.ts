// Key-encryption keys of the installation, by their fingerprints. The keys themselves are in files; the database says which one
// seals, so that all processes change over together:
//
//   active → replaced → retired, and replaced → active where somebody goes back
//
// Every process opens what any KEK of its file sealed. A new one is made active when each living process has it in its file. Rows
// under a replaced one are sealed anew; when there are none, and nothing that was made with it is still shown (cursors, keys of
// idempotent requests), it is retired: the database takes no row under it any more, and its line may go.

import type { KekWord } from './ports.ts'

export const kekStates = ['active', 'replaced', 'retired'] as const
export type KekState = (typeof kekStates)[number]

export interface Kek {
  readonly id: string
  readonly state: KekState
  readonly activatedAt: Date
  readonly replacedAt: Date | null
  /** No row was under it, and no living process made anything with it, from then on. */
  readonly rewrappedAt: Date | null
  readonly retiredAt: Date | null
}

/** A process that serves, as it tells of itself. */
export interface HouseProcess {
  readonly instance: string
  readonly host: string
  readonly pid: number
  readonly version: string
  /** The KEK that it makes new things with. */
  readonly seals: string
  /** Those in its file. */
  readonly accepts: readonly string[]
  /** The writer key that it signs with; null: a process of an earlier version. */
  readonly signs: string | null
  /** The pepper that it makes fingerprints with, by its own; null: a process of an earlier version, which knows of one pepper only. */
  readonly marks: string | null
  /** Those in its file. */
  readonly peppers: readonly string[]
}

/** Replies to idempotent requests are kept for as long, and a page is asked for with what the one before it gave. */
export const keptAfterRewrapMs = 24 * 60 * 60_000

export const wordOf = (keks: readonly Kek[]): KekWord => ({
  seals: keks.find(({ state }) => state === 'active')?.id ?? null,
  retired: keks.filter(({ state }) => state === 'retired').map(({ id }) => id),
})

export const retirableFrom = ({ rewrappedAt }: Pick<Kek, 'rewrappedAt'>): Date | null =>
  rewrappedAt && new Date(rewrappedAt.getTime() + keptAfterRewrapMs)

/** What `rekey kek` refuses to do. */
export type RefusedKek = 'busy' | 'file' | 'ambiguous' | 'waits' | 'damaged' | 'early' | 'inUse'

export class KekRefused extends Error {
  readonly why: RefusedKek
  readonly hint: string

  constructor(why: RefusedKek, message: string, hint: string) {
    super(message)
    this.name = 'KekRefused'
    this.why = why
    this.hint = hint
  }
}
