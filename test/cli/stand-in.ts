// A strict stand-in for the API: it answers as 4-api.md says, keeps what it is told in memory, and writes down every request
// that the contract does not allow. A test that leaves a breach behind fails.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { errors, type ErrorCode } from '#domain/errors.ts'

export type Thing = Record<string, unknown>

export interface Seen {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Thing
}

export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly type?: string
}

/** Handles the request (or not), then breaks the connection instead of answering. */
export type Interference = 'drop after' | 'drop before' | Answer

export interface StandIn {
  readonly url: string
  readonly token: string
  readonly seen: Seen[]
  readonly breaches: string[]
  readonly keys: Map<string, Thing>
  readonly rotations: Map<string, Thing>
  readonly policies: Map<string, { revision: number; resource: Thing }>
  readonly things: Record<string, Thing[]>
  readonly audit: Thing[]
  freeze: { revision: number; resource: Thing } | null
  /** Items a page. */
  pageSize: number
  /** How the next requests to this method and path are answered, one each. */
  interfere(method: string, path: string, ...how: readonly Interference[]): void
  /** Changes a rotation and tells those who follow it. */
  move(id: string, change: Thing): void
  /** Breaks all open streams. */
  breakStreams(): void
  /** `Last-Event-ID` of each stream that was opened. */
  readonly streams: (string | undefined)[]
  stop(): Promise<void>
}

interface RouteRule {
  readonly method: string
  readonly path: RegExp
  readonly query?: readonly string[]
  /** Members of the body: `?` at the end makes one optional. */
  readonly body?: readonly string[]
  readonly idempotency?: 'required'
  readonly precondition?: true
  readonly list?: true
}

const id = '([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'
const name = '([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)'
const rule = (method: string, path: string, more: Partial<RouteRule> = {}): RouteRule => ({
  method,
  path: new RegExp(`^${path.replaceAll('{id}', id).replaceAll('{name}', name)}$`),
  ...more,
})

const rules: readonly RouteRule[] = [
  rule('GET', '/v1/me'),
  rule('GET', '/v1/keys', {
    list: true,
    query: ['connection', 'type', 'label', 'policy', 'overdue', 'drifted'],
  }),
  rule('GET', '/v1/keys/{name}'),
  rule('GET', '/v1/keys/{name}/versions'),
  rule('GET', '/v1/policies', { list: true }),
  rule('GET', '/v1/policies/{name}'),
  ...['connections', 'consumers', 'sinks'].flatMap((kind) => [
    rule('GET', `/v1/${kind}`, { list: true }),
    rule('GET', `/v1/${kind}/{name}`),
  ]),
  rule('POST', '/v1/connections/{name}/checks', { body: [] }),
  rule('GET', '/v1/api-keys', { list: true }),
  rule('GET', '/v1/providers', { list: true }),
  rule('GET', '/v1/plans', { list: true, query: ['state'] }),
  rule('GET', '/v1/compliance', { query: ['by', 'policy', 'label'] }),
  rule('GET', '/v1/compliance/keys', { list: true, query: ['policy', 'label'] }),
  rule('GET', '/v1/rotations', { list: true, query: ['key', 'policy', 'phase', 'trigger'] }),
  rule('POST', '/v1/rotations', { idempotency: 'required', body: ['key', 'reason'] }),
  rule('GET', '/v1/rotations/{id}'),
  rule('GET', '/v1/rotations/{id}/events'),
  rule('POST', '/v1/rotations/{id}/approvals', { body: ['planHash', 'reason?'] }),
  rule('POST', '/v1/rotations/{id}/acknowledgements', {
    body: ['consumer', 'version', 'evidence?'],
  }),
  rule('POST', '/v1/rotations/{id}/confirmations', {
    body: ['operationId', 'outcome', 'fingerprint?', 'evidence?'],
  }),
  ...['cancel', 'rollback', 'resume', 'abandon', 'overrides'].map((verb) =>
    rule('POST', `/v1/rotations/{id}/${verb}`, { body: ['reason'], idempotency: 'required' }),
  ),
  rule('GET', '/v1/freeze'),
  rule('PUT', '/v1/freeze', { precondition: true, body: ['until', 'reason', 'selector?'] }),
  rule('DELETE', '/v1/freeze', { precondition: true }),
  rule('GET', '/v1/schedule', { list: true, query: ['from', 'to'] }),
  rule('GET', '/v1/audit/events', {
    list: true,
    query: ['key', 'rotation', 'incident', 'actor', 'action', 'outcome', 'from', 'to'],
  }),
]

