// Text of any code points but halves of pairs: the strings of fast-check's `unit: 'binary'`, which spends seconds of every
// process on a table of all characters, so that it can shrink what somebody else made.

import fc from 'fast-check'

const halfOfAPair = { from: 0xd800, to: 0xdfff }
const width = halfOfAPair.to - halfOfAPair.from + 1

const character = fc
  .integer({ min: 0, max: 0x10ffff - width })
  .map((n) => String.fromCodePoint(n < halfOfAPair.from ? n : n + width))

/** As long as `fc.string` makes them. */
export const anyText = (limits: { readonly maxLength?: number } = {}) =>
  fc.string({ ...limits, unit: character })
