// `rekey api` and `rekey worker` as processes of their own over one PostgreSQL of their own: what production runs.
// Not a clone of the test database: Rekey does not start on a server that forgets what it promised.

import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startEmbeddedPostgres } from '#runtime/embedded-postgres.ts'
import { every } from '#runtime/ticker.ts'
import { bootstrap, type DatabaseUrls, withClient } from '#store/bootstrap.ts'
import { migrate } from '#store/migrate.ts'
import { freePort } from '#test/peers/start-process.ts'
import { fastPlace } from './fast-place.ts'

export interface Roles {
  readonly url: string
  readonly token: string
  readonly urls: DatabaseUrls
  /** Its data directory, which all processes share. */
  readonly dir: string
  /** Any status; the text as it came. */
  readonly call: (
    method: string,
    path: string,
    body?: unknown,
    token?: string,
  ) => Promise<{
    readonly status: number
    readonly text: string
    // oxlint-disable-next-line typescript/no-explicit-any -- a reply is read as a client without types would read it
    readonly json: any
  }>
  /** The same, and anything but 2xx throws. */
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  readonly ask: (method: string, path: string, body?: unknown) => Promise<any>
  /** Where each process tells its metrics: the API, then the workers. */
  readonly metrics: readonly string[]
  /** All that every process wrote. */
  readonly said: () => string
  /** One more worker. */
  readonly worker: () => Promise<StartedRole>
  readonly close: () => Promise<void>
}

export interface StartedRole {
  /** SIGTERM, as an orchestrator stops it. Resolves with its exit code; null: it had to be killed after a minute and a half. */
  readonly term: () => Promise<number | null>
  /** SIGKILL, as a crash ends it: nothing is asked, nothing is finished. */
  readonly kill: () => Promise<void>
  /** SIGSTOP: it stands still, with all its connections open, until SIGCONT. */
  readonly freeze: () => void
  readonly thaw: () => void
  readonly said: () => string
}

