/** Runs `work` every `ms`, never twice at once; a failed run is reported and the next one comes all the same. */
export interface Ticker {
  /** Runs now, or once more when the run under way has ended. */
  now(): void
  /** Resolves when the run under way has ended; no other begins. */
  stop(): Promise<void>
}

export const every = (
  ms: number,
  work: () => Promise<void>,
  onError: (error: unknown) => void,
): Ticker => {
  let stopped = false
  let again = false
  let timer: NodeJS.Timeout | undefined
  let wake: (() => void) | undefined
  const loop = async (): Promise<void> => {
    while (!stopped) {
      again = false
      try {
        // oxlint-disable-next-line no-await-in-loop -- one run at a time is the point
        await work()
      } catch (error) {
        onError(error)
      }
      // oxlint-disable-next-line no-await-in-loop -- the pause between two runs
      if (!stopped && !again) await pause()
    }
  }
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve
      timer = setTimeout(resolve, ms)
    })
  const running = loop()
  return {
    now() {
      again = true
      clearTimeout(timer)
      wake?.()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      wake?.()
      await running
    },
  }
}
