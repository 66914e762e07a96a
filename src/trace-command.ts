// The trace of a command of the command line. A pipeline hands its own on in `TRACEPARENT`, as OpenTelemetry's convention
// for processes has it; with a collector named the command is a span too. What it needs is loaded only then: most commands
// are over before it would be.

import { parseTraceparent } from '#domain/traceparent.ts'
import type { CliIo } from '#cli/io.ts'
import type { CommandTracing } from './config.ts'

/** A command does not wait longer for a collector that does not answer. */
const closeMs = 1_000

export const traceCommand = ({ inherited, tracing }: CommandTracing): CliIo['trace'] => {
  const parent = inherited !== null && parseTraceparent(inherited) ? inherited : null
  let current = (): string | null => parent
  return {
    traceparent: () => current(),
    span: async (name, work) => {
      if (tracing === null) return work()
      const [{ makeTracer }, { openSpanExport }] = await Promise.all([
        import('#runtime/tracer.ts'),
        import('#runtime/span-export.ts'),
      ])
      const service = { name: 'rekey-cli', instance: String(process.pid) }
      const onLost = (): void => undefined
      const tracer = makeTracer(openSpanExport({ ...tracing, service, onLost, closeMs }))
      current = () => tracer.current()?.traceparent ?? parent
      const span = tracer.begin({ name, kind: 'client', parent })
      try {
        return await span.run(work)
      } catch (error) {
        span.end('failed')
        throw error
      } finally {
        span.end()
        await tracer.close()
      }
    },
  }
}
