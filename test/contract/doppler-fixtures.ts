// Answers of Doppler to a write, and what they mean. The statuses and the body are those of its API reference.

import type { Fixture } from './peer.ts'

const says = (...messages: readonly string[]): string =>
  JSON.stringify({ messages, success: false })

export const dopplerFixtures: readonly Fixture[] = [
  {
    name: 'bad request',
    status: 400,
    body: says('Invalid value'),
    kind: 'permanent',
    effect: 'none',
  },
  {
    name: 'another value was there',
    status: 400,
    body: says('The provided originalValue does not match'),
    kind: 'conflict',
    effect: 'none',
  },
  {
    name: 'change requests only',
    status: 400,
    body: says('This config is protected by a change request policy'),
    kind: 'precondition',
    effect: 'none',
  },
  {
    name: 'revoked token',
    status: 401,
    body: says('Invalid Auth token'),
    kind: 'auth',
    effect: 'none',
  },
  { name: 'no right', status: 403, body: says('No permission'), kind: 'forbidden', effect: 'none' },
  {
    name: 'no such config',
    status: 404,
    body: says('Could not find'),
    kind: 'notFound',
    effect: 'none',
  },
  { name: 'conflict', status: 409, body: says('Conflict'), kind: 'conflict', effect: 'none' },
  { name: 'too large', status: 413, body: says('Too large'), kind: 'permanent', effect: 'none' },
  {
    name: 'unprocessable',
    status: 422,
    body: says('Unprocessable'),
    kind: 'permanent',
    effect: 'none',
  },
  { name: 'throttled', status: 429, body: says('Too many'), kind: 'throttled', effect: 'none' },
  {
    name: 'inside of Doppler',
    status: 500,
    body: says('Error'),
    kind: 'transient',
    effect: 'unknown',
  },
  { name: 'unavailable', status: 503, body: says('Error'), kind: 'transient', effect: 'unknown' },
  { name: 'gateway', status: 504, body: '<html></html>', kind: 'transient', effect: 'unknown' },
  {
    name: 'a filter on the way',
    status: 403,
    body: '<html></html>',
    kind: 'transient',
    effect: 'unknown',
  },
  ...[400, 401, 403, 404, 409].map((status): Fixture => ({
    name: `a bare ${status}`,
    status,
    body: '',
    kind: 'transient',
    effect: 'unknown',
  })),
  {
    name: 'a gateway’s 404 in JSON',
    status: 404,
    body: '{"error":"no route"}',
    kind: 'transient',
    effect: 'unknown',
  },
  { name: 'an empty success', status: 200, body: '', kind: 'transient', effect: 'unknown' },
  { name: 'a redirect', status: 301, body: '', kind: 'precondition', effect: 'none' },
]
