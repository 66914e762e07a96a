// A job names a rotation; the rotation's row keeps where its trace goes on. So what a worker does belongs to the trace of
// whoever asked for the rotation, through any number of jobs, workers and days.

import type { Tracer } from '#domain/telemetry.ts'

export const observeAdvance =
  (
    advance: (rotationId: string) => Promise<void>,
    tracer: Tracer,
    traceparentOf: (rotationId: string) => Promise<string | null>,
  ) =>
  async (rotationId: string): Promise<void> => {
    const span = tracer.begin({
      name: 'rotation.advance',
      kind: 'consumer',
      attributes: { 'rekey.rotation.id': rotationId },
      parent: await traceparentOf(rotationId),
    })
    try {
      await span.run(() => advance(rotationId))
    } catch (error) {
      span.end('failed')
      throw error
    } finally {
      span.end()
    }
  }
