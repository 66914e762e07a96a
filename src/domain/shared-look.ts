// A look at something large for whoever asks at about the same time: they share one.

/** The answer of `look`, shared for so many milliseconds. One that failed is not kept. `nowMs` may go back. */
export const sharedLook = <T>(
  forMs: number,
  nowMs: () => number,
  look: () => Promise<T>,
): (() => Promise<T>) => {
  let last: { readonly at: number; readonly answer: Promise<T> } | null = null
  return async () => {
    const at = nowMs()
    const mine = last !== null && Math.abs(at - last.at) < forMs ? last : { at, answer: look() }
    last = mine
    try {
      return await mine.answer
    } catch (e) {
      if (last === mine) last = null
      throw e
    }
  }
}
