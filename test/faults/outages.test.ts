// What Rekey stands on goes away in the middle of rotations, and comes back: a worker that stands still for longer than its
// lease, PostgreSQL, the space for the audit log. Real processes over a real Vault, behind a proxy that holds requests so
// that each rotation is where it hurts most. Nothing is lost, nothing is done twice, and nobody has to help.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDuration } from '#domain/duration.ts'
import { withClient } from '#store/bootstrap.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import {
  type Fault,
  type FaultProxy,
  type Rule,
  startFaultProxy,
} from '#test/support/fault-proxy.ts'
import { long, peer } from '#test/support/peers.ts'
import { outageOf, type PostgresOutage } from '#test/support/postgres-outage.ts'
import {
  arrangeVault,
  openRoles,
  registerKv2,
  registerTransit,
  type Roles,
  type StartedRole,
  untilEnded,
} from '#test/support/roles.ts'
import { openRekey } from '#test/support/rekey-process.ts'
import { ended } from '#test/support/rotations.ts'
import { mountSmallDisk, type SmallDisk } from '#test/support/small-disk.ts'

/** All of it together takes a minute on a quiet machine. */
const patienceMs = 90_000
const inTime = { timeout: 300_000 }

/** `npm run outages`: a minute. */
const away = process.env['REKEY_TEST_AWAY'] ?? '12s'

