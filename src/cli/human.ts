// Times, durations and foreign text as a person reads them. Moments are in UTC and say so; a duration keeps its two largest
// units; text from elsewhere loses what could move a cursor or hide.

const second = 1_000
const steps = [
  ['d', 86_400 * second],
  ['h', 3_600 * second],
  ['m', 60 * second],
  ['s', second],
] as const

/** `3d4h`, `12m`, `4s`; under a second `0s`. Negative ones count the same. */
export const span = (ms: number): string => {
  let left = Math.floor(Math.abs(ms) / second) * second
  const parts: string[] = []
  for (const [unit, size] of steps) {
    const count = Math.floor(left / size)
    if (count > 0 || (unit === 's' && parts.length === 0)) parts.push(`${count}${unit}`)
    else if (parts.length > 0) break
    left -= count * size
    if (parts.length === 2) break
  }
  return parts.join('')
}

/** `2026-12-01 03:00:00Z (in 7d2h)`, or `… (3h ago)`; `–` where there is no moment. */
export const moment = (text: string, now: Date): string => {
  const instant = new Date(text)
  if (text === '' || Number.isNaN(instant.getTime())) return '–'
  return `${stamp(instant)} (${relative(instant, now)})`
}

export const relative = (instant: Date, now: Date): string => {
  const ms = instant.getTime() - now.getTime()
  if (Math.abs(ms) < second) return 'now'
  return ms > 0 ? `in ${span(ms)}` : `${span(ms)} ago`
}

export const stamp = (instant: Date): string =>
  `${instant.toISOString().slice(0, 19).replace('T', ' ')}Z`

/** The time since a moment: the age column. */
export const age = (text: string, now: Date): string => {
  const instant = new Date(text)
  return text === '' || Number.isNaN(instant.getTime())
    ? '–'
    : span(now.getTime() - instant.getTime())
}

export const orDash = (text: string): string => (text === '' ? '–' : text)

/** Control characters and those that reorder or hide text are shown by their number: a name must not paint the screen. */
export const plain = (text: string): string => text.replaceAll(unsafe, escaped)

/** The same, with line breaks kept. */
export const plainLines = (text: string): string => text.split('\n').map(plain).join('\n')

const unsafe =
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g

const escaped = (character: string): string =>
  `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`