export const problem = (code: ErrorCode, more: Thing = {}): Answer => ({
  status: errors[code].status,
  type: 'application/problem+json',
  body: {
    type: `/problems/${code}`,
    title: errors[code].title,
    status: errors[code].status,
    detail: errors[code].title,
    instance: '/',
    code,
    requestId: 'req-1',
    ...more,
  },
})

export const startStandIn = async (): Promise<StandIn> => {
  const interferences = new Map<string, Interference[]>()
  const followers = new Map<string, Set<ServerResponse>>()
  const told = new Map<string, { id: string; data: Thing }[]>()
  const replays = new Map<string, { request: string; answer: Answer }>()
  const streams: (string | undefined)[] = []
  let events = 0

  const send = (response: ServerResponse, answer: Answer): void => {
    const text =
      answer.body === undefined
        ? ''
        : typeof answer.body === 'string'
          ? answer.body
          : JSON.stringify(answer.body)
    response.writeHead(answer.status, {
      ...(text === '' ? {} : { 'content-type': answer.type ?? 'application/json; charset=utf-8' }),
      'x-request-id': 'req-1',
      ...answer.headers,
    })
    response.end(text)
  }

  const server = createServer((request, response) => {
    void handle(request, response).catch((error: unknown) => {
      standIn.breaches.push(`the stand-in failed: ${String(error)}`)
      response.destroy()
    })
  })

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '', 'http://x')
    const method = request.method ?? ''
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const seen: Seen = {
      method,
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === '' ? {} : (JSON.parse(text) as Thing),
    }
    standIn.seen.push(seen)
    const planned = interferences.get(`${method} ${url.pathname}`)?.shift()
    if (planned === 'drop before') return void response.destroy()
    if (typeof planned === 'object') return send(response, planned)
    const refused = check(standIn, seen, text)
    if (refused !== null) return send(response, refused)
    if (url.pathname.endsWith('/events') && url.pathname.startsWith('/v1/rotations/')) {
      return follow(response, seen)
    }
    const answer = replayed(seen, text) ?? answerTo(standIn, seen)
    if (planned === 'drop after') return void response.destroy()
    send(response, answer)
  }

  const replayed = (seen: Seen, text: string): Answer | null => {
    const key = seen.headers['idempotency-key']
    if (seen.method !== 'POST' || typeof key !== 'string' || seen.query.has('dryRun')) return null
    const request = `${seen.path} ${text}`
    const before = replays.get(key)
    if (before !== undefined) {
      if (before.request !== request) return problem('idempotency.mismatch')
      return {
        ...before.answer,
        headers: { ...before.answer.headers, 'idempotency-replayed': 'true' },
      }
    }
    const answer = answerTo(standIn, seen)
    if (answer.status < 500) replays.set(key, { request, answer })
    return answer
  }

  const follow = (response: ServerResponse, seen: Seen): void => {
    const rotation = seen.path.split('/')[3] ?? ''
    const last = seen.headers['last-event-id']
    streams.push(typeof last === 'string' ? last : undefined)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(': hello\n\nretry: 400\n\n')
    for (const event of told.get(rotation) ?? []) {
      if (typeof last !== 'string' || Number(event.id) > Number(last)) response.write(frame(event))
    }
    const set = followers.get(rotation) ?? new Set()
    followers.set(rotation, set.add(response))
    response.on('close', () => set.delete(response))
  }

  const standIn: StandIn = {
    url: '',
    token: 'rekey_pat_0123456789abcdefghijABCDEFGHIJ000000',
    seen: [],
    breaches: [],
    keys: new Map(),
    rotations: new Map(),
    policies: new Map(),
    things: {
      connections: [],
      consumers: [],
      sinks: [],
      'api-keys': [],
      versions: [],
      schedule: [],
    },
    audit: [],
    freeze: null,
    pageSize: 2,
    streams,
    interfere: (method, path, ...how) => {
      const key = `${method} ${path}`
      interferences.set(key, [...(interferences.get(key) ?? []), ...how])
    },
    move: (rotationId, change) => {
      const rotation = { ...standIn.rotations.get(rotationId), ...change }
      standIn.rotations.set(rotationId, rotation)
      events += 1
      const event = {
        id: String(events),
        data: {
          at: new Date().toISOString(),
          action: 'rotation.advanced',
          outcome: 'succeeded',
          actor: 'worker',
          phase: rotation['phase'],
          reason: null,
        },
      }
      told.set(rotationId, [...(told.get(rotationId) ?? []), event])
      for (const response of followers.get(rotationId) ?? []) {
        response.write(frame(event))
        // As the API does: nothing more will come.
        if (rotation['endedAt'] !== null) response.end()
      }
    },
    breakStreams: () => {
      for (const set of followers.values()) for (const response of set) response.destroy()
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(standIn, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  })
}

