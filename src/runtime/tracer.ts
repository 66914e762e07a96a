// Traces, on OpenTelemetry. Without a collector the tracer makes no spans of its own and hands on those of the caller, so
// that a caller's trace id stands in the log and in the audit log all the same.
//
// Nothing is registered globally: two tracers in one process (tests) do not meet.

import {
  type Context,
  createContextKey,
  isSpanContextValid,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SpanKind as Kind,
  type Span as OtelSpan,
  SpanStatusCode,
  trace,
  type Tracer as OtelTracer,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import type { Span, SpanAttributes, SpanKind, TraceContext, Tracer } from '#domain/telemetry.ts'
import { parseTraceparent } from '#domain/traceparent.ts'

export interface OpenTracer extends Tracer {
  /** What a line of the log carries: the trace and the rotation that it belongs to. */
  logFields(): Readonly<Record<string, string>>
  /** Sends what is left, and waits for it a few seconds at most. */
  close(): Promise<void>
}

/** Where spans go: made by `openSpanExport` in a process that has a collector. */
export interface SpanExport {
  readonly tracer: OtelTracer
  close(): Promise<void>
}

const kinds: Readonly<Record<SpanKind, Kind>> = {
  server: Kind.SERVER,
  consumer: Kind.CONSUMER,
  client: Kind.CLIENT,
  internal: Kind.INTERNAL,
}
const rotationKey = createContextKey('rekey.rotation.id')

export const makeTracer = (exported: SpanExport | null): OpenTracer => {
  const contexts = new AsyncLocalStorageContextManager().enable()
  const tracer = exported?.tracer ?? new ProxyTracerProvider().getTracer('rekey')

  const current = (): TraceContext | null => {
    const at = trace.getSpanContext(contexts.active())
    if (at === undefined || !isSpanContextValid(at)) return null
    const flags = at.traceFlags.toString(16).padStart(2, '0')
    return { traceId: at.traceId, traceparent: `00-${at.traceId}-${at.spanId}-${flags}` }
  }

  return {
    current,
    begin({ name, kind, attributes = {}, parent }) {
      const below = parent === undefined ? contexts.active() : contextOf(parent)
      const span = tracer.startSpan(
        name,
        { kind: kinds[kind], attributes: written(attributes) },
        below,
      )
      const rotation = attributes['rekey.rotation.id']
      const spanned = trace.setSpan(below, span)
      const at = rotation === undefined ? spanned : spanned.setValue(rotationKey, rotation)
      return wrap(span, (work) => contexts.with(at, work))
    },
    logFields() {
      const active = contexts.active()
      const at = trace.getSpanContext(active)
      const rotationId = active.getValue(rotationKey)
      return {
        ...(at && isSpanContextValid(at) ? { traceId: at.traceId, spanId: at.spanId } : {}),
        ...(typeof rotationId === 'string' ? { rotationId } : {}),
      }
    },
    close: async () => {
      await exported?.close()
      contexts.disable()
    },
  }
}

const wrap = (span: OtelSpan, run: <T>(work: () => T) => T): Span => {
  let open = true
  return {
    run,
    set: (attributes) => void span.setAttributes(written(attributes)),
    end(outcome) {
      if (!open) return
      open = false
      if (outcome === 'failed') span.setStatus({ code: SpanStatusCode.ERROR })
      span.end()
    },
  }
}

/** What another process sent; a malformed one begins a new trace, as the specification asks. */
const contextOf = (traceparent: string | null): Context => {
  const at = traceparent === null ? null : parseTraceparent(traceparent)
  if (at === null) return ROOT_CONTEXT
  const { traceId, spanId, flags } = at
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: flags, isRemote: true })
}

const written = (attributes: SpanAttributes): Record<string, string | number | string[]> =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      typeof value === 'object' ? [...value] : value,
    ]),
  )
