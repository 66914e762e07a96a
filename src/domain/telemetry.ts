// What the house tells of its own work: numbers (metrics.ts) and traces. Use cases know neither: both are taken at the
// seams, where requests, jobs, transactions and calls to providers pass.
//
// A span says which step took how long and how it ended. Its attributes are a closed list: ids, templates, codes. Never a
// value, a body, a query or a parameter, a message of an error, or the name of a key.

import { type Meter, noMeter } from './metrics.ts'

export interface SpanAttributes {
  readonly 'http.request.method'?: string
  /** The template: `/v1/keys/{name}`. */
  readonly 'http.route'?: string
  readonly 'http.response.status_code'?: number
  readonly 'rekey.request.id'?: string
  readonly 'rekey.rotation.id'?: string
  readonly 'rekey.rotation.phase'?: string
  readonly 'rekey.key.type'?: string
  readonly 'rekey.provider'?: string
  readonly 'rekey.operation'?: string
  /** Actions of the audit records that a transaction wrote. */
  readonly 'rekey.audit.actions'?: readonly string[]
  /** The error's code or kind, or its class. */
  readonly 'error.type'?: string
}

export type SpanKind = 'server' | 'consumer' | 'client' | 'internal'

export interface SpanStart {
  readonly name: string
  readonly kind: SpanKind
  readonly attributes?: SpanAttributes
  /** The W3C traceparent of another process. Null: a trace begins here. Absent: below what runs now. */
  readonly parent?: string | null
}

export interface Span {
  /** Everything that `work` starts, also later, runs below this span. */
  run<T>(work: () => T): T
  set(attributes: SpanAttributes): void
  /** Once; `failed` marks it as an error. */
  end(outcome?: 'failed'): void
}

export interface Tracer {
  begin(start: SpanStart): Span
  /** What runs now; null outside of any trace. */
  current(): TraceContext | null
}

export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string
  /** W3C Trace Context, as it is handed on to another process. */
  readonly traceparent: string
}

export interface Telemetry {
  readonly meter: Meter
  readonly tracer: Tracer
}

/** Runs `work` as a span below the present one; outside of any trace it just runs. */
export const inSpan = async <T>(
  tracer: Tracer,
  start: Omit<SpanStart, 'parent'>,
  work: (span: Span) => Promise<T>,
  errorType: (error: unknown) => string,
): Promise<T> => {
  const span = tracer.current() === null ? noSpan : tracer.begin(start)
  try {
    return await span.run(() => work(span))
  } catch (error) {
    span.set({ 'error.type': errorType(error) })
    span.end('failed')
    throw error
  } finally {
    span.end()
  }
}

const noSpan: Span = { run: (work) => work(), set: () => undefined, end: () => undefined }

/** Tells nobody anything. */
export const noTelemetry: Telemetry = {
  meter: noMeter,
  tracer: { begin: () => noSpan, current: () => null },
}
