// What an auditor, and with it every admin, is told of tokens to break glass with: those that were used in the last week.

import { type BreakGlass, endOfUse } from '#domain/break-glass.ts'
import type { Clock, Ledger } from '#domain/ports.ts'
import type { InstallationCheck } from './check-installation.ts'

export interface CheckBreakGlassDeps {
  readonly ledger: Pick<Ledger, 'read'>
  readonly clock: Pick<Clock, 'now'>
}

const shownMs = 7 * 24 * 3_600_000

export const makeCheckBreakGlass =
  ({ ledger, clock }: CheckBreakGlassDeps): (() => Promise<readonly InstallationCheck[]>) =>
  async () => {
    const now = clock.now()
    const used = await ledger.read((db) =>
      db.breakGlass.usedSince(new Date(now.getTime() - shownMs)),
    )
    return used.flatMap((glass) => checkOf(glass, now))
  }

const checkOf = (
  { apiKeyId, usedAt, usedFrom, incidentId }: BreakGlass,
  now: Date,
): readonly InstallationCheck[] => {
  if (usedAt === null) return []
  const ends = endOfUse(usedAt)
  const incident = incidentId === null ? 'no incident' : `the incident ${incidentId}`
  return [
    {
      name: 'break-glass',
      state: 'warn',
      detail: `the token ${apiKeyId} was used from ${usedFrom ?? 'nowhere'} at ${usedAt.toISOString()}, for ${incident}; ${ends > now ? `it works until ${ends.toISOString()}` : 'its hour is over'}`,
      hint: `See: rekey get audit-events --actor ${apiKeyId}`,
    },
  ]
}
