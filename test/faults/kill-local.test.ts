// `kill -9` at random moments while keys of the built-in vault rotate: every rotation completes, with one new version, and
// whoever encrypts with the keys all the while notices nothing but the restart.
//
// The moments come from a seed, which is printed; REKEY_TEST_SEED repeats it. Rotations start one after the other before a
// kill, so that each kill meets them in many different moments. What waits for a person (an approval, the way back, a stall)
// is there at every kill, and goes on after it.

import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { withClient } from '#store/bootstrap.ts'
import { long } from '#test/support/peers.ts'
import { startProber, throughRekey, type Prober } from '#test/support/prober.ts'
import { randomOf } from '#test/support/random.ts'
import { openRekey, type RekeyProcess } from '#test/support/rekey-process.ts'
import { ended, expectOneOutcomeEach, versionsOf } from '#test/support/rotations.ts'

const seed = Number(process.env['REKEY_TEST_SEED'] ?? Date.now() % 1_000_000)
const secrets = Array.from({ length: 5 }, (_, n) => `secret-${n}`)
const dataKeys = Array.from({ length: 5 }, (_, n) => `data-${n}`)
const keys = [...secrets, ...dataKeys]
/** One of each type in each phase that a person ends. */
const held = ['local.secret', 'local.key'].flatMap((type) =>
  (['awaitingApproval', 'rollingBack', 'stalled'] as const).map((phase) => ({
    key: `${type.replace('.', '-')}-${phase.toLowerCase()}`,
    type,
    phase,
  })),
)

let rekey: RekeyProcess
let prober: Prober
let approver: string
let operator: string
long.describe('kill -9 while keys of the built-in vault rotate', () => {
  beforeAll(async () => {
    rekey = await openRekey()
    await rekey.start()
    await rekey.ask('PUT', '/v1/connections/built-in', { provider: 'local' })
    approver = await tokenOf('boss', 'approver')
    operator = await tokenOf('ops', 'operator')
    await policy('secrets', 'destroy')
    // What a destroyed version made would not open any more.
    await policy('data-keys', 'disable')
    await policy('awaitingapproval', 'disable', { approval: { required: 1 } })
    await rekey.ask('PUT', '/v1/consumers/app', { owner: 'team', labels: { uses: 'held' } })
    // Nothing but a person's word moves these on, however slow the machine is.
    const asked = {
      matchLabels: { uses: 'held' },
      acknowledgement: { required: 'all', timeout: '1h' },
    }
    await policy('rollingback', 'disable', { consumers: asked, overlap: { min: '1h' } })
    await policy('stalled', 'disable', { consumers: asked })
    const generate = { 'local.key': { generate: { algorithm: 'aes256' } }, 'local.secret': {} }
    for (const name of secrets) await register(name, 'secrets', { type: 'local.secret' })
    for (const name of dataKeys)
      await register(name, 'data-keys', { type: 'local.key', ...generate['local.key'] })
    for (const { key, type, phase } of held)
      await register(key, phase.toLowerCase(), {
        type,
        ...(type === 'local.key' ? generate[type] : {}),
      })
    prober = startProber(
      dataKeys.map((name) => throughRekey(rekey, name)),
      500,
    )
  })
  afterAll(async () => {
    await prober?.stop()
    await rekey?.stop()
  })

  // On a busy machine three starts alone take longer than other tests may.
  test(
    'killed at random moments, every rotation completes with exactly one new version',
    { timeout: 240_000 },
    async () => {
      console.info(`kill-local: REKEY_TEST_SEED=${seed}`)
      const random = randomOf(seed)
      await killedRound(random, { database: false, withinMs: 1_000 }, async () => undefined)
      const waiting = await killedRound(random, { database: true, withinMs: 3_000 }, bringIn)
      await goOn(waiting)

      const rotations = (await rekey.list('/v1/rotations')).filter(({ key }) => keys.includes(key))
      for (const { id } of rotations) {
        expect(await ended(rekey, id, 60_000)).toMatchObject({ phase: 'completed' })
        await expectOneOutcomeEach(rekey, id)
      }
      const atProvider = await materials()
      for (const name of keys) {
        const count = rotations.filter(({ key }) => key === name).length
        const [shown, held] = secrets.includes(name)
          ? (['destroyed', 'destroyed'] as const)
          : (['deactivated', 'disabled'] as const)
        const old = Array.from({ length: count }, (_, n) => n + 1)
        expect(count, name).toBeGreaterThan(0)
        expect(await versionsOf(rekey, name)).toEqual([
          ...old.map((version) => `${version} ${shown}`),
          `${count + 1} active primary`,
        ])
        expect(atProvider.get(name)).toEqual([
          ...old.map((version) => `${version} ${held}`),
          `${count + 1} enabled current`,
        ])
      }
      for (const { key, phase, id } of waiting) {
        const rotation = await ended(rekey, id, 60_000)
        const back = phase === 'rollingBack'
        expect(rotation, key).toMatchObject({ phase: back ? 'rolledBack' : 'completed' })
        await expectOneOutcomeEach(rekey, id)
        expect(atProvider.get(key), key).toHaveLength(2)
        expect(await versionsOf(rekey, key), key).toEqual(
          back ? ['1 active primary', '2 destroyed'] : ['1 deactivated', '2 active primary'],
        )
      }
      await prober.stop()
      expect(prober.failures()).toEqual([])
      for (const name of dataKeys) expect(prober.uses().get(name), name).toBeGreaterThan(8)
    },
  )
})

