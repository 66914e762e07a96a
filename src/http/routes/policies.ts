// Policies, as JSON or YAML.

import { Type } from 'typebox'
import type { Policy } from '#domain/connection.ts'
import { nameSchema } from '#domain/names.ts'
import { checkPolicy } from '#domain/policy-rules.ts'
import { policySpecSchema } from '#domain/policy-schema.ts'
import type { Clock } from '#domain/ports.ts'
import type { Provider } from '#domain/provider.ts'
import { deletePolicy } from '#usecases/delete-policy.ts'
import { policyBodySchema } from '#usecases/policy-body.ts'
import { overruledIn } from '#usecases/floors.ts'
import { scopedPolicy } from '#usecases/policy-rights.ts'
import {
  countSelected,
  mustSeePolicy,
  putPolicy,
  type WrittenPolicy,
} from '#usecases/put-policy.ts'
import type { EgressRules } from '#usecases/put-connection.ts'
import { pageInScope } from '#usecases/written.ts'
import { type Route, route } from '../route.ts'
import { listOf, nameParams, strict } from '../schemas.ts'
import { deletedBody, deletedSchema, shownLabels, timesOf, ownedTimes } from './resource.ts'

export interface PolicyRoutesDeps {
  readonly providers: ReadonlyMap<string, Provider>
  readonly clock: Clock
  readonly egress: EgressRules
}

const monthly = {
  selector: { type: 'local.secret', matchLabels: { team: 'shop' } },
  schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris', window: '2h' },
  maxAge: '40d',
  overlap: { min: '24h' },
} as const

const policySchema = strict(
  {
    name: nameSchema,
    labels: shownLabels,
    annotations: shownLabels,
    ...policySpecSchema.properties,
    status: strict({
      ...ownedTimes,
      author: strict({ id: Type.String(), name: Type.String() }),
      keys: Type.Optional(Type.Integer({ description: 'how many keys it applies to' })),
      warnings: Type.Array(Type.String(), { description: 'legal, and probably not meant' }),
    }),
  },
  {
    $id: 'Policy',
    examples: [
      {
        name: 'monthly',
        labels: {},
        annotations: {},
        ...monthly,
        status: {
          revision: 1,
          createdAt: '2026-11-01T02:00:04.217Z',
          updatedAt: '2026-11-01T02:00:04.217Z',
          author: { id: 'user:ada', name: 'ada' },
          owner: null,
          keys: 3,
          warnings: [],
        },
      },
    ],
  },
)

/** The use case reads the body: it takes three forms, and tells each fault with the pointer of the form that was sent. */
const bodyForms =
  'Takes the fields of a policy beside name, labels and annotations; or those under `spec`; or a whole document as in a file.'

const policyBody = Type.Record(Type.String(), Type.Unknown(), { additionalProperties: false })

const present = (
  policy: Policy,
  more: { readonly warnings: readonly string[]; readonly keys?: number },
) => ({
  name: policy.name,
  labels: policy.labels,
  annotations: policy.annotations,
  ...policy.spec,
  status: { ...timesOf(policy), author: policy.author, owner: policy.managedBy, ...more },
})

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const
const writeErrors = [
  'resource.exists',
  'policy.overlap',
  'policy.weakening',
  'policy.belowFloor',
  'policy.neverFires',
  'policy.gapNotAccepted',
  'policy.impossible',
  'connection.notGranted',
  'request.impossible',
] as const

