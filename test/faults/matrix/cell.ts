// One cell of the matrix: a rotation whose worker dies at one point of one step, and that others bring to rest. It is held
// against what the machine says of it: how it ends, what the key's versions are, what is at the peer, and how often each
// effect was applied there.

import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import type { Key } from '#domain/key.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Rotation } from '#domain/rotation.ts'
import { isOpen } from '#domain/rotation-machine.ts'
import { type Death, makeDyingWorker, titleOf } from '#test/support/dying-worker.ts'
import { admin, person } from '#test/support/engine.ts'
import { checkKey } from '#usecases/check-invariants.ts'
import { isOurDatabase } from '#usecases/rotation-scene.ts'
import type { Lane } from './lane.ts'
import {
  answerTo,
  backward,
  deathAt,
  type End,
  endBackward,
  endForward,
  forward,
  mayBeUsed,
  type Start,
  startTitle,
} from './machine-says.ts'
import { atPeer, placeOf, type Row } from './rows.ts'

export interface Cell {
  readonly row: Row
  /** Null: it is not turned round. */
  readonly undoFrom: Start | null
  /** Of the way forward, or of the undo where there is one; null: nobody dies (on the way back, nobody else). */
  readonly death: Death | null
}

export const cellTitle = ({ row, undoFrom, death }: Cell): string =>
  [
    row.name,
    ...(undoFrom ? [`undo from ${startTitle(undoFrom)}`] : []),
    death ? `${death.step}, ${death.point}` : 'undisturbed',
  ].join(' / ')

/** Longer than a lease, and than any request can still arrive. */
const lostLeaseMs = 25_000
let count = 0

/** What must hold is looked at when a worker died and when all is at rest; `thorough`: also after every commit of rotations in
 *  which nobody dies, and after the first ones that follow a death. */
export const runCell = async (lane: Lane, cell: Cell, thorough: boolean): Promise<End> => {
  const { row, undoFrom } = cell
  const { engine } = lane
  const name = `m${++count}-${Math.floor(Math.random() * 1e9).toString(36)}`
  const faults = engine.faults.length
  const labels = await lane.prepare(row)
  const key = await engine.key(name, { ...placeOf(row, name), labels })
  const id = await engine.rotate(name)
  const check = () => mustHold(lane, key)
  await check()

  const first = undoFrom ? deathAt(row, undoFrom) : cell.death
  let workers = 0
  const go = async (death: Death | null): Promise<readonly string[] | 'died'> => {
    // Before a death it goes as where nobody dies, and soon after it too: there, every commit is looked at.
    let looks = death || !thorough ? 0 : workers === 0 || !cell.death ? Infinity : 4
    const look = async (): Promise<void> => {
      if (looks-- > 0) await check()
    }
    const worker = makeDyingWorker(engine, `${name}-${++workers}`, death, look)
    const end = await drive(lane, row, key, id, worker)
    return end === 'died' ? 'died' : worker.steps
  }
  const bring = async (death: Death | null): Promise<readonly string[]> => {
    const steps = await go(death)
    expect(steps === 'died', 'the moment of its death came').toBe(death !== null)
    await check()
    if (steps !== 'died') return steps
    await engine.clock.advance(lostLeaseMs)
    return []
  }

  if (!undoFrom) {
    const steps = await bring(first)
    if (first) expect(await go(null)).not.toBe('died')
    else expect(steps).toEqual(forward(row).map(titleOf))
  } else {
    if (first) expect(await go(first)).toBe('died')
    if (await turnRound(lane, cell, key, id)) {
      await check()
      await engine.clock.advance(lostLeaseMs)
      const steps = await bring(cell.death)
      if (cell.death) expect(await go(null)).not.toBe('died')
      else expect(steps).toEqual(backward(row, undoFrom).map(titleOf))
    } else {
      await engine.clock.advance(lostLeaseMs)
      expect(await go(null)).not.toBe('died')
    }
  }
  await check()
  expect(lane.unannounced, 'writes without an open intent').toEqual([])
  // A database that is busy for too long is no fault: it passes, and the engine goes on by itself.
  const met = engine.faults.slice(faults).filter((error) => !isOurDatabase(error))
  expect(met.map(String), 'faults').toEqual([])
  expect((await engine.intents(id)).filter(({ closed }) => !closed)).toEqual([])
  const end = await endOf(lane, row, key, id)
  const said = saysOf(cell)
  if (!isDeepStrictEqual(end, said))
    throw new Error(`it ended ${JSON.stringify(end)}\nthe machine says ${JSON.stringify(said)}`)
  await checkTargets(lane, row, key, end.phase)
  return end
}

/** What the machine says of a cell. */
const saysOf = ({ row, undoFrom, death }: Cell): End => {
  if (!undoFrom) return endForward(row, death)
  return answerTo(row, undoFrom) === 'undo'
    ? endBackward(row, undoFrom, death)
    : endForward(row, deathAt(row, undoFrom))
}

