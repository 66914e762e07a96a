// An emergency as people meet it: opened, previewed, approved by another and executed over REST on a running `rekey up`, which
// is API and worker in one process, while another client lists keys and makes plans of policies.

import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '#runtime/clock.ts'
import { figure, type Line } from './measure.ts'
import { type BenchDatabase, cpuMs, type Place, serverMs } from './place.ts'
import { startRole } from './processes.ts'

export interface Ran {
  readonly previewS: number
  readonly previewAgainS: number
  /** The request. */
  readonly executeS: number
  /** From the moment when the request to execute was sent. */
  readonly firstS: number
  readonly lastS: number
  readonly quiet: Latencies
  readonly storm: Latencies
  /** The same two requests while the preview is drawn. */
  readonly previewing: Latencies
}
/** Milliseconds. */
interface Latencies {
  readonly list: readonly number[]
  readonly plan: readonly number[]
}

const quietMs = 3_000
const mostMs = 900_000

export const runEmergency = async (
  place: Place,
  db: BenchDatabase,
  order: {
    readonly connection: string
    readonly keys: number
    readonly env: Readonly<Record<string, string>>
    readonly say: (line: string) => void
  },
): Promise<Ran> => {
  const { connection, keys, say } = order
  await rm(join(place.dataDir, 'high-water.json'), { force: true })
  const env = {
    REKEY_DATA_DIR: place.dataDir,
    REKEY_DATABASE_URL: db.urls.app,
    REKEY_PORT: '0',
    REKEY_SAMPLES: 'off',
    ...order.env,
  }
  const up = await startRole('up', env, 'Rekey serves')
  try {
    const { url } = JSON.parse(await readFile(join(place.dataDir, 'run.json'), 'utf8'))
    const admin = caller(url, (await readFile(join(place.dataDir, 'admin-key'), 'utf8')).trim())
    const person = async (name: string, role: string) => {
      const body = { name, type: 'pat', roles: [role] }
      return caller(url, (await admin('POST', '/v1/api-keys', body)).token)
    }
    const [rita, ada, olga] = [
      await person('rita', 'responder'),
      await person('ada', 'approver'),
      await person('olga', 'operator'),
    ]
    const beside = async (work: () => Promise<unknown>): Promise<Latencies> => {
      const client = busyClient(olga)
      try {
        await work()
      } finally {
        await client.stop()
      }
      return client.seen
    }
    const quiet = await beside(() => systemClock.pause(quietMs))
    const { id } = await rita('POST', '/v1/incidents', {
      title: 'bench',
      severity: 'high',
      mode: 'revokeFirst',
      reason: 'measured',
      selector: { connections: [connection] },
    })
    const began = performance.now()
    const since = (from: number): number => (performance.now() - from) / 1_000
    const { hash } = await rita('POST', `/v1/incidents/${id}/preview`)
    const previewS = since(began)
    say(`  preview ${figure(previewS)} s`)
    let previewAgainS = 0
    const previewing = await beside(async () => {
      const again = performance.now()
      await rita('POST', `/v1/incidents/${id}/preview`)
      previewAgainS = since(again)
    })
    await ada('POST', `/v1/incidents/${id}/approvals`, { previewHash: hash })
    let [executeS, sentAt] = [0, new Date(0)]
    const storm = await beside(async () => {
      const executing = performance.now()
      sentAt = await databaseNow(db)
      const [mine, servers] = [await cpuMs(up.pid), await serverMs(db)]
      await rita('POST', `/v1/incidents/${id}/executions`, { previewHash: hash, confirm: id })
      executeS = since(executing)
      await untilRefused(db, keys)
      const spent = [(await cpuMs(up.pid)) - mine, (await serverMs(db)) - servers]
      say(
        `  ${spent.map((ms) => figure(ms / keys)).join(' and ')} ms of CPU a key: Rekey, its sessions with the database`,
      )
    })
    const { rows } = await db.sql.query<{ first: Date; last: Date }>(
      'SELECT min(proven_at) AS first, max(proven_at) AS last FROM app.incident_version',
    )
    const [row] = rows
    if (!row) throw new Error('nothing was proven')
    const after = (at: Date): number => (at.getTime() - sentAt.getTime()) / 1_000
    return {
      previewS,
      previewAgainS,
      executeS,
      firstS: after(row.first),
      lastS: after(row.last),
      quiet,
      storm,
      previewing,
    }
  } finally {
    await up.stop()
  }
}

