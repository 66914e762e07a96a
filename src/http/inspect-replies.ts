// For tests and development: a reply that its documentation does not cover is a failure, not a surprise for a client.

import type { RekeyError } from '#domain/errors.ts'
import { statusesOf } from './documented.ts'
import { withReceipt } from './openapi-replies.ts'
import type { Reply, Route } from './route.ts'
import type { Validators } from './validators.ts'
import { placesOf, type ShapeFault } from './validation.ts'

export interface Inspector {
  /** Throws when the documentation does not cover it. */
  reply(route: Route, reply: Reply, dryRun: boolean): void
  problem(route: Route, error: RekeyError): void
}

export const noInspection: Inspector = { reply: () => undefined, problem: () => undefined }

export const inspectReplies = (validators: Validators): Inspector => {
  const checks = new Map<string, ReturnType<Validators>>()
  return {
    reply: (route, reply, dryRun) => {
      const schema = route.replies[reply.status]
      if (schema === undefined)
        throw new Error(`${route.operationId}: status ${reply.status} is not documented`)
      if (reply.mediaType !== undefined) {
        const documented = route.mediaTypes.some((type) => reply.mediaType?.startsWith(type))
        if (!documented)
          throw new Error(`${route.operationId}: ${reply.mediaType} is not documented`)
        return
      }
      const missing =
        reply.status === 201 && route.method === 'POST' && !dryRun && reply.location === undefined
      if (missing) throw new Error(`${route.operationId}: 201 without a location`)
      const name = `${route.operationId} ${reply.status}`
      const check = checks.get(name) ?? validators(withReceipt(route, schema), 'body')
      checks.set(name, check)
      const body: unknown = JSON.parse(JSON.stringify(reply.body))
      if (check(body) === true) return
      const faults: readonly ShapeFault[] =
        'errors' in check && Array.isArray(check.errors) ? check.errors : []
      const places = placesOf(faults, 'body').map(({ pointer, detail }) => `${pointer}: ${detail}`)
      throw new Error(`${route.operationId}: the reply is not as documented: ${places.join('; ')}`)
    },
    problem: (route, error) => {
      if (statusesOf(route).has(error.status)) return
      throw new Error(`${route.operationId}: ${error.code} (${error.status}) is not documented`)
    },
  }
}
