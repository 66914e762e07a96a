// Who may do what at the stand-in: users with access keys and policies, and sessions of roles.

import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Json } from '#domain/json.ts'
import { isOfNow, isSignedWith, signerOf } from './sigv4.ts'
import { refusal, type Reply, type ServiceName } from './wire.ts'

export interface Principal {
  /** As STS tells it: a user's ARN, or that of a session of a role. */
  readonly arn: string
  readonly documents: readonly Json[]
  /** Of a session of a role or a user. */
  readonly tokenIssuedAt: Date | null
}

export interface AccessKey {
  readonly id: string
  readonly secret: string
  readonly sessionToken: string | null
  expiresAt: Date | null
  active: boolean
  lastUsed: { readonly at: Date; readonly service: ServiceName } | null
  readonly of: () => Principal
}

export interface Principals {
  readonly add: (key: Omit<AccessKey, 'active' | 'lastUsed'>) => AccessKey
  readonly remove: (id: string) => void
  readonly setActive: (id: string, active: boolean) => void
  readonly get: (id: string) => AccessKey | undefined
  /** All sessions are over from now on, whatever was said of their end. */
  readonly endSessions: () => void
  /** The next n requests that a changed key has signed are judged as before its last change: what IAM was told a moment ago
   *  is not known everywhere. Gives how many were left of those before. */
  readonly lag: (requests: number) => number
  /** The principal of a request, or the refusal that the service would give. */
  readonly authenticate: (
    service: ServiceName,
    request: { readonly headers: IncomingHttpHeaders; readonly body: string },
  ) => Principal | Reply
}

export const isReply = (value: Principal | Reply): value is Reply => 'status' in value

export const newKeyId = (prefix: 'AKIA' | 'ASIA'): string =>
  prefix +
  [...randomBytes(16)].map((byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.charAt(byte & 31)).join('')

export const newSecret = (): string => randomBytes(30).toString('base64')

export const makePrincipals = (now: () => Date): Principals => {
  const keys = new Map<string, AccessKey>()
  /** Keys as they were before their last change; undefined: there was none. */
  const before = new Map<string, AccessKey | undefined>()
  let lagging = 0
  const keep = (id: string): void => {
    const key = keys.get(id)
    before.set(id, key && { ...key })
  }
  const known = (id: string): AccessKey | undefined => {
    if (lagging === 0 || !before.has(id)) return keys.get(id)
    lagging -= 1
    return before.get(id)
  }
  return {
    add: (key) => {
      keep(key.id)
      const made = { ...key, active: true, lastUsed: null }
      keys.set(key.id, made)
      return made
    },
    remove: (id) => {
      keep(id)
      keys.delete(id)
    },
    setActive: (id, active) => {
      keep(id)
      const key = keys.get(id)
      if (key !== undefined) key.active = active
    },
    get: (id) => keys.get(id),
    endSessions: () => {
      for (const key of keys.values()) if (key.sessionToken !== null) key.expiresAt = new Date(0)
    },
    lag: (requests) => {
      const left = lagging
      lagging = requests
      return left
    },
    authenticate: (service, request) => {
      const { headers } = request
      const signer = signerOf(headers)
      const key = signer === null ? undefined : known(signer.accessKeyId)
      const token = headers['x-amz-security-token'] ?? null
      // An inactive key is told like one that never was.
      if (signer === null || key === undefined || !key.active || token !== key.sessionToken)
        return unknownKey(service)
      if (!isOfNow(headers, now()))
        return badSignature(service, 'Signature expired: it is more than 5 minutes old')
      if (!isSignedWith(key.secret, request))
        return badSignature(
          service,
          'The request signature we calculated does not match the signature you provided.',
        )
      if (key.expiresAt !== null && key.expiresAt < now()) return expired(service)
      key.lastUsed = { at: now(), service }
      return key.of()
    },
  }
}

const isQueryService = (service: ServiceName): boolean => service === 'iam' || service === 'sts'

const unknownKey = (service: ServiceName): Reply =>
  isQueryService(service)
    ? refusal(
        service,
        'InvalidClientTokenId',
        'The security token included in the request is invalid.',
        403,
      )
    : refusal(
        service,
        'UnrecognizedClientException',
        'The security token included in the request is invalid.',
      )

const badSignature = (service: ServiceName, message: string): Reply =>
  isQueryService(service)
    ? refusal(service, 'SignatureDoesNotMatch', message, 403)
    : refusal(service, 'InvalidSignatureException', message)

const expired = (service: ServiceName): Reply => {
  const message = 'The security token included in the request is expired'
  return isQueryService(service)
    ? refusal(service, 'ExpiredToken', message, 403)
    : refusal(service, 'ExpiredTokenException', message)
}