/** What was told of it, but for the comparison. */
export const linesOf = (keys: number, ran: Ran): readonly Line[] => {
  const line = (what: string, ours: string, floor = '', goal = '', met: boolean | null = null) => ({
    what,
    ours,
    floor,
    ratio: null,
    goal,
    met,
  })
  const both = ({ list, plan }: Latencies): string =>
    `${figure(percentile(list, 0.99))} ms and ${figure(percentile(plan, 0.99))} ms (${list.length} and ${plan.length} asked)`
  return [
    line(
      `preview of ${keys.toLocaleString('en')} keys over REST, the first and the second time`,
      `${figure(ran.previewS)} s, ${figure(ran.previewAgainS)} s`,
      '',
      '≤ 2 s',
      Math.max(ran.previewS, ran.previewAgainS) <= 2,
    ),
    line('execution, until the reply', `${figure(ran.executeS)} s`),
    line(
      'GET /v1/keys and POST /v1/plans, p99 while it is contained',
      both(ran.storm),
      `${both(ran.quiet)} before`,
    ),
    line('the same while the preview is drawn', both(ran.previewing)),
  ]
}

const percentile = (values: readonly number[], part: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

// oxlint-disable-next-line typescript/no-explicit-any -- a reply is read as a client without types would read it
type Caller = (method: string, path: string, body?: unknown) => Promise<any>

const caller =
  (url: string, token: string): Caller =>
  async (method, path, body) => {
    const reply = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'POST' ? { 'idempotency-key': crypto.randomUUID() } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await reply.text()
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text.slice(0, 500)}`)
    return text === '' ? null : JSON.parse(text)
  }

const pauseMs = 20

/** One request after the other, of both kinds in turns. */
const busyClient = (call: Caller) => {
  const seen = { list: [] as number[], plan: [] as number[] }
  let stopped = false
  const timed = async (to: number[], work: () => Promise<unknown>): Promise<void> => {
    const from = performance.now()
    await work()
    to.push(performance.now() - from)
  }
  const run = async (): Promise<void> => {
    while (!stopped) {
      await timed(seen.list, () => call('GET', '/v1/keys?limit=50'))
      await timed(seen.plan, () => call('POST', '/v1/plans', { documents: [policy] }))
      await systemClock.pause(pauseMs)
    }
  }
  const running = run()
  return {
    seen,
    stop: async () => {
      stopped = true
      await running
    },
  }
}

const policy = {
  apiVersion: 'rekey.dev/v1',
  kind: 'RotationPolicy',
  metadata: { name: 'beside' },
  spec: { selector: { matchLabels: { app: 'nobody' } }, maxAge: '90d' },
}

const databaseNow = async ({ sql }: BenchDatabase): Promise<Date> => {
  const { rows } = await sql.query<{ now: Date }>('SELECT app.now() AS now')
  return rows[0]?.now ?? new Date(0)
}

const untilRefused = async ({ sql }: BenchDatabase, keys: number): Promise<void> => {
  const began = performance.now()
  for (;;) {
    const { rows } = await sql.query<{ refused: number; bad: number }>(
      `SELECT count(*) FILTER (WHERE state = 'refused')::int AS refused,
         count(*) FILTER (WHERE state IN ('failed', 'unproven'))::int AS bad FROM app.incident_version`,
    )
    const { refused = 0, bad = 0 } = rows[0] ?? {}
    if (bad > 0) throw new Error(`${bad} are not refused`)
    if (refused >= keys) return
    if (performance.now() - began > mostMs) throw new Error(`only ${refused} are refused`)
    await systemClock.pause(100)
  }
}
