// The crash matrix: every step of every type × every point at which a worker can die in it, and the same on the way back
// from every state in which a rotation can be turned round. Each rotation is brought to rest by other workers, and must end
// as the machine says (matrix/machine-says.ts): its phase, the versions here, those at the peer, and how often each effect
// was applied there. After every commit what must always be so is so (usecases/check-invariants.ts).
//
// Here workers die in process: what they were about to commit is rolled back, what they wait for never returns. The same
// with `kill -9` of whole processes, at random moments: kill-local.test.ts, kill-vault.test.ts.
//
// `npm run matrix` takes every cell, those over the real Vault too, and prints them. REKEY_TEST_MATRIX=<text> takes the cells
// that have the text in their name. Else a slice is taken, another one every day: of one type the way forward, of another the
// way back, every step and every point once.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { titleOf } from '#test/support/dying-worker.ts'
import { peer } from '#test/support/peers.ts'
import { type Cell, cellTitle, runCell } from './matrix/cell.ts'
import { type Lane, openLane } from './matrix/lane.ts'
import {
  allPoints,
  answerTo,
  backward,
  forward,
  pointsOf,
  type Start,
  type Step,
  startTitle,
  states,
} from './matrix/machine-says.ts'
import { type Row, rows } from './matrix/rows.ts'
import { tableOf, type Way } from './matrix/table.ts'

const asked = process.env['REKEY_TEST_MATRIX']
const today = Math.floor(Date.now() / 86_400_000)
const inProcess = rows.filter(({ provider }) => provider !== 'vault')
const outside = rows.filter(({ provider }) => provider === 'vault')
const lanesOf = asked === undefined ? 2 : 3

/** A cell with the line of the table that it stands in; those of whole rotations stand in none. */
interface Placed extends Cell {
  readonly step: Step | null
}

const onTheWay = (row: Row, undoFrom: Start | null, steps: readonly Step[]): readonly Placed[] => [
  { row, undoFrom, death: null, step: null },
  ...steps.flatMap((step) =>
    pointsOf(step).map((point) => ({
      row,
      undoFrom,
      death: { step: titleOf(step), point },
      step,
    })),
  ),
]

/** An effect that was half done is found out about before anything is undone. What follows is the way back from the state
 *  before or after it, which has cells of its own. */
const onTheWayBack = (row: Row): readonly Placed[] =>
  states(row).flatMap((start) => {
    if (answerTo(row, start) !== 'undo') return onTheWay(row, start, [])
    const steps = backward(row, start)
    return onTheWay(row, start, start.half === 'before' ? steps : steps.slice(0, 1))
  })

const cellsOf = (row: Row): readonly Placed[] => {
  const all = [...onTheWay(row, null, forward(row)), ...onTheWayBack(row)]
  return asked === undefined || asked === 'all'
    ? all
    : all.filter((cell) => cellTitle(cell).includes(asked))
}

/** Every step once, at a point that is another one tomorrow, and every point that there is. */
const coverOf = (row: Row, undoFrom: Start | null, steps: readonly Step[]): readonly Placed[] => {
  const all = onTheWay(row, undoFrom, steps)
  const picked = steps.flatMap((step, n) => {
    const cells = all.filter((cell) => cell.step === step)
    return cells[(today + n) % cells.length] ?? []
  })
  const met = new Set(picked.map(({ death }) => death?.point))
  const left = allPoints.filter((point) => !met.has(point))
  return [
    ...picked,
    ...left.flatMap((point) => all.find(({ death }) => death?.point === point) ?? []),
  ]
}

/** Of one type the way forward, of another the way back from one state. */
const sliceOf = (row: Row): readonly Placed[] => {
  if (row === inProcess[today % inProcess.length]) return coverOf(row, null, forward(row))
  const turned = states(row).filter((start) => answerTo(row, start) === 'undo')
  const start = turned[today % turned.length]
  return start ? coverOf(row, start, backward(row, start)) : []
}

let vault: VaultPeer | null = null
const lanes: Lane[] = []
const open = async (server: VaultPeer | null): Promise<void> => {
  for (let n = 0; n < lanesOf; n++) lanes.push(await openLane(server))
}
const close = async (): Promise<void> => {
  for (const lane of lanes.splice(0)) await lane.close()
  await vault?.stop()
  vault = null
}

