// Effects with set semantics: a provider version is switched off, on again, or removed. Doing one again changes nothing.

import type { Version } from '#domain/key.ts'
import { type Call, lateEffectOf, type Probe, ProviderError } from '#domain/provider.ts'
import type { Effect, Intent, Rotation } from '#domain/rotation.ts'
import { nextPhase } from '#domain/rotation-machine.ts'
import type { Run } from './rotation-engine.ts'
import { byHand } from './ask-person.ts'
import { call, objectIdOf } from './rotation-effects.ts'
import type { Scene } from './rotation-scene.ts'
import type { EffectSpec, Sent } from './run-effect.ts'
import { advanceVersion, present, retireVersion } from './version-changes.ts'

export type Switch = Extract<Effect, 'suspend' | 'reinstate' | 'retire' | 'removeNew'>
const switches: ReadonlySet<string> = new Set<Switch>([
  'suspend',
  'reinstate',
  'retire',
  'removeNew',
])

/** The provider versions of `version` on which this was not the last thing done. Something that was done earlier says
 *  nothing: what was switched off, and on again since, is on. */
export const notYet = (
  intents: readonly Intent[],
  version: Version,
  effect: Switch,
): readonly string[] => version.providerVersions.filter((id) => lastSwitch(intents, id) !== effect)

/** `intents` in the order in which they began. */
export const lastSwitch = (intents: readonly Intent[], providerVersion: string): Effect | null =>
  intents.findLast(
    ({ effect, target, outcome }) =>
      switches.has(effect) && target === providerVersion && outcome === 'succeeded',
  )?.effect ?? null

/** One of the provider's versions that carry the old one; the last of them changes the version, and with it the phase.
 *  A `because` stalls the rotation once all of them are on again. */
export const setOld = (
  run: Run,
  rotation: Rotation,
  scene: Scene,
  effect: Exclude<Switch, 'removeNew'>,
  providerVersion: string,
  because?: string,
): EffectSpec => {
  const { from } = scene
  if (!from) throw new RangeError('there is no old version')
  const how = rotation.plan.policy.retire === 'destroy' ? 'destroy' : 'disable'
  const state = setState(run, rotation, scene, effect, providerVersion, how)
  return {
    ...state,
    begin: async () => {
      const { preImage } = await state.begin()
      return { preImage: { ...preImage, ...(because ? { because } : {}) } }
    },
    done: async (tx, current, _sent, intent) => {
      const old = await present(tx, current.keyId, from.version)
      const others = old.providerVersions.some((id) => id !== providerVersion)
      const left = others ? notYet(await tx.intents.of(current.id), old, effect) : []
      if (left.some((id) => id !== providerVersion)) return {}
      if (effect === 'suspend') {
        if (old.state === 'active') await advanceVersion(tx, old, ['suspended'])
        return { phase: nextPhase(current.plan.phases, current.phase) }
      }
      if (effect === 'retire') {
        await retireVersion(tx, current, old)
        return {}
      }
      if (old.state === 'suspended') await advanceVersion(tx, old, ['active'])
      const reason = intent.preImage['because']
      return typeof reason === 'string'
        ? { phase: 'stalled', patch: { stalledIn: current.phase, stalledReason: reason } }
        : {}
    },
  }
}

/** One of the provider's versions that carry the new one, or an orphan of ours, is destroyed. */
export const removeNew = (
  run: Run,
  rotation: Rotation,
  scene: Scene,
  providerVersion: string,
): EffectSpec => ({
  ...setState(run, rotation, scene, 'removeNew', providerVersion, 'destroy'),
  done: async () => ({}),
})

/** The common part: the probe is the state itself. `bounds` says more of the call. */
export const setState = (
  run: Run,
  rotation: Rotation,
  scene: Scene,
  effect: Switch,
  providerVersion: string,
  how: 'disable' | 'destroy',
  bounds: Pick<Call, 'takeBack'> = {},
): Omit<EffectSpec, 'done'> => {
  const { session, object, connection, type } = scene
  const wanted =
    effect === 'reinstate'
      ? 'enabled'
      : effect === 'suspend' || how === 'disable'
        ? 'disabled'
        : 'destroyed'
  return {
    effect,
    target: providerVersion,
    ...byHand(scene, rotation, effect, providerVersion, wanted),
    object: { id: objectIdOf(rotation), name: rotation.keyName },
    lateEffectMs: lateEffectOf(type, connection),
    consistency: type.traits.consistency,
    begin: async () => ({
      preImage: { state: await session.stateOf(object, providerVersion, call(run)), wanted },
    }),
    send: async (intent, _material, at) => {
      try {
        if (effect === 'suspend')
          return { result: await session.suspend(object, providerVersion, at) }
        if (effect === 'reinstate')
          return { result: await session.reinstate(object, providerVersion, at) }
        return {
          result: await session.retire(object, providerVersion, how, { ...at, ...bounds }),
        }
      } catch (error) {
        // The provider dropped it by itself (it keeps so many versions and no more), and says so twice.
        const gone =
          error instanceof ProviderError &&
          error.kind === 'notFound' &&
          intent.preImage['state'] === 'absent'
        const needed = effect === 'reinstate' && type.traits.undo !== 'rollForward'
        if (!gone || needed) throw error
        return { result: { state: 'absent' } }
      }
    },
    probe: async (_intent, _material, at): Promise<Probe<Sent>> => {
      const state = await session.stateOf(object, providerVersion, at)
      const met = state === wanted || (wanted === 'destroyed' && state === 'absent')
      return met ? { answer: 'ours', value: { result: { state } } } : { answer: 'absent' }
    },
  }
}
