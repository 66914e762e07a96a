// Errors as the API references of Secrets Manager, KMS and IAM ("Common Errors", and those of each operation) have them.

import type { Fixture } from './peer.ts'

const json = (code: string, message = ''): string => JSON.stringify({ __type: code, message })

const row = (
  code: string,
  kind: Fixture['kind'],
  more: {
    readonly status?: number
    readonly effect?: Fixture['effect']
    readonly says?: string
  } = {},
): Fixture => ({
  name: `${code} ${more.says ?? ''}`,
  status: more.status ?? 400,
  body: json(code, more.says),
  kind,
  effect: more.effect ?? 'none',
})

export const awsFixtures: readonly Fixture[] = [
  row('AccessDeniedException', 'forbidden', { says: 'User is not authorized' }),
  row('com.amazon.coral.service#AccessDeniedException', 'forbidden'),
  row('UnrecognizedClientException', 'auth'),
  row('InvalidClientTokenId', 'auth', { status: 403 }),
  row('InvalidSignatureException', 'auth', { says: 'The request signature we calculated' }),
  row('InvalidSignatureException', 'precondition', { says: 'Signature expired: 20261126T0' }),
  row('InvalidSignatureException', 'precondition', { says: 'Signature not yet current' }),
  row('ExpiredTokenException', 'auth', { says: 'The security token is expired' }),
  row('ThrottlingException', 'throttled', { says: 'Rate exceeded' }),
  row('RequestLimitExceeded', 'throttled', { status: 503 }),
  row('TooManyRequestsException', 'throttled', { status: 429 }),
  row('ResourceNotFoundException', 'notFound'),
  row('NotFoundException', 'notFound'),
  row('ResourceExistsException', 'conflict'),
  row('ConflictException', 'conflict'),
  row('InvalidRequestException', 'precondition', { says: 'it was marked for deletion' }),
  row('DecryptionFailure', 'precondition'),
  row('EncryptionFailure', 'precondition'),
  row('DisabledException', 'disabled'),
  row('KMSInvalidStateException', 'disabled', { says: 'is pending deletion' }),
  row('LimitExceededException', 'quota'),
  row('UnsupportedOperationException', 'unsupported'),
  row('ValidationException', 'permanent'),
  row('MalformedPolicyDocumentException', 'permanent'),
  row('SomethingNewException', 'permanent'),
  row('KeyUnavailableException', 'transient', { status: 500, effect: 'unknown' }),
  row('DependencyTimeoutException', 'transient', { status: 500, effect: 'unknown' }),
  row('InternalServiceError', 'transient', { status: 500, effect: 'unknown' }),
  row('InternalFailure', 'transient', { status: 500, effect: 'unknown' }),
  row('ServiceUnavailable', 'transient', { status: 503, effect: 'unknown' }),
  row('SomethingNewException', 'transient', { status: 500, effect: 'unknown' }),
  { name: 'empty 400', status: 400, body: '', kind: 'transient', effect: 'unknown' },
  { name: 'empty 404', status: 404, body: '', kind: 'transient', effect: 'unknown' },
  {
    name: 'refusal by a gateway’s JSON',
    status: 403,
    body: '{"message":"blocked"}',
    kind: 'transient',
    effect: 'unknown',
  },
  {
    name: 'redirect',
    status: 307,
    headers: { location: 'http://127.0.0.1:1/' },
    body: '',
    kind: 'precondition',
    effect: 'none',
  },
  {
    name: 'page of a firewall',
    status: 403,
    headers: { 'content-type': 'text/html' },
    body: '<html>blocked</html>',
    kind: 'transient',
    effect: 'unknown',
  },
  { name: 'gateway timeout', status: 504, body: '', kind: 'transient', effect: 'unknown' },
  { name: 'not JSON', status: 200, body: 'OK', kind: 'transient', effect: 'unknown' },
  { name: 'empty success', status: 200, body: '', kind: 'transient', effect: 'unknown' },
  {
    name: 'page that says yes',
    status: 200,
    headers: { 'content-type': 'text/html' },
    body: '<html><body>log in first</body></html>',
    kind: 'transient',
    effect: 'unknown',
  },
]

/** The same as the query protocol of IAM and STS writes it. */
export const asXml = (fixture: Fixture): Fixture => {
  const { __type: code, message } = jsonIn(fixture.body)
  if (code === undefined) return fixture
  return {
    ...fixture,
    body: `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>${code.split('#').at(-1)}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
  }
}

const jsonIn = (
  body: string | undefined,
): { readonly __type?: string; readonly message?: string } => {
  try {
    return JSON.parse(body ?? '') as { readonly __type?: string; readonly message?: string }
  } catch {
    return {}
  }
}
