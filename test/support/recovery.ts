// A house whose database went back in time: the mark of its data directory names an event that is not in the log.

import type { HighWater } from '#domain/recovery.ts'
import { makeAcceptRestore } from '#usecases/accept-restore.ts'
import { makeReconcileKeys } from '#usecases/reconcile-keys.ts'
import { type MarkFile, makeWatchHighWater } from '#usecases/watch-high-water.ts'
import { keyTypes, providers } from '#providers/registry.ts'
import type { Sessions } from '#domain/ports.ts'
import type { TestDatabase } from './db.ts'

export const memoryFile = (): MarkFile & { mark: HighWater | null; writes: number } => {
  const file = {
    mark: null as HighWater | null,
    writes: 0,
    read: async () => file.mark,
    write: async (mark: HighWater) => {
      file.mark = mark
      file.writes += 1
    },
  }
  return file
}

/** A process of its own: what it remembers is in its file. */
export const watchOf = (
  db: TestDatabase,
  file: MarkFile,
  pepperId = db.keyring.peppers.making.id,
) =>
  makeWatchHighWater({
    ledger: db.ledger,
    whereabouts: db.whereabouts,
    ids: db.ids,
    clock: db.clock,
    file,
    pepperId,
  })

/** As a start finds it after yesterday's backup was restored. */
export const goBack = async (db: TestDatabase): Promise<void> => {
  const file = memoryFile()
  await watchOf(db, file).look()
  if (!file.mark) throw new Error('no mark was written')
  const gone = { id: db.ids.next(), leafHash: '00'.repeat(32), at: '2026-11-30T00:00:00.000Z' }
  file.mark = { ...file.mark, events: [gone, ...file.mark.events] }
  await watchOf(db, file).look()
}

export const recoveryOf = (db: TestDatabase, sessions: Pick<Sessions, 'open'>) => {
  const byId = new Map(providers.map((provider) => [provider.id, provider]))
  const { ledger, whereabouts, timers, keyring, clock, ids } = db
  const deps = { ledger, whereabouts, timers, sessions, providers: byId, keyring, clock, ids }
  const pass = makeReconcileKeys(deps)
  return {
    reconcile: async (): Promise<void> => {
      for (let n = 0; n < 100; n++) if ((await pass()) === 0) return
      throw new Error('reconciling does not end')
    },
    accept: makeAcceptRestore({ ...deps, types: keyTypes, hashJson: db.hashJson }),
    findings: () =>
      ledger.read(async (read) => {
        const open = await read.recovery.open()
        if (!open) return {}
        const { items } = await read.recovery.findings(open.id, {}, { limit: 200, after: null })
        return Object.fromEntries(items.map((finding) => [finding.key, finding]))
      }),
  }
}
