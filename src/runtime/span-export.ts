// Spans to a collector, by OTLP over HTTP (protobuf). Loaded only where `OTEL_EXPORTER_OTLP_ENDPOINT` is set. The address,
// headers, timeout, certificates and resource attributes are read from the standard variables by OpenTelemetry itself.
//
// A collector that is away costs spans and nothing else: they wait in a queue of a bounded size and are then lost, counted.

import { setTimeout as sleep } from 'node:timers/promises'
import { ExportResultCode } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { SpanExport } from './tracer.ts'

/** `OTEL_TRACES_SAMPLER`, as the specification names them; the number is `OTEL_TRACES_SAMPLER_ARG`. */
const samplers = {
  always_on: () => new AlwaysOnSampler(),
  always_off: () => new AlwaysOffSampler(),
  traceidratio: (ratio: number) => new TraceIdRatioBasedSampler(ratio),
  parentbased_always_on: () => new ParentBasedSampler({ root: new AlwaysOnSampler() }),
  parentbased_always_off: () => new ParentBasedSampler({ root: new AlwaysOffSampler() }),
  parentbased_traceidratio: (ratio: number) =>
    new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
} as const satisfies Readonly<Record<string, (ratio: number) => Sampler>>

export interface SpanExportOptions {
  readonly sampler: keyof typeof samplers
  /** From 0 to 1; for the samplers by ratio. */
  readonly ratio: number
  /** `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over it. */
  readonly service: { readonly name: string; readonly version?: string; readonly instance: string }
  /** Spans that were not taken; `error` has a text of the collector's: only its name may be told. */
  readonly onLost: (spans: number, error: unknown) => void
  /** At the end of the process, a collector that does not answer is waited for so long. */
  readonly closeMs: number
}

export const openSpanExport = (options: SpanExportOptions): SpanExport => {
  const { name, version, instance } = options.service
  const provider = new TracerProvider({
    sampler: samplers[options.sampler](options.ratio),
    resource: defaultResource()
      .merge(
        resourceFromAttributes({
          'service.name': name,
          ...(version === undefined ? {} : { 'service.version': version }),
          'service.instance.id': instance,
        }),
      )
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: telling(new OTLPTraceExporter(), options.onLost),
        scheduledDelayMillis: 1_000,
      }),
    ],
  })
  return {
    tracer: provider.getTracer('rekey', version),
    close: async () => {
      const ended = provider.shutdown().catch(() => undefined)
      await Promise.race([ended, sleep(options.closeMs, undefined, { ref: false })])
    },
  }
}

/** OpenTelemetry tells of failures on a logger that nobody reads. */
const telling = (exporter: SpanExporter, onLost: SpanExportOptions['onLost']): SpanExporter => ({
  export: (spans, done) =>
    exporter.export(spans, (result) => {
      if (result.code === ExportResultCode.FAILED) onLost(spans.length, result.error)
      done(result)
    }),
  shutdown: () => exporter.shutdown(),
  forceFlush: async () => exporter.forceFlush?.(),
})