type Waiting = (typeof held)[number] & { readonly id: string }

/** Into the phases that only a person ends, and nothing else does. */
const bringIn = async (): Promise<readonly Waiting[]> => {
  const waiting: Waiting[] = []
  for (const each of held) {
    const body = { key: each.key, reason: 'a test' }
    const { id } = await rekey.ask('POST', '/v1/rotations', body, operator)
    waiting.push({ ...each, id })
  }
  const overlap = ({ phase }: Waiting) => phase !== 'awaitingApproval'
  await isIn(
    waiting.map((each) => ({ ...each, phase: overlap(each) ? 'overlapping' : each.phase })),
  )
  await pointTo(1)
  for (const { id, phase } of waiting) {
    if (phase === 'awaitingApproval') continue
    await acknowledge(id, 2)
    if (phase === 'stalled') continue
    await rekey.ask('POST', `/v1/rotations/${id}/rollback`, { reason: 'a test' })
  }
  await isIn(waiting)
  return waiting
}

/** Each is where it was, and goes on when a person says so. */
const goOn = async (waiting: readonly Waiting[]): Promise<void> => {
  await isIn(waiting)
  await pointTo(2)
  for (const { id, phase } of waiting) {
    const at = `/v1/rotations/${id}`
    if (phase === 'rollingBack') await acknowledge(id, 1)
    if (phase === 'stalled') await rekey.ask('POST', `${at}/resume`, { reason: 'a test' })
    if (phase !== 'awaitingApproval') continue
    const { planHash } = await rekey.ask('GET', at)
    const headers = { authorization: `Bearer ${approver}`, 'idempotency-key': randomUUID() }
    expect((await rekey.call('POST', `${at}/approvals`, { planHash }, headers)).status).toBe(201)
  }
}

const acknowledge = (id: string, version: number) =>
  rekey.ask('POST', `/v1/rotations/${id}/acknowledgements`, { consumer: 'app', version })

/** Somebody moves the pointers in the vault itself: what readers get there is not switched off. */
const pointTo = async (version: number): Promise<void> =>
  withClient(await rekey.databaseUrl(), async (db) => {
    await db.query(
      `UPDATE vault.pointer p SET current = $1 FROM app.key k
       WHERE k.id::text = p.object AND k.labels ->> 'set' = 'stalled'`,
      [version],
    )
  })

