// The SDK's clients of one connection. They are loaded when the first call needs them: an installation without Azure never
// pays for them. Their own retries are off, for reads too: a client must have logged in by a read before it writes, since its
// first request goes out without a body, to be challenged. Reads are tried again here.

import type { CertificateClient } from '@azure/keyvault-certificates'
import type { KeyClient } from '@azure/keyvault-keys'
import type { SecretClient } from '@azure/keyvault-secrets'
import { ProviderError, type Call, type ConnectArgs } from '#domain/provider.ts'
import { abortable } from '../network-failure.ts'
import { failureOf, type Asked } from './failures.ts'
import { makeIdentity } from './identity.ts'
import type { AzureSettings } from './settings.ts'
import { rides, vaultClient, type Ride } from './transport.ts'

export interface Clients {
  readonly certificates: CertificateClient
  readonly keys: KeyClient
  readonly secrets: SecretClient
}
export type ClientName = keyof Clients

/** To be handed to the client's method. */
export interface SendOptions {
  readonly abortSignal: AbortSignal
}

export interface Question<N extends ClientName, T> extends Pick<Asked, 'action' | 'scope'> {
  readonly client: N
  /** With a key that the vault itself must use. */
  readonly remoteOnly?: true
  readonly send: (client: Clients[N], options: SendOptions) => Promise<T>
}

interface Answer<T> {
  readonly value: T
  readonly date: Date | null
}

/** Requests of one connection. All throw ProviderError. */
export interface Azure {
  readonly settings: AzureSettings
  readonly read: <N extends ClientName, T>(question: Question<N, T>, call: Call) => Promise<T>
  /** Goes out once. */
  readonly write: Azure['read']
  /** Rights that Key Vault was seen to grant, and when: one rotation asks for them once. */
  readonly seenRights: Map<string, Date>
  readonly now: () => Date
  /** A read, and what Azure's clock says. */
  readonly readAt: <N extends ClientName, T>(
    question: Question<N, T>,
    call: Call,
  ) => Promise<Answer<T>>
}

/** Rekey is written and proven against this one. */
export const apiVersion = '2025-07-01'

const readTries = 2

export const makeAzure = (
  args: Pick<ConnectArgs, 'credential' | 'fromHost' | 'ports'>,
  settings: AzureSettings,
): Azure => {
  let login = makeLogin(args, settings)

  const ask = async <N extends ClientName, T>(
    question: Question<N, T>,
    writes: boolean,
    call: Call,
    mayRenew: boolean,
  ): Promise<Answer<T>> => {
    if (call.signal.aborted)
      throw new ProviderError('timeout', 'none', 'the time was over before the request')
    const { action, scope, remoteOnly = false } = question
    const asked = { action, scope, writes }
    const ride: Ride = {
      asked,
      call,
      remoteOnly,
      answered: null,
      nextLink: null,
      pending: null,
      date: null,
    }
    const used = login
    try {
      const value = await abortable(
        call.signal,
        rides.run(ride, async () =>
          question.send(await used.clientOf(question.client), { abortSignal: call.signal }),
        ),
      )
      return { value, date: ride.date }
    } catch (error) {
      // A refused token is Azure's word that nothing was done: with a new one the same write has its effect once.
      if (mayRenew && ride.answered?.status === 401) {
        if (login === used) login = makeLogin(args, settings)
        return ask(question, writes, call, false)
      }
      throw failureIn(ride, error, settings)
    }
  }

  const readAt: Azure['readAt'] = async (question, call) => {
    for (let tries = 1; ; tries++) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- the next only where this one failed
        return await ask(question, false, call, true)
      } catch (error) {
        if (tries === readTries || !mayPass(error)) throw error
      }
    }
  }
  return {
    settings,
    seenRights: new Map(),
    now: args.ports.now,
    readAt,
    read: async (question, call) => (await readAt(question, call)).value,
    write: async (question, call) => (await ask(question, true, call, true)).value,
  }
}

/** Not what Azure throttles: it says when to come again, or the engine knows. */
const mayPass = (error: unknown): boolean =>
  error instanceof ProviderError && error.kind === 'transient'

/** A principal's tokens, and the clients that were challenged with them. */
interface Login {
  readonly clientOf: <N extends ClientName>(name: N) => Promise<Clients[N]>
}

const makeLogin = (
  args: Pick<ConnectArgs, 'credential' | 'fromHost' | 'ports'>,
  settings: AzureSettings,
): Login => {
  const identity = makeIdentity({ ...args, settings })
  const options = {
    httpClient: vaultClient(args.ports),
    retryOptions: { maxRetries: 0 },
    serviceVersion: apiVersion,
    userAgentOptions: { userAgentPrefix: 'rekey' },
    // It compares with the address alone; `identity` knows the clouds too, and an emulator's address.
    disableChallengeResourceVerification: true,
  } as const
  const clients: { readonly [N in ClientName]: () => Promise<Clients[N]> } = {
    certificates: once(async () => {
      const { CertificateClient } = await import('@azure/keyvault-certificates')
      return new CertificateClient(settings.vaultUrl, identity, options)
    }),
    keys: once(async () => {
      const { KeyClient } = await import('@azure/keyvault-keys')
      return new KeyClient(settings.vaultUrl, identity, options)
    }),
    secrets: once(async () => {
      const { SecretClient } = await import('@azure/keyvault-secrets')
      return new SecretClient(settings.vaultUrl, identity, options)
    }),
  }
  return { clientOf: (name) => clients[name]() }
}

const once = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}

/** The SDK's own error is dropped: it carries the request and the answer. */
const failureIn = (ride: Ride, error: unknown, { isHsm }: AzureSettings): ProviderError => {
  const { answered, asked, call } = ride
  if (error instanceof ProviderError) return error
  if (answered !== null && (answered.status >= 300 || !answered.fromAzure))
    return failureOf(answered, asked, isHsm)
  if (call.signal.aborted)
    return new ProviderError(
      'timeout',
      asked.writes ? 'unknown' : 'none',
      'Key Vault did not answer in time',
    )
  if (answered !== null) return failureOf(answered, asked, isHsm)
  return new ProviderError('permanent', 'none', 'the request to Key Vault could not be made', {
    hint: 'check the settings of the connection',
  })
}
