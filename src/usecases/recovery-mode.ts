// In recovery mode nothing is written to any provider: what the database says of it may be yesterday's. Asked where an
// effect begins (run-effect.ts, create-object.ts), where one is asked for (start, resume, roll back), and where material is
// handed out that may not be what serves (use-key.ts).

import { RekeyError } from '#domain/errors.ts'
import type { Reads } from '#domain/ports.ts'
import type { Recovery } from '#domain/recovery.ts'

const hint =
  'Look with: rekey doctor. When what it shows is right: rekey doctor --accept-restore --reason "…"'

const recovering = ({ beganAt, detail }: Recovery, more: string): RekeyError =>
  new RekeyError('recovery.active', {
    detail: `In recovery mode since ${beganAt.toISOString()}: ${detail}. ${more}`,
    hint,
  })

/** Refuses what would lead to a write at a provider. */
export const mustWriteProviders = async (db: Pick<Reads, 'recovery'>): Promise<void> => {
  const recovery = await db.recovery.open()
  if (recovery) throw recovering(recovery, 'Nothing is written to any provider.')
}

/** Refuses to hand out, or to make something new with, a version that may have been replaced since. */
export const mustBeReconciled = async (
  db: Pick<Reads, 'recovery'>,
  key: { readonly id: string; readonly name: string },
): Promise<void> => {
  const recovery = await db.recovery.open()
  if (!recovery) return
  const finding = await db.recovery.finding(recovery.id, key.id)
  if (finding?.state === 'equal' || finding?.state === 'adopted' || finding?.state === 'orphan')
    return
  // What went back with the database is all there is: a newer version could not be had.
  if (finding?.facts['wentBack'] === true) return
  throw recovering(
    recovery,
    finding && finding.state !== 'pending'
      ? `The key ${key.name} is not what it was: ${finding.detail}`
      : `The provider of ${key.name} was not asked yet.`,
  )
}

/** What a rotation waits for meanwhile. */
export const recoveryHold = async (db: Pick<Reads, 'recovery'>): Promise<string | null> => {
  const recovery = await db.recovery.open()
  return recovery && saidOf(recovery)
}

export const saidOf = ({ beganAt, detail }: Pick<Recovery, 'beganAt' | 'detail'>): string =>
  `recovery mode since ${beganAt.toISOString()}: ${detail}`
