// `<data>/run.json`: who holds the directory, and where its database is. It is there while Rekey runs, readable by its owner only.
// Taken before anything else is touched: two processes over one embedded database would stop it under each other.
//
// A killed process leaves the file. It is taken over when no process of that id lives, or one that began after the file was
// written (the id was given again). Of a process on another host nobody here can tell: two containers over one volume both have
// the id 1. The directory is taken over all the same, since a container that is made anew has another name; but not what the
// other one holds in the database. Its leases run out by themselves where it is dead.

import { link, mkdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { JsonObject } from '#domain/json.ts'

export interface RunInfo {
  readonly pid: number
  /** What the process is called in the database and the log; empty where it has no name there. */
  readonly instance: string
  readonly url: string
  /** RFC 3339. */
  readonly startedAt: string
  readonly database: JsonObject | null
}

export interface HeldDirectory {
  /** Whoever held it before, and died without letting go; without its instance where it was on another host. */
  readonly died: RunInfo | null
  /** Replaces what the file says, in one step. */
  tell(info: RunInfo): Promise<void>
  release(): Promise<void>
}

export class DirectoryHeld extends Error {
  readonly info: RunInfo

  constructor(directory: string, info: RunInfo) {
    super(
      `process ${info.pid} holds ${directory} since ${info.startedAt}${info.url ? ` and serves ${info.url}` : ''}; stop it first, or set REKEY_DATA_DIR to another directory`,
    )
    this.name = 'DirectoryHeld'
    this.info = info
  }
}

export const holdDirectory = async (
  directory: string,
  info: RunInfo,
  host = hostname(),
): Promise<HeldDirectory> => {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, 'run.json')
  const mine = `${path}.${info.pid}`
  const write = (next: RunInfo): Promise<void> =>
    writeFile(mine, `${JSON.stringify({ ...next, host }, null, 2)}\n`, { mode: 0o600 })
  await write(info)
  let died: RunInfo | null
  try {
    died = await takeName(directory, path, { mine, host })
  } finally {
    await rm(mine, { force: true })
  }
  return {
    died,
    async tell(next) {
      await write(next)
      await rename(mine, path)
    },
    release: () => rm(path, { force: true }),
  }
}

/** `link` fails where the name is taken: of two that start at once, one gets it. Returns the dead holder that it follows. */
const takeName = async (
  directory: string,
  path: string,
  { mine, host }: { readonly mine: string; readonly host: string },
): Promise<RunInfo | null> => {
  let died: RunInfo | null = null
  for (let tries = 0; tries < 3; tries++) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- tried again once the stale file is gone
      await link(mine, path)
      return died
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error
    }
    // oxlint-disable-next-line no-await-in-loop -- see above
    const holder = await readHolder(path, host)
    // oxlint-disable-next-line no-await-in-loop -- see above
    if (holder && (await lives(holder))) throw new DirectoryHeld(directory, holder)
    died = holder
    // oxlint-disable-next-line no-await-in-loop -- see above
    await unlink(path).catch(() => undefined)
  }
  throw new Error(`couldn't take ${path}: others take it at the same time`)
}

const readHolder = async (path: string, host: string): Promise<RunInfo | null> => {
  try {
    const info: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (
      typeof info !== 'object' ||
      info === null ||
      !('pid' in info) ||
      !Number.isInteger(info.pid)
    )
      return null
    const text = (name: string): string => {
      const value: unknown = Object.entries(info).find(([key]) => key === name)?.[1]
      return typeof value === 'string' ? value : ''
    }
    return {
      pid: Number(info.pid),
      instance: text('host') === host ? text('instance') : '',
      url: text('url'),
      startedAt: text('startedAt'),
      database: null,
    }
  } catch {
    return null
  }
}

const lives = async ({ pid, startedAt }: RunInfo): Promise<boolean> => {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return isCode(error, 'EPERM')
  }
  const began = await beginningOf(pid)
  // A second's grace: the kernel counts in ticks since boot.
  return began === null || began <= Date.parse(startedAt) + 1_000
}

/** When a process began, by the kernel (Linux); null where that is not known. */
const beginningOf = async (pid: number): Promise<number | null> => {
  try {
    const [status, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile('/proc/stat', 'utf8'),
    ])
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(fields[19])
    const bootTime = Number(/^btime (\d+)$/m.exec(boot)?.[1])
    return Number.isFinite(ticks) && Number.isFinite(bootTime) ? bootTime * 1000 + ticks * 10 : null
  } catch {
    return null
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
