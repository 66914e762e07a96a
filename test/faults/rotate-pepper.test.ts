// The pepper of a running installation is exchanged by the command, which is killed in the middle and run again, while one worker
// stands still. All the while somebody pastes secrets, rotates keys and files, and every key is compared with its provider: nothing
// is refused, no file is taken for somebody else's, and the old pepper goes.

import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bytesOfFingerprint } from '#domain/fingerprint.ts'
import { Secret } from '#domain/secret.ts'
import { openKeyring } from '#runtime/keyring.ts'
import { withClient } from '#store/bootstrap.ts'
import { contextOfSealed } from '#store/tables/sealed.ts'
import { keepDoing } from '#test/support/load.ts'
import { long } from '#test/support/peers.ts'
import { openRoles, type Ran, type Roles, typed, untilEnded } from '#test/support/roles.ts'

const many = 4_000
let roles: Roles
let files: string

const pepper = (...of: readonly string[]) => typed(roles, 'pepper', ...of)

const sql = (text: string, values: readonly unknown[] = []) =>
  withClient(roles.urls.superuser, async (db) => (await db.query(text, [...values])).rows)
/** How many versions are known by each pepper. */
const known = async (): Promise<Readonly<Record<string, number>>> => {
  const rows = await sql(
    'SELECT get_byte(fingerprint, 0) AS pepper, count(*)::int AS n FROM app.version WHERE fingerprint IS NOT NULL GROUP BY 1',
  )
  return Object.fromEntries(rows.map(({ pepper: number, n }) => [number, n]))
}

const pasted = async (value: string): Promise<readonly string[]> => {
  const digest = createHash('sha256').update(value).digest('hex')
  const asked = { title: 'a leak', severity: 'low', mode: 'revokeOnly', reason: 'pasted' }
  const { id, selector } = await roles.ask('POST', '/v1/incidents', {
    ...asked,
    selector: { digests: [digest] },
  })
  await roles.ask('POST', `/v1/incidents/${id}/closures`, { reason: 'looked up' })
  return selector.versions.map(({ key }: { readonly key: string }) => key)
}

/** Every use in a loop of its own, until it is told to stop. */
const underLoad = () => {
  const rotated = async (key: string): Promise<void> => {
    const { id } = await roles.ask('POST', '/v1/rotations', { key, reason: 'under load' })
    const { phase } = await untilEnded(roles, id, 120_000)
    if (phase !== 'completed') throw new Error(`${key}: ${phase}`)
  }
  const works: Readonly<Record<string, () => Promise<void>>> = {
    'a pasted secret': async () => {
      const found = await pasted('the planted one')
      if (found.join() !== 'planted') throw new Error(`found ${found.join()}`)
    },
    'the secret of a file, pasted': async () => {
      const found = await pasted('what the still file holds')
      if (found.join() !== 'still') throw new Error(`found ${found.join()}`)
    },
    'a rotation': () => rotated('r1'),
    'a file': () => rotated('file'),
  }
  return keepDoing(works, 100)
}

