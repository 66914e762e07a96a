// The door: every request to a route passes here before its body is read. Token → actor → rate limit → role.

import type { FastifyReply, FastifyRequest } from 'fastify'
import { isRekeyError, RekeyError } from '#domain/errors.ts'
import type { Clock } from '#domain/ports.ts'
import type { Credentials, Entry } from '#usecases/authenticate.ts'
import type { DenialCounter } from '#usecases/record-refusal.ts'
import { allowedBy, mayBreakGlass, roleList } from './access.ts'
import type { RateLimits } from './rate-limit.ts'
import { sessionOf } from './cookies.ts'
import { headerOf } from './request-state.ts'
import { type Route, uncounted } from './route.ts'

export interface DoorDeps {
  readonly authenticate: (credentials: Credentials) => Promise<Entry>
  readonly limits: RateLimits
  readonly denials: DenialCounter
  /** A token was used. */
  readonly used: (apiKey: string) => void
  /** A session was. */
  readonly sessionUsed: (session: string) => void
  /** `scheme://host:port` by which browsers know Rekey; null: they know none. */
  readonly origin: () => string | null
  readonly clock: Pick<Clock, 'now'>
}

export interface Door {
  /** Before the body is read. */
  enter(route: Route, request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** Whether who entered might enter still: a token that ended meanwhile is not carried on by a long body or a stream. */
  still(request: FastifyRequest): Promise<boolean>
  /** Of a public route: that a login was refused is told like a token that was. */
  countRefusals<T>(request: FastifyRequest, work: () => Promise<T>): Promise<T>
}

/** A request that took longer than this to arrive is asked again. */
const freshMs = 1_000

/** Requests without a valid token, counted by source. */
export const refusedBucket = 'unauthenticated'

export const makeDoor = (deps: DoorDeps): Door => ({
  enter: enterBy(deps),
  still: async (request) => {
    const { actor } = request.state
    if (actor === null) return true
    const entry = await deps.authenticate(credentialsOf(request))
    return entry.actor !== null && entry.actor.id === actor.id
  },
  countRefusals: async (request, work) => {
    try {
      return await work()
    } catch (error) {
      if (isRekeyError(error) && /^(?:login|auth)\./.test(error.code))
        deps.denials.count(request.ip, error.code, null)
      throw error
    }
  },
})

/** For the body: refuses what was valid when it began to arrive. */
export const mustStillEnter = async (
  door: Door,
  clock: Pick<Clock, 'now'>,
  request: FastifyRequest,
): Promise<void> => {
  if (clock.now().getTime() - request.state.enteredAt < freshMs) return
  if (await door.still(request)) return
  throw new RekeyError('auth.invalid', refusal['auth.invalid'])
}

const enterBy =
  ({ authenticate, limits, denials, used, sessionUsed, origin, clock }: DoorDeps) =>
  async (route: Route, request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (route.access === 'public') {
      if (route.bucket !== uncounted)
        await limits.count(request, reply, route.bucket, `source ${request.ip}`)
      return
    }
    request.state.enteredAt = clock.now().getTime()
    const entry = await authenticate(credentialsOf(request))
    if (entry.actor === null) {
      denials.count(request.ip, entry.why, entry.apiKey)
      // Guessing costs a guesser more than a minute for every few hundred tries, of 2^178.
      await limits.count(request, reply, refusedBucket, `source ${request.ip}`)
      if (entry.code !== 'auth.issuerUnavailable')
        void reply.header('WWW-Authenticate', challenge[entry.code])
      throw new RekeyError(entry.code, {
        ...refusal[entry.code],
        ...(entry.detail === null
          ? {}
          : { detail: entry.detail, hint: bearer(request) === null ? ofSession : ofJwt }),
      })
    }
    if (entry.session !== null) {
      mustBeOurOwnPage(route, request, origin())
      sessionUsed(entry.session)
    }
    if (entry.apiKey !== null) used(entry.apiKey)
    request.state.session = entry.session
    request.state.actor = { ...entry.actor, requestId: request.id }
    await limits.count(request, reply, route.bucket, entry.actor.id)
    const allowed = allowedBy(route)
    if (allowed instanceof Set && !entry.actor.roles.some((role) => allowed.has(role))) {
      throw new RekeyError('auth.denied', {
        detail: `This needs the role ${listed(roleList(allowed))}.`,
        hint: 'An admin makes a token with it: POST /v1/api-keys.',
      })
    }
    if (entry.actor.type === 'breakGlass' && !mayBreakGlass(route)) {
      throw new RekeyError('auth.denied', {
        detail: 'A token to break glass with looks, works on one incident, and does nothing else.',
      })
    }
    if (route.unscoped && entry.actor.scope !== null) {
      throw new RekeyError('auth.denied', {
        detail: 'This belongs to the whole installation, and the token is limited to a scope.',
        hint: 'Use a token without a scope.',
      })
    }
  }

/** A browser sends its cookies along whoever makes it: what changes something counts only where the browser says that a page of
 *  ours did. Every browser says so of every method but GET and HEAD (Fetch, 3.2). */
const mustBeOurOwnPage = (
  { method }: Route,
  request: FastifyRequest,
  origin: string | null,
): void => {
  if (method === 'GET') return
  if (origin !== null && headerOf(request, 'origin') === origin) return
  throw new RekeyError('auth.denied', {
    detail: 'The session of a browser changes nothing but from a page of Rekey itself.',
    hint: `Origin must be ${origin ?? 'that of Rekey'}; programs send a token instead.`,
  })
}

const credentialsOf = (request: FastifyRequest): Credentials => ({
  token: bearer(request),
  session: sessionOf(request),
  source: request.ip,
})

const challenge = {
  'auth.missing': 'Bearer realm="rekey"',
  'auth.invalid': 'Bearer realm="rekey", error="invalid_token"',
} as const

const refusal = {
  'auth.missing': { detail: 'Send a token.', hint: 'Authorization: Bearer rekey_…' },
  'auth.invalid': {
    detail: 'The token is unknown, expired, deleted or not allowed from here.',
    hint: 'Check that it is complete. An admin makes a new one: POST /v1/api-keys.',
  },
  'auth.issuerUnavailable': { detail: "The keys of the token's issuer cannot be had." },
} as const

const ofSession = 'GET /v1/login says where.'
const ofJwt = 'An admin sees what is believed: GET /v1/issuers.'

/** Null where no Authorization was sent; what is not a bearer token is an invalid one. */
const bearer = (request: FastifyRequest): string | null => {
  const header = headerOf(request, 'authorization')
  if (header === undefined || header === '') return null
  return /^Bearer +([^\s]+)$/i.exec(header)?.[1] ?? ''
}

const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`
