// A real terminal: a pane of a tmux server of its own, in which one command runs. What a person would see is read from it.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { peers } from '#test/peers/peers.ts'

export interface TmuxOptions {
  readonly columns: number
  readonly rows: number
  readonly env: Readonly<Record<string, string>>
  /** For `sh`. Its exit code is shown as `exit N` when it ends. */
  readonly command: string
}

export interface Tmux {
  /** The lines of the screen, without what was scrolled out of it. */
  screen(): Promise<string>
  /** All lines, wrapped ones joined. */
  history(): Promise<string>
  /** The screen with its escape sequences. */
  coloured(): Promise<string>
  keys(...names: readonly string[]): Promise<void>
  resize(columns: number, rows: number): Promise<void>
  /** Until the screen shows it. */
  until(shown: string | RegExp): Promise<string>
  close(): Promise<void>
}

/** Without what a build server says about colours: the terminal under test is one of a person. */
const { NO_COLOR: _none, FORCE_COLOR: _forced, CI: _ci, ...plain } = process.env

export const openTmux = async ({ columns, rows, env, command }: TmuxOptions): Promise<Tmux> => {
  const socket = `rekey-${randomBytes(6).toString('hex')}`
  const tmux = async (...args: readonly string[]): Promise<string> =>
    (
      await promisify(execFile)(
        peers.tmux.find() ?? 'tmux',
        ['-L', socket, '-f', '/dev/null', ...args],
        { env: plain },
      )
    ).stdout
  const size = ['-x', String(columns), '-y', String(rows)]
  const variables = Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`])
  // Ctrl-C is for the command, not for what shows how it ended.
  const shell = `trap : INT; ${command}; echo "exit $?"; sleep 600`
  await tmux('new-session', '-d', ...size, ...variables, 'sh', '-c', shell)
  await tmux('set-option', '-g', 'status', 'off')
  await tmux('resize-window', ...size)
  const screen = async (): Promise<string> => (await tmux('capture-pane', '-p')).trimEnd()
  return {
    screen,
    history: async () => (await tmux('capture-pane', '-p', '-J', '-S', '-')).trimEnd(),
    coloured: () => tmux('capture-pane', '-p', '-e'),
    keys: async (...names) => void (await tmux('send-keys', ...names)),
    resize: async (wide, high) => {
      await tmux('resize-window', '-x', String(wide), '-y', String(high))
    },
    until: async (shown) => {
      for (const end = Date.now() + 90_000; ; await pause(50)) {
        const text = await screen()
        if (typeof shown === 'string' ? text.includes(shown) : shown.test(text)) return text
        if (Date.now() > end) throw new Error(`the screen does not show ${shown}:\n${text}`)
      }
    },
    close: async () => void (await tmux('kill-server').catch(() => undefined)),
  }
}
