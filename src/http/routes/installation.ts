// How the installation is, check by check.

import { Type } from 'typebox'
import { type CheckInstallationDeps, checkInstallation } from '#usecases/check-installation.ts'
import { type Route, route } from '../route.ts'
import { nullable, strict } from '../schemas.ts'

export interface InstallationRoutesDeps {
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

export const installationRoutes = ({ installation }: InstallationRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/checks',
    operationId: 'listChecks',
    tag: 'health',
    summary:
      'Whether the installation is well: database, clock, keys of its own, log, queue, workers',
    access: ['viewer', 'operator', 'approver', 'responder', 'auditor'],
    replies: { 200: checksSchema },
    handler: async () => ({
      status: 200,
      body: { items: (await checkInstallation(installation)).map((check) => ({ ...check })) },
    }),
  }),
]
