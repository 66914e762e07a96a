// What Microsoft Entra says when it gives no token, by its AADSTS numbers. Nothing was done at the vault then.

import { ProviderError, type ProviderErrorKind } from '#domain/provider.ts'

export interface EntraAnswer {
  readonly status: number
  /** Of `error_codes`. */
  readonly codes: readonly number[]
  readonly fromEntra: boolean
  readonly retryAfterMs: number | null
}

interface Row {
  readonly codes: readonly number[]
  readonly kind: ProviderErrorKind
  readonly detail: string
  readonly hint: string
}

const rows: readonly Row[] = [
  {
    codes: [7000215],
    kind: 'auth',
    detail: 'Entra refused the client secret',
    hint: 'give the connection the secret’s value, not its id',
  },
  {
    codes: [7000222],
    kind: 'auth',
    detail: 'the client secret has expired',
    hint: 'make a new one for the application, and give it to the connection',
  },
  {
    codes: [700016, 700038],
    kind: 'auth',
    detail: 'the application is unknown in this tenant',
    hint: 'check clientId, tenantId and, for a sovereign cloud, authorityHost',
  },
  {
    codes: [90002, 900023, 900021],
    kind: 'auth',
    detail: 'there is no such tenant',
    hint: 'check tenantId and, for a sovereign cloud, authorityHost',
  },
  {
    codes: [700023],
    kind: 'auth',
    detail: 'Entra refused the audience of the assertion',
    hint: 'check tenantId and authorityHost: the assertion was made for another authority',
  },
  {
    codes: [7000112],
    kind: 'auth',
    detail: 'the application is disabled in this tenant',
    hint: 'enable its enterprise application (service principal), or use another',
  },
  {
    codes: [700024],
    kind: 'precondition',
    detail: 'Entra refused the time of the request',
    hint: 'synchronise the clock of this host: Entra accepts five minutes',
  },
  {
    codes: [700027, 5000811],
    kind: 'auth',
    detail: 'Entra refused the certificate',
    hint: 'upload the certificate of the connection to the application, and check that it has not expired',
  },
  {
    codes: [70021, 700211, 700212, 700213],
    kind: 'auth',
    detail: 'no federated credential of the application matches this workload',
    hint: 'check issuer, subject and audience of the application’s federated credential',
  },
  {
    codes: [500011, 650057],
    kind: 'precondition',
    detail: 'the vault’s cloud is not the tenant’s',
    hint: 'check that vaultUrl and authorityHost are of one cloud',
  },
  {
    codes: [53003, 530003],
    kind: 'auth',
    detail: 'a conditional access policy keeps the principal out',
    hint: 'exclude it from the policy, or let this host’s network in',
  },
]

/** Told with a 400 or 401 too, and gone by itself. */
const busy: readonly number[] = [50196, 90055]
const passing: readonly number[] = [90006, 90012, 90024, 90033]

export const entraFailure = (answer: EntraAnswer): ProviderError => {
  const { status, codes, retryAfterMs } = answer
  const more = { status, ...(retryAfterMs === null ? {} : { retryAfterMs }) }
  if (status === 429)
    return new ProviderError('throttled', 'none', 'Entra asks for fewer requests', more)
  if (!answer.fromEntra)
    return new ProviderError('transient', 'none', 'the answer is not Entra’s', {
      ...more,
      hint: 'a proxy or firewall answered: check `authorityHost` and what is in between',
    })
  const isOneOf = (those: readonly number[]): boolean => codes.some((code) => those.includes(code))
  if (isOneOf(busy))
    return new ProviderError('throttled', 'none', 'Entra asks for fewer requests', more)
  if (isOneOf(passing)) return new ProviderError('transient', 'none', 'Entra failed', more)
  const row = rows.find((r) => r.codes.some((code) => codes.includes(code)))
  if (row !== undefined)
    return new ProviderError(row.kind, 'none', row.detail, { ...more, hint: row.hint })
  if (status >= 500) return new ProviderError('transient', 'none', 'Entra failed', more)
  return new ProviderError('auth', 'none', 'Entra gave no token', {
    ...more,
    hint:
      codes.length === 0
        ? 'check clientId, tenantId and the credential'
        : `look up AADSTS${codes[0]}`,
  })
}
