import { expect, test } from 'vitest'
import { parseTraceparent } from '#domain/traceparent.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'

test('the header of W3C Trace Context is read, also of a later version with more fields', () => {
  const read = { traceId, spanId }
  expect(parseTraceparent(`00-${traceId}-${spanId}-01`)).toEqual({ ...read, flags: 1 })
  expect(parseTraceparent(`00-${traceId}-${spanId}-ff`)).toEqual({ ...read, flags: 255 })
  expect(parseTraceparent(`cc-${traceId}-${spanId}-00`)).toEqual({ ...read, flags: 0 })
  expect(parseTraceparent(`cc-${traceId}-${spanId}-01-what-the-future`)).toEqual({
    ...read,
    flags: 1,
  })
})

test.each([
  ['nothing', ''],
  ['more fields than version 00 has', `00-${traceId}-${spanId}-01-more`],
  ['the version that is none', `ff-${traceId}-${spanId}-01`],
  ['a trace of zeros', `00-${'0'.repeat(32)}-${spanId}-01`],
  ['a span of zeros', `00-${traceId}-${'0'.repeat(16)}-01`],
  ['capitals', `00-${traceId.toUpperCase()}-${spanId}-01`],
  ['a trace that is too short', `00-${traceId.slice(1)}-${spanId}-01`],
  ['something before it', ` 00-${traceId}-${spanId}-01`],
  ['something after it', `cc-${traceId}-${spanId}-01.`],
])('%s is no trace', (_what, text) => {
  expect(parseTraceparent(text)).toBeNull()
})

test('ids that only begin or end with zeros are ids', () => {
  const padded = { traceId: `${'0'.repeat(31)}1`, spanId: `1${'0'.repeat(15)}` }
  expect(parseTraceparent(`00-${padded.traceId}-${padded.spanId}-00`)).toEqual({
    ...padded,
    flags: 0,
  })
})
