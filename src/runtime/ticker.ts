/** Runs `work` every `ms`, never twice at once; a failed run is reported and the next one comes all the same. */
export interface Ticker {
  /** Resolves when the run under way has ended; no other begins. */
  stop(): Promise<void>
}

export const every = (
  ms: number,
  work: () => Promise<void>,
  onError: (error: unknown) => void,
): Ticker => {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let wake: (() => void) | undefined
  const loop = async (): Promise<void> => {
    while (!stopped) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one run at a time is the point
        await work()
      } catch (error) {
        onError(error)
      }
      // oxlint-disable-next-line no-await-in-loop -- the pause between two runs
      if (!stopped) await pause()
    }
  }
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve
      timer = setTimeout(resolve, ms)
    })
  const running = loop()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      wake?.()
      await running
    },
  }
}
