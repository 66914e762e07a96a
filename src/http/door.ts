// The door: every request to a route passes here before its body is read. Token → actor → rate limit → role.

import type { FastifyReply, FastifyRequest } from 'fastify'
import { RekeyError } from '#domain/errors.ts'
import type { Clock } from '#domain/ports.ts'
import type { Credentials, Entry } from '#usecases/authenticate.ts'
import type { DenialCounter } from '#usecases/record-refusal.ts'
import { allowedBy, mayBreakGlass, roleList } from './access.ts'
import type { RateLimits } from './rate-limit.ts'
import { headerOf } from './request-state.ts'
import type { Route } from './route.ts'

export interface DoorDeps {
  readonly authenticate: (credentials: Credentials) => Promise<Entry>
  readonly limits: RateLimits
  readonly denials: DenialCounter
  /** A token was used. */
  readonly used: (apiKey: string) => void
  readonly clock: Pick<Clock, 'now'>
}

export interface Door {
  /** Before the body is read. */
  enter(route: Route, request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** Whether who entered might enter still: a token that ended meanwhile is not carried on by a long body or a stream. */
  still(request: FastifyRequest): Promise<boolean>
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
    const entry = await deps.authenticate({ token: bearer(request), source: request.ip })
    return entry.actor !== null && entry.actor.id === actor.id
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
  ({ authenticate, limits, denials, used, clock }: DoorDeps) =>
  async (route: Route, request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (route.access === 'public') return
    request.state.enteredAt = clock.now().getTime()
    const entry = await authenticate({ token: bearer(request), source: request.ip })
    if (entry.actor === null) {
      denials.count(request.ip, entry.why, entry.apiKey)
      // Guessing costs a guesser more than a minute for every few hundred tries, of 2^178.
      await limits.count(request, reply, refusedBucket, `source ${request.ip}`)
      if (entry.code !== 'auth.issuerUnavailable')
        void reply.header('WWW-Authenticate', challenge[entry.code])
      throw new RekeyError(entry.code, {
        ...refusal[entry.code],
        ...(entry.detail === null ? {} : { detail: entry.detail, hint: ofJwt }),
      })
    }
    if (entry.apiKey !== null) used(entry.apiKey)
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

const ofJwt = 'An admin sees what is believed: GET /v1/issuers.'

/** Null where no Authorization was sent; what is not a bearer token is an invalid one. */
const bearer = (request: FastifyRequest): string | null => {
  const header = headerOf(request, 'authorization')
  if (header === undefined || header === '') return null
  return /^Bearer +([^\s]+)$/i.exec(header)?.[1] ?? ''
}

const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`
