// ETag, If-Match and If-None-Match (RFC 9110 §13.1) over revisions: `"7"` is revision 7. All tags are strong.

import { RekeyError } from '#domain/errors.ts'
import type { Precondition } from '#domain/precondition.ts'

export const etagOf = (revision: number): string => `"${revision}"`

/** What If-Match takes: tags with their quotes, or `*`. */
export const etagPattern = '^(?:\\*|"[0-9]{1,16}"(?:, ?"[0-9]{1,16}")*)$'

const tag = /^\s*"([^"]*)"\s*$/

/** A well-formed tag that is none of ours matches nothing: 412. A malformed header is 400. */
export const readPrecondition = (
  ifMatch: string | undefined,
  ifNoneMatch: string | undefined,
): Precondition => {
  if (ifNoneMatch !== undefined && ifNoneMatch.trim() !== '*') {
    throw malformed('If-None-Match', 'If-None-Match takes only * here: create, never replace.')
  }
  if (ifMatch !== undefined && ifNoneMatch !== undefined) {
    throw malformed('If-None-Match', 'If-Match and If-None-Match exclude each other.')
  }
  return {
    match: ifMatch === undefined ? null : readTags(ifMatch),
    absent: ifNoneMatch !== undefined,
  }
}

const readTags = (header: string): readonly number[] | 'any' => {
  if (header.trim() === '*') return 'any'
  return header.split(',').flatMap((part) => {
    const [, value] = tag.exec(part) ?? []
    if (value === undefined) {
      throw malformed(
        'If-Match',
        'If-Match takes the ETag of the resource as it was sent, with its quotes.',
      )
    }
    return /^[1-9][0-9]{0,15}$/.test(value) ? [Number(value)] : []
  })
}

const malformed = (header: string, detail: string): RekeyError =>
  new RekeyError('request.invalid', { detail, errors: [{ pointer: `/headers/${header}`, detail }] })
