import { expect, test } from 'vitest'
import { createConnection } from 'node:net'
import { startRedis } from '#test/peers/redis.ts'
import { peer } from '#test/support/peers.ts'

peer('redis').describe('the Redis peer', () => {
  test('answers on a port of its own and is gone after stop', async () => {
    const redis = await startRedis()
    expect(await accepts(redis.port)).toBe(true)
    await redis.stop()
    expect(await accepts(redis.port)).toBe(false)
  })
})

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
