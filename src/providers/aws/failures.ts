// Every failure of AWS, of the network or of something in between, as a ProviderError. AWS's own texts are read to tell
// cases apart and never quoted: they may carry what we sent.

import { ProviderError, type ProviderErrorKind } from '#domain/provider.ts'
import { failureOfAnyAnswer, failureOfNetwork, toldOf } from '../network-failure.ts'

export interface Asked {
  /** `secretsmanager:PutSecretValue`: what a policy must allow. */
  readonly action: string
  /** ARN or name, for the hint. */
  readonly resource: string
  /** Whether it changes something: then a lost answer leaves the effect unknown. */
  readonly writes: boolean
}

export interface Answered {
  readonly status: number
  /** AWS's error code, without namespace; '' where there is none. */
  readonly code: string
  readonly message: string
  /** It is AWS's word, and not that of something on the way. */
  readonly fromAws: boolean
  readonly retryAfterMs: number | null
  readonly requestId: string | null
}

interface Row {
  readonly codes: readonly string[]
  readonly says?: RegExp
  readonly kind: ProviderErrorKind
  /** `asked`: unknown for a write, none for a read. */
  readonly effect: 'none' | 'asked'
  readonly detail: string
  readonly hint?: (asked: Asked) => string
}

const clockHint = (): string => 'synchronise the clock of this host: AWS accepts five minutes'
const signatures = ['InvalidSignatureException', 'SignatureDoesNotMatch', 'IncompleteSignature']

// The first row that fits. A 4xx is AWS's word that nothing was done; a 5xx may come after the effect.
const rows: readonly Row[] = [
  {
    codes: [...signatures, 'RequestExpired', 'RequestTimeTooSkewed'],
    says: /expired|not yet current|skewed/i,
    kind: 'precondition',
    effect: 'none',
    detail: 'AWS refused the time of the request',
    hint: clockHint,
  },
  {
    codes: ['ExpiredToken', 'ExpiredTokenException'],
    kind: 'auth',
    effect: 'none',
    detail: 'the session of the credential is over',
    hint: () => 'give the connection a credential that renews itself, or a new one',
  },
  {
    codes: [
      ...signatures,
      'UnrecognizedClientException',
      'InvalidClientTokenId',
      'InvalidAccessKeyId',
      'AuthFailure',
      'MissingAuthenticationToken',
      'MissingAuthenticationTokenException',
      'NotAuthorizedException',
    ],
    kind: 'auth',
    effect: 'none',
    detail: 'AWS refused the credential',
    hint: () =>
      'the access key is unknown, inactive, of another partition, or its secret is wrong: give the connection a new one',
  },
  {
    codes: ['AccessDenied', 'AccessDeniedException', 'UnauthorizedOperation'],
    kind: 'forbidden',
    effect: 'none',
    detail: 'the policies of the connection’s principal do not allow it',
    hint: (a) =>
      `needs ${a.action} on ${a.resource}${a.action === 'sts:AssumeRole' ? ', and a trust policy of the role that allows it with the externalId of the connection' : ''}`,
  },
  {
    codes: [
      'Throttling',
      'ThrottlingException',
      'ThrottledException',
      'TooManyRequestsException',
      'RequestLimitExceeded',
      'RequestThrottled',
      'RequestThrottledException',
      'BandwidthLimitExceeded',
      'PriorRequestNotComplete',
    ],
    kind: 'throttled',
    effect: 'none',
    detail: 'AWS asks for fewer requests',
  },
  {
    codes: [
      'ResourceNotFoundException',
      'NotFoundException',
      'NoSuchEntity',
      'NoSuchEntityException',
    ],
    kind: 'notFound',
    effect: 'none',
    detail: 'there is no such object at AWS',
    hint: (a) => `nothing is at ${a.resource}, in the region and account of the connection`,
  },
  {
    codes: ['ResourceExistsException', 'AlreadyExistsException', 'EntityAlreadyExists'],
    kind: 'conflict',
    effect: 'none',
    detail: 'it is there already, and another',
  },
  {
    codes: ['ConflictException'],
    kind: 'conflict',
    effect: 'none',
    detail: 'AWS does something else with the object at this moment',
  },
  {
    codes: [
      'ConcurrentModification',
      'ConcurrentModificationException',
      'EntityTemporarilyUnmodifiable',
      'EntityTemporarilyUnmodifiableException',
    ],
    kind: 'transient',
    effect: 'none',
    detail: 'somebody else changes the object at this moment',
  },
  {
    codes: ['DisabledException'],
    kind: 'disabled',
    effect: 'none',
    detail: 'the key is disabled',
  },
  {
    codes: ['KMSInvalidStateException'],
    kind: 'disabled',
    effect: 'none',
    detail: 'the state of the key does not allow it',
    hint: (a) => `look at KeyState: aws kms describe-key --key-id ${a.resource}`,
  },
  {
    codes: ['InvalidRequestException'],
    kind: 'precondition',
    effect: 'none',
    detail: 'the state of the object does not allow it',
  },
  {
    codes: ['DecryptionFailure', 'EncryptionFailure'],
    kind: 'precondition',
    effect: 'none',
    detail: 'the KMS key of the secret cannot be used',
    hint: () =>
      'needs kms:Decrypt and kms:GenerateDataKey on the secret’s KMS key, and the key enabled',
  },
  {
    codes: ['LimitExceeded', 'LimitExceededException', 'ServiceQuotaExceededException'],
    kind: 'quota',
    effect: 'none',
    detail: 'a quota of AWS is used up',
  },
  {
    codes: ['DeleteConflict', 'DeleteConflictException', 'PreconditionNotMetException'],
    kind: 'precondition',
    effect: 'none',
    detail: 'something else must be done first',
  },
  {
    codes: ['KMSInvalidSignatureException', 'KMSInvalidMacException', 'IncorrectKeyException'],
    kind: 'verifyFailed',
    effect: 'none',
    detail: 'what was made with the key does not verify',
  },
  {
    codes: [
      'UnsupportedOperationException',
      'InvalidKeyUsageException',
      'UnknownOperationException',
      'InvalidAction',
    ],
    kind: 'unsupported',
    effect: 'none',
    detail: 'AWS does not offer the operation for this object',
  },
  // Told with a 4xx, but of AWS's inside: it may have been done.
  {
    codes: [
      'InternalFailure',
      'InternalServiceError',
      'InternalError',
      'ServiceFailure',
      'ServiceUnavailable',
      'ServiceUnavailableException',
      'KMSInternalException',
      'DependencyTimeoutException',
      'KeyUnavailableException',
      'RequestTimeout',
      'RequestTimeoutException',
    ],
    kind: 'transient',
    effect: 'asked',
    detail: 'AWS failed',
  },
]

