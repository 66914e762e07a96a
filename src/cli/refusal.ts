// From a problem document (RFC 9457) to a Failure: what the server said, and the command to run next.

import type { ErrorPlace } from '#domain/errors.ts'
import type { JsonObject } from '#domain/json.ts'
import { exitOfStatus } from './exit-codes.ts'
import { Failure } from './failure.ts'
import { plain, plainLines } from './human.ts'
import { numberAt, objectsAt, textAt } from './read-json.ts'

export const isProblem = (body: JsonObject): boolean =>
  textAt(body, 'code') !== '' && textAt(body, 'title') !== ''

export const failureOf = (
  problem: JsonObject,
  status: number,
  about: { readonly wrote: boolean; readonly tokenSource: string },
): Failure => {
  const code = textAt(problem, 'code')
  const detail = textAt(problem, 'detail')
  const hint = code === 'auth.missing' ? about.tokenSource : textAt(problem, 'hint')
  const requestId = textAt(problem, 'requestId')
  const next = nextAfter(code)
  return new Failure({
    code: plain(code),
    exit: code === 'service.unavailable' ? 'unreachable' : exitOfStatus(status),
    title: plain(textAt(problem, 'title')),
    ...(detail === '' ? {} : { detail: plainLines(detail) }),
    ...(hint === '' ? {} : { hint: plainLines(hint) }),
    errors: objectsAt(problem, 'errors').map(placeOf),
    // A refusal is an answer: the write did not happen. A server that broke may have done it.
    changed:
      about.wrote && status >= 500 && code === 'internal'
        ? 'unknown: the server failed'
        : 'nothing',
    ...(next === null ? {} : { next: [next] }),
    ...(requestId === '' ? {} : { requestId: plain(requestId) }),
    status,
    problem,
  })
}

/** Something answers, and it is not Rekey: a proxy, another program on the port. */
export const notRekey = (url: string, status: number, what: string): Failure =>
  new Failure({
    code: 'cli.notRekey',
    exit: 'unreachable',
    title: 'The server does not answer as Rekey does',
    detail: `${url} answered ${status} with ${plain(what)}`,
    hint:
      status >= 300 && status < 400
        ? 'redirects are not followed, since the token would travel: set REKEY_URL to the final address'
        : 'is REKEY_URL right?',
    next: [`curl -sS ${url}/readyz`],
    status,
  })

const placeOf = (error: JsonObject): ErrorPlace => {
  const file = textAt(error, 'file')
  const line = numberAt(error, 'line')
  const column = numberAt(error, 'column')
  return {
    pointer: plain(textAt(error, 'pointer')),
    detail: plain(textAt(error, 'detail')),
    ...(file === '' ? {} : { file: plain(file) }),
    ...(line === null ? {} : { line }),
    ...(column === null ? {} : { column }),
  }
}

/** The next command by code, where it does not depend on what was asked. */
const nextAfter = (code: string): string | null => {
  switch (code) {
    case 'auth.missing':
    case 'auth.invalid':
      return 'export REKEY_TOKEN_FILE=<file with a token>'
    case 'auth.denied':
      return 'rekey whoami'
    case 'freeze.active':
      return 'rekey freeze show'
    default:
      return null
  }
}
