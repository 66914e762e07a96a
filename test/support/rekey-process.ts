// Rekey as its users run it: `rekey up` as a process group of its own, over a data directory that outlives it. It can be
// killed as a crash kills (nothing is asked, nothing is finished) and started again in the same directory.
//
// The embedded PostgreSQL runs in a session of its own and survives the group. `kill({ database: true })` ends it as well,
// in the same moment and just as hard: a crash of the machine.

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '#test/peers/start-process.ts'
import { fastPlace } from './fast-place.ts'

export interface Reply {
  readonly status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- a reply is read as a client without types would read it
  readonly json: any
}

export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RekeyProcess {
  readonly url: string
  /** False from the moment of the kill until `/readyz` says yes again: then, and only then, it may be unreachable. */
  readonly up: () => boolean
  /** Starts it, again or for the first time, and resolves when `/readyz` answers 200. */
  readonly start: () => Promise<void>
  /** SIGKILL to the whole process group; with `database` also to PostgreSQL. */
  readonly kill: (also?: { readonly database: boolean }) => Promise<void>
  /** With the admin key. Throws only where the connection breaks. */
  readonly call: (
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<Reply>
  /** The same, or with another token, and anything but 2xx throws. */
  readonly ask: (
    method: string,
    path: string,
    body?: unknown,
    as?: string,
  ) => Promise<Reply['json']>
  /** All items of a list. */
  readonly list: (path: string) => Promise<readonly Reply['json'][]>
  /** Connection string of the database's superuser, while it is up. */
  readonly databaseUrl: () => Promise<string>
  /** What the process of the last start said. */
  readonly output: () => string
  /** Its data directory. */
  readonly dir: string
  /** SIGTERM, as an orchestrator stops it; resolves with its exit code. */
  readonly shut: () => Promise<number | null>
  /** Runs `rekey` with these arguments in its surroundings, to the end. */
  readonly rekey: (...args: readonly string[]) => Promise<CommandResult>
  /** SIGTERM, and the directory is removed. */
  readonly stop: () => Promise<void>
}

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const startMs = 180_000

/** `more`: variables of the process beside its own. */
export const openRekey = async (
  more: Readonly<Record<string, string>> = {},
): Promise<RekeyProcess> => {
  const dir = await mkdtemp(join(await fastPlace(), 'rekey-process-'))
  // The user that PostgreSQL runs as must get through.
  await chmod(dir, 0o711)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const postmaster = join(dir, 'postgres', 'postmaster.pid')
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith('REKEY_'))
  const env = {
    ...Object.fromEntries(others),
    REKEY_DATA_DIR: dir,
    REKEY_PORT: String(port),
    REKEY_METRICS_PORT: '0',
    REKEY_SAMPLES: 'off',
    REKEY_RATE_LIMIT: '1000000',
    REKEY_LOG_LEVEL: 'warn',
    ...more,
  }
  let child: ChildProcess | null = null
  let gone: Promise<void> = Promise.resolve()
  let said = ''
  let up = false
  let token = ''
  endWithUs(dir, postmaster)

  const start = async (): Promise<void> => {
    said = ''
    const started = spawn(process.execPath, [main, 'up'], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child = started
    const keep = (chunk: Buffer): void => {
      said = (said + chunk.toString()).slice(-20_000)
    }
    started.stdout.on('data', keep)
    started.stderr.on('data', keep)
    gone = new Promise((resolve) => started.on('exit', () => resolve()))
    for (const end = Date.now() + startMs; ; await pause(50)) {
      if (started.exitCode !== null || started.signalCode !== null)
        throw new Error(`Rekey ended while it started:\n${said}`)
      if (Date.now() > end) throw new Error(`Rekey is not ready after ${startMs} ms:\n${said}`)
      const ready = await fetch(`${url}/readyz`).catch(() => null)
      await ready?.arrayBuffer().catch(() => undefined)
      if (ready?.status === 200) break
    }
    token = (await readFile(join(dir, 'admin-key'), 'utf8')).trim()
    up = true
  }

  const kill = async ({ database } = { database: false }): Promise<void> => {
    const server = database ? await pidIn(postmaster) : null
    up = false
    if (child?.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    if (server !== null) process.kill(server, 'SIGKILL')
    await gone
    child = null
  }

  const call: RekeyProcess['call'] = async (method, path, body, headers = {}) => {
    const reply = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await reply.text()
    return { status: reply.status, json: text === '' ? null : JSON.parse(text) }
  }

  const ask: RekeyProcess['ask'] = async (method, path, body, as = token) => {
    const headers: Record<string, string> = {
      authorization: `Bearer ${as}`,
      ...(method === 'POST' ? { 'idempotency-key': randomUUID() } : {}),
    }
    const { status, json } = await call(method, path, body, headers)
    if (status < 200 || status > 299)
      throw new Error(`${method} ${path}: ${status} ${JSON.stringify(json)}\n${said.slice(-4_000)}`)
    return json
  }

  return {
    url,
    up: () => up,
    start,
    kill,
    call,
    ask,
    list: async (path) => {
      const items: unknown[] = []
      const at = new URL(path, url)
      for (let cursor: string | null = ''; cursor !== null;) {
        if (cursor !== '') at.searchParams.set('cursor', cursor)
        const page = await ask('GET', `${at.pathname}${at.search}`)
        items.push(...page.items)
        cursor = page.nextCursor
      }
      return items
    },
    databaseUrl: async () =>
      JSON.parse(await readFile(join(dir, 'run.json'), 'utf8')).database.roles.superuser,
    output: () => said,
    dir,
    shut: async () => {
      up = false
      const ending = child
      ending?.kill('SIGTERM')
      await gone
      return ending?.exitCode ?? null
    },
    rekey: (...args) =>
      new Promise((resolve) => {
        execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) =>
          resolve({
            code: typeof error?.code === 'number' ? error.code : error ? 1 : 0,
            stdout,
            stderr,
          }),
        )
      }),
    stop: async () => {
      up = false
      child?.kill('SIGTERM')
      const ended = await Promise.race([gone.then(() => true), pause(90_000, false)])
      if (!ended && child?.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      const server = await pidIn(postmaster)
      if (server !== null) process.kill(server, 'SIGKILL')
      await gone
      await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
    },
  }
}

/** Null where there is no such file, or no process of its id. */
const pidIn = async (file: string): Promise<number | null> => {
  const pid = Number((await readFile(file, 'utf8').catch(() => '')).split('\n')[0])
  if (!Number.isInteger(pid) || pid <= 1) return null
  try {
    process.kill(pid, 0)
    return pid
  } catch {
    return null
  }
}

/** A run that is killed cannot stop what it started in sessions of their own; somebody must, or they pile up. */
const endWithUs = (dir: string, postmaster: string): void => {
  const script = `while kill -0 "$1" 2>/dev/null && test -d "$2"; do sleep 2; done
    test -d "$2" || exit 0
    pid=$(sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p' "$2/run.json" 2>/dev/null)
    test -n "$pid" && kill -9 "$pid"
    test -f "$3" && kill -QUIT "$(head -n 1 "$3")" && sleep 2
    rm -rf "$2"`
  spawn('sh', ['-c', script, 'sh', String(process.pid), dir, postmaster], {
    detached: true,
    stdio: 'ignore',
  }).unref()
}
