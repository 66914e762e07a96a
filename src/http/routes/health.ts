// For whoever starts and restarts us: `livez` says that the process answers, `readyz` that it can do its work.

import { type Static, Type } from 'typebox'
import { isRekeyError } from '#domain/errors.ts'
import { publicRoute, type Route } from '../route.ts'
import { strict } from '../schemas.ts'

/** One thing that must be so before requests are taken. `ready` answers true or, in one sentence without addresses, why not;
 *  `{ noted }` is ready with a remark. */
export interface ReadinessCheck {
  readonly name: string
  readonly ready: () => Promise<true | string | { readonly noted: string }>
}

const checkSchema = strict({
  name: Type.String(),
  ready: Type.Boolean(),
  detail: Type.Optional(Type.String()),
})
const readinessSchema = strict(
  { ready: Type.Boolean(), checks: Type.Array(checkSchema) },
  { $id: 'Readiness' },
)

export const healthRoutes = (checks: readonly ReadinessCheck[]): readonly Route[] => [
  publicRoute({
    public: true,
    method: 'GET',
    path: '/livez',
    operationId: 'getLiveness',
    tag: 'health',
    summary: 'Whether the process answers',
    replies: { 200: strict({ live: Type.Boolean() }) },
    handler: async () => ({ status: 200, body: { live: true } }),
  }),
  publicRoute({
    public: true,
    method: 'GET',
    path: '/readyz',
    operationId: 'getReadiness',
    tag: 'health',
    summary: 'Whether everything that requests need is there, by name',
    replies: { 200: readinessSchema, 503: readinessSchema },
    handler: async () => {
      const body = await readinessOf(checks)
      return { status: body.ready ? 200 : 503, body }
    },
  }),
]

export const readinessOf = async (
  checks: readonly ReadinessCheck[],
): Promise<Static<typeof readinessSchema>> => {
  const results = await Promise.all(checks.map(run))
  return { ready: results.every((result) => result.ready), checks: results }
}

/** A check that throws is not ready. Of the database our own sentence is told; else why stands in the log of whatever failed,
 *  not in a public reply. */
const run = async ({ name, ready }: ReadinessCheck) => {
  try {
    const answer = await ready()
    if (answer === true) return { name, ready: true }
    return typeof answer === 'string'
      ? { name, ready: false, detail: answer }
      : { name, ready: true, detail: answer.noted }
  } catch (error) {
    const away = isRekeyError(error, 'service.unavailable')
    return { name, ready: false, detail: away ? error.message : 'The check failed.' }
  }
}
