// Every failure of Vault, of the network or of something in between, as a ProviderError. Vault's own texts are read to
// tell cases apart and never quoted: they may carry what we sent.

import { ProviderError, type ProviderErrorKind } from '#domain/provider.ts'
import { failureOfAnyAnswer, failureOfNetwork, toldOf } from '../network-failure.ts'

export type Capability = 'read' | 'list' | 'create' | 'update' | 'delete' | 'patch' | 'sudo'

export interface Asked {
  /** The raw path below /v1/. */
  readonly path: string
  /** The capability that a policy must grant on it. */
  readonly needs: Capability
  /** Whether it changes something: then a lost answer leaves the effect unknown. */
  readonly writes: boolean
  readonly namespace: string
}

export interface Answered {
  readonly status: number
  /** `errors` of the body. */
  readonly errors: readonly string[]
  /** The body is Vault's JSON (or empty), not a page of something on the way. */
  readonly fromVault: boolean
  readonly retryAfterMs: number | null
  readonly requestId: string | null
}

/** Vault's word that the mount is not there, or is of another engine, or that the namespace is not: nothing is said of what a caller asked for in it. */
export const noSuchPlace = /no handler for route|unsupported path|namespace not found/

interface Row {
  readonly status: (status: number) => boolean
  readonly says?: RegExp
  readonly kind: ProviderErrorKind
  /** `asked`: unknown for a write, none for a read. */
  readonly effect: 'none' | 'asked'
  readonly detail: string
  readonly hint?: (asked: Asked) => string
}

const is =
  (...statuses: readonly number[]) =>
  (status: number): boolean =>
    statuses.includes(status)

const within = (asked: Asked): string =>
  asked.namespace === '' ? '' : ` in namespace ${asked.namespace} (or the namespace is wrong)`

// The first row that fits. A 4xx is Vault's word that nothing was done; a 5xx may come after the effect.
const rows: readonly Row[] = [
  {
    status: is(400),
    says: /check-and-set parameter did not match/,
    kind: 'conflict',
    effect: 'none',
    detail: 'the secret was changed by somebody else since it was read',
  },
  {
    status: is(400),
    says: /check-and-set parameter required/,
    kind: 'precondition',
    effect: 'none',
    detail: 'the mount takes only writes with check-and-set',
  },
  {
    status: is(400),
    says: /invalid (role or secret|secret) id|invalid role id/i,
    kind: 'auth',
    effect: 'none',
    detail: 'Vault refused the AppRole',
    hint: () =>
      'role_id or secret_id is wrong, used up or expired: give the connection a new secret_id',
  },
  {
    status: is(400),
    says: /upgrading/i,
    kind: 'transient',
    effect: 'none',
    detail: 'the mount is being upgraded to version 2',
  },
  {
    status: is(400),
    says: /key not found/,
    kind: 'notFound',
    effect: 'none',
    detail: 'there is no such key in Vault',
  },
  {
    status: is(400),
    says: /no static role found|unknown role|role ".*" does not exist/,
    kind: 'notFound',
    effect: 'none',
    detail: 'there is no such role in Vault',
  },
  {
    status: is(400, 500),
    says: /unable to find PKI issuer/,
    kind: 'notFound',
    effect: 'none',
    detail: 'the mount has no such issuer',
  },
  {
    status: is(400),
    kind: 'permanent',
    effect: 'none',
    detail: 'Vault refused the request as it is',
  },
  { status: is(401), kind: 'auth', effect: 'none', detail: 'Vault refused the credential' },
  {
    status: is(403),
    says: /invalid token|bad token|token expired|missing client token/i,
    kind: 'auth',
    effect: 'none',
    detail: 'Vault does not know the token (any more)',
    hint: (a) =>
      `give the connection a new credential${a.namespace === '' ? '' : `, valid in namespace ${a.namespace}`}`,
  },
  {
    status: is(403),
    kind: 'forbidden',
    effect: 'none',
    detail: 'the connection’s policies do not allow it',
    hint: (a) => `needs ${a.needs} on ${a.path}${within(a)}`,
  },
  {
    status: is(404),
    says: noSuchPlace,
    kind: 'notFound',
    effect: 'none',
    detail: 'nothing in Vault answers at this path',
    hint: (a) => `check that the engine is mounted as the ref says, for ${a.path}${within(a)}`,
  },
  { status: is(404), kind: 'notFound', effect: 'none', detail: 'there is no such object in Vault' },
  {
    status: is(405),
    kind: 'unsupported',
    effect: 'none',
    detail: 'this Vault does not offer the operation',
  },
  {
    status: is(412),
    kind: 'transient',
    effect: 'none',
    detail: 'the node has not caught up with the cluster yet',
  },
  {
    status: is(413),
    kind: 'permanent',
    effect: 'none',
    detail: 'the request is larger than Vault accepts',
  },
  {
    status: is(472, 473),
    kind: 'precondition',
    effect: 'none',
    detail: 'the node is a replication secondary',
    hint: () => 'set `address` to the active cluster',
  },
  {
    status: is(503),
    says: /sealed/i,
    kind: 'transient',
    effect: 'asked',
    detail: 'Vault is sealed',
    hint: () => 'unseal it: `vault operator unseal`',
  },
  { status: (status) => status >= 500, kind: 'transient', effect: 'asked', detail: 'Vault failed' },
]

export const failureOf = (answered: Answered, asked: Asked): ProviderError => {
  const { status } = answered
  const lost = asked.writes ? 'unknown' : 'none'
  const more = toldOf(answered)
  const noWord = failureOfAnyAnswer(answered, {
    system: 'Vault',
    writes: asked.writes,
    own: answered.fromVault,
    redirectHint:
      'set `address` to a node that forwards to the active one, or to the load balancer',
    strangerHint: 'a proxy or load balancer answered: check `address` and what is in between',
  })
  if (noWord !== null) return noWord
  const row = rows.find(
    (r) =>
      r.status(status) && (r.says === undefined || answered.errors.some((e) => r.says?.test(e))),
  )
  if (row === undefined)
    return new ProviderError('permanent', lost, `Vault answered with status ${status}`, more)
  return new ProviderError(row.kind, row.effect === 'none' ? 'none' : lost, row.detail, {
    ...more,
    ...(row.hint === undefined ? {} : { hint: row.hint(asked) }),
  })
}

/** The same for a request without an answer. `aborted`: the caller's signal ended it. */
export const failureWithoutAnswer = (
  error: unknown,
  { writes }: Asked,
  aborted: boolean,
): ProviderError =>
  // Refused on this side of the wire, before it was sent.
  error instanceof ProviderError
    ? error
    : failureOfNetwork(error, {
        system: 'Vault',
        writes,
        aborted,
        tlsHint: 'check the certificate of `address`, or give Node its CA by NODE_EXTRA_CA_CERTS',
        reachHint: 'check `address`, DNS and the firewall',
      })