export const failureOf = (answered: Answered, asked: Asked): ProviderError => {
  const { status, code, message } = answered
  const lost = asked.writes ? 'unknown' : 'none'
  const more = toldOf(answered)
  const noWord = failureOfAnyAnswer(answered, {
    system: 'AWS',
    writes: asked.writes,
    own: answered.fromAws,
    redirectHint: 'check `region` and `endpoint`',
    strangerHint: 'a proxy or firewall answered: check `endpoint` and what is in between',
  })
  if (noWord !== null) return noWord
  const row = rows.find(
    (r) => r.codes.includes(code) && (r.says === undefined || r.says.test(message)),
  )
  if (row !== undefined)
    return new ProviderError(row.kind, row.effect === 'none' ? 'none' : lost, row.detail, {
      ...more,
      ...(row.hint === undefined ? {} : { hint: row.hint(asked) }),
    })
  if (status >= 500) return new ProviderError('transient', lost, 'AWS failed', more)
  if (status >= 400)
    return new ProviderError('permanent', 'none', 'AWS refused the request as it is', {
      ...more,
      hint: `${asked.action} on ${asked.resource}`,
    })
  return new ProviderError('transient', lost, 'AWS’s answer cannot be read', more)
}

/** The same for a request without an answer. `aborted`: the caller's signal ended it. */
export const failureWithoutAnswer = (
  error: unknown,
  { writes }: Asked,
  aborted: boolean,
): ProviderError =>
  failureOfNetwork(error, {
    system: 'AWS',
    writes,
    aborted,
    tlsHint: 'check what is between Rekey and AWS, or give Node its CA by NODE_EXTRA_CA_CERTS',
    reachHint: 'check `region`, `endpoint`, DNS and the firewall',
  })
