// Who signs: the connection's access key, or the host's own chain where the connection says `default` (environment, profile,
// SSO, web identity as of EKS service accounts, containers, instances), and with `assumeRole` the role's sessions on top.

import { ProviderError, type Call, type ConnectArgs } from '#domain/provider.ts'
import { revealText } from '#domain/secret.ts'
import { makeClients } from './clients.ts'
import type { AwsSettings } from './settings.ts'
import { makeHandler } from './transport.ts'

export interface Identity {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  readonly expiration?: Date
}

export interface IdentitySource {
  /** Throws ProviderError. Kept until five minutes before it ends. It may take longer than the caller has: whoever waits ends
   *  the wait, and not the request, which is others' too. */
  readonly get: () => Promise<Identity>
  /** Forgets it; false where there will be no other. */
  readonly renew: () => boolean
}

type At = Pick<ConnectArgs, 'connection' | 'externalId' | 'credential' | 'fromHost' | 'ports'> & {
  readonly settings: AwsSettings
}

export const makeIdentity = (at: At): IdentitySource => {
  const base = baseOf(at)
  return at.settings.assumeRole === null ? base : kept(at, roleOf(at, base))
}

const baseOf = (at: At): IdentitySource => {
  const { credential } = at
  if (credential !== null)
    return { get: async () => accessKeyIn(revealText(credential)), renew: () => false }
  return at.fromHost === true ? kept(at, hostOf(at)) : { get: refuse, renew: () => false }
}

const refuse = async (): Promise<never> => {
  throw new ProviderError('auth', 'none', 'the connection has no credential', {
    hint: 'send an access key, or say {"from": "default"} for the credentials of this host',
  })
}

const accessKeyIn = (text: string): Identity => {
  const wrong = new ProviderError('auth', 'none', 'the credential is not an access key', {
    hint: 'it is {"accessKeyId": …, "secretAccessKey": …, "sessionToken"?: …}',
  })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw wrong
  }
  const { accessKeyId, secretAccessKey, sessionToken } = Object(value) as Readonly<
    Record<string, unknown>
  >
  if (typeof accessKeyId !== 'string' || typeof secretAccessKey !== 'string') throw wrong
  return {
    accessKeyId,
    secretAccessKey,
    ...(typeof sessionToken === 'string' ? { sessionToken } : {}),
  }
}

const marginMs = 5 * 60_000

/** `anew`: what was had before is no longer taken. */
type Fetch = (call: Call, anew: boolean) => Promise<Identity>

/** Callers that come together share one request; one that failed is not kept. */
const kept = ({ ports }: Pick<At, 'ports'>, fetch: Fetch): IdentitySource => {
  let held: Identity | null = null
  let asking: Promise<Identity> | null = null
  let refused = false
  const isFresh = ({ expiration }: Identity): boolean =>
    expiration === undefined || expiration.getTime() - ports.now().getTime() > marginMs
  return {
    get: () => {
      if (held !== null && isFresh(held)) return Promise.resolve(held)
      asking ??= fetch({ signal: AbortSignal.timeout(30_000) }, refused)
        .then((identity) => {
          refused = false
          return (held = identity)
        })
        .finally(() => (asking = null))
      return asking
    },
    renew: () => {
      held = null
      refused = true
      return true
    },
  }
}

const roleOf = (at: At, base: IdentitySource): Fetch => {
  const { settings, connection, externalId, ports } = at
  const role = settings.assumeRole
  const clients = makeClients(settings, ports, base)
  return async (call) => {
    const { value } = await clients.send(
      {
        service: 'sts',
        of: role?.roleArn ?? '',
        // It may be repeated: a session more harms nobody.
        writes: false,
        send: (sts, options) =>
          sts.assumeRole(
            {
              RoleArn: role?.roleArn,
              RoleSessionName: role?.sessionName ?? sessionNameOf(connection),
              ExternalId: externalId,
            },
            options,
          ),
      },
      call,
    )
    const made = value.Credentials
    if (made?.AccessKeyId === undefined || made.SecretAccessKey === undefined)
      throw new ProviderError('transient', 'none', 'STS gave no session')
    return {
      accessKeyId: made.AccessKeyId,
      secretAccessKey: made.SecretAccessKey,
      ...(made.SessionToken === undefined ? {} : { sessionToken: made.SessionToken }),
      ...(made.Expiration === undefined ? {} : { expiration: made.Expiration }),
    }
  }
}

const sessionNameOf = (connection: string): string =>
  `rekey-${connection}`.replaceAll(/[^\w+=,.@-]/g, '-').slice(0, 64)

/** What the chain itself dials (a metadata service, an SSO portal) is the platform's, and not the connection's to choose. The
 *  chain keeps what it has found until its end, and so it must be told where AWS sees the end differently; files it would read
 *  once in the life of the process. */
const hostOf = ({ settings, ports }: At): Fetch => {
  const chain = import('@aws-sdk/credential-provider-node').then(({ defaultProvider }) =>
    defaultProvider({
      ignoreCache: true,
      clientConfig: {
        region: settings.region,
        ...(settings.endpoint === null ? {} : { endpoint: settings.endpoint }),
        requestHandler: makeHandler(ports),
      },
    }),
  )
  chain.catch(() => undefined)
  return async (_call, anew) => {
    try {
      return await (
        await chain
      )({ forceRefresh: anew })
    } catch (error) {
      throw hostFailure(error)
    }
  }
}

/** By its name alone: the text may name files and addresses of the host. */
const hostFailure = (error: unknown): ProviderError => {
  const name = error instanceof Error ? error.name : ''
  if (/^(CredentialsProviderError|TokenProviderError)$/.test(name))
    return new ProviderError('auth', 'none', 'this host has no credentials of AWS', {
      hint: 'give it a role (instance, container, web identity) or AWS_ACCESS_KEY_ID, or send the connection an access key',
    })
  if (/AccessDenied|InvalidIdentityToken|ExpiredToken|IDPRejectedClaim/.test(name))
    return new ProviderError('auth', 'none', 'AWS refused the credentials of this host', {
      hint: 'look at the trust policy of the role that the host assumes',
    })
  return new ProviderError('transient', 'none', 'the credentials of this host cannot be asked for')
}
