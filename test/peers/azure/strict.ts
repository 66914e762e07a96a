// A strict stand-in of Azure Key Vault, written from Microsoft's REST specification (Azure/azure-rest-api-specs,
// specification/keyvault/data-plane, 2025-07-01), since no emulator is published as a package. Stricter than the cloud where it
// pays: another api-version, a field that the API does not know and a body of another type are refused. `examples.ts` has the
// requests and answers of the specification that it replays.
//
// Lists may be from before the last write (`stale`); what is asked for by itself never is.
//
// In front of every route: the challenge (401 with WWW-Authenticate), api-version, the vault's network, roles or access
// policies, throttling.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { randomUUID } from 'node:crypto'
import tls from 'node:tls'
import type { JsonObject } from '#domain/json.ts'
import { makeCertificates } from './certificates.ts'
import { makeKeys } from './keys.ts'
import { bodyOf, startEntra, type Entra } from './entra.ts'
import { allows, makePrincipals, type Application, type Role } from './principals.ts'
import type { Route } from './routes.ts'
import { makeSecrets } from './secrets.ts'
import { apiVersion, badParameter, Refused, type Asked, type Reply } from './wire.ts'

export interface Logged {
  readonly method: string
  readonly path: string
  readonly changes: boolean
  readonly status: number
  /** False: it was challenged. */
  readonly authorized: boolean
}

export interface StrictAzure {
  readonly address: string
  readonly entra: Entra
  readonly admin: Application
  readonly application: (roles: readonly Role[] | null, clientId?: string) => Application
  readonly log: () => readonly Logged[]
  /** By the vault's network rules; null lets everybody in. */
  readonly closeTo: (inner: 'ForbiddenByFirewall' | 'ForbiddenByConnection' | null) => void
  /** What is missing is then told as of an access policy. */
  readonly useAccessPolicies: (on: boolean) => void
  readonly throttle: (times: number, retryAfter: string | null) => void
  /** The clock that its answers show is off by so much. */
  readonly skew: (ms: number) => void
  /** The next n lists of versions are from before the last change of their object, where there was one. */
  readonly stale: (answers: number) => void
  readonly windows: { ms: number }
  readonly revokeTokens: () => void
  /** A token of the admin, for what a test arranges by hand. */
  readonly adminToken: () => string
  readonly secrets: ReturnType<typeof makeSecrets>['shelf']
  readonly keys: ReturnType<typeof makeKeys>['shelf']
  readonly certificates: ReturnType<typeof makeCertificates>
  readonly stop: () => Promise<void>
}

