// docs/reference/metrics.md, drawn from the table of metrics.

import { type Metric, metrics } from '../src/domain/metrics.ts'
import { generated, table } from './markdown.ts'

export const metricsPage = (): string => {
  const rows: readonly (readonly [string, Metric])[] = Object.entries(metrics)
  const told = (of: Metric['of']): string =>
    table(
      ['metric', 'kind', 'labels', 'what it tells'],
      rows
        .filter(([, metric]) => metric.of === of)
        .map(([name, { kind, labels, help }]) => [
          `\`${name}\``,
          kind,
          Object.entries(labels).map(labelText).join('; ') || '–',
          help,
        ]),
    )
  return (
    [
      '# Metrics',
      generated,
      'Each process of Rekey tells its metrics in the text format of Prometheus at `/metrics`, on a port of its own: `REKEY_METRICS_HOST` (127.0.0.1) and `REKEY_METRICS_PORT` (7401; 0 takes any free one). Scrape every process, at least once a minute. `/livez` and `/readyz` are there too, for workers.',
      'No label names a key, a connection, a sink or a principal. A label takes only the values listed here, or those that its list stands for; anything else is counted as `other`, so the number of series has a bound.',
      `## What a process saw\nOver processes, counters and histograms are added up: \`sum(rate(…[5m]))\`. Times and states are compared: \`max(rekey_sweep_last_success_timestamp_seconds)\` is the last sweep of any worker.\n\n${told('process')}`,
      `## What the database holds\nOne process tells these at a time, by a lease, so that several do not tell them several times: \`sum\` and \`max\` are the same. When the process that tells them dies, another one that is scraped does so within 90 seconds, and for one scrape both may: \`max\` (with \`by (phase)\` or \`by (state)\`) is right at that moment too. They are read by index, at most every 5 seconds.\n\n${told('installation')}`,
      '## The process itself\nThe usual names of Prometheus clients for Node: `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_start_time_seconds`, `process_open_fds`, `nodejs_eventloop_lag_p99_seconds`, `nodejs_heap_size_used_bytes`, `nodejs_gc_duration_seconds` and their like.',
    ].join('\n\n') + '\n'
  )
}

const lists: Readonly<Record<string, string>> = {
  routes: 'templates of routes',
  providers: 'ids of providers',
  types: 'types of keys',
  builds: 'of Rekey',
  runtimes: 'of Node',
}

/** Values that fit into a cell are listed. */
const labelText = ([label, values]: readonly [string, Metric['labels'][string]]): string =>
  typeof values === 'string'
    ? `\`${label}\` (${lists[values]})`
    : values.length > 16
      ? `\`${label}\``
      : `\`${label}\`: ${values.map((value) => `\`${value}\``).join(', ')}`
