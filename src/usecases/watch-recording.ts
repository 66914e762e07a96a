// Whether audit records can be written, as this process learns it: by what its own commits are told. Once one was refused,
// whoever asks whether we are ready has it tried anew, with a record that is taken back. So a full disk is said by `/readyz`
// from the first refusal on, and no longer than it lasts, also where nobody sends us anything because we are not ready.

import { isRekeyError } from '#domain/errors.ts'
import type { Clock, Ledger } from '#domain/ports.ts'

export interface RecordingWatch {
  /** The same ledger, whose refusals are seen. */
  readonly watching: (ledger: Ledger) => Ledger
  /** True, or in one sentence why not. */
  readonly ready: () => Promise<true | string>
}

export interface WatchRecordingDeps {
  /** Writes what any record would fit in, and takes it back. Throws what a commit would. */
  readonly tryRecord: () => Promise<void>
  readonly clock: Pick<Clock, 'now'>
}

/** Probes come from everywhere, and a full disk is not to be asked all the time. */
const betweenTriesMs = 1_000

export const makeWatchRecording = ({ tryRecord, clock }: WatchRecordingDeps): RecordingWatch => {
  let why: string | null = null
  let triedAt = 0

  // That another commit goes through says nothing: it may be a smaller one.
  const seen = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      if (isRekeyError(error, 'audit.unavailable')) why = error.message
      throw error
    }
  }
  return {
    watching: (ledger) => ({
      ...ledger,
      commit: (actor, work) => seen(() => ledger.commit(actor, work)),
      rehearse: (actor, work) => seen(() => ledger.rehearse(actor, work)),
      note: (actor, event) => seen(() => ledger.note(actor, event)),
    }),
    ready: async () => {
      const now = clock.now().getTime()
      if (why === null) return true
      if (Math.abs(now - triedAt) < betweenTriesMs) return why
      triedAt = now
      await seen(tryRecord).then(
        () => (why = null),
        () => undefined,
      )
      return why ?? true
    },
  }
}
