// A mint that is under way: the log of a running server shows its intent and no outcome, for as long as the provider takes.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FaultProxy, startFaultProxy } from '#test/support/fault-proxy.ts'
import { peer } from '#test/support/peers.ts'
import {
  arrangeVault,
  openRoles,
  registerKv2,
  registerTransit,
  type Roles,
  untilEnded,
} from '#test/support/roles.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'

peer('vault').describe('a mint that Vault has not answered', () => {
  let vault: VaultPeer
  let proxy: FaultProxy
  let roles: Roles
  beforeAll(async () => {
    vault = await startVault()
    proxy = await startFaultProxy(vault.address)
    roles = await openRoles()
    await arrangeVault(roles, proxy.address, vault.token)
  })
  afterAll(async () => {
    await roles.close()
    await proxy.stop()
    await vault.stop()
  })

  const mintEvents = async (id: string) => {
    const { items } = await roles.ask('GET', `/v1/audit/events?rotation=${id}&limit=200`)
    return (items as readonly Record<string, unknown>[])
      .filter(({ action }) => action === 'effect.mint')
      .map(({ outcome, causationId, id: event }) => ({ outcome, causationId, event }))
      .toReversed()
  }

  test.each([
    {
      type: 'vault.transit.key',
      path: /\/transit\/keys\/held-transit\/rotate$/,
      name: 'held-transit',
      arrange: async () => {
        await vault.api('POST', 'transit/keys/held-transit', {})
        await registerTransit(roles, 'held-transit')
      },
      versions: async () =>
        (await vault.api('GET', 'transit/keys/held-transit')).data['latest_version'],
    },
    {
      type: 'vault.kv2.secret',
      path: /\/secret\/data\/held-kv2$/,
      name: 'held-kv2',
      arrange: async () => {
        await vault.api('POST', 'secret/data/held-kv2', { data: { password: 'old' } })
        await registerKv2(roles, 'held-kv2', 'held-kv2')
      },
      versions: async () =>
        (await vault.api('GET', 'secret/metadata/held-kv2')).data['current_version'],
    },
  ])(
    '$type: its intent is in the log before Vault has seen anything',
    async ({ name, path, arrange, versions }) => {
      await arrange()
      const mint = proxy.inject({ method: 'POST', path }, { kind: 'hold' })
      const { id } = await roles.ask('POST', '/v1/rotations', { key: name, reason: 'a test' })
      await mint.hit()

      const [intent, ...none] = await mintEvents(id)
      expect(intent).toMatchObject({ outcome: 'intent', causationId: null })
      expect(none).toEqual([])
      expect(await versions()).toBe(1)
      const { phase, steps } = await roles.ask('GET', `/v1/rotations/${id}`)
      expect(phase).toBe('minting')
      expect(steps).toMatchObject([{ phase: 'minting', attempt: 1, outcome: null, endedAt: null }])

      await mint.release()
      expect((await untilEnded(roles, id)).phase).toBe('completed')
      expect(await versions()).toBe(2)
      expect(await mintEvents(id)).toEqual([
        intent,
        { outcome: 'succeeded', causationId: intent?.event, event: expect.any(String) },
      ])
    },
  )
})
