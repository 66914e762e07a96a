// Preflight: in the window, held by nothing, and then reads only: reachable, rights, the present version works, nobody
// else's version appeared, undo is possible, the grants cover what is published.

import type { LedgerEvent } from '#domain/ports.ts'
import { ProviderError, type ProviderVersion, type Session } from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import { inWindow } from '#domain/windows.ts'
import { refusalToPublish } from './publish-effects.ts'
import { call, callToMint } from './rotation-effects.ts'
import { goOn, move, type Run, stall, type Step } from './rotation-engine.ts'
import { fail } from './rotation-failure.ts'
import { holdsOf } from './rotation-holds.ts'
import { refused } from './rotation-retries.ts'
import { carrier, materialOf, type Scene, sceneOf } from './rotation-scene.ts'
import { longestWaitMs, waitFor } from './rotation-wait.ts'
import { waitHeld } from './run-effect.ts'
import { mustBeOurs } from './standby.ts'
import { adoptCarriers, carriersIn, present } from './version-changes.ts'

export const preflight = async (run: Run, rotation: Rotation): Promise<Step> => {
  const outside = await outsideOfWindow(run, rotation)
  if (outside) return outside
  const hold = await holdsOf(run, rotation)
  if (hold) return waitHeld(run, rotation, hold)
  try {
    await mustBeLetPublish(run, rotation)
    const scene = await sceneOf(run, rotation)
    if (scene.type.traits.slot === 'pair') await mustBeOurs(run, scene)
    return await look(run, rotation, scene)
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    return failed(run, rotation, error)
  }
}

/** Windows bind what the planner started, not what a person asked for. */
const outsideOfWindow = async (run: Run, rotation: Rotation): Promise<Step | null> => {
  const { policy, nominal } = rotation.plan
  if (rotation.trigger !== 'schedule' && rotation.trigger !== 'maxAge') return null
  const now = run.seen?.at ?? (await run.timers.now())
  const window = inWindow(policy, nominal === null ? rotation.createdAt : new Date(nominal), now)
  if (window.open) return null
  if (window.opensAt === null || policy.schedule?.missed === 'skip')
    return fail(run, rotation, 'its window has closed; the next occurrence follows')
  return waitFor(run, rotation, 'window', 'outside of the window', {
    afterMs: Math.min(window.opensAt.getTime() - now.getTime(), longestWaitMs),
    until: window.opensAt,
  })
}

/** Before anything is minted: a grant that was taken back is told here, and not by undoing. */
const mustBeLetPublish = async (run: Run, rotation: Rotation): Promise<void> => {
  const { publish } = rotation.plan
  if (publish.length === 0) return
  const refusals = await run.ledger.read((db) =>
    Promise.all(publish.map((to) => refusalToPublish(db, run.world.types, rotation, to))),
  )
  const [first, ...others] = refusals.filter((refusal) => refusal !== null)
  if (!first) return
  // All of them at once: whoever mends the first need not resume to learn of the next.
  const said = [first, ...others].map(({ message }) => message).join('; ')
  throw new ProviderError(first.kind, first.effect, said, first.hint ? { hint: first.hint } : {})
}

const look = async (
  run: Run,
  rotation: Rotation,
  { session, object, from }: Scene,
): Promise<Step> => {
  const current = from && carrier(from)
  const prepared = await session.prepare(object, current, callToMint(run, rotation))
  if (from && current !== null) {
    const verdict = await session.verify(
      {
        object,
        providerVersion: current,
        material: await materialOf(run, from),
        how: 'roundTrip',
        preImage: prepared.preImage,
      },
      call(run),
    )
    if (!verdict.ok)
      return stall(run, rotation, `the present version does not work: ${verdict.detail}`)
  }
  const there = await versionsNow(run, session, object)
  mustHavePlace(rotation, there)
  const enabled = there?.filter(({ state }) => state === 'enabled').map(({ id }) => id)
  const adopts =
    from && carriersIn(prepared.preImage).some((id) => !from.providerVersions.includes(id))
  // What is minted names the version's carrier: it must have been written.
  return (adopts ? move : goOn)(run, rotation, 'minting', {
    patch: { preImage: { ...prepared.preImage, ...(enabled ? { enabledBefore: enabled } : {}) } },
    also: async (tx) => {
      const events: LedgerEvent[] = []
      if (adopts) {
        const old = await present(tx, from.keyId, from.version)
        await adoptCarriers(tx, rotation, old, prepared.preImage, events)
      }
      return events
    },
  })
}

/** A provider that takes so many versions and no more, whoever made them: Rekey removes none that is not its own to make
 *  place. Where minting is handing out, the provider lets go of old ones by itself. */
const mustHavePlace = (
  { plan: { traits } }: Rotation,
  there: readonly ProviderVersion[] | null,
): void => {
  const { maxLiveVersions } = traits.limits
  const live = (there ?? []).filter(({ state }) => state !== 'destroyed')
  if (maxLiveVersions === undefined || traits.staging === 'none' || live.length < maxLiveVersions)
    return
  throw new ProviderError(
    'quota',
    'none',
    `there are ${live.length} versions already (${live.map(({ id }) => id).join(', ')}), and the provider takes no more than ${maxLiveVersions}`,
    { hint: 'remove one that nobody uses there, or let a rotation retire it (rekey adopt)' },
  )
}

/** What was there before anything was made: at the end it tells what appeared meanwhile from what was always there. */
const versionsNow = async (
  run: Run,
  session: Session,
  object: Scene['object'],
): Promise<readonly ProviderVersion[] | null> => {
  try {
    return (await session.describe(object, call(run))).versions
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound') return null
    throw error
  }
}

/** Retried while it may pass by itself, then cancelled until the next occurrence; what needs a person stalls. */
const needsPerson = new Set([
  'auth',
  'forbidden',
  'quota',
  'precondition',
  'notFound',
  'conflict',
  'permanent',
  'unsupported',
  'disabled',
])
const failed = async (run: Run, rotation: Rotation, error: ProviderError): Promise<Step> => {
  if (!needsPerson.has(error.kind)) return refused(run, rotation, 'preflight', error)
  return stall(run, rotation, `preflight: ${error.message}${error.hint ? ` (${error.hint})` : ''}`)
}
