// The new version is used for real, as often in a row as the type's consistency asks, spread over its delay. Between two uses
// the rotation waits as a due time: no worker sleeps over it, and a crash repeats one use at most. A version that does not
// work yet while the provider may still be spreading the word has not failed; when that time is over, it has.

import type { VerifyHow } from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import { nextPhase } from '#domain/rotation-machine.ts'
import { call } from './rotation-effects.ts'
import { Fenced, goOn, type Run, type Step } from './rotation-engine.ts'
import { fail } from './rotation-failure.ts'
import { refused } from './rotation-retries.ts'
import { carrier, materialOf, sceneOf } from './rotation-scene.ts'
import { longestWaitMs, progressSeen, waitFor } from './rotation-wait.ts'
import { asProviderError } from './run-effect.ts'
import { present } from './version-changes.ts'
import { verifyWebhooks } from './verify-webhook.ts'

export const verifying = async (run: Run, rotation: Rotation): Promise<Step> => {
  const scene = await sceneOf(run, rotation)
  const { to, type } = scene
  if (!to) throw new RangeError('nothing was minted')
  const { delayMs, confirmations } = type.traits.consistency
  const confirmed = (await progressSeen(run, rotation)).confirmed ?? 0
  const spread = confirmations > 1 ? delayMs / (confirmations - 1) : delayMs
  try {
    if (confirmed < confirmations) {
      const no = await use(run, rotation, scene)
      if (no !== null) return await notYet(run, rotation, no, delayMs, spread)
      if (confirmed + 1 < confirmations) {
        return await propagating(run, rotation, confirmed + 1, confirmations, spread)
      }
    }
    const no = await verifyWebhooks(run, rotation, to.version)
    if (no !== null) return await fail(run, rotation, no)
  } catch (error) {
    return refused(run, rotation, 'verify', asProviderError(error))
  }
  return goOn(run, rotation, nextPhase(rotation.plan.phases, rotation.phase), {
    also: async (tx) => {
      const version = await present(tx, to.keyId, to.version)
      const verified = { ...version, verifiedAt: await tx.now() }
      if (!(await tx.writeVersion.update(verified, 'preActivation'))) throw new Fenced(rotation.id)
      return []
    },
  })
}

/** Each of the checks once; what the first one that failed said. */
const use = async (
  run: Run,
  rotation: Rotation,
  { session, object, to }: Awaited<ReturnType<typeof sceneOf>>,
): Promise<string | null> => {
  if (!to) throw new RangeError('nothing was minted')
  const material = await materialOf(run, to)
  for (const how of checksOf(rotation)) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const verdict = await session.verify(
      { object, providerVersion: carrier(to), material, how, preImage: rotation.preImage },
      call(run),
    )
    if (!verdict.ok) return `the new version failed ${how}: ${verdict.detail}`
  }
  return null
}

/** What the type itself asks for, and what the policy lists beside it. */
const checksOf = (rotation: Rotation): readonly VerifyHow[] => {
  const own: VerifyHow[] =
    rotation.plan.traits.slot === 'internal' ? ['roundTrip', 'oldDataReadable'] : ['roundTrip']
  const listed = rotation.plan.policy.verify.flatMap(({ type }) =>
    type === 'webhook' ? [] : [type],
  )
  return [...new Set([...own, ...listed])]
}

const propagating = (
  run: Run,
  rotation: Rotation,
  confirmed: number,
  of: number,
  afterMs: number,
): Promise<Step> => {
  const text = `the new version works, ${confirmed} of ${of} times`
  return waitFor(run, rotation, 'propagation', text, { afterMs, progress: { confirmed } })
}

/** Uses count in a row: one that failed begins them anew. */
const notYet = async (
  run: Run,
  rotation: Rotation,
  reason: string,
  delayMs: number,
  spread: number,
): Promise<Step> => {
  const until = new Date(rotation.phaseEnteredAt.getTime() + delayMs)
  const leftMs = until.getTime() - (await run.timers.now()).getTime()
  if (leftMs <= 0) return fail(run, rotation, reason)
  return waitFor(run, rotation, 'propagation', `${reason}; it may not be known everywhere yet`, {
    afterMs: Math.min(leftMs, spread, longestWaitMs),
    until,
    progress: { confirmed: 0 },
  })
}
