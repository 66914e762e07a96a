// The next fire times of a policy, as people read them: in the policy's own zone, with the offset of that day.

import { jittered } from './jitter.ts'
import { occurrenceAfter } from './occurrences.ts'
import type { ResolvedPolicy } from './policy.ts'
import { offsetMs } from './zone.ts'

export interface Fire {
  readonly occurrence: string
  readonly nominal: Date
  /** With the jitter of the key that was asked for; `nominal` where none was. */
  readonly at: Date
  /** What the clock on the wall shows at `nominal`: `2026-12-01T03:00`. */
  readonly local: string
  /** `+01:00` */
  readonly offset: string
  /** `Tue 2026-12-01 03:00 +01:00 Europe/Paris` */
  readonly text: string
}

/** At most `count` occurrences strictly after `from`; none without a schedule. Blackouts and pauses are not left out. */
export const nextFires = (
  policy: Pick<ResolvedPolicy, 'schedule'>,
  keyId: string | null,
  from: Date,
  count: number,
): Fire[] => {
  const { schedule } = policy
  if (schedule === null) return []
  const { cron, timezone } = schedule
  const fires: Fire[] = []
  let occurrence = occurrenceAfter(cron, timezone, from.getTime())
  while (occurrence !== null && fires.length < count) {
    const following = occurrenceAfter(cron, timezone, occurrence.at)
    const end = Math.min(occurrence.at + (schedule.windowMs ?? Infinity), following?.at ?? Infinity)
    const at = keyId === null ? occurrence.at : jittered(schedule.jitterMs, keyId, occurrence, end)
    fires.push({ occurrence: occurrence.id, at: new Date(at), ...localOf(timezone, occurrence.at) })
    occurrence = following
  }
  return fires
}

const localOf = (
  zone: string,
  instant: number,
): Pick<Fire, 'nominal' | 'local' | 'offset' | 'text'> => {
  const ms = offsetMs(zone, instant)
  const wall = new Date(instant + ms)
  const local = wall.toISOString().slice(0, 16)
  const offset = formatOffset(ms)
  const weekday = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][wall.getUTCDay()] ?? ''
  return {
    nominal: new Date(instant),
    local,
    offset,
    text: `${weekday} ${local.replace('T', ' ')} ${offset} ${zone}`,
  }
}

const formatOffset = (ms: number): string => {
  const minutes = Math.round(Math.abs(ms) / 60_000)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${ms < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}
