/** One path segment of foreign text. Dots alone would walk up the path. */
export const segment = (text: string): string => {
  if (/^\.*$/.test(text)) throw new RangeError('not a path segment')
  return encodeURIComponent(text)
}
