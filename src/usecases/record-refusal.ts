// Refused requests in the audit log: who was denied, and what was malformed, by code and pointer, never by body. Without a
// token nobody may fill the log: such denials are counted by source and minute, and told once the minute is over.

import { systemActor, type Actor } from '#domain/actor.ts'
import type { ErrorCode } from '#domain/errors.ts'
import type { Clock, Ledger } from '#domain/ports.ts'

export interface Refusal {
  /** Method and path of the route, such as `PUT /v1/keys/{name}`: no names of things. */
  readonly operation: string
  readonly requestId: string
  readonly code: ErrorCode
  readonly pointers: readonly string[]
}

const mostPointers = 20

export const recordRefusal =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'note'> }) =>
  async (actor: Actor, outcome: 'denied' | 'invalid', refusal: Refusal): Promise<void> => {
    await ledger.note(actor, {
      action: outcome === 'denied' ? 'request.denied' : 'request.invalid',
      target: { id: refusal.requestId, name: refusal.operation },
      outcome: outcome === 'denied' ? 'denied' : 'failed',
      reason: refusal.code,
      // A few say what it was; a request with a thousand faults is one event like any other.
      after: { code: refusal.code, pointers: refusal.pointers.slice(0, mostPointers) },
    })
  }

export interface DenialCounter {
  /** One more request without a valid token. */
  count(source: string, why: string, apiKey: string | null): void
  /** Writes what was counted in minutes that are over, or all. What cannot be written is kept for the next time. */
  flush(all?: 'all'): Promise<void>
}

interface Counted {
  readonly source: string
  readonly minute: number
  readonly reasons: Map<string, number>
  readonly apiKeys: Set<string>
}

/** More sources than this in one minute are counted together: the memory and the log stay small under a flood. */
const mostSources = 200
const mostApiKeys = 20

export const makeDenialCounter = ({
  ledger,
  clock,
}: {
  readonly ledger: Pick<Ledger, 'note'>
  readonly clock: Pick<Clock, 'now'>
}): DenialCounter => {
  const counted = new Map<string, Counted>()
  const minuteNow = () => Math.floor(clock.now().getTime() / 60_000)
  return {
    count: (source, why, apiKey) => {
      const minute = minuteNow()
      const name =
        counted.has(`${minute} ${source}`) || counted.size < mostSources ? source : 'others'
      const key = `${minute} ${name}`
      const entry = counted.get(key) ?? {
        source: name,
        minute,
        reasons: new Map(),
        apiKeys: new Set(),
      }
      counted.set(key, entry)
      entry.reasons.set(why, (entry.reasons.get(why) ?? 0) + 1)
      if (apiKey !== null && entry.apiKeys.size < mostApiKeys) entry.apiKeys.add(apiKey)
    },
    flush: async (all) => {
      const now = minuteNow()
      for (const [key, entry] of counted) {
        if (all === undefined && entry.minute >= now) continue
        counted.delete(key)
        try {
          // oxlint-disable-next-line no-await-in-loop -- a flood must not open many transactions at once
          await tell(ledger, entry)
        } catch (error) {
          if (!counted.has(key)) counted.set(key, entry)
          throw error
        }
      }
    },
  }
}

const door = systemActor('system', 'door')

const tell = async (ledger: Pick<Ledger, 'note'>, entry: Counted): Promise<void> => {
  const minute = new Date(entry.minute * 60_000).toISOString()
  await ledger.note(door, {
    action: 'request.denied',
    target: { id: `${entry.source} ${minute}`, name: entry.source },
    outcome: 'denied',
    reason: 'without a valid token',
    after: {
      source: entry.source,
      minute,
      count: [...entry.reasons.values()].reduce((a, b) => a + b, 0),
      reasons: Object.fromEntries(entry.reasons),
      apiKeys: [...entry.apiKeys],
    },
  })
}
