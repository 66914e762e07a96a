import { expect, test } from 'vitest'
import { makeBoard } from '#cli/rotation-board.ts'
import type { JsonObject } from '#domain/json.ts'
import { aRotation } from './stand-in.ts'

const t0 = Date.parse('2026-11-24T01:00:00.000Z')
const at = (s: number): Date => new Date(t0 + s * 1_000)
const rotation = (more: Record<string, unknown> = {}): JsonObject =>
  aRotation({ id: 'r1', createdAt: at(0).toISOString(), ...more }) as unknown as JsonObject
const event = (phase: string, s: number) => ({
  id: String(s),
  event: 'rotation.advanced',
  data: JSON.stringify({ at: at(s).toISOString(), action: 'rotation.advanced', phase }),
})
const plainly = (_colour: string, text: string): string => text
const size = { columns: 200, rows: 50 }
const phasesOf = (lines: readonly string[]): readonly string[] =>
  lines.filter((line) => /^ {2}[✓▸!·]/.test(line)).map((line) => line.trim().replaceAll(/ +/g, ' '))

test('events say when each phase began, also those that were not seen as states', () => {
  const board = makeBoard(plainly)
  board.state(rotation({ phase: 'minting' }), at(9))
  for (const [phase, s] of [
    ['preflight', 1],
    ['minting', 3],
  ] as const)
    board.event(event(phase, s))
  // The reply came before the events: the phase that it named began when its event says.
  const lines = phasesOf(board.frame(at(10), size))
  expect(lines.slice(0, 3)).toEqual(['✓ planned 1s', '✓ preflight 2s', '▸ minting 7s'])
})

test('a state that is older than the last event does not go back', () => {
  const board = makeBoard(plainly)
  board.state(rotation(), at(0))
  board.event(event('preflight', 1))
  board.event(event('minting', 2))
  board.state(rotation({ phase: 'preflight' }), at(3))
  expect(phasesOf(board.frame(at(4), size)).slice(0, 3)).toEqual([
    '✓ planned 1s',
    '✓ preflight 1s',
    '▸ minting 2s',
  ])
})

test('effects within a phase are no new phase, and a phase that comes again is shown again', () => {
  const board = makeBoard(plainly)
  board.state(rotation(), at(0))
  for (const [phase, s] of [
    ['minting', 1],
    ['minting', 2],
    ['stalled', 5],
    ['minting', 8],
  ] as const)
    board.event(event(phase, s))
  board.state(rotation({ phase: 'minting' }), at(8))
  expect(phasesOf(board.frame(at(9), size)).slice(0, 5)).toEqual([
    '✓ planned 1s',
    '✓ minting 4s',
    '! stalled 3s',
    '▸ minting 1s',
    '· verifying',
  ])
})

test('what left its plan shows no phase that will not come; what failed is said, and what to do', () => {
  const board = makeBoard(plainly)
  const failed = {
    phase: 'verifying',
    attempt: 2,
    outcome: 'failed',
    detail: 'the new version was refused',
  }
  board.state(rotation({ phase: 'stalled', steps: [failed] }), at(1))
  const lines = board.frame(at(2), size)
  expect(phasesOf(lines)).toEqual(['✓ planned 1s', '! stalled 1s'])
  expect(lines).toContain('last   verifying attempt 2: failed (the new version was refused)')
  expect(lines).toContain('why    it needs a person')
  expect(lines.filter((line) => /^(?:next| {4}) {3}rekey/.test(line))).toHaveLength(3)
})

test('with less rows it says less, and what it waits for and what to run last of all', () => {
  const board = makeBoard(plainly)
  const waitingFor = {
    gate: 'soak',
    since: at(0).toISOString(),
    missing: [],
    text: 'the old version is off',
  }
  for (const [i, phase] of ['preflight', 'minting', 'verifying', 'soaking'].entries())
    board.event(event(phase, i))
  board.state(rotation({ phase: 'soaking', waitingFor }), at(1))
  const frames = Array.from({ length: 30 }, (_, i) =>
    board.frame(at(61), { columns: 200, rows: 35 - i }),
  )
  frames.forEach((lines, i) => {
    expect(lines.length, `in ${35 - i} rows`).toBeLessThan(35 - i)
    expect(lines.length).toBeLessThanOrEqual(frames[i - 1]?.length ?? 35)
    const text = lines.join('\n')
    expect(text).toContain('▸ soaking')
    expect(text).toContain('waits  soak since 1m1s: the old version is off')
    expect(text).toContain('next   rekey rollback rotation/r1')
  })
  expect(new Set(frames.map((lines) => lines.length)).size).toBe(4)
})

test('nothing that a server says moves the cursor', () => {
  const board = makeBoard(plainly)
  const waitingFor = { gate: 'retry', since: '', missing: [], text: 'a\u001b[2Jb\nc' }
  board.state(rotation({ key: 'k\u001b[1A', phase: 'min\nting', waitingFor }), at(1))
  board.event({ id: '1', event: 'x', data: 'not JSON' })
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  expect(board.frame(at(2), size).join('')).not.toMatch(/[\u0000-\u001f]/)
})
