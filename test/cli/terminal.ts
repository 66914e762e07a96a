// A terminal that a test holds: what was written, what is answered, Ctrl-C. Pauses are twenty times shorter than asked for.

import { mkdtemp, mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { runCli } from '#cli/cli.ts'
import type { CliIo } from '#cli/io.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeIds } from '#runtime/ids.ts'

export interface Terminal {
  readonly cwd: string
  /** What is run there, to its exit code. */
  run(...argv: readonly string[]): Promise<Ran>
  /** The same, while it goes on. */
  start(...argv: readonly string[]): Started
  file(name: string, text: string): Promise<void>
}

export interface Ran {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
  readonly questions: readonly string[]
}

export interface Started {
  readonly ended: Promise<Ran>
  interrupt(): void
  stdout(): string
  stderr(): string
}

export interface TerminalOptions {
  readonly env?: Readonly<Record<string, string>>
  /** What the person types, question by question; none: nobody is there. */
  readonly answers?: readonly (string | null)[]
  /** What the person types to every question. */
  readonly always?: string
  readonly input?: string
  /** A new one where not said. */
  readonly cwd?: string
  readonly fetch?: typeof globalThis.fetch
  readonly colours?: boolean
  /** One that can be drawn on. */
  readonly size?: { readonly columns: number; readonly rows: number }
  readonly traceparent?: string
}

const hurry = 20

export const openTerminal = async (options: TerminalOptions = {}): Promise<Terminal> => {
  const cwd = options.cwd ?? (await mkdtemp(join(tmpdir(), 'rekey-cli-')))
  const start = (...argv: readonly string[]): Started => {
    const out: string[] = []
    const err: string[] = []
    const questions: string[] = []
    const answers = [...(options.answers ?? [])]
    const listeners = new Set<() => void>()
    const isTerminal = options.colours === true || options.size !== undefined
    const size = () => options.size ?? null
    const io: CliIo = {
      env: options.env ?? {},
      cwd,
      stdout: { isTerminal, write: (text) => void out.push(text), size },
      stderr: { isTerminal, write: (text) => void err.push(text), size },
      interactive: options.answers !== undefined || options.always !== undefined,
      ask: async (question) => {
        questions.push(question)
        const answer = answers.length > 0 ? answers.shift() : options.always
        if (answer === undefined) throw new Error(`nobody answers: ${question}`)
        return answer
      },
      readInput: async () => options.input ?? '',
      trace: { traceparent: () => options.traceparent ?? null, span: (_name, work) => work() },
      clock: { ...systemClock, pause: (ms, signal) => systemClock.pause(ms / hurry, signal) },
      ids: makeIds(systemClock),
      fetch: options.fetch ?? globalThis.fetch,
      onInterrupt: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }
    return {
      ended: runCli(argv, io).then((exit) => ({
        exit,
        stdout: out.join(''),
        stderr: err.join(''),
        questions,
      })),
      interrupt: () => listeners.forEach((listener) => listener()),
      stdout: () => out.join(''),
      stderr: () => err.join(''),
    }
  }
  return {
    cwd,
    start,
    run: (...argv) => start(...argv).ended,
    file: async (name, text) => {
      const path = join(cwd, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, text)
    },
  }
}

/** Until it is so, for at most five seconds. */
export const eventually = async (check: () => boolean): Promise<void> => {
  for (let i = 0; i < 500; i++) {
    if (check()) return
    await systemClock.pause(10)
  }
  throw new Error('it did not come to that')
}
