// Root may not run PostgreSQL. As root, the server's programs run as the system user `postgres`, made when it is missing.

import { execFile } from 'node:child_process'

/** Null: we are not root, and run the server ourselves. */
export type ServerUser = { readonly uid: number; readonly gid: number } | null

export interface Done {
  readonly code: number
  /** stdout and stderr. */
  readonly output: string
}

export const serverUser = async (): Promise<ServerUser> => {
  if (process.getuid?.() !== 0) return null
  const there = await idsOf('postgres')
  if (there !== null) return there
  const made = await runAs(null, 'useradd', [
    '--system',
    '--user-group',
    '--no-create-home',
    'postgres',
  ])
  const user = await idsOf('postgres')
  if (user === null) {
    throw new Error(
      `root may not run PostgreSQL, and the user "postgres" could not be made (${made.output.trim()}): ` +
        'run Rekey as another user or set REKEY_DATABASE_URL',
    )
  }
  return user
}

// Nothing of our own environment: it may hold credentials, and the server keeps what it was started with.
const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

/** Runs a program to its end, as `user`, without a shell. Never rejects: a program that is missing has code 127. */
export const runAs = (user: ServerUser, program: string, args: readonly string[]): Promise<Done> =>
  new Promise((done) => {
    execFile(
      program,
      args,
      { cwd: '/', env, maxBuffer: 4 * 1024 * 1024, ...user },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 127
        done({ code, output: `${stdout}${stderr}${code === 127 && error ? error.message : ''}` })
      },
    )
  })

const idsOf = async (name: string): Promise<ServerUser> => {
  const [uid, gid] = await Promise.all([
    runAs(null, 'id', ['-u', name]),
    runAs(null, 'id', ['-g', name]),
  ])
  return uid.code === 0 && gid.code === 0
    ? { uid: Number(uid.output), gid: Number(gid.output) }
    : null
}
