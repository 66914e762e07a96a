// The effect that an intent stands for, from the rotation and the intent alone: whoever finds one open can go on with it.

import type { Intent, PublishTarget, Rotation } from '#domain/rotation.ts'
import { distribute, restoreTarget } from './publish-effects.ts'
import { tellConsumer } from './reload-consumers.ts'
import type { Run } from './rotation-engine.ts'
import { mint, promoteAtProvider } from './rotation-effects.ts'
import { sceneOf } from './rotation-scene.ts'
import type { EffectSpec } from './run-effect.ts'
import { swapBack } from './swap-back.ts'
import { removeNew, setOld } from './switch-effects.ts'

export const specOf = async (run: Run, rotation: Rotation, intent: Intent): Promise<EffectSpec> => {
  const { effect } = intent
  switch (effect) {
    case 'mint':
      return mint(run, rotation)
    case 'distribute':
      return distribute(run, rotation, publishTarget(rotation, intent))
    case 'restoreTarget':
      return restoreTarget(run, rotation, publishTarget(rotation, intent))
    case 'promote':
      return promoteAtProvider(run, rotation)
    case 'swapBack':
      return swapBack(run, rotation, await sceneOf(run, rotation))
    case 'suspend':
    case 'reinstate':
    case 'retire':
      return setOld(run, rotation, await sceneOf(run, rotation), effect, named(intent))
    case 'removeNew':
      return removeNew(run, rotation, await sceneOf(run, rotation), named(intent))
    case 'notify':
      return tellConsumer(run, rotation, named(intent))
    case 'create':
      throw new RangeError('an object is created before its key has a rotation')
    default:
      // A new effect does not compile without its case.
      return effect satisfies never
  }
}

const named = ({ effect, target }: Intent): string => {
  if (target === null) throw new RangeError(`an intent to ${effect} names nothing`)
  return target
}

const publishTarget = ({ plan }: Rotation, intent: Intent): PublishTarget => {
  const target = plan.publish.find(({ name }) => name === intent.target)
  if (!target) throw new RangeError(`the plan has no publish target ${intent.target}`)
  return target
}
