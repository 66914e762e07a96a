// Playbooks: what people do in an emergency, and the reviews that keep them true.

import { Type, type Static } from 'typebox'
import { freeTextSchema, nameSchema } from '#domain/names.ts'
import type { Playbook } from '#domain/playbook.ts'
import { playbookFields, playbookSpecSchema } from '#domain/playbook-schema.ts'
import { deletePlaybook } from '#usecases/delete-playbook.ts'
import { putPlaybook } from '#usecases/put-playbook.ts'
import { reviewPlaybook } from '#usecases/review-playbook.ts'
import { mustSee } from '#usecases/rights.ts'
import { pageInScope } from '#usecases/written.ts'
import { type Route, route } from '../route.ts'
import { listOf, momentSchema, nameParams, nullable, strict } from '../schemas.ts'
import {
  deletedBody,
  deletedSchema,
  mustBeNamed,
  ownedTimes,
  putBody,
  shownLabels,
  timesOf,
} from './resource.ts'

const person = Type.String({ examples: ['ada'] })

const playbookSchema = strict(
  {
    name: nameSchema,
    labels: shownLabels,
    ...playbookSpecSchema.properties,
    status: strict({
      ...ownedTimes,
      author: Type.String({ description: 'of this revision', examples: ['ada'] }),
      review: nullable(
        strict(
          {
            at: momentSchema,
            by: person,
            revision: Type.Integer(),
            text: Type.String({ examples: ['Walked through.'] }),
          },
          { description: 'the last one, and the revision that was read; null: nobody has yet' },
        ),
      ),
      reviewDueAt: momentSchema,
      overdue: Type.Boolean({ description: 'nobody has reviewed it in time' }),
    }),
  },
  { $id: 'Playbook' },
)

const presentAt =
  (now: Date) =>
  (playbook: Playbook): Static<typeof playbookSchema> => {
    const { name, labels, spec, author, review, reviewDueAt, managedBy } = playbook
    return {
      name,
      labels: { ...labels },
      // As its schema accepted it.
      ...(spec as Static<typeof playbookSpecSchema>),
      status: {
        ...timesOf(playbook),
        owner: managedBy,
        author: author.name,
        review: review && {
          at: review.at.toISOString(),
          by: review.by.name,
          revision: review.revision,
          text: review.text,
        },
        reviewDueAt: reviewDueAt.toISOString(),
        overdue: reviewDueAt <= now,
      },
    }
  }

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const
const writers = ['operator', 'responder'] as const
const tag = 'playbooks'

export const playbookRoutes = ({
  clock,
}: {
  readonly clock: { readonly now: () => Date }
}): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/playbooks',
    operationId: 'listPlaybooks',
    tag,
    summary: 'List playbooks',
    access: [...readers],
    list: true,
    replies: { 200: listOf(playbookSchema) },
    handler: async ({ ledger, actor, page, pageReply }) => ({
      status: 200,
      body: pageReply(
        await ledger.read((db) => pageInScope(actor, page, (next) => db.playbooks.list(next))),
        presentAt(clock.now()),
      ),
    }),
  }),
  route({
    method: 'GET',
    path: '/v1/playbooks/{name}',
    operationId: 'getPlaybook',
    tag,
    summary: 'One playbook',
    access: [...readers],
    params: nameParams,
    replies: { 200: playbookSchema },
    handler: async ({ ledger, actor, params: { name } }) => {
      const found = await ledger.read((db) => db.playbooks.get(name))
      const playbook = mustSee(actor, found, 'playbook', name)
      return {
        status: 200,
        body: presentAt(clock.now())(playbook),
        revision: playbook.revision,
      }
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/playbooks/{name}',
    operationId: 'putPlaybook',
    tag,
    summary: 'Create or replace a playbook',
    description:
      'Incidents that have taken it keep their copy. A change is no review: the date of the next one stays.',
    access: [...writers],
    params: nameParams,
    body: putBody(playbookFields),
    replies: { 200: playbookSchema, 201: playbookSchema },
    examples: [
      {
        body: {
          title: 'A credential of the shop has leaked',
          owner: 'team-shop',
          appliesTo: { matchLabels: { team: 'shop' } },
          steps: [
            { title: 'Tell the partner', owner: 'duty manager', within: '1h' },
            {
              title: 'Look who used the old key',
              text: 'Write what was seen into the incident, as a fact.',
              command: 'rekey describe key/NAME',
            },
          ],
          reviewEvery: '180d',
          labels: { team: 'shop' },
        },
      },
    ],
    handler: async ({ ledger, actor, params: { name }, body, precondition }) => {
      mustBeNamed(name, body)
      const { value, receipts } = await putPlaybook({ ledger })(actor, { name, body, precondition })
      const { resource, created } = value
      return {
        status: created ? 201 : 200,
        body: presentAt(clock.now())(resource),
        revision: resource.revision,
        receipts,
      }
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/playbooks/{name}',
    operationId: 'deletePlaybook',
    tag,
    summary: 'Delete a playbook',
    description: 'Incidents that have taken it keep their copy.',
    access: [...writers],
    params: nameParams,
    replies: { 200: deletedSchema },
    handler: async ({ ledger, actor, params: { name }, precondition }) => {
      const { receipts } = await deletePlaybook({ ledger })(actor, { name, precondition })
      return { status: 200, body: deletedBody(name), receipts }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/playbooks/{name}/reviews',
    operationId: 'reviewPlaybook',
    tag,
    summary: 'Sign that it was read and is right, as somebody else than its author',
    description:
      'Of exactly the revision that was read. The next review is due `reviewEvery` later. One that is not right is changed, not signed.',
    access: ['operator', 'approver', 'responder'],
    params: nameParams,
    body: strict({
      revision: Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, description: 'that was read' }),
      text: Type.String({ ...freeTextSchema(2_000), minLength: 1 }),
    }),
    replies: { 201: playbookSchema },
    errors: ['resource.notFound', 'precondition.failed', 'playbook.selfApproval'],
    examples: [
      { body: { revision: 1, text: 'Walked through with the team; the numbers are right.' } },
    ],
    handler: async ({ ledger, actor, params: { name }, body }) => {
      const { value, receipts } = await reviewPlaybook({ ledger })(actor, name, body)
      return {
        status: 201,
        body: presentAt(clock.now())(value),
        location: `/v1/playbooks/${name}`,
        receipts,
      }
    },
  }),
]