/** A person rolls back while the dead worker's lease still runs. False: it was refused, as the machine says. */
const turnRound = async (lane: Lane, { row, undoFrom }: Cell, key: Key, id: string) => {
  if (!undoFrom) return false
  const { engine } = lane
  if (row.consumer && mayBeUsed(row, undoFrom)) await acknowledge(lane, id)
  const told = answerTo(row, undoFrom)
  const before = await picture(lane, row, key, id)
  try {
    await engine.steer.rollback(admin, id, { reason: 'a test' })
  } catch (error) {
    expect(error instanceof RekeyError ? error.code : error).toBe(told)
    expect(await picture(lane, row, key, id)).toEqual(before)
    return false
  }
  expect(told).toBe('undo')
  return true
}

const picture = async (lane: Lane, row: Row, key: Key, id: string) => ({
  rotation: await lane.engine.rotation(id),
  versions: await lane.engine.versions(key.id),
  intents: await lane.engine.intents(id),
  peer: await atPeer(lane, row, key),
})

/** Rings the worker whenever the rotation is due, and turns the clock to when it is; people do what they are waited for. */
const drive = async (
  lane: Lane,
  row: Row,
  key: Key,
  id: string,
  worker: ReturnType<typeof makeDyingWorker>,
): Promise<'ended' | 'died'> => {
  const { engine } = lane
  for (let n = 0; n < 200; n++) {
    const rotation = await engine.rotation(id)
    if (!isOpen(rotation.phase)) return 'ended'
    if (rotation.phase === 'stalled') throw new Error(`it stalled: ${rotation.stalledReason}`)
    await people(lane, row, key, rotation)
    if ((await engine.timers.due(100)).includes(id)) {
      const ran = worker.advance(id).then(() => 'ran' as const)
      if ((await Promise.race([ran, worker.died])) !== 'ran') return 'died'
      continue
    }
    const timer = await engine.ledger.read((db) => db.timers.get(id))
    const now = await engine.timers.now()
    const waitMs = (timer?.dueAt?.getTime() ?? now.getTime() + 5_000) - now.getTime()
    await engine.clock.advance(Math.min(60_000, Math.max(1, waitMs)))
  }
  throw new Error('it goes round in circles')
}

const people = async (lane: Lane, row: Row, key: Key, rotation: Rotation): Promise<void> => {
  const { engine } = lane
  const gate = (await engine.waitsFor(rotation.id))?.gate
  if (gate === 'approval') {
    const { planHash } = rotation
    const approved = engine.steer.approve(person('ben', 'approver'), rotation.id, { planHash })
    // The worker that was rung for it may have died.
    await approved.catch((error: unknown) =>
      expect(error).toMatchObject({ code: 'resource.exists' }),
    )
  }
  if (gate !== 'acknowledgement') return
  const { fromVersion, phase } = rotation
  const acks = await engine.ledger.read((db) => db.acknowledgements.of(key.id, fromVersion ?? 0))
  if (acks.length > 0) return
  // Those who moved to the new version have it still: nobody is cut off.
  if (phase === 'rollingBack')
    expect((await atPeer(lane, row, key)).filter((at) => at.startsWith('enabled')).length).toBe(2)
  await acknowledge(lane, rotation.id)
}

const acknowledge = async ({ engine }: Lane, id: string): Promise<void> => {
  const { phase, fromVersion, toVersion } = await engine.rotation(id)
  const version = phase === 'rollingBack' ? fromVersion : toVersion
  if (version !== null) await engine.steer.acknowledge(admin, id, { consumer: 'app', version })
}

/** What must be so at every moment, in the records and at the peer. */
const mustHold = async ({ engine }: Lane, key: Key): Promise<void> => {
  const { ledger, timers, keyring, clock, deps } = engine
  const { types, sessions } = deps.world
  const found = await checkKey({ ledger, timers, keyring, clock, types, sessions }, key)
  expect([found.breaches, found.unknown]).toEqual([[], null])
}

const endOf = async (lane: Lane, row: Row, key: Key, id: string): Promise<End> => ({
  phase: (await lane.engine.rotation(id)).phase,
  versions: (await lane.engine.versions(key.id)).map(
    ({ state, primary }) => `${state}${primary ? ' primary' : ''}`,
  ),
  peer: await atPeer(lane, row, key),
  applied: await lane.applied(id),
})

/** The new value, or what each held before. */
const checkTargets = async (lane: Lane, row: Row, key: Key, phase: string): Promise<void> => {
  for (const { name, held } of row.targets) {
    const at = lane.shelf.rows(`${key.labels['set']}-${name}`)
    const last = at.findLast(({ state }) => state === 'enabled')
    if (phase === 'completed') expect(last?.value ?? 'before', name).not.toBe('before')
    else expect(last?.value, name).toBe(held ? 'before' : undefined)
  }
}
