// Commands that exchange a key of the installation wait for the processes that serve.

import type { HouseProcess } from '#domain/kek.ts'
import type { Clock, Processes } from '#domain/ports.ts'

/** Longer than any process that serves is silent. */
export const livingMs = 60_000
export const askAgainMs = 500

export interface Waiting {
  /** How long others are waited for. */
  readonly patienceMs: number
  readonly say: (line: string) => void
  /** Throws where the command was told to end, or is no longer the only one. */
  readonly mustGoOn: () => Promise<void>
}

/** Waits until it holds of every living process. One that died is counted for a minute. */
export const everyone = async (
  {
    processes,
    clock,
  }: {
    readonly processes: Pick<Processes, 'living'>
    readonly clock: Pick<Clock, 'deadline' | 'pause'>
  },
  { patienceMs, say, mustGoOn }: Waiting,
  wanted: {
    readonly holds: (process: HouseProcess) => boolean
    readonly what: string
    readonly hint: string
    readonly refuse: (detail: string, hint: string) => Error
  },
): Promise<void> => {
  const patience = clock.deadline(patienceMs)
  let told = ''
  for (;;) {
    // oxlint-disable no-await-in-loop -- asked again until it is so
    await mustGoOn()
    const lacking = (await processes.living(livingMs)).filter((one) => !wanted.holds(one))
    if (lacking.length === 0) return
    const names = lacking.map(
      ({ instance, host, pid }) => `${instance} (process ${pid} on ${host})`,
    )
    if (patience.aborted) {
      throw wanted.refuse(
        `${names.join(', ')} ${names.length === 1 ? 'does' : 'do'} not ${wanted.what}`,
        wanted.hint,
      )
    }
    if (told !== names.join()) say(`waiting for ${names.join(', ')} to ${wanted.what}`)
    told = names.join()
    await clock.pause(askAgainMs)
    // oxlint-enable no-await-in-loop
  }
}
