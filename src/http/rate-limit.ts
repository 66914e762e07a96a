// 600 requests a minute a principal, and as many refused ones a minute a source without a token. Counted in this process:
// n processes let n times as many through, which is enough against a loop gone wild and needs no store.
// `RateLimit` and `RateLimit-Policy` as in draft-ietf-httpapi-ratelimit-headers-10; the plugin itself sends older ones.

import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { RekeyError } from '#domain/errors.ts'

const windowMs = 60_000

export interface RateLimits {
  /** Counts one request against a key in a bucket, and says in the reply's headers what is left. Throws `request.rateLimited`. */
  count(request: FastifyRequest, reply: FastifyReply, bucket: string, key: string): Promise<void>
}

export const makeRateLimits = async (
  app: FastifyInstance,
  { perMinute, buckets }: { readonly perMinute: number; readonly buckets: readonly string[] },
): Promise<RateLimits> => {
  await app.register(rateLimit, { global: false })
  const limiterOf = (bucket: string) =>
    [
      bucket,
      app.createRateLimit({
        max: perMinute,
        timeWindow: windowMs,
        keyGenerator: (request) => request.state.bucketKey,
      }),
    ] as const
  // A store each: a flood in one bucket takes nothing from the other.
  const limiters = new Map([...new Set(buckets)].map(limiterOf))
  return {
    count: async (request, reply, bucket, key) => {
      const limiter = limiters.get(bucket)
      if (limiter === undefined) throw new Error(`there is no rate limit bucket ${bucket}`)
      request.state.bucketKey = key
      const counted = await limiter(request)
      if (counted.isAllowed) return
      const seconds = counted.ttlInSeconds
      void reply.header('RateLimit-Policy', `"${bucket}";q=${perMinute};w=${windowMs / 1000}`)
      void reply.header('RateLimit', `"${bucket}";r=${counted.remaining};t=${seconds}`)
      if (!counted.isExceeded) return
      void reply.header('Retry-After', String(seconds))
      throw new RekeyError('request.rateLimited', {
        detail: `More than ${perMinute} requests in a minute.`,
        hint: `Wait ${seconds} seconds.`,
      })
    },
  }
}
