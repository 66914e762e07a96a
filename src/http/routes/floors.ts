// Floors: what no policy may undercut, by the labels of the keys.

import { Type } from 'typebox'
import { type Floor, floorSchema } from '#domain/floor.ts'
import { getFloors, putFloors, type SeenFloors } from '#usecases/floors.ts'
import { type Route, route } from '../route.ts'
import { momentSchema, nullable, strict } from '../schemas.ts'
import { ignored, shownLabels } from './resource.ts'

const critical: Floor = {
  matchLabels: { tier: 'critical' },
  spec: { approval: { required: 1 }, overlap: { min: '24h' }, retire: 'disable' },
}

const items = Type.Array(floorSchema, { maxItems: 100, examples: [[critical]] })

const floorsSchema = strict(
  {
    items,
    status: strict({
      revision: Type.Integer(),
      setBy: nullable(Type.String()),
      updatedAt: momentSchema,
      overruled: Type.Array(
        strict({
          policy: nullable(Type.String({ description: 'null: the defaults of keys without one' })),
          keys: Type.Integer({ description: 'for how many keys' }),
          floor: shownLabels,
          pointer: Type.String(),
          bound: Type.String(),
          value: Type.String(),
        }),
        {
          description: 'what policies say that holds no more; their rotations obey the floors',
          examples: [
            [
              {
                policy: 'monthly',
                keys: 3,
                floor: critical.matchLabels,
                pointer: '/approval/required',
                bound: '1',
                value: '0',
              },
            ],
          ],
        },
      ),
    }),
  },
  { $id: 'Floors' },
)

const present = ({ floors, overruled }: SeenFloors) => ({
  items: floors.items,
  status: {
    revision: floors.revision,
    setBy: floors.setBy,
    updatedAt: floors.updatedAt.toISOString(),
    overruled: overruled.flatMap(({ policy, keys, undercuts }) =>
      undercuts.map(({ floor, pointer, from, to }) => ({
        policy,
        keys,
        floor: floor.matchLabels,
        pointer,
        bound: from,
        value: to,
      })),
    ),
  },
})

export const floorRoutes = (): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/floors',
    operationId: 'getFloors',
    tag: 'floors',
    summary: 'What no policy may undercut',
    access: ['viewer', 'operator', 'approver', 'responder', 'auditor'],
    replies: { 200: floorsSchema },
    handler: async ({ ledger, actor }) => {
      const seen = await getFloors({ ledger })(actor)
      return { status: 200, body: present(seen), revision: seen.floors.revision }
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/floors',
    operationId: 'putFloors',
    tag: 'floors',
    summary: 'Replace all floors',
    description:
      'Each names labels, and policy fields as bounds. Rotations that are planned from now on obey them, whatever their policy says; `status.overruled` lists the policies that say less. Writing such a policy, or bringing a key under one, is refused from now on.',
    access: ['admin'],
    unscoped: true,
    body: strict({ items, ...ignored }),
    replies: { 200: floorsSchema },
    examples: [
      {
        body: { items: [critical] },
      },
    ],
    handler: async ({ ledger, actor, body, precondition }) => {
      const { value, receipts } = await putFloors({ ledger })(actor, {
        items: body.items,
        precondition,
      })
      return { status: 200, body: present(value), revision: value.floors.revision, receipts }
    },
  }),
]
