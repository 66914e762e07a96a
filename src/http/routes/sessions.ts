// Sessions of browsers: one's own ended, everybody's seen, those of a person ended.

import { Type } from 'typebox'
import { freeTextSchema, oneLinePattern } from '#domain/names.ts'
import type { Clock } from '#domain/ports.ts'
import { principalOf } from '#domain/browser-session.ts'
import {
  endSession,
  listSessions,
  revokeSessions,
  type ToldSession,
} from '#usecases/browser-sessions.ts'
import { dropSession } from '../cookies.ts'
import { route, type Route } from '../route.ts'
import { idSchema, listOf, momentSchema, nullable, strict } from '../schemas.ts'

export interface SessionRoutesDeps {
  readonly clock: Pick<Clock, 'now'>
}

const ada = 'https://id.example.com/realms/acme#1f0c'

const sessionSchema = strict(
  {
    id: Type.String(),
    principal: Type.String({ description: 'issuer#subject, as in the audit log', examples: [ada] }),
    name: nullable(
      Type.String({
        description: 'null: no rule gives it a role any more',
        examples: ['ada@acme.example'],
      }),
    ),
    source: Type.String({
      description: 'the address that the login came from',
      examples: ['192.0.2.7'],
    }),
    createdAt: momentSchema,
    lastUsedAt: nullable(momentSchema),
    expiresAt: momentSchema,
  },
  { $id: 'BrowserSession' },
)

const present = ({ session, name }: ToldSession) => ({
  ...{ id: session.id, principal: principalOf(session), name, source: session.source },
  createdAt: session.createdAt.toISOString(),
  lastUsedAt: session.lastUsedAt?.toISOString() ?? null,
  expiresAt: session.expiresAt.toISOString(),
})

export const sessionRoutes = ({ clock }: SessionRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/sessions',
    operationId: 'listSessions',
    tag: 'sessions',
    summary: 'Browsers that are logged in',
    access: ['admin'],
    unscoped: true,
    list: true,
    replies: { 200: listOf(sessionSchema) },
    handler: async ({ ledger, page, pageReply }) => ({
      status: 200,
      body: pageReply(await listSessions({ ledger, now: () => clock.now() })(page), present),
    }),
  }),
  route({
    method: 'POST',
    path: '/v1/sessions/revocations',
    operationId: 'revokeSessions',
    tag: 'sessions',
    summary: 'Log a person out everywhere',
    description:
      'Ends all sessions of a principal at once, in every process. What they have agreed to until then (rotations, plans, overrides, incidents) counts no more: it may not have been they. It does not keep them from logging in again: that is for the issuer, or its rules.',
    access: ['admin'],
    unscoped: true,
    body: strict({
      principal: Type.String({
        minLength: 1,
        maxLength: 1_000,
        pattern: oneLinePattern,
        description: 'issuer#subject',
      }),
      reason: freeTextSchema(500),
    }),
    replies: { 200: strict({ ended: Type.Integer({ examples: [2] }) }) },
    errors: ['resource.notFound'],
    examples: [{ body: { principal: ada, reason: 'left the company' } }],
    handler: async ({ ledger, actor, body }) => {
      const { value, receipts } = await revokeSessions({ ledger })(actor, body)
      return { status: 200, body: { ended: value }, receipts }
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/session',
    operationId: 'endSession',
    tag: 'sessions',
    summary: 'Log out this browser',
    access: 'authenticated',
    ifMatch: false,
    replies: { 200: strict({ id: idSchema }) },
    errors: ['request.impossible', 'auth.denied'],
    handler: async ({ ledger, actor, session, dryRun }) => {
      const { value, receipts } = await endSession({ ledger })(actor, session)
      const headers: Record<string, string> = dryRun ? {} : { 'Set-Cookie': dropSession }
      return { status: 200, body: { id: value }, receipts, headers }
    },
  }),
]
