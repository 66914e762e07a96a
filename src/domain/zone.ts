// Wall clocks of IANA time zones. A wall time is written as the epoch milliseconds that it would have in UTC, so that
// calendar arithmetic on it needs no zone. The data is ICU's, inside the runtime.

const hour = 3_600_000

/** Beyond the widest offset that any zone ever had (Manila, 1844: −15:56). */
const reach = 16 * hour

/** Milliseconds east of UTC at an instant. Throws RangeError for a zone that the runtime does not know. */
export const offsetMs = (zone: string, instant: number): number => {
  const text = formatter(zone).format(instant)
  const [, sign, h, m, s] = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text) ?? []
  if (sign === undefined) return 0
  const ms = (Number(h) * 3600 + Number(m) * 60 + Number(s ?? 0)) * 1000
  return sign === '-' ? -ms : ms
}

/** What the clock on the wall shows. */
export const wallAt = (zone: string, instant: number): number => instant + offsetMs(zone, instant)

/** The first instant at which the zone's clock shows `wall` or later: in autumn the first of two, in the gap of spring the
 *  end of the gap. It never decreases as `wall` grows. Assumes at most one change of offset in 32 hours. */
export const firstInstant = (zone: string, wall: number): number => {
  const from = wall - reach
  const to = wall + reach
  const before = offsetMs(zone, from)
  const after = offsetMs(zone, to)
  if (before === after) return wall - before
  const change = firstChange(zone, from, to, before)
  return wall - before < change ? wall - before : Math.max(change, wall - after)
}

/** The latest wall time that the clock has shown up to `instant`: in the repeated hour of autumn, the end of the first. */
export const highestWall = (zone: string, instant: number): number => {
  const now = offsetMs(zone, instant)
  const from = instant - 26 * hour
  const before = offsetMs(zone, from)
  if (before <= now) return instant + now
  return Math.max(instant + now, firstChange(zone, from, instant, before) + before - 1)
}

/** Null for a zone of the IANA database in its usual spelling; otherwise what to write instead, or an empty list. */
export const zoneFault = (zone: string): { readonly candidates: readonly string[] } | null => {
  const same = knownZones().filter((known) => known.toLowerCase() === zone.toLowerCase())
  if (same.length > 0) return same.includes(zone) ? null : { candidates: same }
  // Aliases (US/Pacific, Europe/Kyiv) are not in the runtime's list. Offsets (+01:00) know no summer time: refused.
  return /^[A-Za-z]/.test(zone) && isAccepted(zone) ? null : { candidates: knownZones() }
}

const firstChange = (zone: string, from: number, to: number, before: number): number => {
  let low = from
  let high = to
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetMs(zone, middle) === before) low = middle
    else high = middle
  }
  return high
}

const isAccepted = (zone: string): boolean => {
  try {
    formatter(zone)
    return true
  } catch {
    return false
  }
}

/** Making one costs 50 µs and some memory; there are at most as many as zones. */
const formatters = new Map<string, Intl.DateTimeFormat>()
const formatter = (zone: string): Intl.DateTimeFormat => {
  const known = formatters.get(zone)
  if (known !== undefined) return known
  const made = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' })
  formatters.set(zone, made)
  return made
}

let zones: readonly string[] | undefined
const knownZones = (): readonly string[] =>
  (zones ??= ['UTC', ...Intl.supportedValuesOf('timeZone')])
