// The end of the old version: switched off, watched, retired. Everything before `retiring` is taken back by one call.
//
// Whether a provider version is off is told by the last thing that was done to it, never by something done earlier: after a
// canary that was accepted it is on again, and a rotation that is resumed switches it off anew.

import type { Version } from '#domain/key.ts'
import type { Material } from '#domain/provider.ts'
import type { Intent, Rotation } from '#domain/rotation.ts'
import { nextPhase } from '#domain/rotation-machine.ts'
import { complete } from './complete-rotation.ts'
import { consumerGates } from './consumer-gates.ts'
import { propagationOf } from './propagation.ts'
import { call } from './rotation-effects.ts'
import { goOn, move, type Run, stall, type Step } from './rotation-engine.ts'
import { overriddenGates, timeGate } from './rotation-gates.ts'
import { refused } from './rotation-retries.ts'
import { carrier, intentsOf, materialOf, type Scene, sceneOf } from './rotation-scene.ts'
import { longestWaitMs, timerOf, waitFor, waitForGate } from './rotation-wait.ts'
import { asProviderError, runEffect } from './run-effect.ts'
import { keptByMint } from './swap-back.ts'
import { lastSwitch, notYet, setOld } from './switch-effects.ts'
import { advanceVersion, carriersIn, present, retireVersion } from './version-changes.ts'

/** Each of the provider's versions that carry the old one; the last one moves the rotation. */
export const suspending = async (run: Run, rotation: Rotation): Promise<Step> => {
  const scene = await sceneOf(run, rotation)
  const from = oldOf(scene)
  const [first] = notYet(await intentsOf(run, rotation), from, 'suspend')
  if (first !== undefined) {
    const effect = setOld(run, rotation, scene, 'suspend', first)
    return runEffect(run, rotation, effect, () => mayEnd(run, rotation, scene))
  }
  // It was off when the rotation stalled, and is.
  return move(run, rotation, nextPhase(rotation.plan.phases, rotation.phase), {
    also: async (tx) => {
      const old = await present(tx, from.keyId, from.version)
      return old.state === 'active' ? advanceVersion(tx, old, ['suspended']) : []
    },
  })
}

/** The old version must be refused when it is tried. If it is not, it is switched on again and a person is told. */
export const soaking = async (run: Run, rotation: Rotation): Promise<Step> => {
  const scene = await sceneOf(run, rotation)
  const from = oldOf(scene)
  const intents = await intentsOf(run, rotation)
  const because = reasonToEnable(intents, rotation)
  if (because !== null) return enableOld(run, rotation, scene, because)
  const { retire, soakMs } = rotation.plan.policy
  const leastMs = retire === 'destroy' ? propagationOf(intents).destroyOldAfterMs : 0
  const soak = await timeGate(run, rotation, 'soak', Math.max(soakMs, leastMs))
  const timer = run.seen ? run.seen.timer : await timerOf(run, rotation.id)
  // Tried when the soak begins and when it ends, never in between: a canary must not look like an attack.
  if (!soak || timer?.waitingFor?.gate !== 'soak') {
    let accepted: string | null
    try {
      accepted = await acceptedStill(run, rotation, scene, from)
    } catch (error) {
      return refused(run, rotation, 'canary', asProviderError(error))
    }
    if (accepted !== null) {
      const notYet = await spreading(run, rotation, scene, accepted)
      if (notYet) return notYet
      const reason = `the old version is still accepted although it was switched off: ${accepted}`
      return enableOld(run, rotation, scene, reason)
    }
  }
  return soak
    ? waitForGate(run, rotation, soak)
    : goOn(run, rotation, nextPhase(rotation.plan.phases, rotation.phase))
}

/** That it was switched off may not be known everywhere yet: it has not failed before the type's consistency says so. */
const spreading = async (
  run: Run,
  rotation: Rotation,
  { type }: Scene,
  accepted: string,
): Promise<Step | null> => {
  const { delayMs, confirmations } = type.traits.consistency
  const until = new Date(rotation.phaseEnteredAt.getTime() + delayMs)
  const leftMs = until.getTime() - (await run.timers.now()).getTime()
  if (leftMs <= 0) return null
  const text = `the old version is off, which may not be known everywhere yet: ${accepted}`
  const afterMs = Math.min(leftMs, delayMs / confirmations, longestWaitMs)
  return waitFor(run, rotation, 'propagation', text, { afterMs, until })
}

/** A first provider version was switched on again in this soak: the others follow, whatever a canary says meanwhile. */
const reasonToEnable = (intents: readonly Intent[], rotation: Rotation): string | null => {
  const begun = intents.findLast(
    ({ effect, outcome, startedAt }) =>
      effect === 'reinstate' && outcome === 'succeeded' && startedAt >= rotation.phaseEnteredAt,
  )
  const because = begun?.preImage['because']
  return typeof because === 'string' ? because : null
}

const enableOld = async (
  run: Run,
  rotation: Rotation,
  scene: Scene,
  because: string,
): Promise<Step> => {
  const [first] = notYet(await intentsOf(run, rotation), oldOf(scene), 'reinstate')
  return first === undefined
    ? stall(run, rotation, because)
    : runEffect(run, rotation, setOld(run, rotation, scene, 'reinstate', first, because))
}

