// The metrics of this process, on prom-client. Values of labels that are in no list of the table are counted as `other`: the
// number of series is bounded here and not by the care of callers.

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import {
  type InstallationSample,
  type KnownAtStart,
  type Meter,
  type Metric,
  type MetricName,
  metrics,
  otherValue,
} from '#domain/metrics.ts'

export interface MeterOptions {
  readonly known: Readonly<Record<KnownAtStart, readonly string[]>>
}

export interface OpenMeter extends Meter {
  /** Adds values of a list that was not complete at the start. */
  learn(list: KnownAtStart, values: readonly string[]): void
  readonly contentType: string
  /** The text for Prometheus. `installation`: what the database holds, where this process tells it; null leaves it out. */
  expose(installation: readonly InstallationSample[] | null): Promise<string>
}

/** Counters with at most so many series begin at 0, so that the first event is an increase. */
const mostInitial = 16

const rows: readonly (readonly [MetricName, Metric])[] = Object.entries(metrics) as never

export const makeMeter = ({ known }: MeterOptions): OpenMeter => {
  const own = new Registry()
  const shared = new Registry()
  const lists = new Map(Object.entries(known).map(([list, values]) => [list, new Set(values)]))
  const values = (of: Metric['labels'][string]): ReadonlySet<string> =>
    typeof of === 'string' ? (lists.get(of) ?? new Set()) : new Set(of)
  const allowed = new Map(
    rows.map(([name, { labels }]) => [
      name,
      new Map(Object.entries(labels).map(([label, of]) => [label, values(of)])),
    ]),
  )
  const bounded = (name: MetricName, labels: object): Record<string, string> =>
    Object.fromEntries(
      Object.entries(labels).map(([label, value]: [string, string]) => [
        label,
        allowed.get(name)?.get(label)?.has(value) === true ? value : otherValue,
      ]),
    )

  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  for (const [name, { kind, of, help, labels, buckets }] of rows) {
    const labelNames = Object.keys(labels)
    const at = { name, help, labelNames, registers: [of === 'process' ? own : shared] }
    if (kind === 'histogram')
      histograms.set(name, new Histogram({ ...at, buckets: [...(buckets ?? [])] }))
    else if (kind === 'gauge') {
      const gauge = new Gauge(at)
      gauges.set(name, gauge)
      // A process without a worker does not tell of its sweeps.
      if (of === 'process' && labelNames.length === 0) gauge.remove()
    } else {
      const counter = new Counter(at)
      counters.set(name, counter)
      for (const series of everySeries(labels)) counter.inc(series, 0)
    }
  }
  collectDefaultMetrics({ register: own })

  return {
    contentType: own.contentType,
    learn: (list, more) => more.forEach((value) => lists.get(list)?.add(value)),
    add: (name, labels, by = 1) => counters.get(name)?.inc(bounded(name, labels), by),
    observe: (name, labels, value) => histograms.get(name)?.observe(bounded(name, labels), value),
    set: (name, labels, value) => gauges.get(name)?.set(bounded(name, labels), value),
    async expose(installation) {
      if (installation === null) return own.metrics()
      // Made anew each time: a phase in which there is no rotation any more is not told.
      shared.resetMetrics()
      for (const { name, labels, value } of installation)
        gauges.get(name)?.set(bounded(name, labels), value)
      return `${await own.metrics()}\n${await shared.metrics()}`
    },
  }
}

/** All combinations of the labels' values, or none where they are many or are known only at the start. */
const everySeries = (labels: Metric['labels']): readonly Record<string, string>[] => {
  const lists = Object.entries(labels)
  const count = lists.reduce(
    (product, [, values]) => product * (typeof values === 'string' ? Infinity : values.length),
    1,
  )
  if (count > mostInitial) return []
  return lists.reduce<readonly Record<string, string>[]>(
    (series, [label, values]) =>
      series.flatMap((labelled) => [...values].map((value) => ({ ...labelled, [label]: value }))),
    [{}],
  )
}
