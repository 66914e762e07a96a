// Applies a plan: exactly what was shown, or nothing.
//
// One transaction does all that needs no provider (carry-out-plan.ts), compares what that came to with the plan's hash, and
// marks the plan as applied. Then the new keys are registered one by one: their objects are adopted or made at the provider.
//
// What a crash leaves:
//   before the commit         nothing
//   after it                  everything but the new keys, and the plan marked as applied; policies already select keys that
//                             do not exist yet, which does no harm
//   between two keys          those before are registered and rotate; the others are pending, which the plan shows
//   in the middle of a key    what create-object.ts says: an open intent, or nothing
//   before the last mark      all keys registered; the plan is marked the next time that it is applied
//
// Who repairs it: whoever applies the same plan again, or another plan of the same files. Both ask of each key whether it is
// registered and do what is left. A request does as many keys as fit into a few seconds; those left over are for the next.
// When the last one is done the plan drops its documents: applying it once more does nothing and says so.

import type { Actor } from '#domain/actor.ts'
import { isRekeyError, RekeyError } from '#domain/errors.ts'
import type { Receipt } from '#domain/audit.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Registration } from '#domain/key-schema.ts'
import type { Plan } from '#domain/plan.ts'
import { lasting } from '#domain/plan-effects.ts'
import type { Committed, LedgerEvent, Sessions, Tx } from '#domain/ports.ts'
import { mustBeThis, type NamedPlan } from './approve-plan.ts'
import { carryOut, type CarriedOut } from './carry-out-plan.ts'
import { type MakePlanDeps, toldPlan } from './make-plan.ts'
import { referenceOf } from './plan-faults.ts'
import { approvalsOf, hashOf, itemsOf, mustBeAllowed, needsOf } from './plan-items.ts'
import type { Order } from './plan-looks.ts'
import { registerKey } from './register-key.ts'
import {
  getPlan,
  isRegistered,
  mustSeePlan,
  newKeysOf,
  openNeeds,
  type SeenPlan,
} from './see-plan.ts'
import { sameJson } from './written.ts'

export interface ApplyPlanDeps extends MakePlanDeps {
  readonly sessions: Pick<Sessions, 'open' | 'forget'>
}

export interface AppliedPlan extends SeenPlan {
  /** Of the keys that were tried now and refused, by name. */
  readonly refused: ReadonlyMap<string, RekeyError>
  readonly receipts: readonly Receipt[]
}

/** Keys are registered for so long within one request. */
const registeringMs = 20_000

export const applyPlan =
  (deps: ApplyPlanDeps) =>
  async (actor: Actor, named: NamedPlan & { readonly dryRun: boolean }): Promise<AppliedPlan> => {
    const before = await getPlan(deps)(actor, named.id)
    mustBeThis(before.plan, named.hash)
    if (before.plan.finishedAt) return { ...before, refused: new Map(), receipts: [] }
    const { value, receipts } = before.plan.appliedAt
      ? { value: { plan: before.plan, connections: [] }, receipts: [] }
      : await commitPlan(deps, actor, named)
    if (named.dryRun) {
      const pending = new Set(newKeysOf(value.plan).map(({ name }) => name))
      return { ...before, plan: value.plan, pending, refused: new Map(), receipts }
    }
    for (const name of value.connections) await deps.sessions.forget(name) // oxlint-disable-line no-await-in-loop -- few
    const refused = await registerKeys(deps, actor, value.plan)
    return { ...(await markFinished(deps, actor, named.id)), refused, receipts }
  }

interface Committing {
  readonly plan: Plan
  readonly connections: readonly string[]
}

const commitPlan = (
  deps: ApplyPlanDeps,
  actor: Actor,
  { id, hash }: NamedPlan,
): Promise<Committed<Committing>> =>
  deps.ledger.commit(
    actor,
    async (tx): Promise<{ value: Committing; audit: readonly [LedgerEvent, ...LedgerEvent[]] }> => {
      // Whoever applies it at the same moment waits here, and then goes on with the keys.
      await tx.lock(`plan:${id}`)
      const plan = mustSeePlan(actor, await tx.plans.get(id), id)
      mustBeThis(plan, hash)
      const eventId = deps.ids.next()
      const applied: LedgerEvent = {
        id: eventId,
        action: 'plan.applied',
        target: { id, name: plan.owner ?? '' },
        outcome: 'succeeded',
        after: toldPlan(plan),
      }
      if (plan.appliedAt) return { value: { plan, connections: [] }, audit: [applied] }
      const order = orderOf(plan)
      const done = await carryOut(deps)(tx, actor, order)
      const items = itemsOf(done)
      if (hashOf(deps.hashJson, order, done, items) !== plan.hash) throw stale(plan, items)
      mustBeAllowed(needsOf(done), plan.allow)
      await mustBeApproved(tx, plan, done)
      const at = await tx.now()
      await tx.writePlan.apply(id, { at, by: actor.name })
      if (newKeysOf(plan).length === 0) await tx.writePlan.finish(id, at)
      return {
        value: {
          plan: { ...plan, appliedAt: at, appliedBy: actor.name },
          connections: done.connections,
        },
        audit: [applied, ...done.events.map((event) => ({ ...event, causationId: eventId }))],
      }
    },
  )