export const policyRoutes = (deps: PolicyRoutesDeps): readonly Route[] => {
  const shown = (policy: Policy) =>
    present(policy, { warnings: checkPolicy(policy.spec, deps.clock.now()).warnings })
  const written = ({ resource, warnings, selected }: WrittenPolicy) =>
    present(resource, { warnings, keys: selected })
  return [
    route({
      method: 'GET',
      path: '/v1/policies',
      operationId: 'listPolicies',
      tag: 'policies',
      summary: 'List policies',
      access: [...readers],
      list: true,
      replies: { 200: listOf(policySchema) },
      handler: async ({ ledger, actor, page, pageReply }) => ({
        status: 200,
        body: pageReply(
          await ledger.read((db) =>
            pageInScope<Policy>(actor, page, (next) => db.policies.list(next), scopedPolicy),
          ),
          shown,
        ),
      }),
    }),
    route({
      method: 'POST',
      path: '/v1/policies',
      operationId: 'createPolicy',
      tag: 'policies',
      summary: 'Create a policy',
      description: bodyForms,
      access: ['operator'],
      body: policyBody,
      shownBody: policyBodySchema,
      yaml: true,
      replies: { 201: policySchema },
      errors: writeErrors,
      examples: [
        {
          body: {
            apiVersion: 'rekey.dev/v1',
            kind: 'RotationPolicy',
            metadata: { name: 'weekly-signing' },
            spec: {
              selector: { type: 'local.key', matchLabels: { team: 'shop' } },
              schedule: { cron: '0 4 * * mon', timezone: 'Europe/Paris' },
            },
          },
        },
      ],
      handler: async ({ ledger, actor, body, precondition }) => {
        const { value, receipts } = await putPolicy({ ...deps, ledger })(actor, {
          name: null,
          body,
          precondition,
        })
        const { name, revision } = value.resource
        return {
          status: 201,
          body: written(value),
          revision,
          location: `/v1/policies/${name}`,
          receipts,
        }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/policies/{name}',
      operationId: 'getPolicy',
      tag: 'policies',
      summary: 'One policy',
      access: [...readers],
      params: nameParams,
      replies: { 200: policySchema },
      handler: async ({ ledger, actor, params: { name } }) => {
        const { policy, keys, overruled } = await ledger.read(async (db) => ({
          policy: mustSeePolicy(actor, await db.policies.get(name), name),
          keys: await countSelected(db, name),
          overruled: await overruledIn(db, name),
        }))
        const warnings = [...checkPolicy(policy.spec, deps.clock.now()).warnings, ...overruled]
        return { status: 200, body: present(policy, { warnings, keys }), revision: policy.revision }
      },
    }),
    route({
      method: 'PUT',
      path: '/v1/policies/{name}',
      operationId: 'putPolicy',
      tag: 'policies',
      summary: 'Create or replace a policy',
      description: bodyForms,
      access: ['operator'],
      params: nameParams,
      body: policyBody,
      shownBody: policyBodySchema,
      yaml: true,
      replies: { 200: policySchema, 201: policySchema },
      errors: writeErrors,
      examples: [{ body: monthly }],
      handler: async ({ ledger, actor, params: { name }, body, precondition }) => {
        const { value, receipts } = await putPolicy({ ...deps, ledger })(actor, {
          name,
          body,
          precondition,
        })
        const { revision } = value.resource
        return { status: value.created ? 201 : 200, body: written(value), revision, receipts }
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/policies/{name}',
      operationId: 'deletePolicy',
      tag: 'policies',
      summary: 'Delete a policy',
      description: 'Rotations that are open go on under the revision that they were planned with.',
      access: ['operator'],
      params: nameParams,
      replies: { 200: deletedSchema },
      errors: ['policy.weakening', 'policy.belowFloor'],
      handler: async ({ ledger, actor, params: { name }, precondition }) => {
        const { receipts } = await deletePolicy({ ledger })(actor, { name, precondition })
        return { status: 200, body: deletedBody(name), receipts }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/policies/{name}/revisions',
      operationId: 'listPolicyRevisions',
      tag: 'policies',
      summary: 'All revisions of a policy, newest first',
      access: [...readers],
      params: nameParams,
      list: true,
      replies: { 200: listOf(policySchema) },
      handler: async ({ ledger, actor, params: { name }, page, pageReply }) => ({
        status: 200,
        body: pageReply(
          await ledger.read(async (db) => {
            mustSeePolicy(actor, await db.policies.get(name), name)
            return db.policies.revisions(name, page)
          }),
          (policy) => present(policy, { warnings: [] }),
        ),
      }),
    }),
  ]
}
