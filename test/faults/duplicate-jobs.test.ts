// The queue is a doorbell: however often it rings for one rotation, over however many workers, one version is made.

import { createPostgresBackend, Queue } from 'bullmq'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { queueName } from '#worker/doorbell.ts'
import { type FaultProxy, startFaultProxy } from '#test/support/fault-proxy.ts'
import { peer } from '#test/support/peers.ts'
import {
  arrangeVault,
  openRoles,
  registerTransit,
  type Roles,
  untilEnded,
} from '#test/support/roles.ts'
import { type RedisPeer, startRedis } from '#test/peers/redis.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'

const duplicates = 500

const suite = (queueOn: 'Postgres' | 'Redis', body: () => void): void =>
  peer('vault').describe(`${duplicates} duplicate jobs on ${queueOn}`, body)

const ofOneRotation = (queueOn: 'Postgres' | 'Redis') => () => {
  let vault: VaultPeer
  let proxy: FaultProxy
  let redis: RedisPeer | null = null
  let roles: Roles
  beforeAll(async () => {
    vault = await startVault()
    proxy = await startFaultProxy(vault.address)
    redis = queueOn === 'Redis' ? await startRedis() : null
    roles = await openRoles({ workers: 2, env: redis ? { REKEY_REDIS_URL: redis.url } : {} })
    await arrangeVault(roles, proxy.address, vault.token)
  })
  afterAll(async () => {
    await roles.close()
    await redis?.stop()
    await proxy.stop()
    await vault.stop()
  })

  const openQueue = (): Pick<Queue, 'add' | 'getJobCountByTypes' | 'close'> =>
    redis
      ? new Queue(queueName, { connection: { url: redis.url } })
      : new Queue(
          queueName,
          { connection: { connectionString: roles.urls.app, schema: 'queue', max: 4 } },
          createPostgresBackend,
        )

  test('two workers make one version, with one intent and one outcome', async () => {
    await vault.api('POST', 'transit/keys/rung', {})
    await registerTransit(roles, 'rung')
    // Most of them ring while the one request is under way.
    proxy.inject({ path: /\/rotate$/ }, { kind: 'delay', ms: 2_000 })
    const queue = openQueue()
    try {
      const { id } = await roles.ask('POST', '/v1/rotations', { key: 'rung', reason: 'a test' })
      const ring = (n: number) =>
        queue.add('ring', { rotationId: id }, { jobId: `duplicate-${n}`, removeOnComplete: true })
      await Promise.all(Array.from({ length: duplicates }, (_, n) => ring(n)))
      expect((await untilEnded(roles, id)).phase).toBe('completed')

      // Not one is left over that could still ring.
      await expect.poll(() => queue.getJobCountByTypes('wait', 'active', 'delayed')).toBe(0)
      expect((await vault.api('GET', 'transit/keys/rung')).data['latest_version']).toBe(2)
      const { items } = await roles.ask('GET', `/v1/audit/events?rotation=${id}&limit=200`)
      const mints = (items as readonly { action: string; outcome: string }[])
        .filter(({ action }) => action === 'effect.mint')
        .map(({ outcome }) => outcome)
      expect(mints.toReversed()).toEqual(['intent', 'succeeded'])
      const rotates = vault
        .auditLog()
        .filter(({ type, request }) => type === 'request' && request.path.endsWith('/rotate'))
      expect(rotates).toHaveLength(1)
    } finally {
      await queue.close()
    }
  })
}

suite('Postgres', ofOneRotation('Postgres'))
peer('redis').describe('with a Redis', () => suite('Redis', ofOneRotation('Redis')))
