// When a message to a sink is tried again: the schedule of Standard Webhooks
// (github.com/standard-webhooks/standard-webhooks, spec "Reliability and retries"), with jitter.

import type { SinkAnswer } from './ports.ts'

const second = 1_000
const minute = 60 * second
const hour = 60 * minute

const waits: readonly number[] = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
]
/** Tries of a receiver that says it is our fault (4xx), redirects, or that egress refuses: a person may mend it meanwhile. */
const fewTries = 3
const longest = 24 * hour

export type SinkVerdict =
  | { readonly verdict: 'delivered' }
  /** The receiver wants nothing more, ever. */
  | { readonly verdict: 'gone' }
  /** `hold`: the whole sink asked for silence, not only this message. */
  | { readonly verdict: 'retry'; readonly afterMs: number; readonly hold: boolean }
  | { readonly verdict: 'dead' }

/** `attempts` counts the try that was just answered; `fraction` is uniform in [0, 1). */
export const judgeAnswer = (
  answer: SinkAnswer,
  attempts: number,
  fraction: number,
): SinkVerdict => {
  if (answer.kind === 'answered') {
    if (answer.status >= 200 && answer.status < 300) return { verdict: 'delivered' }
    if (answer.status === 410) return { verdict: 'gone' }
  }
  const tries = mayPass(answer) ? waits.length + 1 : fewTries
  const wait = waits[attempts - 1]
  if (attempts >= tries || wait === undefined) return { verdict: 'dead' }
  const asked = answer.kind === 'answered' ? answer.retryAfterMs : null
  // A tenth up or down: receivers that come back are not met by everybody at once.
  const jittered = Math.round(wait * (0.9 + 0.2 * fraction))
  return {
    verdict: 'retry',
    afterMs: Math.min(Math.max(jittered, asked ?? 0), longest),
    hold: asked !== null,
  }
}

/** Whether the same message may succeed later without anybody doing anything. */
const mayPass = (answer: SinkAnswer): boolean =>
  answer.kind === 'failed'
    ? !answer.refused
    : answer.status === 408 || answer.status === 429 || answer.status >= 500

/** Retry-After in either form, seconds or a date, as milliseconds from `now`. */
export const parseRetryAfter = (text: string | null, now: Date): number | null => {
  if (text === null) return null
  if (/^\d{1,9}$/.test(text.trim())) return Number(text) * second
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : Math.max(0, at - now.getTime())
}