long.describe('what Rekey stands on goes away', () => {
  test(
    'the PostgreSQL that Rekey brings is killed under it: it is started again, and rotations go on',
    inTime,
    async () => {
      const rekey = await openRekey()
      try {
        await rekey.start()
        await rekey.ask('PUT', '/v1/connections/built-in', { provider: 'local' })
        await rekey.ask('PUT', '/v1/policies/slow', {
          selector: { connection: 'built-in' },
          manual: true,
          overlap: { min: '3s' },
          soak: '0s',
        })
        await rekey.ask('POST', '/v1/keys', {
          ...{ name: 'key', purpose: 'tests', owner: 'team', environment: 'test' },
          ...{ connection: 'built-in', type: 'local.secret', create: true },
        })
        const { id } = await rekey.ask('POST', '/v1/rotations', { key: 'key', reason: 'a test' })
        const file = join(rekey.dir, 'postgres', 'postmaster.pid')
        const pid = Number((await readFile(file, 'utf8')).split('\n')[0])
        process.kill(pid, 'SIGKILL')
        await expect
          .poll(async () => (await readFile(file, 'utf8').catch(() => '')).split('\n')[0], {
            timeout: patienceMs,
          })
          .not.toBe(String(pid))
        await expect
          .poll(async () => (await rekey.call('GET', '/readyz')).status, { timeout: patienceMs })
          .toBe(200)
        expect(await ended(rekey, id, patienceMs)).toMatchObject({
          phase: 'completed',
          toVersion: 2,
        })
      } finally {
        await rekey.stop()
      }
    },
  )

  peer('vault').describe('in the middle of rotations', () => {
    let vault: VaultPeer
    let proxy: FaultProxy
    let roles: Roles
    let worker: StartedRole
    let postgres: PostgresOutage
    let disk: SmallDisk | null = null
    beforeAll(async () => {
      vault = await startVault()
      proxy = await startFaultProxy(vault.address)
      roles = await openRoles({ workers: 0 })
      postgres = outageOf(join(roles.dir, 'postgres'))
      worker = await roles.worker()
      await arrangeVault(roles, proxy.address, vault.token)
    })
    afterAll(async () => {
      worker?.thaw()
      await roles?.close()
      await disk?.unmount()
      await proxy?.stop()
      await vault?.stop()
    })

    const kv = async (name: string): Promise<string> => {
      await vault.api('POST', `secret/data/${name}`, { data: { password: `first of ${name}` } })
      await registerKv2(roles, name, name)
      return name
    }
    const transit = async (name: string): Promise<string> => {
      await vault.api('POST', `transit/keys/${name}`, {})
      await registerTransit(roles, name)
      return name
    }
    const rotate = async (key: string): Promise<string> =>
      (await roles.ask('POST', '/v1/rotations', { key, reason: 'a test' })).id
    const heldAt = (path: string, kind: Extract<Fault['kind'], 'hold' | 'holdAnswer'>): Rule =>
      proxy.inject({ method: 'POST', path: new RegExp(`^/v1/${path}$`) }, { kind })
    const sql = <Row>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> =>
      withClient(roles.urls.superuser, async (db) => (await db.query(text, [...values])).rows)
    const readiness = async () => {
      const { status, json } = await roles.call('GET', '/readyz')
      const failing = json.checks.filter(({ ready }: { ready: boolean }) => !ready)
      return [status, ...failing.map(({ name }: { name: string }) => name)]
    }
    const versionsAt = async (name: string): Promise<unknown> =>
      (await vault.api('GET', `secret/metadata/${name}`)).data['current_version']
    const intentsOf = (id: string) =>
      sql<{ effect: string; outcome: string | null; detail: string | null }>(
        'SELECT effect, outcome, detail FROM app.intent WHERE rotation_id = $1 ORDER BY started_at',
        [id],
      )
    const endsOf = async (id: string, action: string): Promise<readonly string[]> =>
      (
        await sql<{ outcome: string }>(
          `SELECT body::jsonb ->> 'outcome' AS outcome FROM audit.event
           WHERE body::jsonb ->> 'correlationId' = $1 AND body::jsonb ->> 'action' = $2 ORDER BY id`,
          [id, action],
        )
      ).map(({ outcome }) => outcome)
    const sound = async (...keys: readonly string[]): Promise<void> => {
      const { items } = await roles.ask('GET', '/v1/checks/keys?limit=200')
      const found = items.filter(({ key }: { key: string }) => keys.includes(key))
      expect(found).toEqual(
        expect.arrayContaining(keys.map((key) => ({ key, breaches: [], unknown: null }))),
      )
    }

    test(
      'a worker that stands still past its lease can write nothing afterwards: what it sent is adopted, or removed',
      inTime,
      async () => {
        const [adopted, removed] = [await kv('adopted'), await kv('removed')]
        const holds = [adopted, removed].map((key) => heldAt(`secret/data/${key}`, 'hold'))
        const ids = [await rotate(adopted), await rotate(removed)] as const
        await Promise.all(holds.map((rule) => rule.hit()))
        worker.freeze()
        // As if twenty seconds had passed.
        await sql(
          'UPDATE app.rotation_timer SET lease_until = app.now() WHERE lease_owner IS NOT NULL',
        )
        const other = await roles.worker()
        await expect
          .poll(
            async () =>
              (
                await sql<{ epoch: number }>(
                  'SELECT epoch FROM app.rotation WHERE ended_at IS NULL',
                )
              ).map(({ epoch }) => epoch),
            { timeout: patienceMs },
          )
          .toEqual([2, 2])
        await roles.ask('POST', `/v1/rotations/${ids[1]}/rollback`, { reason: 'a test' })
        // Only now do they arrive at Vault.
        await Promise.all(holds.map((rule) => rule.release()))
        worker.thaw()
        expect(await untilEnded(roles, ids[0], patienceMs)).toMatchObject({
          phase: 'completed',
          toVersion: 2,
        })
        expect(await untilEnded(roles, ids[1], patienceMs)).toMatchObject({ phase: 'rolledBack' })

        for (const id of ids) {
          const [mint] = await intentsOf(id)
          // Its sender got the answer, and was not let write it down: it would have said nothing of a probe.
          expect(mint).toMatchObject({
            effect: 'mint',
            outcome: 'succeeded',
            detail: 'found by a probe',
          })
          expect(await endsOf(id, 'effect.mint')).toEqual(['intent', 'succeeded'])
        }
        expect(await versionsAt(adopted)).toBe(2)
        const { data } = await vault.api('GET', `secret/data/${removed}`)
        expect(data['data']).toEqual({ password: 'first of removed' })
        await sound(adopted, removed)
        // It is as good as new.
        expect(await other.term(), other.said()).toBe(0)
        expect((await untilEnded(roles, await rotate(adopted), patienceMs)).phase).toBe('completed')
      },
    )

    test.each([
      { name: 'restarted', awayMs: 0 },
      { name: `away for ${away}`, awayMs: parseDuration(away) },
    ])(
      'PostgreSQL is $name: every rotation completes with one new version',
      inTime,
      async ({ awayMs }) => {
        const of = `pg-${awayMs}`
        const [done, late, turned, idle] = [
          await kv(`${of}-done`),
          await kv(`${of}-late`),
          await transit(`${of}-turned`),
          await kv(`${of}-idle`),
        ]
        const holds = [
          heldAt(`secret/data/${done}`, 'holdAnswer'),
          heldAt(`secret/data/${late}`, 'hold'),
          heldAt(`transit/keys/${turned}/rotate`, 'holdAnswer'),
          heldAt(`secret/delete/${idle}`, 'holdAnswer'),
        ]
        const ids = await Promise.all([done, late, turned, idle].map(rotate))
        await Promise.all(holds.map((rule) => rule.hit()))
        await postgres.begin()
        // The answers come while nothing can be written down.
        await Promise.all(holds.map((rule) => rule.release()))
        const [status, ...failing] = await readiness()
        expect([status, failing]).toEqual([503, expect.arrayContaining(['database'])])
        const refused = await roles.call('POST', '/v1/rotations', { key: idle, reason: 'a test' })
        expect([refused.status, refused.json.code]).toEqual([
          503,
          expect.stringMatching(/^(audit|service)\.unavailable$/),
        ])
        await pause(awayMs)
        await postgres.end()
        await expect.poll(readiness, { timeout: patienceMs }).toEqual([200])

        for (const id of ids) {
          expect(await untilEnded(roles, id, patienceMs)).toMatchObject({
            phase: 'completed',
            toVersion: 2,
          })
          const outcomes = (await intentsOf(id)).map(({ outcome }) => outcome)
          expect(new Set(outcomes)).toEqual(new Set(['succeeded']))
        }
        for (const key of [done, late, idle]) expect([key, await versionsAt(key)]).toEqual([key, 2])
        expect((await vault.api('GET', `transit/keys/${turned}`)).data['latest_version']).toBe(2)
        await sound(done, late, turned, idle)
      },
    )

    peer('smallDisk').describe('for the audit log', () => {
      test(
        'no space: nothing happens without its record, and it goes on once there is some',
        inTime,
        async () => {
          const key = await kv('unrecorded')
          const small = await mountSmallDisk()
          disk = small
          const held = heldAt(`secret/data/${key}`, 'holdAnswer')
          const id = await rotate(key)
          await held.hit()
          // However long it takes to fill the disk: it does not give up its request and ask again while there is space.
          worker.freeze()
          await logTo(small.directory)
          const before = await stateOf(key, id)
          await small.fill()
          const refused = await untilRefused()
          expect(refused).toMatchObject({ status: 503, json: { code: 'audit.unavailable' } })
          expect(refused.json.detail).toContain('disk')
          // Vault has done it, and that cannot be written down.
          await held.release()
          worker.thaw()
          await expect.poll(readiness, { timeout: patienceMs }).toEqual([503, 'audit'])
          await pause(3_000)
          expect(await stateOf(key, id)).toEqual(before)
          expect(
            (await roles.call('POST', `/v1/rotations/${id}/rollback`, { reason: 'x' })).status,
          ).toBe(503)
          expect(await stateOf(key, id)).toEqual(before)

          await small.clear()
          await expect.poll(readiness, { timeout: patienceMs }).toEqual([200])
          expect(await untilEnded(roles, id, patienceMs)).toMatchObject({
            phase: 'completed',
            toVersion: 2,
          })
          const [mint] = await intentsOf(id)
          expect(mint).toMatchObject({ outcome: 'succeeded', detail: 'found by a probe' })
          expect(await versionsAt(key)).toBe(2)
          await sound(key)
        },
      )

      /** The log of this month lies there from now on. Sessions forget which page of it they were filling: room in a page that
       *  only the worker's knew would still take its record. */
      const logTo = (directory: string): Promise<void> =>
        withClient(roles.urls.superuser, async (db) => {
          await db.query(`CREATE TABLESPACE small LOCATION '${directory}'`)
          const { rows } = await db.query<{ move: string }>(
            `WITH log AS (SELECT tableoid AS oid FROM audit.event ORDER BY id DESC LIMIT 1)
             SELECT format('ALTER TABLE %s SET TABLESPACE small', oid::regclass) AS move FROM log
             UNION ALL
             SELECT format('ALTER INDEX %s SET TABLESPACE small', indexrelid::regclass) FROM pg_index JOIN log ON indrelid = oid`,
          )
          await db.query("SET lock_timeout = '2s'")
          for (const { move } of rows) {
            while (!(await db.query(move).catch(unlessLocked))) await goOnForAMoment()
          }
        })
      const unlessLocked = (error: Error & { readonly code?: string }): null => {
        if (error.code === '55P03') return null
        throw error
      }
      /** It stands still in the middle of a look at the log. */
      const goOnForAMoment = async (): Promise<void> => {
        worker.thaw()
        await pause(100)
        worker.freeze()
      }
      const stateOf = async (key: string, id: string) => ({
        rotation: await sql('SELECT phase, epoch FROM app.rotation WHERE id = $1', [id]),
        versions: await sql(
          'SELECT version, state FROM app.version v JOIN app.key k ON k.id = v.key_id WHERE k.name = $1',
          [key],
        ),
        intents: await intentsOf(id),
      })
      /** Until no record of a rotation has room, all of which are longer than these. Refused for want of a page in an index, a
       *  record leaves its row in the table: after so many in a row it is the table that has no room. */
      const untilRefused = async () => {
        let inARow = 0
        for (let n = 0; n < 400; n++) {
          const owner = `team ${n} ${'x'.repeat(100)}`
          const reply = await roles.call('PUT', `/v1/consumers/filler-${n}`, { owner })
          inARow = reply.status > 201 ? inARow + 1 : 0
          if (inARow === 20) return reply
        }
        throw new Error('the disk is never full')
      }
    })
  })
})
