// SIGTERM in the middle of a call to Vault: the worker takes nothing new, finishes the effect that it began, gives its leases
// back and ends in bounded time; another goes on where it was.

import { withClient } from '#store/bootstrap.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FaultProxy, startFaultProxy } from '#test/support/fault-proxy.ts'
import { peer } from '#test/support/peers.ts'
import {
  arrangeVault,
  openRoles,
  registerKv2,
  type Roles,
  untilEnded,
} from '#test/support/roles.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'

peer('vault').describe('a worker that is stopped in the middle of a call', () => {
  let vault: VaultPeer
  let proxy: FaultProxy
  let roles: Roles
  beforeAll(async () => {
    vault = await startVault()
    proxy = await startFaultProxy(vault.address)
    roles = await openRoles({ workers: 0 })
    await arrangeVault(roles, proxy.address, vault.token)
    for (const name of ['answered', 'silent', 'next']) {
      await vault.api('POST', `secret/data/${name}`, { data: { password: `first of ${name}` } })
      await registerKv2(roles, name, name)
    }
  })
  afterAll(async () => {
    await roles.close()
    await proxy.stop()
    await vault.stop()
  })

  const rotate = async (key: string): Promise<string> =>
    (await roles.ask('POST', '/v1/rotations', { key, reason: 'a test' })).id
  const leases = () =>
    withClient(roles.urls.superuser, async (db) => {
      const { rows } = await db.query(
        'SELECT rotation_id FROM app.rotation_timer WHERE lease_owner IS NOT NULL',
      )
      return rows.length
    })
  const intentsOf = (id: string) =>
    withClient(roles.urls.superuser, async (db) => {
      const { rows } = await db.query(
        'SELECT effect, outcome, closed FROM app.intent WHERE rotation_id = $1 ORDER BY started_at',
        [id],
      )
      return rows
    })
  const versionsAt = async (path: string): Promise<unknown> =>
    (await vault.api('GET', `secret/metadata/${path}`)).data['current_version']

  test('finishes it, parks the rotation, and another worker goes on without a second effect', async () => {
    const worker = await roles.worker()
    const slow = proxy.inject(
      { method: 'POST', path: /secret\/data\/answered/ },
      { kind: 'delay', ms: 4_000 },
    )
    const id = await rotate('answered')
    await slow.hit()
    const begun = performance.now()
    expect(await worker.term(), worker.said()).toBe(0)
    expect(performance.now() - begun).toBeLessThan(25_000)
    expect(worker.said()).toContain('SIGTERM: finishing what is under way')

    expect(await leases()).toBe(0)
    expect(await intentsOf(id)).toEqual([{ effect: 'mint', outcome: 'succeeded', closed: true }])
    const parked = await roles.ask('GET', `/v1/rotations/${id}`)
    expect(parked).toMatchObject({ phase: 'verifying', epoch: 1, endedAt: null })
    // Nothing that comes while nobody works is lost.
    const later = await rotate('next')

    const other = await roles.worker()
    const [first, second] = [await untilEnded(roles, id), await untilEnded(roles, later)]
    expect([first.phase, second.phase]).toEqual(['completed', 'completed'])
    // A clean hand-over: nobody had to take anything from a dead one.
    expect(first.epoch).toBe(1)
    expect(await versionsAt('answered')).toBe(2)
    expect(await other.term(), other.said()).toBe(0)
  })

  test('a call that nobody answers is given up at its deadline, and what became of it is asked for', async () => {
    const worker = await roles.worker()
    const held = proxy.inject(
      { method: 'POST', path: /secret\/data\/silent/ },
      { kind: 'holdAnswer' },
    )
    const id = await rotate('silent')
    await held.hit()
    expect(await worker.term(), worker.said()).toBe(0)
    expect(await intentsOf(id)).toEqual([{ effect: 'mint', outcome: 'unknown', closed: false }])
    expect(await leases()).toBe(0)
    held.remove()

    const other = await roles.worker()
    expect((await untilEnded(roles, id)).phase).toBe('completed')
    expect(await versionsAt('silent')).toBe(2)
    expect(await other.term(), other.said()).toBe(0)
  })
})
