// Issuers of JWTs that are believed, and what their claims are worth.

import { Type } from 'typebox'
import { type Issuer, issuerSchema, type Issuers } from '#domain/issuer.ts'
import { getIssuers, putIssuers } from '#usecases/issuers.ts'
import type { EgressRules } from '#usecases/put-connection.ts'
import { type Route, route } from '../route.ts'
import { momentSchema, nullable, strict } from '../schemas.ts'
import { ignored } from './resource.ts'

export interface IssuerRoutesDeps {
  readonly egress: EgressRules
}

const gitHub: Issuer = {
  issuer: 'https://token.actions.githubusercontent.com',
  audience: 'rekey.example.com',
  claims: [
    {
      match: { repository: 'acme/shop', ref: 'refs/heads/main' },
      roles: ['operator', 'viewer'],
      scope: { matchLabels: { team: 'shop' } },
      name: 'workflow_ref',
      type: 'service',
    },
  ],
}
const kubernetes: Issuer = {
  issuer: 'https://kubernetes.example.com',
  audience: 'rekey.example.com',
  claims: [
    {
      match: { sub: 'system:serviceaccount:shop:shop-api' },
      roles: ['consumer'],
      consumer: 'shop-api',
      type: 'service',
    },
  ],
}

const items = Type.Array(issuerSchema, { maxItems: 20, examples: [[gitHub, kubernetes]] })

const issuersSchema = strict(
  {
    items,
    status: strict({
      revision: Type.Integer(),
      setBy: nullable(Type.String()),
      updatedAt: momentSchema,
    }),
  },
  { $id: 'Issuers' },
)

const present = ({ items: listed, revision, setBy, updatedAt }: Issuers) => ({
  items: listed,
  status: { revision, setBy, updatedAt: updatedAt.toISOString() },
})

export const issuerRoutes = (deps: IssuerRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/issuers',
    operationId: 'getIssuers',
    tag: 'tokens',
    summary: 'Issuers of JWTs that are believed',
    access: ['admin'],
    unscoped: true,
    replies: { 200: issuersSchema },
    handler: async ({ ledger }) => {
      const issuers = await getIssuers({ ledger })()
      return { status: 200, body: present(issuers), revision: issuers.revision }
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/issuers',
    operationId: 'putIssuers',
    tag: 'tokens',
    summary: 'Replace all issuers of JWTs',
    description:
      'A JWT of one of them, for its audience, is a token here: `Authorization: Bearer eyJ…`. Its claims give the roles of the first rule whose `match` holds, and of the later ones with the same scope and binding. It holds at once; what is taken away ends at once.',
    access: ['admin'],
    unscoped: true,
    body: strict({ items, ...ignored }),
    replies: { 200: issuersSchema },
    errors: ['connection.unusable', 'request.impossible'],
    examples: [
      { summary: 'GitHub Actions and Kubernetes', body: { items: [gitHub, kubernetes] } },
      {
        summary: 'people, by the groups that their identity provider tells',
        body: {
          items: [
            {
              issuer: 'https://id.example.com/realms/acme',
              audience: 'rekey',
              claims: [
                { match: { groups: 'platform' }, roles: ['operator', 'viewer'], name: 'email' },
                { match: { groups: 'on-call' }, roles: ['responder', 'viewer'], name: 'email' },
              ],
            },
          ],
        },
      },
    ],
    handler: async ({ ledger, actor, body, precondition }) => {
      const { value, receipts } = await putIssuers({ ...deps, ledger })(actor, {
        items: body.items,
        precondition,
      })
      return { status: 200, body: present(value), revision: value.revision, receipts }
    },
  }),
]
