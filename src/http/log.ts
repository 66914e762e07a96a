// One line a request, and nothing of its headers, query or body.

import type { FastifyInstance } from 'fastify'
import { routeOf } from './request-state.ts'

export const logRequests = (app: FastifyInstance): void => {
  app.addHook('onResponse', async (request, reply) => {
    const route = routeOf(request)
    const line = {
      method: request.method,
      route: route?.path ?? null,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      actor: request.state?.actor?.id ?? null,
    }
    const quiet = route?.tag === 'health' && reply.statusCode < 400
    request.log[quiet ? 'debug' : 'info'](line, 'request')
  })
}
