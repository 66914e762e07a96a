// Times that a provider asked for when it was looked at before minting (`Prepared.preImage`): caches that do not know a new
// version yet, and things made with an old one that are still on their way. Frozen with the intent to mint. What was really
// promised of a version since is asked where one of these times is over.

import type { Json } from '#domain/json.ts'
import type { Version } from '#domain/key.ts'
import type { Promised } from '#domain/provider.ts'
import type { Intent } from '#domain/rotation.ts'
import type { Run } from './rotation-engine.ts'
import { type Closed, timeLeft } from './rotation-gates.ts'
import type { Scene } from './rotation-scene.ts'

export interface Propagation {
  /** The type asked for these times: it also knows what it promised. */
  readonly asked: boolean
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
    asked: 'promoteAfterMs' in preImage,
    promoteAfterMs: timeIn(preImage['promoteAfterMs']),
    keepOldForMs: timeIn(preImage['keepOldForMs']),
    destroyOldAfterMs: timeIn(preImage['destroyOldAfterMs']),
  }
}

const promises = {
  propagation: 'knownAt',
  overlap: 'honouredUntil',
} as const satisfies Readonly<Record<string, keyof Promised>>

/** Shut until what was promised of the version is over. */
export const promiseGate = async (
  run: Pick<Run, 'timers'>,
  { session, object }: Pick<Scene, 'session' | 'object'>,
  version: Version,
  gate: keyof typeof promises,
): Promise<Closed | null> => {
  const { promised } = session
  if (!promised) return null
  const told = await Promise.all(version.providerVersions.map((id) => promised(object, id)))
  const ends = told.map((of) => of[promises[gate]]?.getTime() ?? 0)
  const now = await run.timers.now()
  return timeLeft(gate, now.getTime(), Math.max(0, ...ends))
}

const timeIn = (value: Json | undefined): number =>
  typeof value === 'number' && value > 0 ? value : 0
