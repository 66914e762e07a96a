// Plans: documents in, what they would do out; then exactly that, by its hash.

import { Type } from 'typebox'
import { roles } from '#domain/actor.ts'
import { kindNames } from '#domain/document-kinds.ts'
import { errors, RekeyError, type ErrorCode } from '#domain/errors.ts'
import { nameSchema } from '#domain/names.ts'
import {
  type Allowance,
  allowances,
  effectTypes,
  type FieldChange,
  type Plan,
  planActions,
  type PlanApproval,
  type PlanItem,
  planStateOf,
  planStates,
} from '#domain/plan.ts'
import type { Sessions } from '#domain/ports.ts'
import type { Source } from '#domain/validate-document.ts'
import { applyPlan, type ApplyPlanDeps } from '#usecases/apply-plan.ts'
import { approvePlan } from '#usecases/approve-plan.ts'
import { makePlan } from '#usecases/make-plan.ts'
import { getPlan, listPlans, makesKey, type SeenPlan } from '#usecases/see-plan.ts'
import { type Route, route } from '../route.ts'
import { idParams, idSchema, listOf, momentSchema, nullable, strict } from '../schemas.ts'

export interface PlanRoutesDeps extends Omit<ApplyPlanDeps, 'ledger' | 'sessions'> {
  readonly sessions: Sessions
}

const tenMegabytes = 10_000_000

const json = Type.Unknown({ examples: ['24h'] })
const sentence = (example: string) => Type.String({ examples: [example] })

const itemSchema = strict({
  action: Type.Enum([...planActions]),
  kind: Type.Enum([...kindNames]),
  name: Type.String(),
  diff: Type.Array(
    strict({
      pointer: Type.String({
        description: 'RFC 6901, into the document; or /status/owner',
        examples: ['/spec/overlap/min'],
      }),
      before: Type.Optional(json),
      after: Type.Optional(json),
    }),
    { description: 'field by field; what is absent was not there, or is no more' },
  ),
  effects: Type.Array(
    strict({
      type: Type.Enum([...effectTypes]),
      text: sentence('14 keys gain this policy: orders-token and 13 more'),
      count: Type.Optional(Type.Integer()),
      names: Type.Optional(Type.Array(Type.String(), { description: 'some of those counted' })),
      pointer: Type.Optional(Type.String({ examples: ['/overlap/min'] })),
      from: Type.Optional(nullable(Type.String({ examples: ['24h'] }))),
      to: Type.Optional(nullable(Type.String({ examples: ['48h'] }))),
    }),
    { description: 'what it leads to' },
  ),
  outcome: Type.Optional(
    Type.Enum(['done', 'pending', 'refused'], {
      description:
        'once the plan was applied. A new key that is pending is registered when the plan is applied again; a refused one was tried just now',
    }),
  ),
  problem: Type.Optional(
    strict({
      code: Type.Enum(Object.keys(errors)),
      title: Type.String(),
      detail: Type.String(),
      hint: Type.Optional(Type.String()),
    }),
  ),
})

const needSchema = strict({
  allowance: Type.Enum([...allowances]),
  text: sentence('14 of 60 keys become due at once: more than 10.'),
})

const approvalsSchema = strict({
  needed: Type.Array(
    strict({
      required: Type.Integer(),
      roles: Type.Array(Type.Enum([...roles])),
      text: sentence('What guards 14 keys becomes weaker: soak: 1h → 0s.'),
    }),
    { description: 'as its author would need them; whoever applies it is asked anew' },
  ),
  given: Type.Array(strict({ principal: Type.String(), at: momentSchema })),
})

const headFields = {
  id: idSchema,
  hash: Type.String({
    description: 'stands for what it does; apply and approve by it',
    examples: ['9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'],
  }),
  owner: nullable(Type.String()),
  prune: Type.Boolean(),
  allow: Type.Array(Type.Enum([...allowances])),
  state: Type.Enum([...planStates], {
    description: 'applying: all is done but some of its new keys; apply it again to go on',
  }),
  needs: Type.Array(needSchema, { description: 'what of `allow` it makes use of' }),
  approvals: approvalsSchema,
  author: strict({ id: Type.String(), name: Type.String() }),
  createdAt: momentSchema,
  appliedAt: nullable(momentSchema),
  appliedBy: nullable(Type.String({ examples: ['ada'] })),
  finishedAt: nullable(momentSchema),
}

const planSchema = strict(
  {
    ...headFields,
    items: Type.Array(itemSchema, {
      description: 'in the order in which they are done; deletions last',
    }),
  },
  { $id: 'Plan' },
)

const count = Type.Integer({ minimum: 0, examples: [2] })
const listedSchema = strict({
  ...headFields,
  changes: strict({ create: count, update: count, delete: count, unchanged: count }),
})

