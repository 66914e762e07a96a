// A process of its own for somebody else's native code (`ProviderPorts.nativeProcess`): callers have it to themselves in turn,
// and it may die at any time without taking Rekey with it.
//
// What a death, or a deadline, leaves: a native call cannot be cancelled, so whoever waits no longer kills the process. What
// was sent then may have had its effect (`unknown`), what still stood in the line has none. The next request starts another
// process: at once after a single death, and after a pause that grows with every further one in a row.

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type NativeProcess, ProviderError, type SendNative } from '#domain/provider.ts'

interface Reply {
  readonly number: number
  readonly reply: unknown
}

export interface NativeProcessDeps {
  readonly now: () => Date
  /** All that it gets of the environment. */
  readonly env: () => Readonly<Record<string, string>>
}

const firstPauseMs = 250
const longestPauseMs = 30_000
/** Starting again is cheap; 40 MB for what nobody asks for are not. */
const idleMs = 5 * 60_000

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

export const makeNativeProcess = (main: URL, { now, env }: NativeProcessDeps): NativeProcess => {
  let child: ChildProcess | null = null
  /** Of the last that was started. */
  let number = 0
  let deaths = 0
  let notBefore = 0
  let closed = false
  let asked = 0
  let idle: NodeJS.Timeout | undefined
  /** The request that was sent. */
  let waiting: (Waiting & { readonly number: number }) | null = null
  /** Resolves when the last one in the line has had its turn. */
  let line: Promise<unknown> = Promise.resolve()

  const died = (of: ChildProcess): void => {
    if (child !== of) return
    child = null
    clearTimeout(idle)
    waiting?.reject(
      new ProviderError('outcomeUnknown', 'unknown', 'the process of the library ended'),
    )
    waiting = null
  }

  const start = (): ChildProcess => {
    const leftMs = notBefore - now().getTime()
    if (leftMs > 0) {
      throw new ProviderError('transient', 'none', 'the process of the library has just died', {
        retryAfterMs: Math.min(leftMs, longestPauseMs),
      })
    }
    const made = fork(fileURLToPath(main), [], {
      env: env(),
      execArgv: ['--disable-warning=ExperimentalWarning'],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    // It does not keep Rekey alive.
    made.unref()
    made.channel?.unref()
    made.on('message', ({ number: of, reply }: Reply) => {
      if (child !== made || waiting?.number !== of) return
      deaths = 0
      waiting.resolve(reply)
      waiting = null
    })
    const ended = (): void => {
      if (child !== made) return
      deaths += 1
      const pauseMs = deaths < 2 ? 0 : Math.min(longestPauseMs, firstPauseMs * 2 ** (deaths - 2))
      notBefore = now().getTime() + pauseMs
      died(made)
    }
    made.on('exit', ended)
    made.on('error', ended)
    child = made
    number += 1
    return made
  }

  const drop = (): void => {
    const of = child
    if (!of) return
    of.kill('SIGKILL')
    died(of)
  }

  const send = (to: ChildProcess, request: unknown, signal: AbortSignal): Promise<unknown> => {
    clearTimeout(idle)
    return new Promise((resolve, reject) => {
      const of = ++asked
      const abort = (): void => {
        reject(new ProviderError('timeout', 'unknown', 'the library did not answer in time'))
        drop()
      }
      const over =
        <T>(then: (value: T) => void) =>
        (value: T): void => {
          signal.removeEventListener('abort', abort)
          idle = setTimeout(drop, idleMs).unref()
          then(value)
        }
      waiting = { number: of, resolve: over(resolve), reject: over(reject) }
      signal.addEventListener('abort', abort, { once: true })
      to.send({ number: of, request }, (error) => {
        if (error) died(to)
      })
    })
  }

  const sendInTurn = (signal: AbortSignal): SendNative => {
    let mine: ChildProcess | null = null
    return async (request) => {
      if (closed) throw new ProviderError('transient', 'none', 'the session is closed')
      if (signal.aborted) throw notSent()
      mine ??= child ?? start()
      if (mine !== child) {
        throw new ProviderError('transient', 'none', 'the process of the library has just ended')
      }
      return send(mine, request, signal)
    }
  }

  return {
    lives: () => (child === null ? null : number),
    turn: async (work, signal) => {
      const before = line
      let leave = (): void => undefined
      line = new Promise<void>((resolve) => (leave = resolve))
      try {
        await Promise.race([before, aborted(signal)])
        return await work(sendInTurn(signal))
      } finally {
        // Whoever gave up in the line still stands in it for those behind.
        void before.then(leave)
      }
    },
    drop,
    close: () => {
      closed = true
      drop()
    },
  }
}

const notSent = (): ProviderError =>
  new ProviderError('timeout', 'none', 'the time was over before anything was asked')

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal.aborted) reject(notSent())
    else signal.addEventListener('abort', () => reject(notSent()), { once: true })
  })
