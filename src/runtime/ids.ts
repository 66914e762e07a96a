// Ids and randomness. UUIDs are version 7 (RFC 9562 §5.7): they sort by time, also within one millisecond and one process.

import { randomBytes } from 'node:crypto'
import type { Clock, Ids } from '#domain/ports.ts'

/** Ids that carry `clock`'s time. A clock that steps back does not make them go back. */
export const makeIds = (clock: Pick<Clock, 'now'>): Ids => {
  let lastMs = 0
  // RFC 9562 §6.2 method 1: twelve bits after the time count what one millisecond made.
  let counter = 0
  return {
    next: () => {
      const ms = Math.max(clock.now().getTime(), lastMs)
      counter = ms === lastMs ? counter + 1 : randomBytes(1).readUInt8()
      lastMs = ms
      if (counter > 0xfff) {
        lastMs += 1
        counter = 0
      }
      return uuid7(lastMs, counter)
    },
    random: (bytes) => new Uint8Array(randomBytes(bytes)),
    fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
  }
}

const uuid7 = (ms: number, counter: number): string => {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(ms, 0, 6)
  bytes.writeUInt16BE(0x7000 | counter, 6)
  bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8)
  const hex = bytes.toString('hex')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-')
}
