// Makes a plan: the documents are checked as `rekey validate` checks them, then carried out and undone in one transaction,
// and what that led to is kept and shown. Nothing but the plan is written.

import type { Actor } from '#domain/actor.ts'
import { type ErrorPlace, RekeyError } from '#domain/errors.ts'
import type { Issue } from '#domain/issue.ts'
import type { Json, JsonObject } from '#domain/json.ts'
import type { Allowance, Plan } from '#domain/plan.ts'
import type { Committed, HashJson, Ids, Ledger } from '#domain/ports.ts'
import { type Source, validateSources } from '#domain/validate-document.ts'
import { carryOut, type CarryOutDeps } from './carry-out-plan.ts'
import { approvalsOf, hashOf, itemsOf, mustBeAllowed, needsOf } from './plan-items.ts'
import type { Order, OrderDocument } from './plan-looks.ts'

export interface MakePlanDeps extends CarryOutDeps {
  readonly ledger: Ledger
  readonly ids: Ids
  readonly hashJson: HashJson
}

export interface MakePlan {
  readonly owner: string | null
  readonly sources: readonly Source[]
  readonly prune: boolean
  readonly allow: readonly Allowance[]
}

/** Plans that nobody applied are kept this long. */
const keptMs = 30 * 86_400_000

export const makePlan =
  (deps: MakePlanDeps) =>
  async (actor: Actor, input: MakePlan): Promise<Committed<Plan>> => {
    const { owner, prune, allow } = input
    if (prune && owner === null) {
      throw new RekeyError('request.invalid', {
        detail: 'Pruning deletes what an owner has beside the documents, and no owner is named.',
        errors: [{ pointer: '/owner', detail: 'is required with prune' }],
      })
    }
    const documents = readDocuments(input.sources, deps.clock.now())
    const order: Order = { owner, documents, prune, allow }
    return deps.ledger.commit(actor, async (tx) => {
      const done = await tx.rehearse(() => carryOut(deps)(tx, actor, order))
      const needs = needsOf(done)
      mustBeAllowed(needs, allow)
      const now = await tx.now()
      const items = itemsOf(done)
      const plan: Plan = {
        id: deps.ids.next(),
        hash: hashOf(deps.hashJson, order, done, items),
        owner,
        prune,
        allow,
        documents: documents.map(({ kind, name, value, place }) => ({
          kind,
          name,
          value,
          at: { ...place('/metadata/name'), detail: '' },
        })),
        items,
        needs,
        approvals: approvalsOf(done.demands),
        scope: actor.scope,
        author: { id: actor.id, name: actor.name },
        createdAt: now,
        appliedAt: null,
        appliedBy: null,
        finishedAt: null,
      }
      await tx.writePlan.purge(new Date(now.getTime() - keptMs))
      await tx.writePlan.insert(plan)
      return {
        value: plan,
        audit: [
          {
            action: 'plan.created',
            target: { id: plan.id, name: owner ?? '' },
            outcome: 'succeeded',
            after: toldPlan(plan),
          },
        ],
      }
    })
  }

export const toldPlan = (plan: Plan): JsonObject => ({
  hash: plan.hash,
  owner: plan.owner,
  prune: plan.prune,
  allow: plan.allow,
  items: Object.fromEntries(
    [...Map.groupBy(plan.items, ({ action }) => action)].map(([action, items]) => [
      action,
      items.length,
    ]),
  ),
  approvals: plan.approvals.map(({ required, roles }) => ({ required, roles })),
})

type PlacedDocument = OrderDocument & { readonly place: NonNullable<OrderDocument['place']> }

/** Throws everything that is wrong with them, at once. */
const readDocuments = (sources: readonly Source[], now: Date): readonly PlacedDocument[] => {
  const { documents, issues } = validateSources(sources, now, '/documents')
  throwIssues(issues)
  return documents.map(({ kind, name, value, place }) => ({
    kind,
    name,
    // It was read as JSON or YAML without tags, so it is plain data.
    value: value as Json as JsonObject,
    place: (pointer) => placeOf(place({ code: 'request.invalid', pointer, detail: '' })),
  }))
}

const throwIssues = (issues: readonly Issue[]): void => {
  const [first] = issues
  if (!first) return
  const where = [first.file, first.line, first.column].filter((part) => part !== undefined)
  throw new RekeyError(first.code, {
    detail:
      issues.length === 1
        ? `${[where.join(':') || first.pointer, first.detail].filter(Boolean).join(': ')}.`
        : `${issues.length} things are wrong with the documents.`,
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    errors: issues.map((issue) => ({
      ...placeOf(issue),
      detail: issue.hint === undefined ? issue.detail : `${issue.detail}; ${issue.hint}`,
    })),
  })
}

const placeOf = ({ pointer, file, line, column }: Issue): Omit<ErrorPlace, 'detail'> => ({
  pointer,
  ...(file === undefined ? {} : { file }),
  ...(line === undefined ? {} : { line }),
  ...(column === undefined ? {} : { column }),
})