/** `hsm`: it is a managed HSM, with keys of its own kinds, a token of its own, and nothing but keys. */
export const startStrictAzure = async ({ hsm = false } = {}): Promise<StrictAzure> => {
  const resource = hsm ? 'https://managedhsm.azure.net' : 'https://vault.azure.net'
  const principals = makePrincipals()
  const admin = principals.add(null)
  const entra = await startEntra(principals)
  // Whoever talks to Entra here must trust it; in production that is a CA of the system's.
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), entra.ca])
  const windows = { ms: 50 }
  const secrets = makeSecrets(windows)
  const keys = makeKeys(windows, { hsm })
  const certificates = makeCertificates(windows, keys, secrets)
  const routes: readonly Route[] = hsm
    ? keys.routes
    : [...secrets.routes, ...keys.routes, ...certificates.routes]
  const log: Logged[] = []
  let closed: string | null = null
  let policies = false
  let throttled: { left: number; readonly retryAfter: string | null } = {
    left: 0,
    retryAfter: null,
  }
  let skewMs = 0
  /** Versions of an object, as they were listed before its last change. */
  const lists = new Map<string, Reply>()
  let stale = 0

  const challenge = (message: string): Refused =>
    new Refused(401, 'Unauthorized', message, {
      headers: {
        'www-authenticate': `Bearer authorization="${entra.address}/${entra.tenantId}", resource="${resource}"`,
      },
    })

  const callerOf = (request: IncomingMessage): Application => {
    const header = request.headers.authorization
    if (header === undefined) throw challenge('AKV10000: Request is missing a Bearer or PoP token.')
    const token = principals.tokenOf(header.replace(/^Bearer /, ''))
    if (token === undefined) throw challenge('AKV10032: Invalid token.')
    if (token.audience !== resource) throw challenge('AKV10022: Invalid audience.')
    return token.application
  }

  const mustBeLetIn = (): void => {
    if (closed !== null)
      throw new Refused(403, 'Forbidden', 'Client address is not authorized.', { inner: closed })
    if (throttled.left === 0) return
    throttled.left -= 1
    const { retryAfter } = throttled
    throw new Refused(
      429,
      'Throttled',
      'Request was not processed because too many requests were received.',
      {
        headers: retryAfter === null ? {} : { 'retry-after': retryAfter },
      },
    )
  }

  const mustBeAllowed = (
    caller: Application,
    { action }: Route,
    [kind, name]: readonly string[],
  ): void => {
    const of = (kind ?? '').replace(/^deleted/, '')
    const scope = name === undefined ? '/' : `/${of}/${name}`
    const full = `Microsoft.KeyVault/vaults/${action}`
    if (allows(caller, full, scope)) return
    throw new Refused(
      403,
      'Forbidden',
      `Caller is not authorized to perform action on resource.\r\nCaller: appid=${caller.clientId}\r\nAction: '${full}'\r\nResource: '${scope}'`,
      { inner: policies ? 'ForbiddenByPolicy' : 'ForbiddenByRbac' },
    )
  }

  const answer = async (
    request: IncomingMessage,
    seen: { authorized: boolean; route: Route | null },
  ): Promise<Reply> => {
    const body = await bodyOf(request)
    const url = new URL(request.url ?? '/', 'http://stand-in')
    const caller = callerOf(request)
    seen.authorized = true
    const version = url.searchParams.get('api-version')
    if (version !== apiVersion)
      throw badParameter(
        version === null
          ? 'api-version must be specified'
          : `The specified version (${version}) is not recognized. Consider using the latest supported version (${apiVersion}).`,
      )
    mustBeLetIn()
    const path = url.pathname.slice(1)
    const route = routes.find((r) => r.method === request.method && r.path.test(path))
    if (route === undefined) throw new Refused(404, 'NotFound', 'there is no such route')
    const parts = path.split('/').map(decodeURIComponent)
    mustBeAllowed(caller, route, parts)
    const asked: Asked = {
      method: route.method,
      path: parts,
      query: url.searchParams,
      body: body.length === 0 ? {} : bodyIn(request, body),
      base: `http://${String(request.headers['x-forwarded-host'] ?? request.headers.host)}`,
    }
    seen.route = route
    certificates.settle()
    const [kind = '', name = ''] = parts
    const of = `${kind}/${name.toLowerCase()}`
    if (route.changes === true) keepList(of, asked)
    const old = path === `${kind}/${name}/versions` ? lists.get(of) : undefined
    if (stale === 0 || old === undefined) return route.run(asked)
    stale -= 1
    return old
  }
  const keepList = (of: string, asked: Asked): void => {
    const path = `${of}/versions`
    const list = routes.find((one) => one.method === 'GET' && one.path.test(path))
    const { pathname } = new URL(path, 'http://stand-in')
    if (list !== undefined)
      lists.set(
        of,
        list.run({
          ...asked,
          method: 'GET',
          path: pathname.slice(1).split('/'),
          query: new URLSearchParams(),
          body: {},
        }),
      )
  }

  const server = createServer((request, response) => {
    const seen: { authorized: boolean; route: Route | null } = { authorized: false, route: null }
    void answer(request, seen)
      .catch((error: unknown) => {
        if (error instanceof Refused) return error.reply
        throw error
      })
      .then((reply) => {
        log.push({
          method: request.method ?? '',
          path: (request.url ?? '').split('?')[0] ?? '',
          changes: seen.route?.changes === true,
          status: reply.status,
          authorized: seen.authorized,
        })
        deliver(reply, response, skewMs)
      })
      .catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  return {
    address: `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`,
    entra,
    admin,
    application: principals.add,
    log: () => [...log],
    closeTo: (inner) => {
      closed = inner
    },
    useAccessPolicies: (on) => {
      policies = on
    },
    throttle: (times, retryAfter) => {
      throttled = { left: times, retryAfter }
    },
    skew: (ms) => {
      skewMs = ms
    },
    stale: (answers) => {
      stale = answers
    },
    windows,
    revokeTokens: principals.revokeTokens,
    adminToken: () => principals.issue(admin, resource, 3_600_000),
    secrets: secrets.shelf,
    keys: keys.shelf,
    certificates,
    stop: async () => {
      const done = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await Promise.all([done, entra.stop()])
    },
  }
}

const bodyIn = (request: IncomingMessage, body: Buffer): JsonObject => {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    throw new Refused(415, 'UnsupportedMediaType', 'The content type must be application/json')
  try {
    return JSON.parse(body.toString()) as JsonObject
  } catch {
    throw badParameter('The request body is not JSON')
  }
}

const deliver = ({ status, body, headers }: Reply, to: ServerResponse, skewMs: number): void => {
  to.writeHead(status, {
    'cache-control': 'no-cache',
    'x-ms-keyvault-region': 'stand-in',
    'x-ms-request-id': randomUUID(),
    date: new Date(Date.now() + skewMs).toUTCString(),
    ...headers,
    ...(body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
  })
  to.end(body === undefined ? undefined : JSON.stringify(body))
}
