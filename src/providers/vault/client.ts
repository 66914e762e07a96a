// node-vault with a transport of ours. Its own one drops response headers, ignores abort signals, retries nothing but
// throws errors that print the token and the body; its client also falls back to VAULT_TOKEN, VAULT_NAMESPACE and
// VAULT_PREFIX of the process, which are no business of a connection. So: transport by `request-promise`, debug off,
// every field set by us, and none of its errors leaves this file.

import type NodeVault from 'node-vault'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call, type ProviderPorts } from '#domain/provider.ts'
import type { Secret } from '#domain/secret.ts'
import { abortable, retryAfterMs } from '../network-failure.ts'
import {
  failureOf,
  failureWithoutAnswer,
  noSuchPlace,
  type Answered,
  type Asked,
  type Capability,
} from './failures.ts'
import { encodePath, trimSlashes } from './paths.ts'
import type { VaultSettings } from './settings.ts'
import { fieldsOf, textOf, textsOf, type Fields } from '../untyped-json.ts'

export interface Request {
  readonly verb: 'read' | 'list' | 'write' | 'patch' | 'delete'
  /** Raw, from `vaultPath`. */
  readonly path: string
  readonly query?: string
  readonly body?: JsonObject
  /** Another one than the connection's; '' is the root. */
  readonly namespace?: string
  /** What a policy must grant, where it is not the verb's own (`update` for a write). */
  readonly needs?: Capability
  /** Changes something at Vault. A `write` that only computes (encrypt, capabilities) does not: it may be repeated. */
  readonly changes?: boolean
  /** Statuses beside 2xx that the caller reads as an answer. */
  readonly accept?: readonly number[]
  /** Any status is an answer when Vault says this. */
  readonly acceptSaying?: RegExp
}

export interface Reply {
  readonly status: number
  readonly data: Fields
  readonly auth: Fields
  /** All of it: a few paths under sys/ answer without `data`. */
  readonly body: Fields
  readonly errors: readonly string[]
}

export interface Client {
  /** One request with this token (null: none). Throws ProviderError. A change is sent once; anything else once more when
   *  the connection breaks. */
  readonly send: (request: Request, token: Secret | null, call: Call) => Promise<Reply>
}

/** What rides through node-vault in its request options, and brings the answer back with its headers. */
interface Ride {
  readonly asked: Asked
  readonly call: Call
  answered: (Answered & { readonly body: Fields }) | null
}

export const makeClient = (settings: VaultSettings, ports: ProviderPorts): Client => {
  const namespace = trimSlashes(settings.namespace ?? '')
  let loading: Promise<NodeVault.client> | null = null

  const once = async (request: Request, token: Secret | null, call: Call): Promise<Reply> => {
    const inside = request.namespace ?? namespace
    const ride: Ride = {
      asked: {
        path: request.path,
        needs: request.needs ?? (request.verb === 'write' ? 'update' : request.verb),
        writes: request.changes === true,
        namespace: inside,
      },
      call,
      answered: null,
    }
    const path = encodePath(request.path) + (request.query === undefined ? '' : `?${request.query}`)
    const options = { ride, headers: headersOf(token, inside, call) }
    const library = await (loading ??= loadLibrary(settings, ports))
    try {
      if (request.verb === 'read') await library.read(path, options)
      else if (request.verb === 'list') await library.list(path, options)
      else if (request.verb === 'delete') await library.delete(path, options)
      else if (request.verb === 'patch')
        await library.request({ ...options, path: `/${path}`, method: 'PATCH', json: request.body })
      else await library.write(path, request.body ?? {}, options)
    } catch (error) {
      // The library throws on every status but 200 and 204; the answer itself is in `ride`.
      if (error instanceof ProviderError) throw error
    }
    const { answered } = ride
    if (answered === null)
      throw new ProviderError(
        'permanent',
        ride.asked.writes ? 'unknown' : 'none',
        'the request to Vault failed',
      )
    const { status, errors, body } = answered
    const says = request.acceptSaying
    const isAnswer =
      (status >= 200 && status < 300) ||
      (request.accept?.includes(status) === true && !isNoPlace(answered)) ||
      (says !== undefined && errors.some((error) => says.test(error)))
    if (!isAnswer || !answered.fromVault) throw failureOf(answered, ride.asked)
    return { status, data: fieldsOf(body['data']), auth: fieldsOf(body['auth']), body, errors }
  }

  return {
    send: async (request, token, call) => {
      try {
        return await once(request, token, call)
      } catch (error) {
        // A kept connection that the other end closes at that moment fails a read for nothing.
        const broke =
          error instanceof ProviderError && error.kind === 'transient' && error.status === null
        if (!broke || request.changes === true || call.signal.aborted) throw error
        return once(request, token, call)
      }
    },
  }
}

