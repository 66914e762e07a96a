// Every way a verb can fail, in one shape: what, why, where, what was changed already, what to do next, which request.

import type { ErrorPlace } from '#domain/errors.ts'
import { exitCodes, type ExitName } from './exit-codes.ts'

export interface FailureInfo {
  /** Of the catalogue of the server's errors, or `cli.…` for what the command line found by itself. */
  readonly code: string
  readonly exit: ExitName
  /** What was being done: `rotate key/payments-db`. */
  readonly doing?: string
  /** The kind of failure in a few words, without the particulars. */
  readonly title: string
  /** Why, in one sentence. */
  readonly detail?: string
  readonly hint?: string
  readonly errors?: readonly ErrorPlace[]
  /** What was done before it failed. */
  readonly changed?: string
  /** Commands to run next. */
  readonly next?: readonly string[]
  readonly requestId?: string
  readonly status?: number
  /** What the server said, whole: `-o json` passes it on. */
  readonly problem?: Readonly<Record<string, unknown>>
  /** Text that already shows the places (excerpts with carets): printed instead of the list of `errors`. */
  readonly shown?: string
  readonly cause?: unknown
}

/** The only error that verbs throw on purpose. */
export class Failure extends Error {
  readonly info: FailureInfo

  constructor(info: FailureInfo) {
    super(info.detail ?? info.title, info.cause === undefined ? {} : { cause: info.cause })
    this.name = 'Failure'
    this.info = info
  }

  get exitCode(): number {
    return exitCodes[this.info.exit]
  }

  /** The same failure with more said about it. */
  with(more: Partial<FailureInfo>): Failure {
    return new Failure({ ...this.info, ...more })
  }
}

/** Not a failure: everything was printed, and the exit code says more than success. */
export class Leave extends Error {
  readonly exit: ExitName

  constructor(exit: ExitName) {
    super(exit)
    this.name = 'Leave'
    this.exit = exit
  }
}

export const isFailure = (e: unknown, code?: string): e is Failure =>
  e instanceof Failure && (code === undefined || e.info.code === code)

export const usage = (detail: string, more: Partial<FailureInfo> = {}): Failure =>
  new Failure({
    code: 'cli.usage',
    exit: 'usage',
    title: 'Wrong usage',
    detail,
    changed: 'nothing',
    ...more,
  })

export const interrupted = (more: Partial<FailureInfo> = {}): Failure =>
  new Failure({ code: 'cli.interrupted', exit: 'interrupted', title: 'Interrupted', ...more })
