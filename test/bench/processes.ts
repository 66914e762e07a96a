// A role of `rekey` as a process of its own, with an environment of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
/** Those of `npm start`. */
const flags = String(
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).scripts.start,
)
  .split(' ')
  .filter((word) => word.startsWith('--'))

export interface Running {
  readonly pid: number
  stop(): Promise<void>
  /** `kill -9`. */
  kill(): Promise<void>
}

/** Resolves when the process says `ready`; rejects with what it said when it ends before. */
export const startRole = async (
  role: 'up' | 'worker',
  env: Readonly<Record<string, string>>,
  ready: string,
): Promise<Running> => {
  const child = spawn(process.execPath, [...flags, main, role], {
    env: {
      PATH: process.env['PATH'] ?? '',
      REKEY_LOG_LEVEL: 'warn',
      REKEY_METRICS_PORT: '0',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = once(child, 'exit')
  let said = ''
  await new Promise<void>((done, fail) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-4_000)
      if (said.includes(ready)) done()
    })
    void ended.then(() => fail(new Error(`rekey ${role} ended: ${said}`)))
  })
  return {
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