export interface RolesOptions {
  readonly workers?: number
  readonly env?: Readonly<Record<string, string>>
  /** Keys are due to be compared with their provider every second: more often than may be configured. */
  readonly comparing?: true
}

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export const openRoles = async ({
  workers = 1,
  env = {},
  comparing,
}: RolesOptions = {}): Promise<Roles> => {
  const dir = await mkdtemp(join(await fastPlace(), 'rekey-roles-'))
  // The user that PostgreSQL runs as must get through.
  await chmod(dir, 0o711)
  const server = await startEmbeddedPostgres({ dataDir: dir, initdbFlags: ['--no-sync'] })
  stopWithUs(dir, join(server.directory, 'postmaster.pid'))
  const urls = await bootstrap({ superuserUrl: server.superuserUrl })
  await migrate({ superuserUrl: urls.superuser, migrationUrl: urls.migration })
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith('REKEY_'))
  const children: { readonly child: ChildProcess; readonly gone: Promise<void> }[] = []
  const metrics: string[] = []
  let said = ''

  const start = async (role: 'api' | 'worker', until: string): Promise<StartedRole> => {
    const child = spawn(process.execPath, [main, role], {
      env: {
        ...Object.fromEntries(others),
        REKEY_DATABASE_URL: urls.app,
        REKEY_DATA_DIR: dir,
        REKEY_PORT: String(port),
        REKEY_METRICS_PORT: '0',
        REKEY_RATE_LIMIT: '1000000',
        REKEY_LOG_LEVEL: 'warn',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let own = ''
    const keep = (chunk: Buffer): void => {
      own += chunk.toString()
      said += chunk.toString()
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const gone = new Promise<void>((resolve) => child.on('close', () => resolve()))
    children.push({ child, gone })
    for (const end = Date.now() + 180_000; !own.includes(until); await pause(50)) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > end) {
        child.kill('SIGKILL')
        throw new Error(`rekey ${role} did not start:\n${own}`)
      }
    }
    metrics.push(/metrics are at (\S+)/.exec(own)?.[1] ?? '')
    return {
      said: () => own,
      term: async () => {
        child.kill('SIGTERM')
        const ended = await Promise.race([gone.then(() => true), pause(90_000, false)])
        if (!ended) child.kill('SIGKILL')
        await gone
        return child.exitCode
      },
      kill: async () => {
        child.kill('SIGKILL')
        await gone
      },
      freeze: () => void child.kill('SIGSTOP'),
      thaw: () => void child.kill('SIGCONT'),
    }
  }

  const dueNow = comparing
    ? every(
        1_000,
        () =>
          withClient(urls.superuser, async (db) => {
            await db.query(`INSERT INTO app.drift (key_id, look_at) SELECT id, app.now() FROM app.key WHERE deleted_at IS NULL
              ON CONFLICT (key_id) DO UPDATE SET look_at = excluded.look_at`)
          }),
        (error) => {
          said += `keys could not be made due: ${String(error)}\n`
        },
      )
    : null

  const close = async (): Promise<void> => {
    await dueNow?.stop()
    for (const { child } of children) child.kill('SIGTERM')
    const all = Promise.all(children.map(({ gone }) => gone))
    if (!(await Promise.race([all.then(() => true), pause(90_000, false)]))) {
      for (const { child } of children) child.kill('SIGKILL')
      await all
    }
    await server.stop()
    await rm(dir, { recursive: true, force: true })
  }

  try {
    // The api first: it makes the files that all of them share.
    await start('api', 'Rekey serves')
    await Promise.all(Array.from({ length: workers }, () => start('worker', 'the worker runs')))
  } catch (error) {
    await close()
    throw error
  }
  const token = (await readFile(join(dir, 'admin-key'), 'utf8')).trim()
  const call: Roles['call'] = async (method, path, body, as = token) => {
    const reply = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${as}`,
        ...(method === 'POST' ? { 'idempotency-key': randomUUID() } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await reply.text()
    const json = String(reply.headers.get('content-type')).includes('json')
      ? JSON.parse(text)
      : null
    return { status: reply.status, text, json }
  }
  return {
    url,
    token,
    urls,
    dir,
    call,
    ask: async (method, path, body) => {
      let { status, text, json } = await call(method, path, body)
      // A machine that is busy with other tests sheds load: what it asks for is patience.
      for (let tries = 0; status === 503 && tries < 10; tries++) {
        await pause(2_000)
        ;({ status, text, json } = await call(method, path, body))
      }
      if (status < 200 || status > 299) throw new Error(`${method} ${path}: ${status} ${text}`)
      return json
    },
    metrics,
    said: () => said,
    worker: () => start('worker', 'the worker runs'),
    close,
  }
}

/** A run that is killed cannot stop its server; somebody must, or servers pile up. */
const stopWithUs = (dir: string, pidFile: string): void => {
  const script = `while kill -0 "$1" 2>/dev/null && test -d "$3"; do sleep 2; done
    test -f "$2" && kill -QUIT "$(head -n 1 "$2")" && sleep 2
    rm -rf "$3"`
  spawn('sh', ['-c', script, 'sh', String(process.pid), pidFile, dir], {
    detached: true,
    stdio: 'ignore',
  }).unref()
}

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A command of `rekey` on the host that all of these processes run on, as somebody who may reach the database types it. */
export const typed = (
  { urls, dir }: Pick<Roles, 'urls' | 'dir'>,
  ...command: readonly string[]
) => {
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith('REKEY_'))
  const child = spawn(process.execPath, [main, ...command], {
    env: {
      ...Object.fromEntries(others),
      REKEY_DATABASE_URL: urls.app,
      REKEY_DATA_DIR: dir,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const out = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => void (out.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => void (out.stderr += chunk.toString()))
  const ended = new Promise<Ran>((resolve) =>
    child.on('close', (code) => resolve({ code, ...out })),
  )
  return { kill: () => void child.kill('SIGKILL'), ended }
}

/** Resolves with the rotation once it has ended; throws with all that is known of it where it stalls or takes too long. */
export const untilEnded = async (roles: Roles, id: string, atMostMs = 90_000) => {
  for (const end = Date.now() + atMostMs; ; await pause(200)) {
    const rotation = await roles.ask('GET', `/v1/rotations/${id}`)
    if (rotation.endedAt !== null) return rotation
    if (rotation.phase === 'stalled' || Date.now() > end)
      throw new Error(`${JSON.stringify(rotation, null, 1)}\n${roles.said()}`)
  }
}

/** A connection `kv` to a Vault, and a manual policy without waiting for all of its keys. */
export const arrangeVault = async (
  roles: Roles,
  address: string,
  vaultToken: string,
): Promise<void> => {
  await roles.ask('PUT', '/v1/connections/kv', {
    provider: 'vault',
    settings: { address, auth: { method: 'token' } },
    credential: { from: 'value', value: vaultToken },
  })
  await roles.ask('PUT', '/v1/policies/quick', {
    selector: { connection: 'kv' },
    manual: true,
    overlap: { min: '0s' },
    soak: '0s',
    retry: { attempts: 3, initial: '1s', max: '1s' },
  })
}

const plain = { purpose: 'tests', owner: 'team', environment: 'test' }

export const registerTransit = (roles: Roles, name: string): Promise<unknown> =>
  roles.ask('POST', '/v1/keys', {
    ...plain,
    name,
    connection: 'kv',
    type: 'vault.transit.key',
    ref: { mount: 'transit', name },
  })

export const registerKv2 = (roles: Roles, name: string, path: string): Promise<unknown> =>
  roles.ask('POST', '/v1/keys', {
    ...plain,
    name,
    connection: 'kv',
    type: 'vault.kv2.secret',
    ref: { mount: 'secret', path, field: 'password' },
  })
