// What a caller believes about the present state of what it writes (If-Match, If-None-Match), and the one check of it.

import { RekeyError } from './errors.ts'

export interface Precondition {
  /** Revisions that the caller accepts; `any`: it must exist; null: not said. */
  readonly match: readonly number[] | 'any' | null
  /** It must not exist yet. */
  readonly absent: boolean
}

/** For writes that ask for nothing: new things, and callers inside the house. */
export const noPrecondition: Precondition = { match: null, absent: false }

/** `revision` is the present one; null where there is nothing. What exists is replaced or deleted only by who names its
 *  revision. Throws `precondition.required` (428) or `precondition.failed` (412). Check again by compare-and-swap when
 *  writing: this one answers the caller, that one decides. */
export const checkPrecondition = (said: Precondition, revision: number | null): void => {
  if (revision === null) {
    if (said.match !== null) {
      throw new RekeyError('precondition.failed', {
        detail: 'If-Match was sent and there is no such resource',
      })
    }
    return
  }
  if (said.absent) {
    throw new RekeyError('precondition.failed', {
      detail: 'If-None-Match: * was sent and the resource exists',
      hint: 'Read it, then send If-Match with its ETag to replace it.',
    })
  }
  if (said.match === null) {
    throw new RekeyError('precondition.required', {
      detail: 'The resource exists: say which revision you have seen',
      hint: 'Read it, then send its ETag as If-Match.',
    })
  }
  if (said.match !== 'any' && !said.match.includes(revision)) {
    throw new RekeyError('precondition.failed', {
      detail: 'The resource has another revision than If-Match says',
      hint: 'Read it again, apply your change to what you find, and send its new ETag.',
    })
  }
}
