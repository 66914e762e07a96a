// The queue on Redis is a doorbell: what is emptied or away with it is no rotation. PostgreSQL knows what is due, and workers
// go on from there, whether anybody can ring or not.

import { Redis } from 'ioredis'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RedisPeer, startRedis } from '#test/peers/redis.ts'
import { long, peer } from '#test/support/peers.ts'
import { openRoles, type Roles, untilEnded } from '#test/support/roles.ts'

long.describe('Redis goes away', () => {
  peer('redis').describe('in the middle of rotations', () => {
    let redis: RedisPeer
    let roles: Roles
    const keys = Array.from({ length: 8 }, (_, n) => `key-${n}`)
    beforeAll(async () => {
      redis = await startRedis()
      roles = await openRoles({ workers: 2, env: { REKEY_REDIS_URL: redis.url } })
      await roles.ask('PUT', '/v1/connections/built-in', { provider: 'local' })
      await roles.ask('PUT', '/v1/policies/quick', {
        selector: { connection: 'built-in' },
        manual: true,
        overlap: { min: '1s' },
        soak: '1s',
        concurrency: { max: 100 },
      })
      for (const name of keys)
        await roles.ask('POST', '/v1/keys', {
          ...{ name, purpose: 'tests', owner: 'team', environment: 'test' },
          ...{ connection: 'built-in', type: 'local.secret', create: true },
        })
    })
    afterAll(async () => {
      await roles?.close()
      await redis?.stop()
    })

    const rotate = async (key: string): Promise<string> => {
      const began = performance.now()
      const { id } = await roles.ask('POST', '/v1/rotations', { key, reason: 'a test' })
      expect(performance.now() - began, 'nobody waits for the doorbell').toBeLessThan(5_000)
      return id
    }
    const expectCompleted = async (ids: readonly string[]): Promise<void> => {
      for (const id of ids) {
        const { phase, fromVersion, toVersion } = await untilEnded(roles, id, 90_000)
        expect([phase, toVersion]).toEqual(['completed', fromVersion + 1])
      }
      const { items } = await roles.ask('GET', '/v1/checks/keys?limit=200')
      expect(items).toEqual(
        expect.arrayContaining(keys.map((key) => ({ key, breaches: [], unknown: null }))),
      )
    }

    test('emptied again and again: nothing is lost', { timeout: 200_000 }, async () => {
      const client = new Redis(redis.url)
      try {
        const ids: string[] = []
        for (const key of keys) {
          ids.push(await rotate(key))
          await client.flushall()
        }
        for (let n = 0; n < 20; n++) {
          await client.flushall()
          await pause(200)
        }
        await expectCompleted(ids)
      } finally {
        client.disconnect()
      }
    })

    test('restarted, and empty then: nothing is lost', { timeout: 200_000 }, async () => {
      const ids = await Promise.all(keys.map(rotate))
      await pause(500)
      await redis.stop()
      redis = await startRedis({ port: redis.port })
      await expectCompleted(ids)
    })

    test(
      'not there at all: rotations begin, go on and end, and so do workers',
      { timeout: 200_000 },
      async () => {
        await redis.stop()
        const ids = await Promise.all(keys.map(rotate))
        await expectCompleted(ids)
        // A worker starts without it, works, and ends as it should.
        const other = await roles.worker()
        const more = await Promise.all(keys.map(rotate))
        await expectCompleted(more)
        expect(await other.term(), other.said()).toBe(0)
        redis = await startRedis({ port: redis.port })
        await expectCompleted(await Promise.all(keys.map(rotate)))
      },
    )
  })
})
