// Fire times over changes of the clock equal a calculation that shares nothing with ours: croniter walks the wall's clock and
// Python's zoneinfo tells when the wall shows it (test/peers/croniter/fires.py).

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { nextFires } from '#domain/fires.ts'
import { resolvePolicy } from '#domain/policy.ts'
import { peer } from '#test/support/peers.ts'
import { peers } from '#test/peers/peers.ts'

/** The clocks change within each of these: spring and autumn, half an hour on Lord Howe, Ramadan in Morocco, never in Nepal. */
const zones = [
  'Europe/Paris',
  'America/New_York',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'Asia/Kathmandu',
]
const crons = [
  '*/15 0-4 * * SUN',
  '30 2 * * *',
  '15 1-3 * 2-5 *',
  '0 */2 * 3-4 SUN,MON',
  '59 1 * 10-11 *',
  '0 0 1 * *',
  '45 2 29 3 *',
]
const from = '2025-12-31T00:00:00.000Z'
const to = '2028-01-02T00:00:00.000Z'

peer('croniter').describe('fire times over two years', () => {
  test.each(zones)('in %s are those of zoneinfo', async (zone) => {
    const asked = crons.map((cron) => JSON.stringify({ zone, cron, from, to }))
    const theirs = await ask(asked)
    for (const [i, cron] of crons.entries()) {
      const expected = theirs[i] ?? []
      expect(ours(zone, cron, expected.length), cron).toEqual(expected)
      // 2027 and 2026, and `45 2 29 3 *` once in each.
      expect(expected.length, cron).toBeGreaterThanOrEqual(2)
    }
  })
})

const ours = (zone: string, cron: string, count: number): readonly string[] => {
  const policy = resolvePolicy({ selector: { type: 'a.b' }, schedule: { cron, timezone: zone } })
  const fires = nextFires(policy, null, new Date(from), count + 1).map((fire) =>
    fire.nominal.toISOString(),
  )
  expect(fires.at(-1)?.localeCompare(to)).toBeGreaterThanOrEqual(0)
  return fires.slice(0, -1)
}

const ask = (lines: readonly string[]): Promise<readonly (readonly string[])[]> =>
  new Promise((done, fail) => {
    const script = join(import.meta.dirname, '..', 'peers', 'croniter', 'fires.py')
    const child = execFile(
      peers.croniter.find() ?? '',
      [script],
      { maxBuffer: 64 * 1024 * 1024 },
      (error, stdout) =>
        error
          ? fail(error)
          : done(
              stdout
                .trim()
                .split('\n')
                .map((line) => JSON.parse(line)),
            ),
    )
    child.stdin?.end(`${lines.join('\n')}\n`)
  })
