// The real terminal: the only place of the command line that touches the process.

import { createInterface } from 'node:readline/promises'
import { text as textOf } from 'node:stream/consumers'
import type { Clock, Ids } from '#domain/ports.ts'
import type { CliIo, Pane } from './io.ts'

export const processIo = (deps: {
  readonly clock: Clock
  readonly ids: Pick<Ids, 'next'>
  readonly trace: CliIo['trace']
}): CliIo => ({
  env: process.env,
  cwd: process.cwd(),
  // `rekey get keys | head` is not an error.
  stdout: pane(process.stdout, () => process.exit(0)),
  // Nobody listens to the talk any more; the work goes on.
  stderr: pane(process.stderr, () => undefined),
  // Questions are talk: they go to stderr, and stdout may well be a file. Only a verb that asks opens stdin.
  get interactive() {
    return process.stdin.isTTY && process.stderr.isTTY
  },
  ask: (question) => (canMoveCursor(process.stderr) ? ask(question) : askPlainly(question)),
  readInput: () => textOf(process.stdin),
  trace: deps.trace,
  clock: deps.clock,
  ids: deps.ids,
  fetch: globalThis.fetch,
  onInterrupt: (listener) => {
    // Once: the second Ctrl-C ends the process, as it would without us.
    process.once('SIGINT', listener)
    return () => process.off('SIGINT', listener)
  },
})

const pane = (stream: NodeJS.WriteStream, onClosed: () => void): Pane => {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    onClosed()
  })
  return {
    isTerminal: stream.isTTY,
    size: () =>
      stream.isTTY && canMoveCursor(stream) ? { columns: stream.columns, rows: stream.rows } : null,
    write: (text) => {
      stream.write(text)
    },
  }
}

const ask = async (question: string): Promise<string | null> => {
  // Loaded here: most commands never ask.
  const { isCancel, text } = await import('@clack/prompts')
  const answer = await text({ message: question, output: process.stderr })
  return isCancel(answer) ? null : answer
}

/** A terminal without a width (a bare pty of some container) cannot be drawn on either. */
const canMoveCursor = ({ columns, rows }: NodeJS.WriteStream): boolean =>
  process.env['TERM'] !== 'dumb' && columns > 0 && rows > 0

/** For terminals that cannot move their cursor. */
const askPlainly = async (question: string): Promise<string | null> => {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const gaveUp = new AbortController()
  terminal.once('SIGINT', () => gaveUp.abort())
  terminal.once('close', () => gaveUp.abort())
  try {
    return await terminal.question(`${question}: `, { signal: gaveUp.signal })
  } catch {
    return null
  } finally {
    terminal.close()
  }
}
