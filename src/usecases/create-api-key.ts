// Makes a token, and answers it once: the database holds its SHA-256. Nobody makes a token that may do more than they may: in
// roles and scope, from more addresses, or for longer. What is not said is the maker's own: a token that leaked for an hour
// must not leave one behind that lives for ever.

import { type Actor, hasRole, inScope, type Role, type Scope } from '#domain/actor.ts'
import { type BreakGlass, breakGlassRoles } from '#domain/break-glass.ts'
import type { ApiKey, ApiKeyType } from '#domain/connection.ts'
import { parseDuration } from '#domain/duration.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Json } from '#domain/json.ts'
import type { Committed, Ids, Ledger, Reads } from '#domain/ports.ts'
import type { Secret } from '#domain/secret.ts'
import { makeToken } from '#domain/token.ts'
import type { Sha256 } from './authenticate.ts'
import { freezeSinks } from './freeze-sinks.ts'
import { asJson } from './written.ts'

export interface CreateApiKeyDeps {
  readonly ledger: Ledger
  readonly ids: Pick<Ids, 'next' | 'random'>
  readonly sha256: Sha256
  /** Whether every address that the first list lets in, the second lets in too. */
  readonly addressesWithin: (inner: readonly string[], outer: readonly string[]) => boolean
}

export interface ApiKeyInput {
  readonly name: string
  readonly type: ApiKeyType
  /** A token to break glass with has its own, and needs none. */
  readonly roles?: readonly Role[]
  readonly scope?: Scope
  readonly consumer?: string
  readonly keys?: readonly string[]
  /** A duration; 90 d where not said, or what is left of the maker's. */
  readonly expiresIn?: string
  readonly addresses?: readonly string[]
}

export interface MadeApiKey {
  readonly apiKey: ApiKey
  readonly token: Secret<string>
  readonly breakGlass: BreakGlass | null
}

const defaultLife = '90d'

export const createApiKey =
  ({ ledger, ids, sha256, addressesWithin }: CreateApiKeyDeps) =>
  async (actor: Actor, wanted: ApiKeyInput): Promise<Committed<MadeApiKey>> => {
    const input = withRoles(wanted)
    checkInput(input)
    checkRights(actor, input)
    const token = makeToken(input.type, ids.random)
    const id = ids.next()
    return ledger.commit(actor, async (tx) => {
      const now = await tx.now()
      // Null for timers of Rekey's own.
      const maker = await tx.apiKeys.byId(actor.id)
      await mustBind(tx, actor, input)
      const apiKey: ApiKey = {
        id,
        name: input.name,
        type: input.type,
        roles: [...new Set(input.roles)],
        scope: input.scope ?? null,
        consumer: input.consumer ?? null,
        keys: input.keys ?? null,
        addresses: addressesOf(input, maker, addressesWithin),
        hash: sha256(token.reveal()),
        expiresAt: expiryOf(input, lastOf(actor, input), now),
        createdBy: actor.id,
        createdAt: now,
        deletedAt: null,
      }
      await tx.writeApiKey.insert(apiKey)
      const sinks = input.type === 'brk' ? await freezeSinks(tx, id) : []
      if (input.type === 'brk') await tx.writeBreakGlass.insert(id, sinks)
      return {
        value: { apiKey, token, breakGlass: await tx.breakGlass.get(id) },
        audit: [
          {
            action: 'apiKey.created',
            target: { id, name: apiKey.name },
            outcome: 'succeeded',
            after: toldOfApiKey(apiKey),
          },
        ],
      }
    })
  }

type Chosen = ApiKeyInput & { readonly roles: readonly Role[] }

const withRoles = (input: ApiKeyInput): Chosen => {
  const { roles } = input
  if (input.type === 'brk') {
    const all: readonly Role[] = breakGlassRoles
    if (roles?.length === all.length && roles.every((role) => all.includes(role)))
      return { ...input, roles: all }
    if (roles === undefined) return { ...input, roles: all }
    return refuse('/roles', `a token to break glass with has ${all.join(' and ')}, and no other`)
  }
  if (roles !== undefined) return { ...input, roles }
  throw new RekeyError('request.invalid', {
    detail: 'The body is not valid: /roles is required.',
    errors: [{ pointer: '/roles', detail: 'is required' }],
  })
}

/** One to break glass with lies in an envelope for longer than who made it: it opens nothing without a second admin. */
const lastOf = (actor: Actor, { type }: ApiKeyInput): Date | null =>
  type === 'brk' ? null : (actor.expiresAt ?? null)

const refuse = (pointer: string, detail: string): never => {
  throw new RekeyError('request.impossible', {
    detail: `${pointer.slice(1)}: ${detail}.`,
    errors: [{ pointer, detail }],
  })
}

