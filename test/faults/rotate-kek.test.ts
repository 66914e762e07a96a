// The key-encryption key of a running installation is exchanged by the command, which is killed in the middle and run again. All
// the while somebody repeats requests, pages through lists, reads values, encrypts, and rotates: nothing is refused, nothing is
// lost.

import { randomUUID } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '#domain/secret.ts'
import { openKeyring } from '#runtime/keyring.ts'
import { withClient } from '#store/bootstrap.ts'
import { contextOfSealed } from '#store/tables/sealed.ts'
import { keepDoing } from '#test/support/load.ts'
import { long } from '#test/support/peers.ts'
import { openRoles, type Roles, typed, untilEnded } from '#test/support/roles.ts'

const planted = 'planted-material-that-nobody-may-see'
const planned = 12_000
let roles: Roles
let app: string

const kek = (...of: readonly string[]) => typed(roles, 'kek', ...of)

const sql = (text: string, values: readonly unknown[] = []) =>
  withClient(roles.urls.superuser, async (db) => (await db.query(text, [...values])).rows)
const rowsUnder = async (): Promise<Readonly<Record<string, number>>> => {
  const rows = await sql(
    'SELECT kek_id, count(*)::int AS n FROM app.sealed WHERE erased_at IS NULL GROUP BY 1',
  )
  return Object.fromEntries(rows.map(({ kek_id: id, n }) => [id, n]))
}

