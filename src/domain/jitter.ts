// When inside its room a key takes an occurrence: spread over the keys, always the same for one key and occurrence.

import { unitHash } from './hash.ts'
import type { Occurrence } from './occurrences.ts'

/** Always before `end` (the window's, or the next occurrence): a key that waits for its moment is not overtaken for ever. */
export const jittered = (
  jitterMs: number,
  keyId: string,
  occurrence: Occurrence,
  end: number,
): number => {
  const room = Math.min(jitterMs, end - occurrence.at)
  return room === 0
    ? occurrence.at
    : occurrence.at + Math.floor(unitHash(keyId, occurrence.id) * room)
}
