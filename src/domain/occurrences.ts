// The occurrences of a cron line in a zone. An occurrence is named by its wall time and zone, not by its instant: when the
// zone's rules change between planning and firing, it moves and stays one occurrence (invariant I12).
//
// Wall times that spring skips all begin at the end of the gap; they are one occurrence, named by the last of them.

import { RekeyError } from './errors.ts'
import { cronLine } from './cron.ts'
import { firstInstant, highestWall } from './zone.ts'

export interface Occurrence {
  /** `cron:2026-12-01T03:00[Europe/Paris]` */
  readonly id: string
  /** When it begins, epoch milliseconds. */
  readonly at: number
  readonly wall: number
}

/** The neighbourhood of an instant: the last occurrence at or before it, and the two that follow. */
export interface Around {
  readonly previous: Occurrence | null
  readonly next: Occurrence | null
  readonly afterNext: Occurrence | null
}

/** Cheap for the many keys of one policy: neighbourhoods are kept, a few for each line and zone. */
export const occurrencesAround = (cron: string, zone: string, instant: number): Around => {
  const name = `${zone} ${cron}`
  const kept = memory.get(name) ?? []
  const known = kept.find((around) => isBetween(around, instant))
  if (known !== undefined) return known
  if (memory.size >= 5_000) memory.clear()
  const found = look(cron, zone, instant)
  memory.set(name, [found, ...kept.slice(0, 3)])
  return found
}

/** Strictly after the instant. */
export const occurrenceAfter = (cron: string, zone: string, instant: number): Occurrence | null =>
  following(cron, zone, highestWall(zone, instant))

/** Where an occurrence stands in time. All kinds of one key share this order, so that none is ever taken twice. */
export interface Position {
  readonly at: () => number
  /** There for an occurrence of a cron line: positions in one zone are compared by the wall, whatever the zone's data say. */
  readonly wall?: number
  readonly zone?: string
}

export const isBeyond = (
  occurrence: Occurrence,
  zone: string,
  position: Position | null,
): boolean => {
  if (position === null) return true
  if (position.wall !== undefined && position.zone === zone) return occurrence.wall > position.wall
  return occurrence.at > position.at()
}

/** Reads what this module and `ageOccurrence`, `enableOccurrence` write. Throws `internal` on any other text: guessing could
 *  rotate twice. */
export const positionOf = (id: string): Position => {
  const known = positions.get(id)
  if (known !== undefined) return known
  if (positions.size >= 5_000) positions.clear()
  const read = readPosition(id)
  positions.set(id, read)
  return read
}

/** All keys of a policy that ran last month have the same one. */
const positions = new Map<string, Position>()

const readPosition = (id: string): Position => {
  const [, local, zone] = /^cron:(\d{4}-\d\d-\d\dT\d\d:\d\d)\[(.+)\]$/.exec(id) ?? []
  if (local !== undefined && zone !== undefined) {
    const wall = Date.parse(`${local}Z`)
    let at: number | undefined
    return { at: () => (at ??= firstInstant(zone, wall)), wall, zone }
  }
  const [, moment] = /^(?:maxAge:[^@]+|enable:\d+)@(.+)$/.exec(id) ?? []
  const at = moment === undefined ? Number.NaN : Date.parse(moment)
  if (Number.isNaN(at)) throw new RekeyError('internal', { detail: 'an occurrence cannot be read' })
  return { at: () => at }
}

/** `maxAge:<activation>@<nominal>`: the activation says what is too old, the nominal time places it among the others. */
export const ageOccurrence = (activatedAt: Date, nominal: Date): string =>
  `maxAge:${activatedAt.toISOString()}@${nominal.toISOString()}`

/** The one rotation of a key that `rotateOnEnable` asks for when revision `revision` of its policy is enabled at `at`. */
export const enableOccurrence = (revision: number, at: Date): string =>
  `enable:${revision}@${at.toISOString()}`

const memory = new Map<string, readonly Around[]>()

const isBetween = ({ previous, next }: Around, instant: number): boolean =>
  previous !== null && next !== null && previous.at <= instant && instant < next.at

const look = (cron: string, zone: string, instant: number): Around => {
  const shown = highestWall(zone, instant)
  const wall = cronLine(cron).atOrBefore(shown)
  const next = following(cron, zone, shown)
  return {
    previous: wall === null ? null : toOccurrence(zone, wall, firstInstant(zone, wall)),
    next,
    afterNext: next === null ? null : following(cron, zone, next.wall),
  }
}

const following = (cron: string, zone: string, shown: number): Occurrence | null => {
  const line = cronLine(cron)
  let wall = line.after(shown)
  if (wall === null) return null
  const at = firstInstant(zone, wall)
  for (;;) {
    const later = line.after(wall)
    // Only in a gap do two wall times begin at one instant.
    if (later === null || later - wall > 86_400_000 || firstInstant(zone, later) !== at) break
    wall = later
  }
  return toOccurrence(zone, wall, at)
}

const toOccurrence = (zone: string, wall: number, at: number): Occurrence => ({
  id: `cron:${new Date(wall).toISOString().slice(0, 16)}[${zone}]`,
  at,
  wall,
})
