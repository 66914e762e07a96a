// A server that is away for a while, as in a restart or a deployment, is waited for by whoever watches.

import { isFailure, type Failure } from './failure.ts'
import type { Run } from './shell.ts'

const outageMs = 120_000

/** Asks until it is answered. `patience` ends the waiting: then the last refusal is thrown; Ctrl-C throws `detached()`. */
export const patiently = async <T>(
  run: Run,
  patience: AbortSignal,
  detached: () => Failure,
  ask: () => Promise<T>,
): Promise<T> => {
  const since = run.io.clock.now().getTime()
  for (let waitMs = 500; ; waitMs = Math.min(waitMs * 2, 10_000)) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- repeated until it answers
      return await ask()
    } catch (error) {
      if (run.signal.aborted) throw detached()
      const away = run.io.clock.now().getTime() - since
      const unreachable = isFailure(error) && error.info.exit === 'unreachable'
      if (!unreachable || away > outageMs || patience.aborted) throw error
      if (waitMs === 500) run.talk('the server is away; still trying')
      // oxlint-disable-next-line no-await-in-loop -- spaces the tries
      await run.io.clock.pause(waitMs, AbortSignal.any([run.signal, patience]))
    }
  }
}
