// Durations as people write them: a whole number and one unit (`90s 15m 72h 90d`, `0s`). Bare numbers have no unit and are
// refused; so is a mixture (`1h30m`), of which every duration has a shorter spelling.

import { Type } from 'typebox'
import { RekeyError } from './errors.ts'

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
type Unit = keyof typeof units

/** Ten years: a longer one is a typing error, and sums of a few stay far from the end of `Date`. */
export const longestDurationMs = 3650 * units.d

const phrase = 'a duration such as 90s, 15m, 72h or 90d, at most 3650d'

/** The bound stands in the pattern, so that an editor with the JSON Schema says it too. */
export const durationPattern = `^(?:${(Object.keys(units) as Unit[])
  .map((unit) => `(?:${upTo(String(longestDurationMs / units[unit]))})${unit}`)
  .join('|')})$`

export const durationSchema = Type.String({ pattern: durationPattern, description: phrase })

const shape = new RegExp(durationPattern)

export const isDuration = (text: string): boolean => shape.test(text)

/** Milliseconds. Throws `request.invalid` on anything that `durationSchema` refuses. */
export const parseDuration = (text: string): number => {
  if (!isDuration(text)) {
    throw new RekeyError('request.invalid', { detail: 'not a duration', hint: `write ${phrase}` })
  }
  return Number(text.slice(0, -1)) * units[text.slice(-1) as Unit]
}

/** In the largest unit that says it exactly. Parts of a second are rounded up: a wait is never shown as shorter than it is. */
export const formatDuration = (ms: number): string => {
  if (!Number.isFinite(ms) || ms < 0) throw new RangeError('a duration is not negative')
  const whole = Math.ceil(ms / units.s) * units.s
  const unit = (['d', 'h', 'm'] as const).find((u) => whole > 0 && whole % units[u] === 0) ?? 's'
  return `${whole / units[unit]}${unit}`
}

/** Alternatives that match the decimal numbers from 0 to `max`, without leading zeros. */
function upTo(max: string): string {
  const shorter = ['0', ...(max.length > 1 ? [`[1-9][0-9]{0,${max.length - 2}}`] : [])]
  const below = [...max].flatMap((digit, i) => {
    const least = i === 0 ? 1 : 0
    const most = Number(digit) - 1
    const rest = max.length - 1 - i
    return most < least
      ? []
      : [`${max.slice(0, i)}[${least}-${most}]${rest > 0 ? `[0-9]{${rest}}` : ''}`]
  })
  return [...shorter, ...below, max].join('|')
}
