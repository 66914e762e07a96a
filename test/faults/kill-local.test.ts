// `kill -9` at random moments while keys of the built-in vault rotate: every rotation completes, with one new version, and
// whoever encrypts with the keys all the while notices nothing but the restart.
//
// The moments come from a seed, which is printed; REKEY_TEST_SEED repeats it. Rotations start one after the other before a
// kill, so that each kill meets them in many different moments.

import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { withClient } from '#store/bootstrap.ts'
import { startProber, throughRekey, type Prober } from '#test/support/prober.ts'
import { openRekey, type RekeyProcess } from '#test/support/rekey-process.ts'
import { ended, expectOneOutcomeEach, versionsOf } from '#test/support/rotations.ts'

const seed = Number(process.env['REKEY_TEST_SEED'] ?? Date.now() % 1_000_000)
const secrets = Array.from({ length: 6 }, (_, n) => `secret-${n}`)
const dataKeys = Array.from({ length: 6 }, (_, n) => `data-${n}`)
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
  prober = startProber(dataKeys.map((name) => throughRekey(rekey, name)))
})
afterAll(async () => {
  await prober?.stop()
  await rekey?.stop()
})

test('killed at random moments, every rotation completes with exactly one new version', async () => {
  console.info(`kill-local: REKEY_TEST_SEED=${seed}`)
  const random = randomOf(seed)
  for (const database of [false, true, true]) await killedRound(random, database)

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
})

/** Starts a rotation of every free key, one after the other, and kills at a random moment between the first and the last end. */
const killedRound = async (random: () => number, database: boolean): Promise<void> => {
  const starts = keys.map(async (name) => {
    await pause(random() * 2_500)
    // A key whose rotation is open refuses; a process that is gone answers nothing.
    if (rekey.up())
      await rekey
        .ask('POST', '/v1/rotations', { key: name, reason: 'a test' })
        .catch(() => undefined)
  })
  const after = Math.round(1_000 + random() * 3_500)
  await pause(after)
  await rekey.kill({ database })
  await Promise.all(starts)
  await rekey.start()
  const open = (await rekey.list('/v1/rotations')).filter(({ endedAt }) => endedAt === null)
  const phases = open.map(({ phase }) => phase).toSorted()
  console.info(
    `kill-local: killed after ${after} ms${database ? ', with PostgreSQL' : ''}: ${phases.join(' ')}`,
  )
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
