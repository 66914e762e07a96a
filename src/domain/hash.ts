// Spreading keys over time: the same key and occurrence always fall on the same moment, without a stored random number.

/** cyrb53 by bryc (github.com/bryc/code, jshash/experimental/cyrb53.js; public domain): 53 bits, inspired by MurmurHash.
 *  Not cryptographic: nobody gains by choosing when inside its jitter a key rotates. */
export const hash53 = (text: string): number => {
  let h1 = 0xdeadbeef
  let h2 = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    h1 = Math.imul(h1 ^ unit, 2654435761)
    h2 = Math.imul(h2 ^ unit, 1597334677)
  }
  h1 = Math.imul(h1 ^ (h1 >>> 16), 2246822507)
  h1 ^= Math.imul(h2 ^ (h2 >>> 13), 3266489909)
  h2 = Math.imul(h2 ^ (h2 >>> 16), 2246822507)
  h2 ^= Math.imul(h1 ^ (h1 >>> 13), 3266489909)
  return 4294967296 * (2097151 & h2) + (h1 >>> 0)
}

/** From 0 to just below 1. */
export const unitHash = (keyId: string, occurrence: string): number =>
  hash53(`${keyId}\n${occurrence}`) / 2 ** 53