const totals = { cells: 0, types: 0, failed: 0 }

/** All of them, over the lanes; a line for each that did not end as the machine says. */
const run = async (row: Row, cells: readonly Placed[]): Promise<readonly string[]> => {
  const left = [...cells]
  const failures: string[] = []
  const ends = new Map<Placed, string>()
  await Promise.all(
    lanes.map(async (lane) => {
      for (let cell = left.shift(); cell; cell = left.shift()) {
        try {
          const { phase, applied } = await runCell(lane, cell, asked !== undefined)
          const times = cell.step?.effect ? ` ${applied[cell.step.effect] ?? 0}×` : ''
          ends.set(cell, `${phase}${times}`)
        } catch (error) {
          ends.set(cell, 'FAILED')
          const why = error instanceof Error ? error.message : String(error)
          if (asked !== undefined) console.info(`FAILED ${cellTitle(cell)}: ${why}`)
          failures.push(`REKEY_TEST_MATRIX='${cellTitle(cell)}'\n${why}`)
        }
      }
    }),
  )
  totals.cells += cells.length
  totals.types += 1
  totals.failed += failures.length
  if (asked !== undefined) console.info(tableOf(row, waysOf(cells, ends)))
  return failures
}

const waysOf = (cells: readonly Placed[], ends: ReadonlyMap<Placed, string>): readonly Way[] => {
  const froms = new Set(cells.map(({ undoFrom }) => undoFrom && startTitle(undoFrom)))
  return [...froms].map((from) => {
    const mine = cells.filter(({ undoFrom }) => from === (undoFrom && startTitle(undoFrom)))
    const alone = mine.find(({ death }) => death === null)
    const refused = alone?.undoFrom ? answerTo(alone.row, alone.undoFrom) : 'undo'
    const steps = new Set(mine.flatMap(({ step }) => step ?? []))
    return {
      from,
      undisturbed: `${refused === 'undo' ? '' : `${refused}, `}${(alone && ends.get(alone)) ?? ''}`,
      lines: [...steps].map((step) => ({
        step,
        ends: new Map(
          mine.flatMap((cell) =>
            cell.step === step && cell.death ? [[cell.death.point, ends.get(cell) ?? '']] : [],
          ),
        ),
      })),
    }
  })
}

type Suite = readonly (readonly [Row, readonly Placed[]])[]
const suiteOf = (of: readonly Row[], cells: (row: Row) => readonly Placed[]): Suite =>
  of.map((row) => [row, cells(row)] as const).filter(([, { length }]) => length > 0)

const testsOf = (suite: Suite): void => {
  test.each(suite.map(([row, cells]) => ({ row, cells, name: row.name, count: cells.length })))(
    '$name: $count cells end as the machine says',
    { timeout: 3_600_000 },
    async ({ row, cells }) => {
      expect((await run(row, cells)).join('\n\n')).toBe('')
    },
  )
}

const other = (today + 3) % inProcess.length
const here =
  asked === undefined
    ? suiteOf(
        inProcess.filter((_, n) => n === today % inProcess.length || n === other),
        sliceOf,
      )
    : suiteOf(inProcess, cellsOf)
if (here.length > 0)
  describe('workers that die', () => {
    beforeAll(() => open(null))
    afterAll(close)
    testsOf(here)
  })

const overVault = asked === undefined ? [] : suiteOf(outside, cellsOf)
if (overVault.length > 0)
  peer('vault').describe('workers that die, over the real Vault', () => {
    beforeAll(async () => {
      vault = await startVault()
      await open(vault)
    })
    afterAll(close)
    testsOf(overVault)
  })

afterAll(() => {
  const { cells, types, failed } = totals
  const wanted = [...here, ...overVault].reduce((sum, [, { length }]) => sum + length, 0)
  const end =
    cells < wanted
      ? `${wanted - cells} were not run`
      : failed === 0
        ? 'all as the machine says'
        : `${failed} not as the machine says`
  if (asked !== undefined) console.info(`matrix: ${cells} cells of ${types} types, ${end}`)
})
