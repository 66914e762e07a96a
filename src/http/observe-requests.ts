// Each request is timed, and is a span of its caller's trace. Nothing of its path, query, headers or body is told: the
// template of its route is.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { otherValue } from '#domain/metrics.ts'
import type { Telemetry } from '#domain/telemetry.ts'
import { headerOf, routeOf } from './request-state.ts'

/** Before the other hooks, so that they run in the span. */
export const observeRequests = (app: FastifyInstance, { meter, tracer }: Telemetry): void => {
  app.addHook('onRequest', (request, reply, done) => {
    const route = routeOf(request)
    // Probes come every second from everywhere.
    if (route?.tag === 'health') return done()
    const path = route?.path ?? otherValue
    const span = tracer.begin({
      name: `${request.method} ${path}`,
      kind: 'server',
      attributes: {
        'http.request.method': request.method,
        'http.route': path,
        'rekey.request.id': request.id,
      },
      parent: headerOf(request, 'traceparent') ?? null,
    })
    request.state.span = span
    // Also of a caller that hangs up, for whom there is no `onResponse`.
    reply.raw.once('close', () => {
      span.set({ 'http.response.status_code': reply.statusCode })
      span.end(reply.statusCode >= 500 ? 'failed' : undefined)
    })
    span.run(done)
  })
  // What is emitted by the socket (a body that has arrived, a reply that is out) runs outside of the span.
  app.addHook('preValidation', (request, _reply, done) => within(request, done))
  app.addHook('onResponse', (request, reply, done) => {
    if (!isStream(request, reply)) {
      const labels = {
        method: request.method,
        route: routeOf(request)?.path ?? otherValue,
        status: String(reply.statusCode),
      }
      meter.observe('rekey_http_request_duration_seconds', labels, reply.elapsedTime / 1000)
    }
    within(request, done)
  })
}

const within = ({ state }: FastifyRequest, done: () => void): void => {
  if (state.span === null) done()
  else state.span.run(done)
}

/** Open as long as somebody listens: no measure of anything. */
const isStream = (request: FastifyRequest, { statusCode }: FastifyReply): boolean =>
  routeOf(request)?.answer.kind === 'events' && statusCode < 400