const orderOf = ({ owner, prune, allow, documents }: Plan): Order => ({
  owner,
  prune,
  allow,
  documents: (documents ?? []).map(({ kind, name, value, at: { detail: _detail, ...at } }) => ({
    kind,
    name,
    // It was a mapping when the plan was made.
    value: value as JsonObject,
    place: (pointer: string) => ({ ...at, pointer }),
  })),
})

/** Which of its items are no longer what was shown. */
const stale = (plan: Plan, now: Plan['items']): RekeyError => {
  const key = ({ kind, name }: Plan['items'][number]) => `${kind} ${name}`
  const shown = new Map(plan.items.map((item) => [key(item), item]))
  const present = new Map(now.map((item) => [key(item), item]))
  const changed = [...new Map([...shown, ...present]).values()]
    .filter((item) => {
      const [a, b] = [shown.get(key(item)), present.get(key(item))]
      return !a || !b || a.action !== b.action || !sameJson(contentOf(a), contentOf(b))
    })
    .map(referenceOf)
  const told = changed.slice(0, 10).join(', ')
  return new RekeyError('plan.stale', {
    detail:
      changed.length === 0
        ? 'What it touches was changed since the plan was made.'
        : `What it touches was changed since the plan was made: ${told}${changed.length > 10 ? ' and others' : ''}.`,
    hint: 'Make the plan anew and look at it.',
    extra: { changed },
  })
}

const contentOf = ({ diff, effects }: Plan['items'][number]) => ({
  diff,
  effects: lasting(effects),
})

const mustBeApproved = async (tx: Tx, plan: Plan, done: CarriedOut): Promise<void> => {
  const open = await openNeeds(tx, plan, approvalsOf(done.demands))
  const [first] = open
  if (!first) return
  throw new RekeyError('policy.weakening', {
    detail: `${first.text} It needs ${first.required} of ${first.roles.join(' or ')} to approve.`,
    hint: `Somebody else approves it: POST /v1/plans/${plan.id}/approvals with its hash.`,
    extra: { approvals: open },
  })
}

const registerKeys = async (
  deps: ApplyPlanDeps,
  actor: Actor,
  plan: Plan,
): Promise<ReadonlyMap<string, RekeyError>> => {
  const refused = new Map<string, RekeyError>()
  const over = deps.clock.deadline(registeringMs)
  for (const registration of newKeysOf(plan)) {
    if (over.aborted) break
    const error = await registerOne(deps, actor, plan, registration) // oxlint-disable-line no-await-in-loop -- one by one, so that a crash leaves one in the middle at most
    if (error) refused.set(registration.name, error)
  }
  return refused
}

/** Null: it is registered, by this request, an earlier one, or one at the same moment. */
const registerOne = async (
  deps: ApplyPlanDeps,
  actor: Actor,
  plan: Plan,
  registration: Registration,
): Promise<RekeyError | null> => {
  const isThere = () => deps.ledger.read((db) => isRegistered(db, registration))
  if (await isThere()) return null
  try {
    await registerKey(deps)(actor, { registration, dryRun: false, managedBy: plan.owner })
    return null
  } catch (error) {
    if (!isRekeyError(error)) throw error
    return (await isThere()) ? null : error
  }
}

/** Once nothing is left to do. Whoever comes second finds it done. Returns the plan as it then is. */
const markFinished = async (deps: ApplyPlanDeps, actor: Actor, id: string): Promise<SeenPlan> => {
  const seen = await getPlan(deps)(actor, id)
  const { plan, pending } = seen
  if (plan.finishedAt || pending.size > 0) return seen
  await deps.ledger.commit(actor, async (tx) => {
    const first = await tx.writePlan.finish(id, await tx.now())
    return {
      value: null,
      audit: [
        {
          action: 'plan.finished',
          target: { id, name: plan.owner ?? '' },
          outcome: 'succeeded',
          after: { keys: newKeysOf(plan).length, again: !first },
        },
      ],
    }
  })
  return getPlan(deps)(actor, id)
}
