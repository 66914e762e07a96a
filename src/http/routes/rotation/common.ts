// What the routes of rotations have in common.

import { Type } from 'typebox'
import { freeTextSchema } from '#domain/names.ts'
import type { Clock, Sessions, Timers } from '#domain/ports.ts'
import type { StartDeps } from '#usecases/start-rotation.ts'
import { strict } from '../../schemas.ts'

export interface RotationRoutesDeps extends Omit<StartDeps, 'ledger'> {
  readonly timers: Timers
  readonly clock: Clock
  readonly sessions: Sessions
}

export const reasonSchema = freeTextSchema(500)
export const reasonBody = strict({ reason: Type.String({ ...reasonSchema, minLength: 1 }) })