const frame = (event: { id: string; data: Thing }): string =>
  `id: ${event.id}\nevent: rotation.advanced\ndata: ${JSON.stringify(event.data)}\n\n`

/** What the contract does not allow is written down; rights are answered as a server does. */
const check = (standIn: StandIn, seen: Seen, text: string): Answer | null => {
  const breach = (what: string): Answer => {
    standIn.breaches.push(`${seen.method} ${seen.path}: ${what}`)
    return problem('request.invalid', { detail: what })
  }
  if (seen.headers.authorization === undefined) return problem('auth.missing')
  if (seen.headers.authorization !== `Bearer ${standIn.token}`) return problem('auth.invalid')
  const found = rules.find(({ method, path }) => method === seen.method && path.test(seen.path))
  if (found === undefined) return breach('no such route')
  const write = seen.method !== 'GET'
  const parameters = [
    ...(found.query ?? []),
    ...(found.list ? ['limit', 'cursor'] : []),
    ...(write ? ['dryRun'] : []),
  ]
  for (const [parameter, value] of seen.query) {
    if (!parameters.includes(parameter)) return breach(`unknown query parameter ${parameter}`)
    if (parameter === 'dryRun' && value !== 'all') return breach(`dryRun=${value}`)
    if (parameter === 'limit' && !(Number(value) >= 1 && Number(value) <= 200))
      return breach(`limit=${value}`)
    if (parameter === 'label' && !/^[^=]+=/.test(value)) return breach(`label=${value}`)
    if (/^(?:from|to)$/.test(parameter) && new Date(value).toISOString() !== value)
      return breach(`${parameter}=${value}`)
  }
  if (found.body === undefined && text !== '') return breach('a body where none is taken')
  if (found.body !== undefined) {
    if (seen.headers['content-type'] !== 'application/json')
      return breach(`content-type ${seen.headers['content-type']}`)
    const known = found.body.map((member) => member.replace('?', ''))
    for (const member of Object.keys(seen.body))
      if (!known.includes(member)) return breach(`unknown member ${member}`)
    for (const member of found.body) {
      if (!member.endsWith('?') && seen.body[member] === undefined)
        return breach(`${member} is missing`)
    }
  }
  if (found.idempotency === 'required' && seen.headers['idempotency-key'] === undefined)
    return problem('idempotency.missing')
  const { 'if-match': match, 'if-none-match': none } = seen.headers
  if (found.precondition !== true && (match ?? none) !== undefined)
    return breach('a precondition where none is taken')
  if (none !== undefined && none !== '*') return breach(`if-none-match ${none}`)
  return null
}