/** For the audit log: all but the hash. */
export const toldOfApiKey = (key: ApiKey): Json =>
  asJson({
    name: key.name,
    type: key.type,
    roles: key.roles,
    scope: key.scope,
    consumer: key.consumer,
    keys: key.keys,
    addresses: key.addresses,
    expiresAt: key.expiresAt,
  })

const checkInput = (input: Chosen): void => {
  const isConsumer = input.roles.includes('consumer')
  if (input.type === 'ack') {
    if (input.roles.length !== 1 || !isConsumer)
      refuse('/roles', 'an ack key has the role consumer and no other')
    if (input.consumer === undefined) refuse('/consumer', 'an ack key is bound to one consumer')
  }
  if (isConsumer && input.consumer === undefined && input.keys === undefined) {
    refuse('/consumer', 'the role consumer is bound to a consumer or to keys')
  }
  if (!isConsumer && (input.consumer !== undefined || input.keys !== undefined)) {
    refuse('/roles', 'consumer and keys bind the role consumer, which is not among the roles')
  }
  if (input.expiresIn !== undefined && parseDuration(input.expiresIn) === 0) {
    refuse('/expiresIn', 'it would be born expired')
  }
}

const checkRights = (actor: Actor, input: Chosen): void => {
  const lacking = input.roles.filter((role) => !hasRole(actor, role))
  if (lacking.length > 0) {
    throw new RekeyError('auth.denied', {
      detail: `The token itself has not the role ${lacking.join(', ')}.`,
      errors: [{ pointer: '/roles', detail: 'nobody gives what they lack' }],
    })
  }
  if (!scopeWithin(input.scope ?? null, actor.scope)) {
    throw new RekeyError('auth.denied', {
      detail: 'The token is limited to a scope, and the new one would reach beyond it.',
      hint: 'Give the new one at least the labels, and at most the connections, of your own scope.',
      errors: [{ pointer: '/scope', detail: 'wider than the scope of the token that makes it' }],
    })
  }
}

const expiryOf = (input: ApiKeyInput, last: Date | null, now: Date): Date => {
  const wanted = new Date(now.getTime() + parseDuration(input.expiresIn ?? defaultLife))
  if (last === null || wanted <= last) return wanted
  if (input.expiresIn === undefined) return last
  throw new RekeyError('auth.denied', {
    detail: `The token itself ends at ${last.toISOString()}, and the new one would live longer.`,
    hint: 'Leave expiresIn out, or make it with a token that lives longer.',
    errors: [{ pointer: '/expiresIn', detail: 'longer than the token that makes it' }],
  })
}

const addressesOf = (
  { addresses }: ApiKeyInput,
  maker: ApiKey | null,
  within: CreateApiKeyDeps['addressesWithin'],
): ApiKey['addresses'] => {
  const own = maker?.addresses ?? null
  if (own === null || addresses === undefined) return addresses ?? own
  if (within(addresses, own)) return addresses
  throw new RekeyError('auth.denied', {
    detail: 'The token works from certain addresses only, and the new one would from others.',
    errors: [{ pointer: '/addresses', detail: 'wider than those of the token that makes it' }],
  })
}

/** A consumer acknowledges and reads by its name alone, so whoever has a scope binds only what lies in it. */
const mustBind = async (db: Reads, actor: Actor, input: ApiKeyInput): Promise<void> => {
  if (!actor.scope) return
  const absent = (pointer: string, what: string, name: string): never => {
    throw new RekeyError('request.impossible', {
      detail: `There is no ${what} "${name}".`,
      errors: [{ pointer, detail: 'does not exist' }],
    })
  }
  if (input.consumer !== undefined) {
    const consumer = await db.consumers.get(input.consumer)
    if (!consumer || !inScope(actor, consumer)) absent('/consumer', 'consumer', input.consumer)
  }
  for (const [i, name] of (input.keys ?? []).entries()) {
    const key = await db.keys.byName(name) // oxlint-disable-line no-await-in-loop -- one connection
    if (!key || !inScope(actor, key)) absent(`/keys/${i}`, 'key', name)
  }
}

/** Whether all that lies in the inner scope lies in the outer one too. */
export const scopeWithin = (inner: Scope | null, outer: Scope | null): boolean => {
  if (outer === null) return true
  if (outer.connections !== undefined) {
    const allowed = outer.connections
    if (!inner?.connections?.every((name) => allowed.includes(name))) return false
  }
  return Object.entries(outer.matchLabels ?? {}).every(
    ([label, value]) =>
      inner?.matchLabels !== undefined &&
      Object.hasOwn(inner.matchLabels, label) &&
      inner.matchLabels[label] === value,
  )
}
