// What every verb runs in: the streams in the chosen format, the client, Ctrl-C, and the sentence for when it fails.

import type { Command } from 'commander'
import type { Client } from './client.ts'
import { Failure, interrupted } from './failure.ts'
import type { CliIo, Pane } from './io.ts'
import type { Frame, Live } from './live.ts'
import { outputOf, type Format } from './output.ts'

export interface Run {
  readonly io: CliIo
  readonly format: Format
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal
  client(): Promise<Client>
  /** Data, to stdout. */
  print(text: string): void
  /** A line of talk, to stderr; nothing with `-o json`, where stderr holds at most one problem. */
  talk(text: string): void
  /** Lines that are drawn again and again at the end of a terminal, one such at a time; talk goes above them. Null where
   *  nothing can be drawn. */
  live(pane: Pane, frame: Frame): Promise<Live | null>
}

export interface Task {
  /** As in "couldn't …". */
  readonly doing: string
  /** Commands to run next when it fails and the failure names none. */
  readonly next?: readonly string[]
  /** Said when Ctrl-C ends it. */
  readonly detached?: string
}

export interface Shell {
  readonly io: CliIo
  /** Runs a verb's work; what it throws is a Failure that says what was being done. */
  act(command: Command, task: Task, work: (run: Run) => Promise<void>): Promise<void>
}

export const makeShell = (io: CliIo): Shell => ({
  io,
  act: async (command, task, work) => {
    const interrupt = new AbortController()
    const stop = io.onInterrupt(() => interrupt.abort())
    const run = makeRun(io, outputOf(command), interrupt.signal)
    try {
      await io.trace.span(`rekey ${pathOf(command)}`, () => work(run))
      if (interrupt.signal.aborted) throw interrupted()
    } catch (error) {
      throw explained(error, command, task, interrupt.signal.aborted)
    } finally {
      stop()
    }
  },
})

const makeRun = (io: CliIo, format: Format, signal: AbortSignal): Run => {
  let client: Promise<Client> | undefined
  let drawing: Live | null = null
  const talk = (text: string): void => {
    if (format === 'json') return
    if (drawing === null) io.stderr.write(`${text}\n`)
    else drawing.above(text)
  }
  return {
    io,
    format,
    signal,
    print: (text) => io.stdout.write(text),
    talk,
    live: async (pane, frame) => {
      const { openLive } = await import('./live.ts')
      const live = openLive(pane, io.clock, frame)
      drawing = live
      return (
        live && {
          ...live,
          close: () => {
            drawing = null
            live.close()
          },
        }
      )
    },
    client: () => {
      client ??= connect(io, signal, talk)
      return client
    },
  }
}

const connect = async (
  io: CliIo,
  signal: AbortSignal,
  talk: (text: string) => void,
): Promise<Client> => {
  // Loaded by the verbs that speak to a server.
  const [{ makeClient }, { resolveTarget }] = await Promise.all([
    import('./client.ts'),
    import('./target.ts'),
  ])
  const target = await resolveTarget(io)
  for (const warning of target.warnings) talk(`warning: ${warning}`)
  return makeClient({ target, io, signal, talk })
}

const explained = (
  error: unknown,
  command: Command,
  task: Task,
  wasInterrupted: boolean,
): unknown => {
  const failure = wasInterrupted && !(error instanceof Failure) ? interrupted() : error
  if (!(failure instanceof Failure)) return failure
  const { info } = failure
  const next = info.code === 'cli.usage' ? [`rekey ${pathOf(command)} --help`] : task.next
  return failure.with({
    doing: info.doing ?? task.doing,
    ...(info.next === undefined && next !== undefined ? { next } : {}),
    ...(info.exit === 'interrupted' && info.hint === undefined && task.detached !== undefined
      ? { hint: task.detached }
      : {}),
  })
}

/** `freeze set` */
const pathOf = (command: Command): string =>
  command.parent?.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name()
