// How long a policy takes to come round all of its keys. A rotation keeps its place in its group until the old version is
// gone, overlap and soak included, and in a window rotations only begin: with `max: 5` and a day of overlap, five keys begin
// in a window of two hours, however many are due.

import { formatDuration } from './duration.ts'
import type { ResolvedPolicy } from './policy.ts'

type Paced = Pick<ResolvedPolicy, 'concurrency' | 'overlap' | 'soakMs' | 'schedule' | 'maxAgeMs'>

/** What a person should know before `keys` keys wait for their turn in vain; nothing where all of them come round in time, or
 *  where labels make groups, whose sizes nobody knows here. */
export const slowRounds = (policy: Paced, keys: number): readonly string[] => {
  const { max, groupBy } = policy.concurrency
  const eachMs = policy.overlap.minMs + policy.soakMs
  if (groupBy !== null || eachMs === 0 || keys <= max) return []
  const places = `${max} at a time (concurrency.max), each for at least ${formatDuration(eachMs)} (overlap and soak)`
  const windowMs = policy.schedule?.windowMs ?? null
  const inWindow = windowMs === null ? Infinity : max * Math.ceil(windowMs / eachMs)
  const roundMs = Math.ceil(keys / max) * eachMs
  return [
    ...(windowMs !== null && inWindow < keys
      ? [
          `of ${keys} keys at most ${inWindow} can begin in a window of ${formatDuration(windowMs)}: ${places}`,
        ]
      : []),
    ...(policy.maxAgeMs !== null && roundMs > policy.maxAgeMs
      ? [
          `${keys} keys take at least ${formatDuration(roundMs)}, longer than maxAge (${formatDuration(policy.maxAgeMs)}): ${places}`,
        ]
      : []),
  ]
}
