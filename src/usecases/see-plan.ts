// A plan as it stands: who approved it, and what became of its new keys.

import type { Actor } from '#domain/actor.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Registration } from '#domain/key-schema.ts'
import type {
  ApprovalNeed,
  ListedPlan,
  Plan,
  PlanApproval,
  PlanItem,
  PlanState,
} from '#domain/plan.ts'
import type { Ledger, Page, Paged, Reads } from '#domain/ports.ts'
import { byDifferentPeople } from './another-person.ts'
import { scopeWithin } from './create-api-key.ts'
import { notFound } from './rights.ts'
import { pageOf, sameJson } from './written.ts'

export interface SeenPlan {
  readonly plan: Plan
  readonly given: readonly PlanApproval[]
  /** Names of its new keys that are not registered yet; known once it was applied. */
  readonly pending: ReadonlySet<string>
}

export const getPlan =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'read'> }) =>
  (actor: Actor, id: string): Promise<SeenPlan> =>
    ledger.read(async (db) => {
      const plan = mustSeePlan(actor, await db.plans.get(id), id)
      return { plan, given: await db.plans.approvals(id), pending: await pendingOf(db, plan) }
    })

export interface PlanInList {
  readonly plan: ListedPlan
  readonly given: readonly PlanApproval[]
}

/** As far as the scope sees them. */
export const listPlans =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'read'> }) =>
  (actor: Actor, state: PlanState | null, page: Page): Promise<Paged<PlanInList>> =>
    ledger.read(async (db) => {
      const found = await pageOf(actor, page, (next) => db.plans.list(state, next), {
        sees: (plan) => maySeePlan(actor, plan),
        keyOf: ({ id }) => id,
      })
      const plans = found.items
      const given = await db.plans.approvalsOf(plans.map(({ id }) => id))
      return {
        items: plans.map((plan) => ({
          plan,
          given: given.filter(({ planId }) => planId === plan.id),
        })),
        next: found.next,
      }
    })

/** The plan of a scope is there for those whose scope is as wide: its author too, while theirs is. */
export const mustSeePlan = (actor: Actor, plan: Plan | null, id: string): Plan => {
  if (plan && maySeePlan(actor, plan)) return plan
  throw notFound('plan', id)
}

const maySeePlan = (actor: Actor, { scope }: Pick<Plan, 'scope'>): boolean =>
  scopeWithin(scope, actor.scope)

/** The keys that it registers, in its order. */
export const newKeysOf = ({ items, documents }: Plan): readonly Registration[] => {
  const values = new Map(
    documents?.flatMap(({ kind, name, value }) => (kind === 'Key' ? [[name, value]] : [])),
  )
  return items.filter(makesKey).flatMap(({ name }) => {
    const document = values.get(name) as JsonObject | undefined
    if (!document) return []
    const { metadata, spec } = document as {
      readonly metadata: { readonly labels?: Registration['labels'] }
      readonly spec: Omit<Registration, 'name' | 'labels'>
    }
    const { labels } = metadata
    return [{ ...spec, name, ...(labels === undefined ? {} : { labels }) }]
  })
}

export const makesKey = ({ kind, action, effects }: PlanItem): boolean =>
  kind === 'Key' && action !== 'delete' && effects.some(({ type }) => type === 'object')

export const pendingOf = async (db: Reads, plan: Plan): Promise<ReadonlySet<string>> => {
  if (!plan.appliedAt || plan.finishedAt) return new Set()
  const pending = new Set<string>()
  for (const registration of newKeysOf(plan)) {
    if (!(await isRegistered(db, registration))) pending.add(registration.name) // oxlint-disable-line no-await-in-loop -- one connection
  }
  return pending
}

/** The very object, with a version that serves. */
export const isRegistered = async (db: Reads, wanted: Registration): Promise<boolean> => {
  const key = await db.keys.byName(wanted.name)
  return (
    key !== null &&
    key.connection === wanted.connection &&
    key.type === wanted.type &&
    sameJson(key.ref, wanted.ref ?? {}) &&
    (await db.versions.primary(key.id)) !== null
  )
}

/** The needs that are not met: each counts the people who have one of its roles, and are others than whoever made the plan. */
export const openNeeds = async (
  db: Pick<Reads, 'apiKeys' | 'plans'>,
  { id, author }: Plan,
  needs: readonly ApprovalNeed[],
): Promise<readonly ApprovalNeed[]> => {
  const given = await db.plans.approvals(id)
  const open: ApprovalNeed[] = []
  for (const need of needs) {
    const allowed = given.filter(({ roles }) =>
      roles.some((role) => role === 'admin' || need.roles.includes(role)),
    )
    const people = await byDifferentPeople(db, allowed, [author]) // oxlint-disable-line no-await-in-loop -- few
    if (people.length < need.required) open.push(need)
  }
  return open
}