const head = (
  plan: Omit<Plan, 'documents' | 'items'>,
  given: readonly Pick<PlanApproval, 'principalName' | 'at'>[],
) => ({
  id: plan.id,
  hash: plan.hash,
  owner: plan.owner,
  prune: plan.prune,
  allow: plan.allow,
  state: planStateOf(plan),
  needs: plan.needs,
  approvals: {
    needed: plan.approvals,
    given: given.map(({ principalName, at }) => ({
      principal: principalName,
      at: at.toISOString(),
    })),
  },
  author: plan.author,
  createdAt: plan.createdAt.toISOString(),
  appliedAt: plan.appliedAt?.toISOString() ?? null,
  appliedBy: plan.appliedBy,
  finishedAt: plan.finishedAt?.toISOString() ?? null,
})

const present = (
  { plan, given, pending }: SeenPlan,
  refused: ReadonlyMap<string, RekeyError> = new Map(),
) => ({
  ...head(plan, given),
  items: plan.items.map((item) => ({
    ...item,
    diff: item.diff.map((change): FieldChange => ({ ...change })),
    ...(plan.appliedAt ? outcomeOf(item, pending, refused) : {}),
  })),
})

const outcomeOf = (
  item: PlanItem,
  pending: ReadonlySet<string>,
  refused: ReadonlyMap<string, RekeyError>,
) => {
  if (!makesKey(item) || !pending.has(item.name)) return { outcome: 'done' as const }
  const error = refused.get(item.name)
  if (!error) return { outcome: 'pending' as const }
  const { code, message, hint } = error
  return {
    outcome: 'refused' as const,
    problem: {
      code,
      title: errors[code].title,
      detail: message,
      ...(hint === undefined ? {} : { hint }),
    },
  }
}

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const
/** What the documents of a plan can be refused for. */
const documentErrors = [
  'plan.ownerConflict',
  'plan.massRotation',
  'plan.policyDeletion',
  'plan.stale',
  'resource.notFound',
  'resource.exists',
  'policy.overlap',
  'policy.neverFires',
  'policy.gapNotAccepted',
  'policy.impossible',
  'key.objectTaken',
  'key.busy',
  'connection.inUse',
  'connection.notGranted',
  'connection.unusable',
  'request.impossible',
] as const satisfies readonly ErrorCode[]

const planFields = {
  owner: Type.Optional(nullable(nameSchema)),
  prune: Type.Optional(Type.Boolean()),
  allow: Type.Optional(Type.Array(Type.Enum([...allowances]), { uniqueItems: true })),
}

const hashBody = strict({
  hash: Type.String({ minLength: 1, maxLength: 200, description: 'of the plan, as it was shown' }),
})

