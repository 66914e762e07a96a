// Every route of `/v1`, in the order of the document. The server adds health, documents and problems (server.ts).
// What a route's declaration says of access is the table role × route: docs/reference/access.md is drawn from it, and
// test/http/access.test.ts tries each of its cells.

import type { Clock } from '#domain/ports.ts'
import { makeTally } from '#usecases/tally.ts'
import type { Route } from './route.ts'
import { type ApiKeyRoutesDeps, apiKeyRoutes } from './routes/api-keys.ts'
import { auditRoutes } from './routes/audit.ts'
import { type ConnectionRoutesDeps, connectionRoutes } from './routes/connections.ts'
import { complianceRoutes } from './routes/compliance.ts'
import { consumerRoutes } from './routes/consumers.ts'
import { floorRoutes } from './routes/floors.ts'
import { freezeRoutes } from './routes/freeze.ts'
import type { IncidentRoutesDeps } from './routes/incident/common.ts'
import { incidentRoutes } from './routes/incidents.ts'
import { type InstallationRoutesDeps, installationRoutes } from './routes/installation.ts'
import { type IssuerRoutesDeps, issuerRoutes } from './routes/issuers.ts'
import type { KeyRoutesDeps } from './routes/key/common.ts'
import { keyRoutes } from './routes/keys.ts'
import { jwksRoutes } from './routes/jwks.ts'
import { type LoginRoutesDeps, loginRoutes } from './routes/login.ts'
import { keyUsesRoutes } from './routes/key-uses.ts'
import { meRoutes } from './routes/me.ts'
import { type PlanRoutesDeps, planRoutes } from './routes/plans.ts'
import { playbookRoutes } from './routes/playbooks.ts'
import { policyRoutes } from './routes/policies.ts'
import { providerRoutes } from './routes/providers.ts'
import { type RecoveryRoutesDeps, recoveryRoutes } from './routes/recovery.ts'
import type { RotationRoutesDeps } from './routes/rotation/common.ts'
import { rotationRoutes } from './routes/rotations.ts'
import { scheduleRoutes } from './routes/schedule.ts'
import { type SinkDeliveryDeps, sinkDeliveryRoutes } from './routes/sink-delivery.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { sinkRoutes } from './routes/sinks.ts'

export interface ProductRoutesDeps
  extends
    ApiKeyRoutesDeps,
    ConnectionRoutesDeps,
    IncidentRoutesDeps,
    Omit<InstallationRoutesDeps, 'keyring'>,
    IssuerRoutesDeps,
    Omit<KeyRoutesDeps, 'tally'>,
    Omit<LoginRoutesDeps, 'keyring'>,
    PlanRoutesDeps,
    RecoveryRoutesDeps,
    RotationRoutesDeps,
    SinkDeliveryDeps {
  readonly clock: Clock
  readonly keyring: InstallationRoutesDeps['keyring'] & LoginRoutesDeps['keyring']
  readonly ids: KeyRoutesDeps['ids'] & LoginRoutesDeps['ids']
}

const minute = 60_000

export const productRoutes = (deps: ProductRoutesDeps): readonly Route[] => [
  ...meRoutes(),
  ...apiKeyRoutes(deps),
  ...loginRoutes(deps),
  ...sessionRoutes(deps),
  ...providerRoutes(deps),
  ...connectionRoutes(deps),
  ...keyRoutes({ ...deps, tally: makeTally(deps.clock, minute) }),
  ...keyUsesRoutes(deps),
  ...jwksRoutes(deps),
  ...policyRoutes(deps),
  ...planRoutes(deps),
  ...rotationRoutes(deps),
  ...incidentRoutes(deps),
  ...consumerRoutes(deps),
  ...playbookRoutes(deps),
  ...sinkRoutes(deps),
  ...sinkDeliveryRoutes(deps),
  ...freezeRoutes(deps),
  ...floorRoutes(),
  ...issuerRoutes(deps),
  ...scheduleRoutes(deps),
  ...complianceRoutes(deps),
  ...recoveryRoutes(deps),
  ...installationRoutes(deps),
  ...auditRoutes({ tally: makeTally(deps.clock, 60 * minute) }),
]
