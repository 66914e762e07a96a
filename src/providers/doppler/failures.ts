// Every failure of Doppler, of the network or of something in between, as a ProviderError. Doppler's own texts are read to
// tell cases apart and never quoted: they may carry what we sent. Its OpenAPI document names no failures but a few 400 and 404;
// the API reference has the statuses, and `{"messages": […], "success": false}` as their body.

import { ProviderError, type ProviderErrorKind } from '#domain/provider.ts'
import { failureOfAnyAnswer, failureOfNetwork, toldOf } from '../network-failure.ts'

export interface Asked {
  /** What the token's role must have, where Doppler has a name for it. */
  readonly needs: string
  /** For the hint: `project/config`. */
  readonly at: string
  /** Whether it changes something: then a lost answer leaves the effect unknown. */
  readonly writes: boolean
}

export interface Answered {
  readonly status: number
  /** `messages` of the body. */
  readonly messages: readonly string[]
  /** It is Doppler's word, and not that of something on the way. */
  readonly fromDoppler: boolean
  readonly retryAfterMs: number | null
  readonly requestId: string | null
}

interface Row {
  readonly statuses: readonly number[]
  readonly says?: RegExp
  readonly kind: ProviderErrorKind
  readonly detail: string
  readonly hint?: (asked: Asked) => string
}

// The first row that fits. A 4xx is Doppler's word that nothing was done; a 5xx may come after the effect.
const rows: readonly Row[] = [
  {
    statuses: [400, 403, 409, 422],
    says: /change request/i,
    kind: 'precondition',
    detail: 'the config takes changes by change request only',
    hint: ({ at }) =>
      `take ${at} out of the change request policy for the service account of this connection`,
  },
  {
    statuses: [400, 422],
    says: /original ?(value|name|visibility)/i,
    kind: 'conflict',
    detail: 'the secret was changed by somebody else since it was read',
  },
  {
    statuses: [401],
    kind: 'auth',
    detail: 'Doppler does not know the token (any more)',
    hint: () => 'give the connection a new token: it was revoked, has expired, or is mistyped',
  },
  {
    statuses: [403],
    kind: 'forbidden',
    detail: 'the token’s role does not allow it',
    hint: ({ needs, at }) => `needs ${needs} on ${at}`,
  },
  {
    statuses: [404],
    kind: 'notFound',
    detail: 'there is no such object in Doppler',
    hint: ({ at }) => `nothing of that name is at ${at}, or the token may not see it`,
  },
  {
    statuses: [409],
    kind: 'conflict',
    detail: 'somebody else changed it since it was read',
  },
  {
    statuses: [413],
    kind: 'permanent',
    detail: 'the value is larger than Doppler accepts',
  },
  {
    statuses: [400, 422],
    kind: 'permanent',
    detail: 'Doppler refused the request as it is',
  },
]

export const failureOf = (answered: Answered, asked: Asked): ProviderError => {
  const { status } = answered
  const lost = asked.writes ? 'unknown' : 'none'
  const more = toldOf(answered)
  const noWord = failureOfAnyAnswer(answered, {
    system: 'Doppler',
    writes: asked.writes,
    own: answered.fromDoppler,
    redirectHint: 'check `apiUrl`: plain http is redirected to https',
    strangerHint: 'a proxy or firewall answered: check `apiUrl` and what is in between',
  })
  if (noWord !== null) return noWord
  const row = rows.find(
    ({ statuses, says }) =>
      statuses.includes(status) &&
      (says === undefined || answered.messages.some((text) => says.test(text))),
  )
  if (row !== undefined)
    return new ProviderError(row.kind, 'none', row.detail, {
      ...more,
      ...(row.hint === undefined ? {} : { hint: row.hint(asked) }),
    })
  if (status >= 500) return new ProviderError('transient', lost, 'Doppler failed', more)
  return new ProviderError('permanent', lost, `Doppler answered with status ${status}`, more)
}

/** The same for a request without an answer. */
export const failureWithoutAnswer = (
  error: unknown,
  { writes }: Asked,
  aborted: boolean,
): ProviderError =>
  failureOfNetwork(error, {
    system: 'Doppler',
    writes,
    aborted,
    tlsHint: 'check what is between Rekey and Doppler, or give Node its CA by NODE_EXTRA_CA_CERTS',
    reachHint: 'check `apiUrl`, DNS and the firewall',
  })
