// A handler's reply as it goes over the wire.

import { etagOf } from './preconditions.ts'
import type { Reply, Route } from './route.ts'
import type { StoredReply } from '#domain/ports.ts'

export const jsonMediaType = 'application/json; charset=utf-8'

export const render = (
  route: Route,
  reply: Reply,
  at: { readonly path: string; readonly dryRun: boolean },
): StoredReply => {
  const headers: Record<string, string> = { ...reply.headers }
  headers['content-type'] = reply.mediaType ?? jsonMediaType
  if (reply.mediaType !== undefined) {
    return { status: reply.status, headers, text: String(reply.body) }
  }
  const [receipt] = reply.receipts ?? []
  const members = typeof reply.body === 'object' && reply.body !== null ? reply.body : {}
  if (at.dryRun) {
    return {
      status: 200,
      headers,
      text: JSON.stringify({ dryRun: true, ...members, audit: receipt }),
    }
  }
  if (reply.revision !== undefined) headers['etag'] = etagOf(reply.revision)
  const location =
    reply.location ?? (reply.status === 201 && route.method === 'PUT' ? at.path : undefined)
  if (location !== undefined) headers['location'] = location
  const body = receipt === undefined ? reply.body : { ...members, audit: receipt }
  return { status: reply.status, headers, text: JSON.stringify(body) }
}
