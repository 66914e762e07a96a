// What the command line needs of the outside, so that a test can be its terminal: streams, a person to ask, time, the network.

import type { Clock, Ids } from '#domain/ports.ts'

export interface Pane {
  write(text: string): void
  readonly isTerminal: boolean
  /** Of a terminal on which can be drawn: cells now. Null of everything else. */
  size(): Size | null
}

export interface Size {
  readonly columns: number
  readonly rows: number
}

export interface CliIo {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Relative paths (files of policies, the data directory) start here. */
  readonly cwd: string
  /** Data, and nothing else. */
  readonly stdout: Pane
  /** Talk: progress, questions, errors. */
  readonly stderr: Pane
  /** Whether somebody is there to answer. Where not, nothing is asked. */
  readonly interactive: boolean
  /** The answer, or null when the person gave up (Ctrl-C). */
  ask(question: string): Promise<string | null>
  /** All of standard input, for `-f -`. */
  readInput(): Promise<string>
  /** The trace that the command belongs to: its requests carry it on. */
  readonly trace: {
    /** W3C Trace Context; null: none. */
    traceparent(): string | null
    span<T>(name: string, work: () => Promise<T>): Promise<T>
  }
  readonly clock: Clock
  readonly ids: Pick<Ids, 'next'>
  readonly fetch: typeof globalThis.fetch
  /** Calls `listener` at the first Ctrl-C; the second one ends the process. Returns what stops listening. */
  onInterrupt(listener: () => void): () => void
}