/** With the first request: it brings an HTTP client of its own, for which nobody pays who has no Vault. */
const loadLibrary = async (
  settings: VaultSettings,
  ports: ProviderPorts,
): Promise<NodeVault.client> => {
  const { default: makeLibrary } = await import('node-vault')
  const library = makeLibrary({
    endpoint: trimEnd(settings.address),
    // LIST as GET ?list=1: custom verbs die in many proxies.
    noCustomHTTPVerbs: true,
    debug: () => undefined,
    'request-promise': { defaults: () => transport(ports) },
  })
  return Object.assign(library, { token: '', namespace: '', pathPrefix: '' })
}

/** A 404 of the mount, or of the namespace, is no answer about an object in it: else what was moved away would count as gone, and as refused. */
const isNoPlace = ({ status, errors }: Answered): boolean =>
  status === 404 && errors.some((error) => noSuchPlace.test(error))

const headersOf = (
  token: Secret | null,
  namespace: string,
  call: Call,
): Record<string, string> => ({
  ...(token === null ? {} : { 'X-Vault-Token': token.reveal() }),
  ...(namespace === '' ? {} : { 'X-Vault-Namespace': namespace }),
  // Both are in Vault's audit log without any setting: its lines can be found by our operation id.
  ...(call.operationId === undefined
    ? {}
    : { 'Correlation-Id': call.operationId.replace(/[^\x20-\x7e]/g, '?') }),
  'User-Agent': 'rekey',
})

interface Options {
  readonly uri: string
  readonly method: string
  readonly headers: Record<string, string>
  readonly json?: JsonObject
  readonly ride: Ride
}

const transport =
  (ports: ProviderPorts) =>
  async (
    options: Options,
  ): Promise<{ statusCode: number; body: Fields; request: { path: string } }> => {
    const { asked, call } = options.ride
    if (call.signal.aborted)
      throw new ProviderError('timeout', 'none', 'the time was over before the request')
    let status: number
    let headers: Headers
    let text: string
    try {
      const response = await abortable(
        call.signal,
        ports.fetch(options.uri, {
          method: options.method,
          headers: {
            ...options.headers,
            ...(options.json === undefined ? {} : { 'Content-Type': contentTypeOf(options) }),
          },
          ...(options.json === undefined ? {} : { body: JSON.stringify(options.json) }),
          signal: call.signal,
          redirect: 'manual',
        }),
      )
      status = response.status
      headers = response.headers
      text = await abortable(call.signal, response.text())
    } catch (error) {
      throw failureWithoutAnswer(error, asked, call.signal.aborted)
    }
    const body = parse(text)
    options.ride.answered = {
      status,
      errors: textsOf(body?.['errors']),
      fromVault: body !== null,
      retryAfterMs: retryAfterMs(headers.get('retry-after'), ports.now()),
      requestId: textOf(body?.['request_id']) || null,
      body: body ?? {},
    }
    return { statusCode: status, body: body ?? {}, request: { path: '' } }
  }

/** A PATCH is a merge (RFC 7396): what is left out stays. */
const contentTypeOf = ({ method }: Options): string =>
  method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'

/** Null: not JSON. An empty body is Vault's too (204, some 400). */
const parse = (text: string): Fields | null => {
  if (text.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? fieldsOf(value) : null
  } catch {
    return null
  }
}

const trimEnd = (address: string): string => address.replace(/\/+$/, '')
