// The SDK's clients of one connection, two for each service: `read` may try again, `write` sends once. They are loaded when
// the first call needs them: an installation without AWS never pays for them.
//
// Nothing of the host's own configuration reaches them (profiles, AWS_ENDPOINT_URL, AWS_MAX_ATTEMPTS, FIPS and dual stack by
// environment): a connection says itself what it is. The exception is the chain of credentials, where it says `default`.

import type { IAM } from '@aws-sdk/client-iam'
import type { KMS } from '@aws-sdk/client-kms'
import type { SecretsManager } from '@aws-sdk/client-secrets-manager'
import type { STS } from '@aws-sdk/client-sts'
import { ProviderError, type Call, type ProviderPorts } from '#domain/provider.ts'
import { abortable } from '../network-failure.ts'
import { failureOf } from './failures.ts'
import type { Identity, IdentitySource } from './identity.ts'
import type { AwsSettings } from './settings.ts'
import { makeHandler, type Ride } from './transport.ts'

interface Sdk {
  readonly secretsmanager: SecretsManager
  readonly kms: KMS
  readonly iam: IAM
  readonly sts: STS
}
export type ServiceName = keyof Sdk

/** To be handed to the client's method as it is: the bounds of the call ride in it. */
export type SendOptions = Readonly<Record<string, unknown>>

export interface Ask<S extends ServiceName, T> {
  readonly service: S
  /** ARN or name of what it is about, for the hint of a missing right. */
  readonly of: string
  readonly writes: boolean
  readonly send: (client: Sdk[S], options: SendOptions) => Promise<T>
}

export interface Clients {
  /** Throws ProviderError. `date` is AWS's clock. */
  send<S extends ServiceName, T>(ask: Ask<S, T>, call: Call): Promise<Answer<T>>
  /** Who signs now. Throws ProviderError. */
  signer(call: Call): Promise<Identity>
}

export interface Answer<T> {
  readonly value: T
  readonly date: Date | null
}

export const makeClients = (
  settings: AwsSettings,
  ports: ProviderPorts,
  identity: IdentitySource,
  /** As CloudTrail shows it. */
  agent = 'rekey',
): Clients => {
  const handler = makeHandler(ports)
  const configOf = (writes: boolean) => ({
    region: settings.region,
    ...(settings.endpoint === null ? {} : { endpoint: settings.endpoint }),
    ignoreConfiguredEndpointUrls: true,
    useFipsEndpoint: settings.fips,
    useDualstackEndpoint: false,
    defaultsMode: 'legacy' as const,
    retryMode: 'standard' as const,
    maxAttempts: writes ? 1 : 3,
    userAgentAppId: agent,
    requestHandler: handler,
    // Asked for each request, and never kept by the SDK: what AWS has refused is not used again.
    credentials: Object.assign(() => identity.get(), { memoized: true }),
  })

  const made = new Map<string, Sdk[ServiceName]>()
  const clientOf = async <S extends ServiceName>(service: S, writes: boolean): Promise<Sdk[S]> => {
    const name = `${service}:${writes}`
    const client = made.get(name) ?? (await makeClient[service](configOf(writes)))
    made.set(name, client)
    // Kept under the service's own name.
    return client as Sdk[S]
  }

  const signer = async (call: Call): Promise<Identity> => {
    try {
      return await abortable(call.signal, identity.get())
    } catch (error) {
      if (error instanceof ProviderError) throw error
      throw new ProviderError('timeout', 'none', 'the credential was not had in time')
    }
  }

  const once = async <S extends ServiceName, T>(
    ask: Ask<S, T>,
    call: Call,
    mayRenew: boolean,
  ): Promise<Answer<T>> => {
    if (call.signal.aborted)
      throw new ProviderError('timeout', 'none', 'the time was over before the request')
    const ride: Ride = {
      service: ask.service,
      resource: ask.of,
      writes: ask.writes,
      call,
      asked: null,
      answered: null,
      failure: null,
      date: null,
    }
    try {
      await signer(call)
      const client = await clientOf(ask.service, ask.writes)
      const options = { abortSignal: call.signal, ride }
      return { value: await abortable(call.signal, ask.send(client, options)), date: ride.date }
    } catch (error) {
      // A signer that is over, or unknown, is AWS's word that nothing was done: with a new one the same write has its effect once.
      if (mayRenew && isOver(ride) && identity.renew()) return once(ask, call, false)
      throw failureIn(ride, error)
    }
  }

  return { signer, send: (ask, call) => once(ask, call, true) }
}

const over = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'UnrecognizedClientException',
  'InvalidClientTokenId',
])

const isOver = ({ answered }: Ride): boolean =>
  answered !== null && answered.fromAws && over.has(answered.code)

const makeClient: {
  readonly [S in ServiceName]: (config: object) => Promise<Sdk[S]>
} = {
  secretsmanager: async (config) =>
    new (await import('@aws-sdk/client-secrets-manager')).SecretsManager(config),
  kms: async (config) => new (await import('@aws-sdk/client-kms')).KMS(config),
  iam: async (config) => new (await import('@aws-sdk/client-iam')).IAM(config),
  sts: async (config) => new (await import('@aws-sdk/client-sts')).STS(config),
}

/** The SDK's own error is dropped: it carries the request and the answer. */
const failureIn = (ride: Ride, error: unknown): ProviderError => {
  if (error instanceof ProviderError) return error
  const { asked, answered, failure, writes, call } = ride
  // The signal ended it while the request was out, or between two tries of a read.
  if (call.signal.aborted && failure === null)
    return new ProviderError(
      'timeout',
      asked !== null && writes ? 'unknown' : 'none',
      'AWS did not answer in time',
    )
  if (failure !== null) return failure
  if (asked !== null && answered !== null) return failureOf(answered, asked)
  return new ProviderError('permanent', 'none', 'the request to AWS could not be made', {
    hint: 'check the settings of the connection',
  })
}
