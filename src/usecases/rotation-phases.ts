// What each open phase does when its rotation is rung for. A phase either moves on, or says what it waits for; it never
// sleeps. The prose of every phase, with what a crash leaves, stands in domain/rotation-machine.ts.

import type { JsonObject } from '#domain/json.ts'
import type { Version } from '#domain/key.ts'
import type { LedgerEvent } from '#domain/ports.ts'
import { ProviderError, type VerifyHow } from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import { nextPhase, type Phase } from '#domain/rotation-machine.ts'
import { inWindow } from '#domain/windows.ts'
import { awaitingApproval, planned } from './begin-rotation.ts'
import { distribute, mint, promoteAtProvider, setOld } from './rotation-effects.ts'
import {
  carrier,
  move,
  type Run,
  sceneOf,
  stall,
  type Step,
  timerOf,
  waitFor,
} from './rotation-engine.ts'
import { beginUndo, fail } from './rotation-failure.ts'
import {
  type Closed,
  isOverridden,
  missingAcks,
  observedIn,
  timeGate,
  usageGate,
} from './rotation-gates.ts'
import { holdsOf } from './rotation-holds.ts'
import { reloadConsumers } from './reload-consumers.ts'
import { afterRefusal, asProviderError, isDone, runEffect } from './run-effect.ts'
import { rollBack } from './undo-steps.ts'
import { adoptCarriers, advanceVersion, retireVersion, servePrimary } from './version-changes.ts'
import { verifyWebhooks } from './verify-webhook.ts'

export type PhaseHandler = (run: Run, rotation: Rotation) => Promise<Step>

const next = (rotation: Rotation): Phase => nextPhase(rotation.plan.phases, rotation.phase)

/** Between looks at something that nobody rings for: a hold that may be lifted. */
const lookAgainMs = 5_000
const longestWaitMs = 60_000

