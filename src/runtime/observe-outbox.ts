// What became of messages to sinks, counted where it is written down.

import type { Meter } from '#domain/metrics.ts'
import type { Outbox } from '#domain/ports.ts'

export const observeOutbox = (outbox: Outbox, meter: Meter): Outbox => ({
  ...outbox,
  delivered: async (delivery) => {
    await outbox.delivered(delivery)
    meter.add('rekey_sink_deliveries_total', { outcome: 'delivered' })
  },
  failed: async (delivery, told, retryMs) => {
    await outbox.failed(delivery, told, retryMs)
    meter.add('rekey_sink_deliveries_total', { outcome: retryMs === null ? 'dead' : 'retried' })
  },
  bury: async (sink, error) => {
    const buried = await outbox.bury(sink, error)
    meter.add('rekey_sink_deliveries_total', { outcome: 'dead' }, buried)
    return buried
  },
})
