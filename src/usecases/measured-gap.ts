// `slot: single`: the mint overwrites the old value, and until the new one is handed out (or the old one written back) readers
// have none that works. How long that was is told with the event that ended it.

import type { JsonObject } from '#domain/json.ts'
import type { Rotation } from '#domain/rotation.ts'
import type { Run } from './rotation-engine.ts'
import { intentsOf } from './rotation-scene.ts'

/** From the moment when the request to overwrite can have had its effect first. Nothing where there is no gap. */
export const measuredGap = async (
  run: Pick<Run, 'ledger'>,
  rotation: Rotation,
  until: Date,
): Promise<JsonObject> => {
  if (rotation.plan.traits.slot !== 'single') return {}
  const intents = await intentsOf(run, rotation)
  const minted = intents.find(({ effect, outcome }) => effect === 'mint' && outcome === 'succeeded')
  if (!minted) return {}
  const back = intents.find(
    ({ effect, outcome }) => effect === 'swapBack' && outcome === 'succeeded',
  )
  const ended = back?.endedAt ?? until
  return { gapMs: Math.max(0, ended.getTime() - minted.startedAt.getTime()) }
}
