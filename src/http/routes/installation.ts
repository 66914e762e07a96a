// How the installation is, check by check; and key by key, whether what must be so of it is so.

import { Type } from 'typebox'
import { type CheckInstallationDeps, makeCheckInstallation } from '#usecases/check-installation.ts'
import { invariantNames } from '#domain/invariants.ts'
import type { Sessions, Timers } from '#domain/ports.ts'
import {
  type CheckInvariantsDeps,
  type KeyCheck,
  makeCheckInvariants,
} from '#usecases/check-invariants.ts'
import { type Route, route } from '../route.ts'
import { listOf, nullable, strict } from '../schemas.ts'

export interface InstallationRoutesDeps extends Omit<
  CheckInvariantsDeps,
  'ledger' | 'sessions' | 'timers'
> {
  readonly sessions: Sessions
  readonly timers: Timers
  readonly installation: CheckInstallationDeps
}

const checksSchema = strict(
  {
    items: Type.Array(
      strict({
        name: Type.String({ examples: ['queue'] }),
        state: Type.Enum(['ok', 'warn', 'fail']),
        detail: Type.String({ examples: ['no rotation waits for a worker'] }),
        hint: nullable(Type.String({ description: 'what helps' })),
      }),
    ),
  },
  { $id: 'InstallationChecks' },
)

const keyCheckSchema = strict(
  {
    key: Type.String({ examples: ['orders-token'] }),
    breaches: Type.Array(
      strict({
        invariant: Type.Enum([...invariantNames], {
          description: 'its number in the design of the machine',
        }),
        sentence: Type.String({
          examples: ['version 2 is handed out, and is disabled at the provider'],
        }),
      }),
    ),
    unknown: nullable(
      Type.String({
        description: 'why nothing, or not everything, can be said of it',
        examples: ['the provider could not be asked: it kept silent a moment ago'],
      }),
    ),
  },
  { $id: 'KeyCheck' },
)

const presentCheck = ({ key, breaches, unknown }: KeyCheck) => ({
  key,
  breaches: breaches.map(({ invariant, sentence }) => ({ invariant, sentence })),
  unknown,
})

export const installationRoutes = ({
  installation,
  ...deps
}: InstallationRoutesDeps): readonly Route[] => {
  const check = makeCheckInstallation(installation)
  return [
    route({
      method: 'GET',
      path: '/v1/checks',
      operationId: 'listChecks',
      tag: 'health',
      summary:
        'Whether the installation is well: database, clock, keys of its own, log, queue, workers',
      description:
        'The name and the state of each check are for everybody who may ask. What the checks of the schema, of the key-encryption key, of the audit log and of publishing found is for auditors and admins without a scope. A look is shared for five seconds.',
      access: ['viewer', 'operator', 'approver', 'responder', 'auditor'],
      replies: { 200: checksSchema },
      handler: async ({ actor }) => ({
        status: 200,
        body: { items: (await check(actor)).map((one) => ({ ...one })) },
      }),
    }),
    route({
      method: 'GET',
      path: '/v1/checks/keys',
      operationId: 'checkKeys',
      tag: 'health',
      summary: 'Whether what must be so of each key is so, in the records and at its provider',
      description:
        'Looks anew at each request, and only reads: every invariant of a key that records and provider can show. A page that takes longer than a quarter of a minute ends where it is, with a cursor; a provider that keeps silent is not asked again on it.',
      access: ['auditor'],
      list: true,
      replies: { 200: listOf(keyCheckSchema) },
      handler: async ({ ledger, actor, page, pageReply }) => {
        const found = await makeCheckInvariants({ ...deps, ledger })(page, actor)
        return { status: 200, body: pageReply(found, presentCheck) }
      },
    }),
  ]
}
