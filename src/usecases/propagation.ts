// Times that a provider asked for when it was looked at before minting (`Prepared.preImage`): caches that do not know a new
// version yet, and things made with an old one that are still on their way. Frozen with the intent to mint.

import type { Json } from '#domain/json.ts'
import type { Intent } from '#domain/rotation.ts'

export interface Propagation {
  /** From being there until being handed out. */
  readonly promoteAfterMs: number
  /** From being handed out no more until being switched off. */
  readonly keepOldForMs: number
  /** From being switched off until being destroyed. */
  readonly destroyOldAfterMs: number
}

export const propagationOf = (intents: readonly Intent[]): Propagation => {
  const preImage = intents.findLast(({ effect }) => effect === 'mint')?.preImage ?? {}
  return {
    promoteAfterMs: timeIn(preImage['promoteAfterMs']),
    keepOldForMs: timeIn(preImage['keepOldForMs']),
    destroyOldAfterMs: timeIn(preImage['destroyOldAfterMs']),
  }
}

const timeIn = (value: Json | undefined): number =>
  typeof value === 'number' && value > 0 ? value : 0
