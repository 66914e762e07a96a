// Every failure of Key Vault, of Microsoft Entra, of the network or of something in between, as a ProviderError. Key Vault has
// one code, Forbidden, for a missing right, a firewall and a version that is switched off: the inner code tells them apart.
// Texts of theirs are never quoted: they may carry what we sent.

import { ProviderError, type ProviderErrorKind } from '#domain/provider.ts'
import { failureOfAnyAnswer, failureOfNetwork, toldOf } from '../network-failure.ts'

export interface Asked {
  /** The data action of Azure's roles, without its prefix: `secrets/setSecret/action`. */
  readonly action: string
  /** Where a role must be assigned, below the vault: `/secrets/orders-db`. */
  readonly scope: string
  /** Whether it changes something: then a lost answer leaves the effect unknown. */
  readonly writes: boolean
}

export interface Answered {
  readonly status: number
  readonly code: string
  readonly inner: string
  /** It is Key Vault's word, and not that of something on the way. */
  readonly fromAzure: boolean
  readonly retryAfterMs: number | null
  readonly requestId: string | null
}

interface Row {
  readonly status: number
  /** Any, where it is left out. */
  readonly inner?: readonly string[]
  readonly kind: ProviderErrorKind
  readonly detail: string
  readonly hint?: (asked: Asked, name: string) => string
}

// A managed HSM has names of its own for three of them.
const ofHsm: Readonly<Record<string, string>> = {
  'keys/read': 'keys/read/action',
  'keys/create/action': 'keys/create',
  'keys/update/action': 'keys/write/action',
}

/** `needs Microsoft.KeyVault/vaults/secrets/setSecret/action on /secrets/orders-db`. */
export const needed = ({ action, scope }: Pick<Asked, 'action' | 'scope'>, isHsm = false): string =>
  isHsm
    ? `needs Microsoft.KeyVault/managedHsm/${ofHsm[action] ?? action} on ${scope}`
    : `needs Microsoft.KeyVault/vaults/${action} on ${scope}`

// The first row that fits. A 4xx is Azure's word that nothing was done.
const rows: readonly Row[] = [
  {
    status: 401,
    kind: 'auth',
    detail: 'Key Vault refused the token',
    hint: () =>
      'the token is over, of another tenant, or for another cloud: look at tenantId and authorityHost',
  },
  {
    status: 403,
    inner: ['ForbiddenByFirewall'],
    kind: 'precondition',
    detail: 'the vault’s firewall does not let this host in',
    hint: () =>
      'add this host’s address or network to the vault’s firewall, or reach it by a private endpoint',
  },
  {
    status: 403,
    inner: ['ForbiddenByConnection'],
    kind: 'precondition',
    detail: 'the vault is closed to public networks',
    hint: () => 'reach it by a private endpoint whose name resolves on this host, or open it',
  },
  {
    status: 403,
    inner: ['SecretDisabled', 'KeyDisabled', 'CertificateDisabled'],
    kind: 'disabled',
    detail: 'the version is disabled',
  },
  {
    status: 403,
    inner: [
      'SecretNotYetValid',
      'SecretExpired',
      'KeyNotYetValid',
      'KeyExpired',
      'KeyNotYetValidOrExpired',
    ],
    kind: 'disabled',
    detail: 'the version is not valid yet, or no longer',
  },
  {
    status: 403,
    inner: ['KeyOperationForbidden'],
    kind: 'disabled',
    detail: 'the operation is not among those that the key is for',
  },
  {
    status: 403,
    inner: ['ForbiddenByPolicy', 'AccessDenied'],
    kind: 'forbidden',
    detail: 'the vault’s access policy does not allow it',
    hint: (_asked, name) => `${name}, or the permission of that name in the vault’s access policy`,
  },
  {
    status: 403,
    kind: 'forbidden',
    detail: 'the roles of the connection’s principal do not allow it',
    hint: (_asked, name) => `${name}; a new role is known after some minutes`,
  },
  { status: 404, kind: 'notFound', detail: 'there is no such object in the vault' },
  {
    status: 409,
    inner: ['ObjectIsDeletedButRecoverable'],
    kind: 'conflict',
    detail: 'an object of this name is deleted, and its name is kept for it',
    hint: (asked) => `recover it, or purge it: ${asked.scope}`,
  },
  {
    status: 409,
    inner: ['ObjectIsBeingDeleted', 'ObjectIsBeingRecovered'],
    kind: 'transient',
    detail: 'the object is being deleted or recovered at this moment',
  },
  { status: 409, kind: 'conflict', detail: 'Key Vault does something else with the object' },
  { status: 413, kind: 'precondition', detail: 'the value is larger than Key Vault takes' },
  { status: 408, kind: 'timeout', detail: 'Key Vault ended the request' },
]

export const failureOf = (answered: Answered, asked: Asked, isHsm = false): ProviderError => {
  const { status, inner } = answered
  const lost = asked.writes ? 'unknown' : 'none'
  const more = toldOf(answered)
  const noWord = failureOfAnyAnswer(answered, {
    system: 'Key Vault',
    writes: asked.writes,
    own: answered.fromAzure,
    redirectHint: 'check `vaultUrl`',
    strangerHint: 'a proxy or firewall answered: check `vaultUrl` and what is in between',
  })
  if (noWord !== null) return noWord
  const row = rows.find(
    (r) => r.status === status && (r.inner === undefined || r.inner.includes(inner)),
  )
  if (row !== undefined)
    return new ProviderError(row.kind, row.kind === 'timeout' ? lost : 'none', row.detail, {
      ...more,
      ...(row.hint === undefined ? {} : { hint: row.hint(asked, needed(asked, isHsm)) }),
    })
  if (status >= 500) return new ProviderError('transient', lost, 'Key Vault failed', more)
  if (status >= 400)
    return new ProviderError('permanent', 'none', 'Key Vault refused the request as it is', {
      ...more,
      hint: `${asked.action} on ${asked.scope}`,
    })
  return new ProviderError('transient', lost, 'Key Vault’s answer cannot be read', more)
}

/** The same for a request without an answer. `aborted`: the caller's signal ended it. */
export const failureWithoutAnswer = (
  error: unknown,
  { writes, aborted, system }: { writes: boolean; aborted: boolean; system: string },
): ProviderError =>
  failureOfNetwork(error, {
    system,
    writes,
    aborted,
    tlsHint: `check what is between Rekey and ${system}, or give Node its CA by NODE_EXTRA_CA_CERTS`,
    reachHint:
      'check `vaultUrl`, `authorityHost`, DNS (a private endpoint’s zone) and the firewall',
  })
