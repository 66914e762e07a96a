// For work that must tidy up when the process is told to end: a server that it started, a half-written file, a lock.
//
// Nothing is torn down from the handler. The signal is only noted, the work ends at its next point (`mustGoOn` throws), and
// its own `finally`s let go of what it holds, in their order, before the process exits. A second signal ends it at once.

const signals = ['SIGINT', 'SIGTERM'] as const

export class Interrupted extends Error {
  constructor(signal: string) {
    super(`ended by ${signal}`)
    this.name = 'Interrupted'
  }
}

/** Runs `work` to its end, or to the first point after a signal. Rejects with Interrupted then, whatever failed by it. */
export const endOnSignal = async <T>(
  say: (line: string) => void,
  work: (mustGoOn: () => void) => Promise<T>,
): Promise<T> => {
  let came: string | null = null
  const onSignal = (signal: NodeJS.Signals): void => {
    stopListening()
    came = signal
    say(`${signal}: tidying up; once more ends it at once`)
  }
  const stopListening = (): void => signals.forEach((signal) => process.off(signal, onSignal))
  const mustGoOn = (): void => {
    if (came !== null) throw new Interrupted(came)
  }
  signals.forEach((signal) => process.on(signal, onSignal))
  try {
    return await work(mustGoOn)
  } catch (error) {
    mustGoOn()
    throw error
  } finally {
    stopListening()
  }
}
