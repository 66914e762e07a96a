// Emergencies, in the order in which they go: opened, previewed and approved, executed and restored, told, ended.

import { makeDrawPreview } from '#usecases/preview-incident.ts'
import type { Route } from '../route.ts'
import type { IncidentRoutesDeps } from './incident/common.ts'
import { draftRoutes } from './incident/draft.ts'
import { endRoutes } from './incident/end.ts'
import { executionRoutes } from './incident/execute.ts'
import { previewRoutes } from './incident/preview.ts'
import { tellingRoutes } from './incident/tell.ts'

export const incidentRoutes = (deps: IncidentRoutesDeps): readonly Route[] => {
  const draw = makeDrawPreview(deps)
  return [
    ...draftRoutes(deps),
    ...previewRoutes(deps, draw),
    ...executionRoutes(deps, draw),
    ...tellingRoutes(deps),
    ...endRoutes(deps),
  ]
}