const answerTo = (standIn: StandIn, seen: Seen): Answer => {
  const [, , kind = '', called = '', sub = ''] = seen.path.split('/')
  const dryRun = seen.query.has('dryRun')
  if (kind === 'me') {
    return {
      status: 200,
      body: {
        id: 'k1',
        name: 'ci',
        type: 'service',
        roles: ['operator'],
        scope: null,
        consumer: null,
      },
    }
  }
  if (kind === 'keys' && sub === 'versions') {
    return { status: 200, body: { items: standIn.things['versions'] ?? [], nextCursor: null } }
  }
  if (kind === 'keys')
    return called === ''
      ? page(standIn, seen, keysFor(standIn, seen))
      : one(standIn.keys.get(called))
  if (kind === 'policies') return policies(standIn, seen, called)
  if (kind === 'rotations') return rotations(standIn, seen, called, sub, dryRun)
  if (kind === 'freeze') return freeze(standIn, seen, dryRun)
  if (kind === 'schedule' && seen.headers.accept?.startsWith('text/calendar') === true) {
    return {
      status: 200,
      type: 'text/calendar; charset=utf-8',
      body: 'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n',
    }
  }
  if (kind === 'compliance' && called === '')
    return {
      status: 200,
      body: { at: new Date().toISOString(), items: standIn.things[kind] ?? [] },
    }
  if (kind === 'audit') return page(standIn, seen, standIn.audit.toReversed())
  if (sub === 'checks') {
    return {
      status: 200,
      body: { ok: true, items: [{ name: 'mint', outcome: 'ok', detail: 'may mint' }] },
    }
  }
  const list = standIn.things[kind] ?? []
  return called === ''
    ? page(standIn, seen, list)
    : one(list.find((thing) => thing['name'] === called))
}

const one = (thing: Thing | undefined, revision?: number): Answer =>
  thing === undefined
    ? problem('resource.notFound')
    : {
        status: 200,
        body: thing,
        ...(revision === undefined ? {} : { headers: { etag: `"${revision}"` } }),
      }

const keysFor = ({ keys }: StandIn, { query }: Seen): readonly Thing[] =>
  [...keys.values()].filter((key) =>
    query.getAll('label').every((label) => {
      const [name_ = '', value] = label.split('=')
      return (key['labels'] as Thing | undefined)?.[name_] === value
    }),
  )

/** A cursor belongs to its list and filter. */
const page = ({ pageSize }: StandIn, seen: Seen, items: readonly Thing[]): Answer => {
  const filter = [...seen.query]
    .filter(([parameter]) => parameter !== 'cursor' && parameter !== 'limit')
    .toString()
  const cursor = seen.query.get('cursor')
  const [from = '0', of = `${seen.path}?${filter}`] =
    cursor === null ? [] : Buffer.from(cursor, 'base64url').toString().split(' ')
  if (of !== `${seen.path}?${filter}`) return problem('cursor.foreign')
  const end = Number(from) + pageSize
  const next = end < items.length ? Buffer.from(`${end} ${of}`).toString('base64url') : null
  return { status: 200, body: { items: items.slice(Number(from), end), nextCursor: next } }
}

const refusedPrecondition = (seen: Seen, revision: number | null): Answer | null => {
  const match = seen.headers['if-match']
  if (revision === null) return match === undefined ? null : problem('precondition.failed')
  if (seen.headers['if-none-match'] !== undefined) return problem('precondition.failed')
  if (match === undefined) return problem('precondition.required')
  return match === `"${revision}"` || match === '*' ? null : problem('precondition.failed')
}

const policies = (standIn: StandIn, seen: Seen, called: string): Answer => {
  const live = standIn.policies.get(called)
  if (called !== '') return one(live?.resource, live?.revision)
  return page(
    standIn,
    seen,
    [...standIn.policies.values()].map(({ resource }) => resource),
  )
}

