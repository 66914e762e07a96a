import { expect, test } from 'vitest'
import { inSpan, noTelemetry, type Span, type Tracer } from '#domain/telemetry.ts'

/** Writes down what is told of spans. */
const listening = (current: ReturnType<Tracer['current']>) => {
  const told: unknown[] = []
  const span: Span = {
    run: (work) => {
      told.push('run')
      return work()
    },
    set: (attributes) => void told.push(attributes),
    end: (outcome) => void told.push(outcome ?? 'end'),
  }
  const tracer: Tracer = {
    begin: (start) => {
      told.push(start)
      return span
    },
    current: () => current,
  }
  return { told, tracer }
}
const start = { name: 'a step', kind: 'internal' } as const
const trace = { traceId: 't', traceparent: 'tp' }

test('work below a trace is a span, from its beginning to its end', async () => {
  const { told, tracer } = listening(trace)
  const done = await inSpan(
    tracer,
    start,
    async (span) => {
      span.set({ 'rekey.provider': 'vault' })
      return 'done'
    },
    String,
  )
  expect(done).toBe('done')
  expect(told).toEqual([start, 'run', { 'rekey.provider': 'vault' }, 'end'])
})

test('work that fails says of what kind the failure is, and fails', async () => {
  const { told, tracer } = listening(trace)
  const failing = inSpan(
    tracer,
    start,
    () => Promise.reject(new TypeError('secret')),
    (error) => (error instanceof Error ? error.name : 'unknown'),
  )
  await expect(failing).rejects.toThrow('secret')
  // That a span ends once is the tracer's own affair: its first end counts.
  expect(told.slice(0, 4)).toEqual([start, 'run', { 'error.type': 'TypeError' }, 'failed'])
})

test('work outside of any trace just runs', async () => {
  const { told, tracer } = listening(null)
  expect(await inSpan(tracer, start, async () => 7, String)).toBe(7)
  expect(told).toEqual([])
  const { begin, current } = noTelemetry.tracer
  expect(begin({ ...start }).run(() => 8)).toBe(8)
  expect(current()).toBeNull()
})