const acceptedStill = async (
  run: Run,
  rotation: Rotation,
  { session, object }: Scene,
  from: Version,
  kept: Material | null = null,
): Promise<string | null> => {
  const material = (await materialOf(run, from)) ?? kept
  for (const providerVersion of from.providerVersions) {
    // oxlint-disable-next-line no-await-in-loop -- canaries are spaced
    const verdict = await session.verify(
      { object, providerVersion, material, how: 'refused', preImage: rotation.preImage },
      call(run),
    )
    if (!verdict.ok) return verdict.detail
  }
  return null
}

/** An old version that could not be switched off for a while is tried once when it has been taken away, with what the mint
 *  sealed of it where that wrote over it. Null: it is refused. */
const takenAway = async (
  run: Run,
  rotation: Rotation,
  scene: Scene,
  from: Version,
): Promise<Step | null> => {
  const sealedId = await keptByMint(run, rotation)
  const kept = sealedId === null ? null : await run.ledger.read((db) => db.sealed.open(sealedId))
  try {
    const accepted = await acceptedStill(run, rotation, scene, from, kept)
    return accepted === null
      ? null
      : await stall(run, rotation, `the old version is still accepted: ${accepted}`)
  } catch (error) {
    return refused(run, rotation, 'canary', asProviderError(error))
  }
}

/** `keep`, an old version that is off already, and one that its provider keeps by itself: nothing is sent. */
export const retiring = async (run: Run, rotation: Rotation): Promise<Step> => {
  const scene = await sceneOf(run, rotation)
  const { from } = scene
  if (!from) return complete(run, rotation, scene)
  const { retire } = rotation.plan.policy
  const { slot, suspend } = rotation.plan.traits
  // An incident has switched it off, and tried it.
  if (from.state === 'compromised') return complete(run, rotation, scene)
  if (from.state === 'deactivated' || from.state === 'destroyed') {
    const ended = !suspend && lastSwitch(await intentsOf(run, rotation), carrier(from)) === 'retire'
    const step = ended ? await takenAway(run, rotation, scene, from) : null
    return step ?? complete(run, rotation, scene)
  }
  const untouched =
    retire === 'keep' ||
    (retire === 'disable' && from.state === 'suspended') ||
    slot === 'single' ||
    slot === 'internal'
  if (slot === 'single' && from.state === 'suspended') {
    const step = await takenAway(run, rotation, scene, from)
    if (step) return step
  }
  const [first] = untouched ? [] : notYet(await intentsOf(run, rotation), from, 'retire')
  if (first !== undefined) {
    const effect = setOld(run, rotation, scene, 'retire', first)
    return runEffect(run, rotation, effect, () => mayEnd(run, rotation, scene))
  }
  return complete(run, rotation, scene, async (tx, ended) =>
    retireVersion(tx, ended, await present(tx, from.keyId, from.version)),
  )
}

/** Asked right before the first effect that takes an active old version away (I2, I10): the new one is what is handed out,
 *  nobody has put something else in its place, and the consumers' gates are open still. */
const mayEnd = async (run: Run, rotation: Rotation, scene: Scene): Promise<Step | null> => {
  const { to } = scene
  const from = oldOf(scene)
  const intents = await intentsOf(run, rotation)
  const begun =
    notYet(intents, from, 'suspend').length < from.providerVersions.length ||
    notYet(intents, from, 'retire').length < from.providerVersions.length
  if (from.state !== 'active' || begun) return null
  if (from.primary) return stall(run, rotation, 'the old version is the one that is handed out')
  if (to && !to.primary) return stall(run, rotation, 'the new version is not handed out')
  try {
    const why = await servedStill(run, rotation, scene, from)
    if (why !== null) return await stall(run, rotation, why)
  } catch (error) {
    return refused(run, rotation, 'the look at what readers get', asProviderError(error))
  }
  const closed = await consumerGates(run, rotation, await overriddenGates(run, rotation))
  if (!closed) return null
  return 'step' in closed ? closed.step : waitForGate(run, rotation, closed.shut)
}

/** Why the old version may not be taken away from those who read at the provider: it is what they get, or holds the value of
 *  what is handed out. Throws where somebody put something else in the place of that. An adopted version (I15) has no new
 *  one: it is held against the primary, as it was when it was adopted. */
const servedStill = async (
  run: Run,
  rotation: Rotation,
  { session, object, to }: Scene,
  from: Version,
): Promise<string | null> => {
  const served = to ?? (await run.ledger.read((db) => db.versions.primary(rotation.keyId)))
  if (!served) return 'the key hands out no other version'
  const isOld = (id: string): boolean => from.providerVersions.includes(id)
  const { versions } = await session.describe(object, call(run))
  if (versions.some(({ id, current }) => current && isOld(id)))
    return `version ${from.version} is what readers at the provider get now`
  const { preImage } = await session.prepare(object, carrier(served), call(run))
  return carriersIn(preImage).some(isOld)
    ? `version ${from.version} holds the value of version ${served.version}, which is handed out`
    : null
}

const oldOf = ({ from }: Scene): Version => {
  if (!from) throw new RangeError('there is no old version')
  return from
}
