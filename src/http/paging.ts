// Cursors: base64url of what the next page needs, with a MAC, so that a cursor works only where it was given: for this list,
// under this path, with this filter. It is no authorization: the page is read with the rights of who asks.

import { timingSafeEqual } from 'node:crypto'
import { RekeyError } from '#domain/errors.ts'
import type { Keyring, Page } from '#domain/ports.ts'

export const pageSize = { default: 50, max: 200 } as const

/** What a cursor is bound to. */
export interface ListIdentity {
  readonly path: string
  readonly query: Readonly<Record<string, unknown>>
}

export interface Cursors {
  encode(list: ListIdentity, after: string): string
  /** Throws `cursor.foreign` for anything that `encode` did not make for this list. */
  decode(list: ListIdentity, cursor: string): string
}

const macBytes = 16

export const makeCursors = (keyring: Pick<Keyring, 'mac' | 'macs'>): Cursors => {
  const text = (list: ListIdentity, after: string) =>
    JSON.stringify([list.path, filterOf(list.query), after])
  return {
    encode: (list, after) =>
      Buffer.concat([
        keyring.mac('cursor', text(list, after)).subarray(0, macBytes),
        Buffer.from(after, 'utf8'),
      ]).toString('base64url'),
    decode: (list, cursor) => {
      const bytes = Buffer.from(cursor, 'base64url')
      const after = bytes.subarray(macBytes).toString('utf8')
      const genuine =
        bytes.length > macBytes &&
        bytes.toString('base64url') === cursor &&
        keyring
          .macs('cursor', text(list, after))
          .some((mac) => timingSafeEqual(bytes.subarray(0, macBytes), mac.subarray(0, macBytes)))
      if (!genuine) {
        throw new RekeyError('cursor.foreign', {
          detail: 'The cursor was not given for this list and filter.',
          hint: 'Start at the first page again, without cursor.',
          errors: [{ pointer: '/query/cursor', detail: 'of another list or filter' }],
        })
      }
      return after
    },
  }
}

export const pageOf = (cursors: Cursors, list: ListIdentity): Page => {
  const { limit, cursor } = list.query
  return {
    limit: typeof limit === 'number' ? limit : pageSize.default,
    after: typeof cursor === 'string' ? cursors.decode(list, cursor) : null,
  }
}

/** The order of parameters does not matter, nor the size of the page. */
const filterOf = (query: ListIdentity['query']): readonly (readonly [string, unknown])[] =>
  Object.entries(query)
    .filter(([name]) => name !== 'limit' && name !== 'cursor')
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