long.describe('an exchange of the pepper under load', () => {
  beforeAll(async () => {
    files = await mkdtemp(join(tmpdir(), 'rekey-published-'))
    roles = await openRoles({ workers: 1, comparing: true, env: { REKEY_PUBLISH_DIR: files } })
    await roles.ask('PUT', '/v1/connections/built-in', { provider: 'local' })
    await roles.ask('PUT', '/v1/connections/files', { provider: 'file' })
    const plain = { purpose: 'a test', owner: 'team', environment: 'test' }
    await roles.ask('PUT', '/v1/policies/quick', {
      selector: { matchLabels: { rotates: 'yes' } },
      manual: true,
      acceptGap: true,
      overlap: { min: '0s' },
      soak: '0s',
    })
    const local = { connection: 'built-in', type: 'local.secret', ...plain }
    await roles.ask('POST', '/v1/keys', {
      ...{ ...local, name: 'r1', create: true, labels: { rotates: 'yes' } },
    })
    for (const [name, value] of [
      ['still', 'what the still file holds'],
      ['file', 'the first of the file'],
      ['planted', 'the planted one'],
    ] as const) {
      await writeFile(join(files, name), value, { mode: 0o600 }) // oxlint-disable-line no-await-in-loop -- three
      await roles.ask('POST', '/v1/keys', {
        ...{ connection: 'files', type: 'file', ...plain, name, ref: { path: name } },
        labels: { rotates: name === 'file' ? 'yes' : 'no' },
        create: false,
      })
    }
    await plant()
  }, 600_000)
  afterAll(async () => {
    await roles?.close()
    await rm(files, { recursive: true, force: true })
  })

  test(
    'no request fails while it is exchanged, a kill in the middle costs nothing, and the old one goes',
    { timeout: 1_200_000 },
    async () => {
      const before = (await sql('SELECT instance FROM app.process')).map(({ instance }) => instance)
      const stands = await roles.worker()
      stands.freeze()
      const load = underLoad()
      // For longer than anybody waits for: it is not among those who tell of themselves any more.
      await sql('DELETE FROM app.process WHERE instance <> ALL ($1)', [before])

      const killed = pepper('rotate')
      for (let met = false; !met; await pause(5)) {
        const now = await known()
        met = (now['2'] ?? 0) > 500 && (now['1'] ?? 0) > 500
      }
      killed.kill()
      await killed.ended
      expect((await known())['1']).toBeGreaterThan(0)
      const done = await pepper('rotate').ended
      expect(done).toMatchObject({ code: 0, stdout: '2\n' })
      expect(done.stderr).toContain(
        'makes fingerprints already; what is left of others is made anew',
      )
      stands.thaw()

      // What files hold is seen within seconds here, and what the rotations of before knew is over.
      let retired: Ran = { code: null, stdout: '', stderr: '' }
      for (let n = 0; n < 300 && retired.code !== 0; n++, await pause(1_000)) {
        const held = /of what has ended|fingerprints? to forget/.test(retired.stderr)
        const count = /--forget (\d+)/.exec(retired.stderr)?.[1]
        retired = await pepper('retire', ...(held && count ? ['--forget', count] : [])).ended
      }
      expect(retired).toMatchObject({ code: 0, stdout: '1\n' })
      await load.stop()
      expect(load.failures.slice(0, 5)).toEqual([])
      expect([...load.uses.values()].every((n) => n > 1)).toBe(true)
      expect(load.uses.size).toBe(4)
      expect(Object.keys(await known())).toEqual(['2'])
      const text = await readFile(join(roles.dir, 'pepper'), 'utf8')
      expect(text.match(/rekey-pepper-v1/g)).toHaveLength(1)
      expect((await stat(join(roles.dir, 'pepper'))).mode & 0o777).toBe(0o600)

      // Nothing was taken for somebody else's, by whichever process.
      const drifted = await sql(
        "SELECT body FROM audit.event WHERE body::jsonb->>'action' = 'key.drifted'",
      )
      expect(drifted).toEqual([])
      expect(await pasted('the planted one')).toEqual(['planted'])
      // A start with what is left, and with a file that lacks it.
      const next = await roles.worker()
      const { id } = await roles.ask('POST', '/v1/rotations', { key: 'file', reason: 'afterwards' })
      expect((await untilEnded(roles, id)).phase).toBe('completed')
      await next.term()
      await writeFile(
        join(roles.dir, 'pepper'),
        `rekey-pepper-v1 1 ${Buffer.alloc(32, 1).toString('base64')}\n`,
        { mode: 0o600 },
      )
      await expect(roles.worker()).rejects.toThrow(/pepper\.ours|fingerprints were made with/)
      await writeFile(join(roles.dir, 'pepper'), text, { mode: 0o600 })
      expect(`${roles.said()}${done.stderr}${retired.stderr}`).not.toContain(
        text.split(' ')[2]?.trim(),
      )
    },
  )
})

/** What a large installation has: enough versions that a kill meets the pass. Of a key that was deleted, so that nobody looks. */
const plant = async (): Promise<void> => {
  const keyring = await openKeyring({
    kekFile: join(roles.dir, 'kek'),
    pepperFile: join(roles.dir, 'pepper'),
  })
  const rows = Array.from({ length: many }, (_, n) => {
    const sealed = randomUUID()
    const value = new Secret(`value ${n}`)
    const { wrappedKey, ciphertext } = keyring.seal(value, contextOfSealed(sealed, 'test'))
    const print = Buffer.from(bytesOfFingerprint(keyring.fingerprint(value)))
    return [sealed, Buffer.from(wrappedKey), Buffer.from(ciphertext), print] as const
  })
  await withClient(roles.urls.superuser, async (db) => {
    await db.query('BEGIN')
    // The database refuses rows without an audit event, by hand too.
    await db.query(
      `INSERT INTO audit.event (id, body, writer_kid, writer_sig)
       VALUES ($1, $2, decode(repeat('00', 4), 'hex'), decode(repeat('00', 64), 'hex'))`,
      [
        randomUUID(),
        JSON.stringify({ action: 'key.registered', target: { kind: 'key' }, outcome: 'succeeded' }),
      ],
    )
    await db.query(
      `INSERT INTO app.sealed (id, purpose, kek_id, wrapped_key, ciphertext)
       SELECT i, 'test', $1, w, c FROM unnest($2::uuid[], $3::bytea[], $4::bytea[]) b (i, w, c)`,
      [keyring.kekId, rows.map(([id]) => id), rows.map((row) => row[1]), rows.map((row) => row[2])],
    )
    const key = randomUUID()
    await db.query(
      `INSERT INTO app.key (id, name, connection, type, ref, object_id, purpose, owner, environment, labels, consumers, usable_by, revision, created_at, updated_at, deleted_at)
       VALUES ($1, 'ballast', 'built-in', 'local.secret', '{}', 'ballast', 'p', 'o', 'test', '{}', '{}', '{}', 1, now(), now(), now())`,
      [key],
    )
    await db.query(
      `INSERT INTO app.version (key_id, version, state, is_primary, provider_versions, material_known, fingerprint, sealed_id, created_at)
       SELECT $1, n, 'deactivated', false, ARRAY[n::text], true, f, i, now()
       FROM unnest($2::uuid[], $3::bytea[]) WITH ORDINALITY b (i, f, n)`,
      [key, rows.map(([id]) => id), rows.map((row) => row[3])],
    )
    await db.query('COMMIT')
  })
}