export const planRoutes = (deps: PlanRoutesDeps): readonly Route[] => [
  route({
    method: 'POST',
    path: '/v1/plans',
    operationId: 'makePlan',
    tag: 'plans',
    summary: 'Say what documents would do',
    description:
      '`documents` is a list of documents, of files as `{file, text}`, or of both; or the text of a YAML stream. As `application/yaml` the body is the stream, and `owner`, `prune` and `allow` are query parameters. `prune` deletes what the owner has beside the documents. `allow` names what is refused unless it is meant: to make more than 10 keys or more than 20 % of all due at once, to delete a policy that applies to keys, to take a resource over from another owner. Nothing is changed before the plan is applied.',
    access: ['operator'],
    query: strict({ ...planFields, owner: Type.Optional(nameSchema) }),
    body: strict({
      ...planFields,
      documents: Type.Union([
        Type.Array(Type.Record(Type.String(), Type.Unknown()), { maxItems: 1000 }),
        Type.String(),
      ]),
    }),
    yaml: 'stream',
    bodyLimit: tenMegabytes,
    replies: { 201: planSchema },
    errors: documentErrors,
    examples: [
      {
        body: {
          owner: 'team-shop',
          documents: [
            {
              apiVersion: 'rekey.dev/v1',
              kind: 'Consumer',
              metadata: { name: 'shop-mailer', labels: { team: 'shop' } },
              spec: { owner: 'team-shop' },
            },
            {
              file: 'policies/shop.yaml',
              text: 'apiVersion: rekey.dev/v1\nkind: RotationPolicy\nmetadata: { name: shop-mail, labels: { team: shop } }\nspec:\n  selector: { matchLabels: { app: mailer } }\n  maxAge: 90d\n',
            },
          ],
          prune: false,
        },
      },
    ],
    handler: async ({ ledger, actor, query, body }) => {
      const input = { ...inputOf(query, body), sources: sourcesOf(body.documents) }
      const { value: plan, receipts } = await makePlan({ ...deps, ledger })(actor, input)
      return {
        status: 201,
        body: present({ plan, given: [], pending: new Set() }),
        location: `/v1/plans/${plan.id}`,
        receipts,
      }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/plans',
    operationId: 'listPlans',
    tag: 'plans',
    summary: 'Plans, newest first: what each changes, in numbers',
    description:
      'With a scope, a page may hold fewer than `limit`. One that nobody applied is forgotten after 30 days.',
    access: [...readers],
    list: true,
    query: strict({ state: Type.Optional(Type.Enum([...planStates])) }),
    replies: { 200: listOf(listedSchema) },
    handler: async ({ ledger, actor, query: { state = null }, page, pageReply }) => ({
      status: 200,
      body: pageReply(await listPlans({ ledger })(actor, state, page), ({ plan, given }) => ({
        ...head(plan, given),
        changes: plan.changes,
      })),
    }),
  }),
  route({
    method: 'GET',
    path: '/v1/plans/{id}',
    operationId: 'getPlan',
    tag: 'plans',
    summary: 'One plan, and what became of it',
    access: [...readers],
    params: idParams,
    replies: { 200: planSchema },
    handler: async ({ ledger, actor, params: { id } }) => ({
      status: 200,
      body: present(await getPlan({ ledger })(actor, id)),
    }),
  }),
  route({
    method: 'POST',
    path: '/v1/plans/{id}/apply',
    operationId: 'applyPlan',
    tag: 'plans',
    summary: 'Do exactly what a plan showed',
    description:
      'All of it in one transaction, or nothing when anything that it touches was changed since. New keys are then registered one by one, as many as fit into one request: 202 says that some are left, and the same request with another Idempotency-Key goes on with them, also after a crash.',
    access: ['operator'],
    params: idParams,
    body: hashBody,
    replies: { 200: planSchema, 202: planSchema },
    errors: [...documentErrors, 'policy.weakening'],
    examples: [
      { body: { hash: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08' } },
    ],
    handler: async ({ ledger, actor, params: { id }, body: { hash }, dryRun }) => {
      const applied = await applyPlan({ ...deps, ledger })(actor, { id, hash, dryRun })
      const left = applied.plan.finishedAt === null && !dryRun
      return {
        status: left ? 202 : 200,
        body: present(applied, applied.refused),
        receipts: applied.receipts,
        ...(left ? { headers: { 'retry-after': '1' } } : {}),
      }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/plans/{id}/approvals',
    operationId: 'approvePlan',
    tag: 'plans',
    summary: 'Agree to a plan that weakens what guards keys',
    description: 'Counts where a role that the plan asks for is held, and never for its author.',
    access: ['approver', 'responder', 'operator'],
    params: idParams,
    body: hashBody,
    replies: { 201: planSchema },
    errors: ['plan.stale', 'rotation.selfApproval'],
    examples: [
      { body: { hash: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08' } },
    ],
    handler: async ({ ledger, actor, params: { id }, body: { hash } }) => {
      const { value, receipts } = await approvePlan({ ledger })(actor, { id, hash })
      return { status: 201, body: present(value), location: `/v1/plans/${id}`, receipts }
    },
  }),
]

interface PlanInput {
  readonly owner?: string | null
  readonly prune?: boolean
  readonly allow?: readonly Allowance[]
}

/** Beside YAML in the query, beside JSON in the body; said twice, nobody knows which one is meant. */
const inputOf = (query: PlanInput, body: PlanInput) => {
  const twice = (['owner', 'prune', 'allow'] as const).find(
    (field) => query[field] !== undefined && body[field] !== undefined,
  )
  if (twice !== undefined) {
    throw new RekeyError('request.invalid', {
      detail: `${twice} stands in the query and in the body.`,
      errors: [{ pointer: `/query/${twice}`, detail: 'said twice' }],
    })
  }
  const said = { ...query, ...body }
  return { owner: said.owner ?? null, prune: said.prune ?? false, allow: said.allow ?? [] }
}

const sourcesOf = (
  documents: string | readonly Readonly<Record<string, unknown>>[],
): readonly Source[] =>
  typeof documents === 'string'
    ? [{ file: null, text: documents }]
    : documents.map((item, i): Source => {
        if (!('text' in item) || 'kind' in item) return { value: item }
        const { file, text, ...rest } = item
        if (typeof file === 'string' && typeof text === 'string' && Object.keys(rest).length === 0)
          return { file: file.slice(0, 500), text }
        throw new RekeyError('request.invalid', {
          detail: 'A file is sent as {file, text}, both of them texts.',
          errors: [{ pointer: `/documents/${i}`, detail: 'no file and no document' }],
        })
      })
