import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { SinkAnswer } from '#domain/ports.ts'
import { judgeAnswer, parseRetryAfter } from '#domain/retry-schedule.ts'

const answered = (status: number, retryAfterMs: number | null = null): SinkAnswer => ({
  kind: 'answered',
  status,
  retryAfterMs,
  text: '',
})
const failed = (refused: boolean): SinkAnswer => ({ kind: 'failed', refused, why: 'no' })
const day = 86_400_000

test('any 2xx is delivered, and 410 wants nothing more', () => {
  for (const status of [200, 202, 204, 299]) {
    expect(judgeAnswer(answered(status), 1, 0.5)).toEqual({ verdict: 'delivered' })
  }
  expect(judgeAnswer(answered(410), 1, 0.5)).toEqual({ verdict: 'gone' })
})

test('what is neither is tried again', () => {
  for (const status of [100, 199, 300, 409, 411]) {
    expect(judgeAnswer(answered(status), 1, 0.5)).toMatchObject({ verdict: 'retry', hold: false })
  }
  expect(judgeAnswer(failed(false), 1, 0.5)).toEqual({
    verdict: 'retry',
    afterMs: 5_000,
    hold: false,
  })
})

test('the waits are spread by a tenth up and down', () => {
  expect(judgeAnswer(answered(500), 2, 0)).toMatchObject({ afterMs: 270_000 })
  expect(judgeAnswer(answered(500), 2, 1)).toMatchObject({ afterMs: 330_000 })
})

test('the waits are those of Standard Webhooks', () => {
  const waits = Array.from({ length: 9 }, (_, i) => {
    const verdict = judgeAnswer(answered(500), i + 1, 0.5)
    return verdict.verdict === 'retry' ? verdict.afterMs / 1000 : null
  })
  expect(waits).toEqual([5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400])
})

test('what may pass by itself gets ten tries, what is our fault three', () => {
  for (const answer of [
    answered(408),
    answered(429),
    answered(500),
    answered(503),
    failed(false),
  ]) {
    expect(judgeAnswer(answer, 9, 0).verdict).toBe('retry')
    expect(judgeAnswer(answer, 10, 0).verdict).toBe('dead')
  }
  for (const answer of [answered(400), answered(401), answered(404), answered(307), failed(true)]) {
    expect(judgeAnswer(answer, 2, 0).verdict).toBe('retry')
    expect(judgeAnswer(answer, 3, 0).verdict).toBe('dead')
  }
})

test('Retry-After lengthens the wait up to a day and holds the whole sink', () => {
  expect(judgeAnswer(answered(429, 60_000), 1, 0.5)).toEqual({
    verdict: 'retry',
    afterMs: 60_000,
    hold: true,
  })
  expect(judgeAnswer(answered(429, 1_000), 2, 0.5)).toEqual({
    verdict: 'retry',
    afterMs: 300_000,
    hold: true,
  })
  expect(judgeAnswer(answered(503, 30 * day), 1, 0.5)).toMatchObject({ afterMs: day })
})

test('every message ends: delivered, gone or dead after at most ten tries', () => {
  const anyAnswer = fc.oneof(
    fc.record({
      kind: fc.constant('answered' as const),
      status: fc.integer({ min: 100, max: 599 }),
      retryAfterMs: fc.option(fc.nat(10 * day)),
      text: fc.constant(''),
    }),
    fc.record({
      kind: fc.constant('failed' as const),
      refused: fc.boolean(),
      why: fc.constant(''),
    }),
  )
  fc.assert(
    fc.property(
      fc.infiniteStream(anyAnswer),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (answers, jitter) => {
        for (let attempt = 1; attempt <= 10; attempt++) {
          const { value } = answers.next() as { value: SinkAnswer }
          const verdict = judgeAnswer(value, attempt, jitter)
          if (verdict.verdict !== 'retry') return
          expect(verdict.afterMs).toBeGreaterThan(0)
          expect(verdict.afterMs).toBeLessThanOrEqual(day)
        }
        throw new Error('still retrying after ten tries')
      },
    ),
  )
})

test('Retry-After is a number of seconds, or a date, whatever a date begins and ends with', () => {
  const now = new Date('2026-11-23T00:00:00Z')
  expect(parseRetryAfter('120', now)).toBe(120_000)
  expect(parseRetryAfter(' 7 ', now)).toBe(7_000)
  expect(parseRetryAfter('2026-11-23T00:01:00+00:00', now)).toBe(60_000)
})

test('a Retry-After that cannot be read is as none', () => {
  const now = new Date('2026-11-23T00:00:00Z')
  expect(parseRetryAfter(null, now)).toBeNull()
  expect(parseRetryAfter('soon', now)).toBeNull()
  expect(parseRetryAfter('0', now)).toBe(0)
  expect(parseRetryAfter('Mon, 23 Nov 2026 00:01:00 GMT', now)).toBe(60_000)
  expect(parseRetryAfter('Mon, 23 Nov 2020 00:01:00 GMT', now)).toBe(0)
})
