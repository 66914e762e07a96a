// A key whose connection cannot be opened, however often it is tried, or at which our own code fails: what is said of it then. Nothing
// was sent, and nobody waits for it for ever: the incident comes to rest, and a person asks for it again.

import { cachedUntil, isSettled } from '#domain/contain-key.ts'
import type { IncidentKey, VersionEvidence } from '#domain/incident.ts'
import { ProviderError } from '#domain/provider.ts'
import type { Case } from './contained-cases.ts'
import { isToLook } from './look-again.ts'

interface End {
  readonly evidence: readonly VersionEvidence[]
  readonly change: Partial<IncidentKey>
}

/** Null: nothing was to be sent. */
export const givenUp = (found: Case, error: unknown, now: number): End | null => {
  const why =
    error instanceof ProviderError ? error.message : "a fault in Rekey; the worker's log says more"
  if (found.key.restoration === 'asked')
    return {
      evidence: [],
      change: { restoration: 'failed', detail: `It could not be restored: ${why}` },
    }
  const left = found.evidence.filter((one) => !isSettled(one))
  if (left.length > 0) {
    const detail = `It could not be sent: ${why}`
    return { evidence: left.map((one) => ({ ...one, state: 'failed', detail })), change: {} }
  }
  const looks = isToLook(found) && (found.key.lateUntil?.getTime() ?? 0) <= now
  const untried = found.evidence.filter((one) => (looks && isRefused(one)) || isDue(one, now))
  if (untried.length === 0 && !looks) return null
  const detail = `It was refused, and could not be tried again: ${why}`
  return {
    evidence: untried.map((one) => ({ ...one, state: 'unproven', provenAt: null, detail })),
    change: looks ? { lateUntil: null } : {},
  }
}

const isRefused = ({ state }: VersionEvidence): boolean =>
  state === 'refused' || state === 'refusedAfter'

/** The time of its caches is over. */
const isDue = (one: VersionEvidence, now: number): boolean => {
  const until = cachedUntil(one)
  return until !== null && until.getTime() <= now
}
