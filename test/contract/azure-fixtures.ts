// Errors as Key Vault's documentation ("Azure Key Vault REST API error codes", "Authentication, requests and responses",
// "throttling guidance") and its SDKs' recordings have them.

import type { Fixture } from './peer.ts'

const json = (code: string, inner?: string): string =>
  JSON.stringify({
    error: {
      code,
      message: 'as documented',
      ...(inner === undefined ? {} : { innererror: { code: inner } }),
    },
  })

const row = (
  status: number,
  code: string,
  kind: Fixture['kind'],
  more: { readonly inner?: string; readonly effect?: Fixture['effect'] } = {},
): Fixture => ({
  name: `${status} ${code} ${more.inner ?? ''}`,
  status,
  body: json(code, more.inner),
  kind,
  effect: more.effect ?? 'none',
})

export const azureFixtures: readonly Fixture[] = [
  row(400, 'BadParameter', 'permanent'),
  row(401, 'Unauthorized', 'auth'),
  row(403, 'Forbidden', 'forbidden', { inner: 'ForbiddenByRbac' }),
  row(403, 'Forbidden', 'forbidden', { inner: 'ForbiddenByPolicy' }),
  row(403, 'Forbidden', 'forbidden', { inner: 'AccessDenied' }),
  row(403, 'Forbidden', 'forbidden', { inner: 'SomethingNew' }),
  row(403, 'Forbidden', 'forbidden'),
  row(403, 'Forbidden', 'precondition', { inner: 'ForbiddenByFirewall' }),
  row(403, 'Forbidden', 'precondition', { inner: 'ForbiddenByConnection' }),
  row(403, 'Forbidden', 'disabled', { inner: 'SecretDisabled' }),
  row(403, 'Forbidden', 'disabled', { inner: 'KeyDisabled' }),
  row(403, 'Forbidden', 'disabled', { inner: 'KeyOperationForbidden' }),
  row(404, 'SecretNotFound', 'notFound'),
  row(404, 'KeyNotFound', 'notFound'),
  row(409, 'Conflict', 'conflict'),
  row(409, 'Conflict', 'conflict', { inner: 'ObjectIsDeletedButRecoverable' }),
  row(409, 'Conflict', 'transient', { inner: 'ObjectIsBeingDeleted' }),
  row(409, 'Conflict', 'transient', { inner: 'ObjectIsBeingRecovered' }),
  row(413, 'RequestEntityTooLarge', 'precondition'),
  row(429, 'Throttled', 'throttled'),
  row(408, 'RequestTimeout', 'timeout', { effect: 'unknown' }),
  row(500, 'InternalServerError', 'transient', { effect: 'unknown' }),
  row(503, 'ServiceUnavailable', 'transient', { effect: 'unknown' }),
  { name: 'empty 403', status: 403, body: '', kind: 'transient', effect: 'unknown' },
  { name: 'empty 404', status: 404, body: '', kind: 'transient', effect: 'unknown' },
  {
    name: 'a gateway’s 404 in JSON',
    status: 404,
    headers: { 'content-type': 'application/json' },
    body: '{"message":"no such route"}',
    kind: 'transient',
    effect: 'unknown',
  },
  { name: 'empty success', status: 200, body: '', kind: 'transient', effect: 'unknown' },
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
]
