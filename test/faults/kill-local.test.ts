// `kill -9` at random moments while keys of the built-in vault rotate: every rotation completes, with one new version, and
// whoever encrypts with the keys all the while notices nothing but the restart.
//
// The moments come from a seed, which is printed; REKEY_TEST_SEED repeats it. Rotations start one after the other before a
// kill, so that each kill meets them in many different moments.

import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { withClient } from '#store/bootstrap.ts'
import { startProber, throughRekey, type Prober } from '#test/support/prober.ts'
import { openRekey, type RekeyProcess } from '#test/support/rekey-process.ts'
import { ended, expectOneOutcomeEach, versionsOf } from '#test/support/rotations.ts'

const seed = Number(process.env['REKEY_TEST_SEED'] ?? Date.now() % 1_000_000)
const secrets = Array.from({ length: 5 }, (_, n) => `secret-${n}`)
const dataKeys = Array.from({ length: 5 }, (_, n) => `data-${n}`)
const keys = [...secrets, ...dataKeys]

let rekey: RekeyProcess
let prober: Prober
beforeAll(async () => {
  rekey = await openRekey()
  await rekey.start()
  await rekey.ask('PUT', '/v1/connections/built-in', { provider: 'local' })
  await policy('secrets', { type: 'local.secret' }, 'destroy')
  // What a destroyed version made would not open any more.
  await policy('data-keys', { type: 'local.key' }, 'disable')
  for (const name of secrets) await register(name, { type: 'local.secret' })
  const generate = { algorithm: 'aes256' }
  for (const name of dataKeys) await register(name, { type: 'local.key', generate })
  prober = startProber(
    dataKeys.map((name) => throughRekey(rekey, name)),
    100,
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
    for (const database of [false, true]) await killedRound(random, database)

    const rotations = await rekey.list('/v1/rotations')
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
    await prober.stop()
    expect(prober.failures()).toEqual([])
    for (const name of dataKeys) expect(prober.uses().get(name), name).toBeGreaterThan(20)
  },
)

/** Starts a rotation of every key at a random moment before the kill; a start whose answer is lost is asked for again. */
const killedRound = async (random: () => number, database: boolean): Promise<void> => {
  const after = Math.round(2_000 + random() * 2_500)
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
  await pause(after)
  await rekey.kill({ database })
  await Promise.all(starts)
  expect(refused).toEqual([])
  await rekey.start()
  const open = (await rekey.list('/v1/rotations')).filter(({ endedAt }) => endedAt === null)
  const met = open.map(({ phase }) => String(phase)).join(' ')
  console.info(`kill-local: after ${after} ms${database ? ', with PostgreSQL' : ''}: ${met}`)
  await Promise.all(lost.map((send) => send()))
}

const policy = (name: string, selector: object, retire: string) =>
  rekey.ask('POST', '/v1/policies', {
    apiVersion: 'rekey.dev/v1',
    kind: 'RotationPolicy',
    metadata: { name },
    spec: {
      selector,
      manual: true,
      overlap: { min: '1s' },
      soak: '1s',
      retire,
      retry: { initial: '1s', max: '5s' },
      concurrency: { max: 100 },
    },
  })

const register = (name: string, more: object) =>
  rekey.ask('POST', '/v1/keys', {
    name,
    connection: 'built-in',
    purpose: 'a test',
    owner: 'team',
    environment: 'test',
    create: true,
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

/** Mulberry32: numbers from 0 to 1, the same for the same seed. */
const randomOf = (start: number) => {
  let state = start
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