const rotations = (
  standIn: StandIn,
  seen: Seen,
  called: string,
  sub: string,
  dryRun: boolean,
): Answer => {
  if (called === '' && seen.method === 'GET') {
    const wanted = seen.query.getAll('phase')
    const all = [...standIn.rotations.values()]
    return page(
      standIn,
      seen,
      wanted.length === 0 ? all : all.filter(({ phase }) => wanted.includes(String(phase))),
    )
  }
  if (called === '') return startRotation(standIn, seen, dryRun)
  const rotation = standIn.rotations.get(called)
  if (rotation === undefined) return problem('resource.notFound')
  if (seen.method === 'GET') return one(rotation)
  if (sub === 'approvals') {
    if (seen.body['planHash'] !== rotation['planHash']) return problem('rotation.planChanged')
    return { status: 201, body: { rotation: called, planHash: rotation['planHash'] } }
  }
  if (sub === 'acknowledgements') {
    if (seen.body['version'] !== rotation['toVersion']) return problem('request.impossible')
    return { status: 201, body: { rotation: called, ...seen.body } }
  }
  if (sub === 'confirmations') return { status: 201, body: { rotation: called, ...seen.body } }
  const phase =
    { cancel: 'cancelled', rollback: 'rollingBack', resume: 'minting', abandon: 'abandoned' }[
      sub
    ] ?? rotation['phase']
  const next = { ...rotation, phase }
  if (dryRun) return { status: 200, body: { dryRun: true, ...next } }
  standIn.rotations.set(called, next)
  return { status: 202, body: next }
}

const startRotation = (standIn: StandIn, seen: Seen, dryRun: boolean): Answer => {
  const key = String(seen.body['key'])
  if (!standIn.keys.has(key)) return problem('resource.notFound')
  const open = [...standIn.rotations.values()].find(
    (rotation) => rotation['key'] === key && rotation['endedAt'] === null,
  )
  if (open !== undefined) return problem('rotation.inProgress', { rotation: open['id'] })
  const rotation = aRotation({ key, reason: seen.body['reason'] })
  if (dryRun) return { status: 200, body: { dryRun: true, ...rotation } }
  standIn.rotations.set(String(rotation['id']), rotation)
  return {
    status: 202,
    body: rotation,
    headers: { location: `/v1/rotations/${String(rotation['id'])}` },
  }
}

const freeze = (standIn: StandIn, seen: Seen, dryRun: boolean): Answer => {
  const live = standIn.freeze
  if (seen.method === 'GET') return one(live?.resource, live?.revision)
  if (seen.method === 'DELETE' && live === null) return problem('resource.notFound')
  const refused = refusedPrecondition(seen, live?.revision ?? null)
  if (refused !== null) return refused
  if (seen.method === 'DELETE') {
    if (dryRun) return { status: 200, body: { dryRun: true } }
    standIn.freeze = null
    return { status: 200, body: {} }
  }
  if (dryRun) return { status: 200, body: { dryRun: true, ...seen.body } }
  standIn.freeze = { revision: (live?.revision ?? 0) + 1, resource: { ...seen.body } }
  return {
    status: live === null ? 201 : 200,
    body: standIn.freeze.resource,
    headers: { etag: `"${standIn.freeze.revision}"` },
  }
}

export const aRotation = (more: Thing = {}): Thing => ({
  id: randomUUID(),
  key: 'payments-db',
  policy: null,
  phase: 'planned',
  epoch: 1,
  trigger: 'manual',
  reason: 'test',
  fromVersion: 3,
  toVersion: null,
  planHash: 'plan-1',
  phases: [
    'planned',
    'preflight',
    'minting',
    'verifying',
    'promoting',
    'overlapping',
    'suspending',
    'soaking',
    'retiring',
    'completed',
  ],
  dueAt: null,
  waitingFor: null,
  steps: [],
  createdAt: new Date().toISOString(),
  endedAt: null,
  ...more,
})

export const aKey = (more: Thing = {}): Thing => ({
  name: 'payments-db',
  connection: 'local',
  type: 'local.key',
  ref: {},
  purpose: 'encryption',
  owner: 'payments',
  environment: 'prod',
  labels: { team: 'payments' },
  consumers: ['orders-api'],
  status: {
    primaryVersion: 3,
    policy: null,
    nextRotationAt: null,
    overdue: false,
    openRotation: null,
    incident: null,
    why: 'No policy selects it; it rotates when a person starts it.',
  },
  ...more,
})
