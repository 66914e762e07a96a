// Moments as people write them: RFC 3339 with seconds and an offset.

import { Type } from 'typebox'

const pattern =
  '^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$'
const shape = new RegExp(pattern)

export const timestampSchema = Type.String({
  pattern,
  description: 'a date and time with offset such as 2026-12-18T00:00:00Z',
})

/** Null where the text is not RFC 3339, or names a moment that does not exist or that PostgreSQL would write otherwise (outside of
 *  the years 1 to 9999 in UTC). V8 itself reads 30 February as 2 March. */
export const parseTimestamp = (text: string): Date | null => {
  if (!shape.test(text)) return null
  const moment = new Date(text)
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`)
  if (Number.isNaN(moment.getTime()) || Number.isNaN(day.getTime())) return null
  const year = moment.getUTCFullYear()
  if (year < 1 || year > 9999) return null
  return day.toISOString().startsWith(text.slice(0, 10)) ? moment : null
}