const send = async (
  method: string,
  path: string,
  {
    body,
    key,
    token = roles.token,
  }: { readonly body?: unknown; readonly key?: string; readonly token?: string } = {},
) => {
  const reply = await fetch(`${roles.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: reply.status, text: await reply.text() }
}

/** Every use in a loop of its own, until it is told to stop. */
const underLoad = () => {
  const expecting = async (
    what: string,
    expected: number,
    reply: Promise<{ readonly status: number; readonly text: string }>,
  ) => {
    const { status, text } = await reply
    if (status !== expected) throw new Error(`${what}: ${status} ${text}`)
    return text === '' ? null : JSON.parse(text)
  }
  const works: Readonly<Record<string, () => Promise<void>>> = {
    'a list, page by page': async () => {
      for (let cursor: string | null = ''; cursor !== null; await pause(100)) {
        const more: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
        cursor = (await expecting('a page', 200, send('GET', `/v1/keys?limit=2${more}`))).nextCursor
      }
    },
    'a value': async () =>
      void (await expecting('a value', 200, send('GET', '/v1/keys/read/value', { token: app }))),
    data: async () => {
      const input = Buffer.from('data').toString('base64')
      const { output } = await expecting(
        'encrypt',
        200,
        send('POST', '/v1/keys/data/encryptions', { body: { input } }),
      )
      await expecting(
        'decrypt',
        200,
        send('POST', '/v1/keys/data/decryptions', { body: { input: output } }),
      )
    },
    'a rotation, asked for twice': async () => {
      for (const key of ['r1', 'r2']) {
        const of = { key: randomUUID(), body: { key, reason: 'under load' } }
        const { id } = await expecting('a rotation', 202, send('POST', '/v1/rotations', of))
        const { phase } = await untilEnded(roles, id, 90_000)
        if (phase !== 'completed') throw new Error(`${key}: ${phase}`)
        const again = await expecting('its repetition', 202, send('POST', '/v1/rotations', of))
        if (again.id !== id) throw new Error(`${key}: ${again.id} is not ${id}`)
      }
    },
  }
  return keepDoing(works, 50)
}

long.describe('an exchange of the key-encryption key under load', () => {
  beforeAll(async () => {
    roles = await openRoles({ workers: 1 })
    await roles.ask('PUT', '/v1/connections/built-in', { provider: 'local' })
    await roles.ask('PUT', '/v1/policies/quick', {
      selector: { connection: 'built-in', matchLabels: { rotates: 'yes' } },
      manual: true,
      overlap: { min: '0s' },
      soak: '0s',
    })
    await roles.ask('PUT', '/v1/consumers/app', { owner: 'team', keys: ['read'] })
    const plain = { connection: 'built-in', purpose: 'a test', owner: 'team', environment: 'test' }
    const register = (name: string, more: object) =>
      roles.ask('POST', '/v1/keys', { ...plain, name, create: true, ...more })
    for (const name of ['read', 'a', 'b', 'c']) await register(name, { type: 'local.secret' })
    for (const name of ['r1', 'r2'])
      await register(name, { type: 'local.secret', labels: { rotates: 'yes' } })
    await register('data', { type: 'local.key', generate: { algorithm: 'aes256' } })
    const made = await roles.ask('POST', '/v1/api-keys', {
      ...{ name: 'app', type: 'svc', roles: ['consumer'], consumer: 'app' },
    })
    app = made.token
    // What a large installation has: enough that a kill meets the rewrap.
    const keyring = await openKeyring({
      kekFile: join(roles.dir, 'kek'),
      pepperFile: join(roles.dir, 'pepper'),
    })
    const boxes = Array.from({ length: planned }, () => {
      const id = randomUUID()
      return { id, ...keyring.seal(new Secret(planted), contextOfSealed(id, 'test')) }
    })
    await sql(
      `INSERT INTO app.sealed (id, purpose, kek_id, wrapped_key, ciphertext)
     SELECT i, 'test', $1, w, c FROM unnest($2::uuid[], $3::bytea[], $4::bytea[]) b (i, w, c)`,
      [
        keyring.kekId,
        boxes.map(({ id }) => id),
        boxes.map(({ wrappedKey }) => Buffer.from(wrappedKey)),
        boxes.map(({ ciphertext }) => Buffer.from(ciphertext)),
      ],
    )
  }, 120_000)
  afterAll(() => roles?.close())

  test(
    'no request fails while it is exchanged, a kill in the middle costs nothing, and the old one goes',
    { timeout: 240_000 },
    async () => {
      const [old] = Object.keys(await rowsUnder())
      const cursor = (await roles.ask('GET', '/v1/keys?limit=2')).nextCursor
      const before = { key: randomUUID(), body: { key: 'a', reason: 'before it' } }
      const asked = await send('POST', '/v1/rotations', before)
      expect(asked.status).toBe(202)
      const load = underLoad()
      const killed = kek('rotate')
      for (let met = false; !met; await pause(5)) {
        const under = await rowsUnder()
        met = Object.keys(under).length > 1 && (under[old ?? ''] ?? 0) < planned - 500
      }
      killed.kill()
      await killed.ended
      const mixed = await rowsUnder()
      expect(mixed[old ?? '']).toBeGreaterThan(0)

      const done = await kek('rotate').ended
      expect(done.stderr).toContain('seals already; what is left under others is sealed anew')
      expect(done).toMatchObject({ code: 0 })
      const active = done.stdout.trim()
      expect(Object.keys(await rowsUnder())).toEqual([active])
      expect(done.stderr).toContain(`${old} can be retired from`)
      // Given before it, and asked for after it.
      expect(
        (await send('GET', `/v1/keys?limit=2&cursor=${encodeURIComponent(cursor)}`)).status,
      ).toBe(200)
      expect(await send('POST', '/v1/rotations', before)).toEqual(asked)
      await load.stop()
      expect(load.failures.slice(0, 5)).toEqual([])
      expect([...load.uses.values()].every((n) => n > 1)).toBe(true)
      expect(load.uses.size).toBe(4)

      expect(await kek('retire').ended).toMatchObject({
        code: 5,
        stderr: expect.stringContaining('is still needed until'),
      })
      const retired = await kek('retire', '--now').ended
      expect(retired).toMatchObject({ code: 0, stdout: `${old}\n` })
      const file = await readFile(join(roles.dir, 'kek'), 'utf8')
      expect(file.match(/rekey-kek-v1/g)).toHaveLength(1)
      expect((await stat(join(roles.dir, 'kek'))).mode & 0o777).toBe(0o600)

      // A start with what is left, and everything opens there.
      const next = await roles.worker()
      const { id } = await roles.ask('POST', '/v1/rotations', { key: 'r1', reason: 'afterwards' })
      expect((await untilEnded(roles, id)).phase).toBe('completed')
      await next.term()
      const said = `${roles.said()}${done.stderr}${done.stdout}${retired.stderr}`
      expect(said).not.toContain(planted)
      expect(said).not.toContain(file.split(' ')[1]?.trim())
    },
  )
})
