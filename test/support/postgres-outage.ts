// An embedded PostgreSQL that goes away and comes back, on the same port and with the same settings: as an operator restarts it.

import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { runAs, serverUser } from '#runtime/server-user.ts'

export interface PostgresOutage {
  /** Every session is ended; what was committed is kept. Resolves when nobody listens any more. */
  readonly begin: () => Promise<void>
  /** Resolves when it takes sessions again. */
  readonly end: () => Promise<void>
}

/** `directory`: of the cluster. */
export const outageOf = (directory: string): PostgresOutage => {
  const pgCtl = async (...args: readonly string[]): Promise<void> => {
    const started = await readFile(join(directory, 'postmaster.opts'), 'utf8')
    const program = join(dirname(started.split(' ')[0] ?? ''), 'pg_ctl')
    const done = await runAs(await serverUser(), program, [...args, '-D', directory, '-w'])
    if (done.code !== 0) throw new Error(`pg_ctl ${args.join(' ')}: ${done.output}`)
  }
  return {
    begin: () => pgCtl('stop', '-m', 'fast'),
    // `restart` is what reads the settings of the last start; that nothing runs does not stop it.
    end: () => pgCtl('restart', '-l', join(directory, 'server.log')),
  }
}