const isIn = async (
  wanted: readonly { readonly id: string; readonly key: string; readonly phase: string }[],
): Promise<void> => {
  const want = wanted.map(({ key, phase }) => `${key} ${phase}`)
  let now: readonly string[] = []
  for (const end = Date.now() + 60_000; Date.now() < end; await pause(250)) {
    const rotations = await rekey.list('/v1/rotations')
    const phases = new Map(rotations.map(({ id, phase }) => [String(id), String(phase)]))
    now = wanted.map(({ key, id }) => `${key} ${phases.get(id)}`)
    if (now.every((text, n) => text === want[n])) return
  }
  expect(now).toEqual(want)
}

/** Starts a rotation of every key at a random moment before the kill; a start whose answer is lost is asked for again. What
 *  is brought about meanwhile is waited for. */
const killedRound = async <T>(
  random: () => number,
  { database, withinMs }: { readonly database: boolean; readonly withinMs: number },
  meanwhile: () => Promise<T>,
): Promise<T> => {
  const after = Math.round(withinMs + random() * 2_000)
  const lost: (() => Promise<unknown>)[] = []
  const refused: string[] = []
  const starts = keys.map(async (key) => {
    const body = { key, reason: 'a test' }
    const send = async (): Promise<void> => {
      // The claim of a dead process on an Idempotency-Key lasts two minutes; one open rotation a key is what counts here.
      const headers = { 'idempotency-key': randomUUID() }
      const { status, json } = await rekey.call('POST', '/v1/rotations', body, headers)
      // 409: its last rotation is still open.
      if (status !== 202 && status !== 409) throw new Error(`${key}: ${JSON.stringify(json)}`)
    }
    await pause(random() * after)
    await send().catch((error: unknown) => {
      if (rekey.up()) refused.push(String(error))
      else lost.push(send)
    })
  })
  const [brought] = await Promise.all([meanwhile(), pause(after)])
  await rekey.kill({ database })
  await Promise.all(starts)
  expect(refused).toEqual([])
  await rekey.start()
  const open = (await rekey.list('/v1/rotations')).filter(({ endedAt }) => endedAt === null)
  const met = open.map(({ phase }) => String(phase)).join(' ')
  console.info(`kill-local: after ${after} ms${database ? ', with PostgreSQL' : ''}: ${met}`)
  await Promise.all(lost.map((send) => send()))
  return brought
}

/** Whoever approves is another person than whoever asked. */
const tokenOf = async (name: string, role: string): Promise<string> =>
  (await rekey.ask('POST', '/v1/api-keys', { name, type: 'svc', roles: [role] })).token

const policy = (name: string, retire: string, more: object = {}) =>
  rekey.ask('POST', '/v1/policies', {
    apiVersion: 'rekey.dev/v1',
    kind: 'RotationPolicy',
    metadata: { name },
    spec: {
      selector: { matchLabels: { set: name } },
      manual: true,
      overlap: { min: '1s' },
      soak: '1s',
      retire,
      retry: { initial: '1s', max: '5s' },
      concurrency: { max: 100 },
      ...more,
    },
  })

const register = (name: string, set: string, more: object) =>
  rekey.ask('POST', '/v1/keys', {
    name,
    connection: 'built-in',
    purpose: 'a test',
    owner: 'team',
    environment: 'test',
    create: true,
    labels: { set },
    ...more,
  })

/** What the built-in vault itself holds, by key. */
const materials = async (): Promise<ReadonlyMap<string, readonly string[]>> => {
  const found = new Map<string, string[]>()
  await withClient(await rekey.databaseUrl(), async (db) => {
    const { rows } = await db.query<{ name: string; text: string }>(
      `SELECT k.name, concat_ws(' ', m.version, m.state, CASE WHEN p.current = m.version THEN 'current' END) AS text
       FROM vault.material m JOIN app.key k ON k.id::text = m.object LEFT JOIN vault.pointer p USING (object)
       ORDER BY k.name, m.version`,
    )
    for (const { name, text } of rows) found.set(name, [...(found.get(name) ?? []), text])
  })
  return found
}
