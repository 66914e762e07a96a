// Who may work at once, when only so many may.

export type Turns = <T>(work: () => Promise<T>) => Promise<T>

/** `most` at once; the others wait in the order in which they came. */
export const makeTurns = (most: number): Turns => {
  const waiting: (() => void)[] = []
  let taken = 0
  return async (work) => {
    if (taken < most) taken += 1
    // Whoever ends hands its turn on.
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else taken -= 1
    }
  }
}
