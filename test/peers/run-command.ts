import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

export interface Ran {
  readonly code: number
  /** The last lines of what the command said on either stream. */
  readonly tail: string
}

/** Runs a command to its end. While it is silent or long, `say` gets a line every 15 s, so that nobody thinks it hangs. */
export const runCommand = (
  command: string,
  args: readonly string[],
  at: {
    readonly cwd?: string
    readonly env?: NodeJS.ProcessEnv
    readonly say: (line: string) => void
    readonly what: string
  },
): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const started = Date.now()
    const child = spawn(command, args, {
      cwd: at.cwd,
      env: { ...process.env, ...at.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let tail = ''
    const keep = (chunk: Buffer): void => {
      tail = (tail + chunk.toString()).slice(-4000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const progress = setInterval(() => {
      const last = tail.trimEnd().split('\n').at(-1)?.trim().slice(0, 90) ?? ''
      at.say(`${at.what}: ${Math.round((Date.now() - started) / 1000)} s … ${last}`)
    }, 15_000)
    child.on('error', (error) => {
      clearInterval(progress)
      reject(error)
    })
    child.on('close', (code) => {
      clearInterval(progress)
      resolve({ code: code ?? 1, tail: tail.trimEnd().split('\n').slice(-12).join('\n') })
    })
  })

/** The first executable of that name on PATH, or null. */
export const which = (name: string, also: readonly string[] = []): string | null => {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), ...also]) {
    if (folder === '') continue
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      continue
    }
  }
  return null
}