const preflight: PhaseHandler = async (run, rotation) => {
  const { policy, nominal } = rotation.plan
  const now = await run.timers.now()
  if (rotation.trigger === 'schedule' || rotation.trigger === 'maxAge') {
    const window = inWindow(policy, nominal === null ? rotation.createdAt : new Date(nominal), now)
    if (!window.open) {
      if (window.opensAt === null || policy.schedule?.missed === 'skip')
        return fail(run, rotation, 'its window has closed; the next occurrence follows')
      return waitFor(run, rotation, 'window', 'outside of the window', {
        afterMs: Math.min(window.opensAt.getTime() - now.getTime(), longestWaitMs),
        until: window.opensAt,
      })
    }
  }
  const hold = await holdsOf(run, rotation)
  if (hold)
    return waitFor(run, rotation, hold.gate, hold.text, {
      afterMs: lookAgainMs,
      ...(hold.until ? { until: hold.until } : {}),
    })

  try {
    const { session, object, from } = await sceneOf(run, rotation)
    const call = () => ({ signal: run.clock.deadline(10_000) })
    const current = from && carrier(from)
    const prepared = await session.prepare(object, current, call())
    if (from && current !== null) {
      const verdict = await session.verify(
        {
          object,
          providerVersion: current,
          material: await materialOf(run, from),
          how: 'roundTrip',
          preImage: prepared.preImage,
        },
        call(),
      )
      if (!verdict.ok)
        return await stall(run, rotation, `the present version does not work: ${verdict.detail}`)
    }
    return await move(run, rotation, 'minting', {
      patch: { preImage: prepared.preImage },
      also: async (tx) => {
        const events: LedgerEvent[] = []
        if (from) await adoptCarriers(tx, rotation, from, prepared.preImage, events)
        return events
      },
    })
  } catch (error) {
    return preflightFailed(run, rotation, error)
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
const preflightFailed = async (run: Run, rotation: Rotation, error: unknown): Promise<Step> => {
  if (!(error instanceof ProviderError)) throw error
  if (!needsPerson.has(error.kind)) return afterRefusal(run, rotation, { effect: 'mint' }, error)
  return stall(run, rotation, `preflight: ${error.message}${error.hint ? ` (${error.hint})` : ''}`)
}

const minting: PhaseHandler = async (run, rotation) =>
  runEffect(run, rotation, await mint(run, rotation))

/** The new version is used for real, as often as the type's consistency asks; the policy may ask for more. */
const verifying: PhaseHandler = async (run, rotation) => {
  const { session, object, to, type } = await sceneOf(run, rotation)
  if (!to) throw new RangeError('nothing was minted')
  const { delayMs, confirmations } = type.traits.consistency
  const material = await materialOf(run, to)
  const facts: JsonObject[] = []
  try {
    for (let n = 1; n <= confirmations; n++) {
      for (const how of checksOf(rotation)) {
        const verdict = await session.verify(
          { object, providerVersion: carrier(to), material, how, preImage: rotation.preImage },
          { signal: run.clock.deadline(10_000) },
        )
        if (!verdict.ok)
          return await fail(run, rotation, `the new version failed ${how}: ${verdict.detail}`)
        facts.push({ how, ...verdict.facts })
      }
      if (n < confirmations) await run.clock.pause(delayMs / (confirmations - 1))
    }
  } catch (error) {
    return afterRefusal(run, rotation, { effect: 'mint' }, asProviderError(error))
  }
  const refused = await verifyWebhooks(run, rotation, to.version)
  if (refused) return fail(run, rotation, refused)
  return move(run, rotation, next(rotation), {
    also: async (tx) => {
      const now = await tx.now()
      await tx.writeVersion.update({ ...to, verifiedAt: now }, 'preActivation')
      return []
    },
  })
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

const distributing: PhaseHandler = async (run, rotation) => {
  for (const target of rotation.plan.publish) {
    if (!(await isDone(run, rotation, 'distribute', target.name))) {
      return runEffect(run, rotation, await distribute(run, rotation, target))
    }
  }
  return move(run, rotation, next(rotation))
}

/** The provider's pointer first (where it has one), then one transaction makes new primary and puts old in overlap. */
const promoting: PhaseHandler = async (run, rotation) => {
  if (rotation.plan.traits.staging === 'native') {
    return runEffect(run, rotation, await promoteAtProvider(run, rotation))
  }
  const now = await run.timers.now()
  return move(run, rotation, next(rotation), {
    patch: { promotedAt: now },
    also: (tx, moved) => servePrimary(tx, moved),
  })
}

const overlapping: PhaseHandler = async (run, rotation) => {
  const told = await reloadConsumers(run, rotation)
  if (told) return told
  const closed = await overlapGate(run, rotation)
  if (!closed) {
    const hold = await holdsOf(run, rotation)
    if (hold)
      return waitFor(run, rotation, hold.gate, hold.text, {
        afterMs: lookAgainMs,
        ...(hold.until ? { until: hold.until } : {}),
      })
    return move(run, rotation, next(rotation))
  }
  if (closed.gate === 'acknowledgement') {
    const answer = await lateAcknowledgements(run, rotation, closed)
    if (answer) return answer
  }
  return shut(run, rotation, closed)
}

const overlapGate = async (run: Run, rotation: Rotation): Promise<Closed | null> => {
  const approvals = await run.ledger.read((db) => db.approvals.of(rotation.id))
  const passed = (gate: Closed['gate']) => isOverridden(approvals, rotation, gate)
  const time = timeGate(
    'overlap',
    await observedIn(run, rotation),
    rotation.plan.policy.overlap.minMs,
  )
  if (time && !passed('overlap')) return time
  if (rotation.toVersion !== null && !passed('acknowledgement')) {
    const missing = await missingAcks(run, rotation, rotation.toVersion)
    if (missing.length > 0) {
      return {
        gate: 'acknowledgement',
        text: `${missing.join(', ')} did not acknowledge version ${rotation.toVersion}`,
        missing,
        inMs: null,
      }
    }
  }
  if (passed('usage')) return null
  const { session, object, from } = await sceneOf(run, rotation)
  return from
    ? usageGate(run, rotation, { session, object, traits: rotation.plan.traits, version: from })
    : null
}

/** Told at half of the timeout, at its end, and every week after that; `onTimeout: rollback` undoes. */
const lateAcknowledgements = async (
  run: Run,
  rotation: Rotation,
  closed: Closed,
): Promise<Step | null> => {
  const { acknowledgement } = rotation.plan.policy.consumers
  if (!acknowledgement) return null
  const observed = await observedIn(run, rotation)
  const { timeoutMs, onTimeout } = acknowledgement
  if (observed >= timeoutMs && onTimeout === 'rollback') {
    return beginUndo(run, rotation, `${closed.text} in time`)
  }
  const week = 7 * 24 * 3_600_000
  const due =
    observed < timeoutMs / 2
      ? 0
      : observed < timeoutMs
        ? 1
        : 2 + Math.floor((observed - timeoutMs) / week)
  const told = (await timerOf(run, rotation.id))?.attempts ?? 0
  if (due <= told) return null
  await run.ledger.commit(run.actor, async (tx) => {
    await tx.writeTimer.set(rotation.id, { attempts: due })
    return { value: null, audit: [ackMissing(rotation, closed)] }
  })
  return shut(run, rotation, closed)
}

const ackMissing = (rotation: Rotation, closed: Closed): LedgerEvent => ({
  action: 'rotation.ackMissing',
  target: { id: rotation.id, name: rotation.keyName },
  outcome: 'failed',
  correlationId: rotation.id,
  reason: closed.text,
  after: {
    key: rotation.keyName,
    keyId: rotation.keyId,
    policy: rotation.policy,
    version: rotation.toVersion,
    missing: closed.missing,
  },
})

const suspending: PhaseHandler = async (run, rotation) => setOldVersion(run, rotation, 'suspend')

/** Each of the provider's versions that carry the old one is switched off or removed; the last one moves the rotation. */
const setOldVersion = async (
  run: Run,
  rotation: Rotation,
  effect: 'suspend' | 'retire',
): Promise<Step> => {
  const { from } = await sceneOf(run, rotation)
  if (!from) throw new RangeError('there is no old version')
  const left: string[] = []
  for (const providerVersion of from.providerVersions) {
    if (!(await isDone(run, rotation, effect, providerVersion))) left.push(providerVersion)
  }
  const [first, ...others] = left
  if (from.state === 'active' && left.length === from.providerVersions.length) {
    const refused = await newIsServed(run, rotation)
    if (refused) return refused
  }
  if (first !== undefined) {
    return runEffect(run, rotation, await setOld(run, rotation, effect, first, others.length === 0))
  }
  return move(run, rotation, next(rotation), {
    also: (tx) =>
      effect === 'suspend'
        ? advanceVersion(tx, from, ['suspended'])
        : retireVersion(tx, rotation, from),
  })
}

/** Before the old version goes: nobody has put something else in the place of the new one meanwhile. */
const newIsServed = async (run: Run, rotation: Rotation): Promise<Step | null> => {
  const { session, object, to } = await sceneOf(run, rotation)
  if (!to) return null
  try {
    await session.prepare(object, carrier(to), { signal: run.clock.deadline(10_000) })
    return null
  } catch (error) {
    return afterRefusal(run, rotation, { effect: 'suspend' }, asProviderError(error))
  }
}

/** The old version must be refused when it is tried. If it is not, it is switched on again and a person is told. */
const soaking: PhaseHandler = async (run, rotation) => {
  const { session, object, from } = await sceneOf(run, rotation)
  if (!from) throw new RangeError('there is no old version')
  const observed = await observedIn(run, rotation)
  const timer = await timerOf(run, rotation.id)
  const soak = timeGate('soak', observed, rotation.plan.policy.soakMs)
  // Tried when the soak begins and when it ends, never in between: a canary must not look like an attack.
  if (!soak || timer?.waitingFor?.gate !== 'soak') {
    try {
      const verdict = await session.verify(
        {
          object,
          providerVersion: carrier(from),
          material: await materialOf(run, from),
          how: 'refused',
          preImage: rotation.preImage,
        },
        { signal: run.clock.deadline(10_000) },
      )
      if (!verdict.ok) {
        const reason = `the old version is still accepted although it was switched off: ${verdict.detail}`
        return await runEffect(
          run,
          rotation,
          await setOld(run, rotation, 'reinstate', carrier(from), true, reason),
        )
      }
    } catch (error) {
      return afterRefusal(run, rotation, { effect: 'suspend' }, asProviderError(error))
    }
  }
  return soak ? shut(run, rotation, soak) : move(run, rotation, next(rotation))
}

const retiring: PhaseHandler = async (run, rotation) => {
  const { from } = await sceneOf(run, rotation)
  const { retire } = rotation.plan.policy
  if (!from) return move(run, rotation, next(rotation))
  const off = from.state === 'suspended'
  const untouched =
    retire === 'keep' || (retire === 'disable' && off) || rotation.plan.traits.slot === 'single'
  if (!untouched) return setOldVersion(run, rotation, 'retire')
  return move(run, rotation, next(rotation), { also: (tx) => retireVersion(tx, rotation, from) })
}

const shut = (run: Run, rotation: Rotation, closed: Closed): Promise<Step> =>
  waitFor(run, rotation, closed.gate, closed.text, {
    // Looked at once a minute at least: the observed clock counts no more than a minute a look.
    afterMs: Math.max(50, Math.min(closed.inMs ?? longestWaitMs, longestWaitMs)),
    missing: closed.missing,
  })

/** What Rekey holds sealed of a version; null where only the provider has it. */
export const materialOf = async (run: Run, version: Version) => {
  const { sealedId } = version
  return sealedId === null ? null : run.ledger.read((db) => db.sealed.open(sealedId))
}

/** A stalled rotation does nothing by itself. */
const stalled: PhaseHandler = async (run, rotation) =>
  waitFor(run, rotation, 'person', `stalled in ${rotation.stalledIn}: ${rotation.stalledReason}`, {
    afterMs: null,
    missing: ['resume', 'rollback', 'abandon'],
  })

export const phaseHandlers: Partial<Record<Phase, PhaseHandler>> = {
  planned,
  awaitingApproval,
  preflight,
  minting,
  verifying,
  distributing,
  promoting,
  overlapping,
  suspending,
  soaking,
  retiring,
  rollingBack: rollBack,
  stalled,
}
