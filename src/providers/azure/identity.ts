// Tokens: by the application's secret or certificate, or this host's own identity where the connection says `default`
// (environment, workload identity, managed identity; never a developer's login).
//
// The vault says by its challenge which tenant and which resource a token must be for. It is believed about the tenant, since
// the token is fetched from the authority of the settings; about the resource only within the cloud of the settings: a wrong
// address must not be handed a token for something else.

import type { AccessToken, GetTokenOptions, TokenCredential } from '@azure/identity'
import type { HttpClient } from '@azure/core-rest-pipeline'
import { ProviderError, type ConnectArgs } from '#domain/provider.ts'
import { revealText } from '#domain/secret.ts'
import { retryAfterMs } from '../network-failure.ts'
import { entraFailure } from './entra-failures.ts'
import { failureWithoutAnswer } from './failures.ts'
import type { AzureSettings } from './settings.ts'
import { exchange, parsed, type Exchanged } from './transport.ts'

type At = Pick<ConnectArgs, 'credential' | 'fromHost' | 'ports'> & {
  readonly settings: AzureSettings
}

type Base = (tenantId: string, http: HttpClient) => Promise<TokenCredential>

/** For the SDK's clients. Throws ProviderError, with effect `none`. */
export const makeIdentity = (at: At): TokenCredential => {
  const { settings } = at
  const base = baseOf(at)
  const seen: Seen = { failure: null }
  const http = authorityClient(at, seen)
  let made: { readonly tenantId: string; readonly credential: Promise<TokenCredential> } | null =
    null

  return {
    getToken: async (scopes, options: GetTokenOptions = {}): Promise<AccessToken | null> => {
      mustBeOurs(settings, [scopes].flat())
      const tenantId = tenantOf(settings, options.tenantId)
      if (made?.tenantId !== tenantId) made = { tenantId, credential: base(tenantId, http) }
      seen.failure = null
      try {
        const credential = await made.credential
        return await credential.getToken(scopes, { ...options, tenantId })
      } catch (error) {
        // What was thrown carries the answer, and MSAL's the request.
        throw seen.failure ?? hostFailure(error)
      }
    },
  }
}

const mustBeOurs = ({ resources }: AzureSettings, scopes: readonly string[]): void => {
  const isOurs = (scope: string): boolean =>
    resources.includes(URL.parse(scope)?.hostname ?? '') && scope.startsWith('https://')
  if (scopes.length > 0 && scopes.every(isOurs)) return
  throw new ProviderError(
    'precondition',
    'none',
    'what answers at vaultUrl asks for a token that is not for a vault of this cloud',
    { hint: 'check `vaultUrl`: nothing was sent to it' },
  )
}

const tenantOf = ({ tenantId }: AzureSettings, told: string | undefined): string => {
  const own = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i
  if (tenantId === null) {
    if (told !== undefined && own.test(told)) return told
    throw new ProviderError(
      'precondition',
      'none',
      'the vault does not say which tenant it is of',
      {
        hint: 'say tenantId in the settings',
      },
    )
  }
  // A domain's name may be the same tenant.
  if (told === undefined || !own.test(told) || !own.test(tenantId)) return tenantId
  if (told.toLowerCase() === tenantId.toLowerCase()) return tenantId
  throw new ProviderError(
    'precondition',
    'none',
    'the vault is of another tenant than the settings',
    {
      hint: `the vault is of tenant ${told.toLowerCase()}: check tenantId and vaultUrl`,
    },
  )
}

const baseOf = ({ credential, fromHost, settings }: At): Base => {
  const { authorityHost, clientId } = settings
  const options = (http: HttpClient) => ({
    authorityHost,
    // The authority is of Microsoft's list, or the admin's own word.
    disableInstanceDiscovery: true,
    httpClient: http,
    retryOptions: { maxRetries: 0 },
  })
  if (credential === null && fromHost !== true)
    return () =>
      Promise.reject(
        new ProviderError('auth', 'none', 'the connection has no credential', {
          hint: 'send {"clientSecret": …}, or say {"from": "default"} for the identity of this host',
        }),
      )
  if (credential === null)
    return async (tenantId, http) => {
      const sdk = await import('@azure/identity')
      const own = { ...options(http), tenantId, ...(clientId === null ? {} : { clientId }) }
      const identity = clientId === null ? {} : { clientId }
      return new sdk.ChainedTokenCredential(
        new sdk.EnvironmentCredential(options(http)),
        // It cannot be made where the host has none.
        ...possibly(() => new sdk.WorkloadIdentityCredential(own)),
        // What it dials (a metadata service) is the platform's, and not the connection's to choose.
        new sdk.ManagedIdentityCredential({ ...identity, retryOptions: { maxRetries: 1 } }),
      )
    }
  const { clientSecret, certificate } = read(revealText(credential))
  return async (tenantId, http) => {
    if (clientId === null)
      throw new ProviderError('auth', 'none', 'the settings do not say which application this is', {
        hint: 'say clientId in the settings',
      })
    const sdk = await import('@azure/identity')
    if (clientSecret !== null)
      return new sdk.ClientSecretCredential(tenantId, clientId, clientSecret, options(http))
    return new sdk.ClientCertificateCredential(
      tenantId,
      clientId,
      { certificate: certificate ?? '' },
      options(http),
    )
  }
}

const possibly = (make: () => TokenCredential): readonly TokenCredential[] => {
  try {
    return [make()]
  } catch {
    return []
  }
}

const read = (
  text: string,
): { readonly clientSecret: string | null; readonly certificate: string | null } => {
  const value = (parsed(text) ?? {}) as Readonly<Record<string, unknown>>
  const of = (name: string): string | null => {
    const found = value[name]
    return typeof found === 'string' ? found : null
  }
  return { clientSecret: of('clientSecret'), certificate: of('certificate') }
}

interface Seen {
  failure: ProviderError | null
}

const tokenTimeoutMs = 30_000

const authorityClient = ({ ports }: At, seen: Seen): HttpClient => ({
  sendRequest: async (request) => {
    const signal = AbortSignal.timeout(tokenTimeoutMs)
    let answer: Exchanged
    try {
      answer = await exchange(ports, request, signal)
    } catch (error) {
      seen.failure = failureWithoutAnswer(error, {
        writes: false,
        aborted: signal.aborted,
        system: 'Entra',
      })
      throw seen.failure
    }
    const body = parsed(answer.bodyAsText)
    if (answer.status !== 200 || body === null)
      seen.failure = entraFailure({
        status: answer.status,
        codes: codesIn(body),
        fromEntra: body !== null,
        retryAfterMs: retryAfterMs(answer.headers.get('retry-after') ?? null, ports.now()),
      })
    return answer
  },
})

const codesIn = (body: object | null): readonly number[] => {
  const codes: unknown = body !== null && 'error_codes' in body ? body.error_codes : null
  return Array.isArray(codes) ? codes.filter((code) => typeof code === 'number') : []
}

/** By its name alone: the text may name files and addresses of the host. */
const hostFailure = (error: unknown): ProviderError => {
  if (error instanceof ProviderError) return error
  const name = error instanceof Error ? error.name : ''
  return /Unavailable|Aggregate/.test(name)
    ? new ProviderError('auth', 'none', 'this host has no identity of Azure', {
        hint: 'give it a managed or workload identity (clientId in the settings where it has several), or send the connection {"clientSecret": …}',
      })
    : new ProviderError('auth', 'none', 'no token could be had', {
        hint: 'check the credential: a client secret, or a certificate with its private key in PEM',
      })
}
