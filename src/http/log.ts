// One line a request, and nothing of its headers, query or body.

import type { FastifyInstance } from 'fastify'
import type { LoggerOptions } from 'pino'
import { routeOf } from './request-state.ts'

const censor = '«redacted»'

/** For `pino()`: what the door logs holds no secrets; the paths are the second lock. */
export const logOptions = (level: string): LoggerOptions => ({
  level,
  redact: {
    paths: [
      'authorization',
      'cookie',
      'token',
      'password',
      'secret',
      '*.authorization',
      '*.cookie',
      '*.token',
      '*.password',
      '*.secret',
      'req.headers',
      'headers',
      'body',
      'req.body',
      'err.validation',
      'err.config',
      'err.request',
      'err.response',
    ],
    censor,
  },
})

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
