// Contain first: an emergency waits for no rotation. In every phase of one, with its old version leaked, its new one, or both,
// the incident ends contained, what leaked is off and served to nobody, another version serves, and the rotation has ended.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Key } from '#domain/key.ts'
import type { Phase } from '#domain/rotation-machine.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { checkKey } from '#usecases/check-invariants.ts'
import { oneAtATime } from '#test/support/dying-worker.ts'
import { type Engine, openEngine } from '#test/support/engine.ts'
import { withIncidents } from '#test/support/incidents.ts'
import { makeShelf } from '#test/support/shelf.ts'

const shelf = makeShelf()
let engine: Engine
let incidents: ReturnType<typeof withIncidents>
beforeAll(async () => {
  engine = await openEngine({ providers: [shelf.provider] })
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())

/** Takes single steps until the rotation is in the phase. */
const stepTo = async (id: string, phase: Phase): Promise<void> => {
  for (let n = 0; n < 60; n++) {
    if ((await engine.rotation(id)).phase === phase) return
    let asked = 0
    const stopping = {
      get aborted() {
        asked += 1
        return asked > 1
      },
    } as AbortSignal
    const deps = { ...engine.deps, ledger: oneAtATime(engine.deps.ledger) }
    const one = makeAdvanceRotation(deps, {
      instance: `s${n}`,
      bell: { ring: async () => {} },
      report: () => {},
      stopping,
    })
    await one(id)
    await engine.clock.advance(100)
  }
  throw new Error(`it never came to ${phase}, but to ${(await engine.rotation(id)).phase}`)
}

const unmade: readonly Phase[] = ['planned', 'preflight', 'minting']
const made: readonly Phase[] = ['verifying', 'promoting', 'overlapping']
const switched: readonly Phase[] = ['suspending', 'soaking']

const types = [
  { type: 'local.secret', connection: 'vault', after: [...made, ...switched, 'retiring'] },
  { type: 'shelf.value', connection: 'shelf', after: [...made, ...switched, 'retiring'] },
  { type: 'shelf.pass', connection: 'shelf', after: [...made, ...switched, 'retiring'] },
  { type: 'shelf.pair', connection: 'shelf', after: [...made, ...switched, 'retiring'] },
  { type: 'shelf.badge', connection: 'shelf', after: [...made, 'retiring'] },
] as const satisfies readonly {
  readonly after: readonly Phase[]
  readonly [name: string]: unknown
}[]
const today = Math.floor(Date.now() / 86_400_000)
const everyCell = process.env['REKEY_TEST_MATRIX'] !== undefined
let count = 0

describe.each(types)('$type', ({ type, connection, after }) => {
  const all = [
    ...unmade.map((phase) => ({ phase, leaked: [1] })),
    ...after.flatMap((phase) => [[1], [2], [1, 2]].map((leaked) => ({ phase, leaked }))),
  ]
  // Of the built-in vault each, of the others a third, another one every day.
  const cells = all.filter((_, n) => everyCell || connection === 'vault' || (n + today) % 3 === 0)
  test.each(cells)('in $phase, with $leaked leaked', async ({ phase, leaked }) => {
    const name = `k${++count}`
    const labels = { set: name }
    const ref = connection === 'shelf' ? { ref: { path: name } } : {}
    const key = await engine.key(name, { connection, type, labels, ...ref })
    await engine.policy(name, { selector: { matchLabels: labels } })
    const id = await engine.rotate(name)
    await stepTo(id, phase)

    const named = leaked.map((version) => ({ key: name, version }))
    const incident = await incidents.begin('revokeFirst', [name], named)
    await incidents.contain()
    const contained = await engine.versions(key.id)
    for (const version of contained)
      if (leaked.includes(version.version))
        expect(version, 'contained at once').toMatchObject({ state: 'compromised', primary: false })

    const settled = await incidents.settle(incident)
    expect([settled.state, await incidents.said(incident)]).toEqual([
      'contained',
      expect.anything(),
    ])
    expect(incidents.faults).toEqual([])
    expect(engine.faults).toEqual([])
    expect(await breachesOf(key)).toEqual([])
    const rotation = await engine.rotation(id)
    expect(rotation.endedAt, `${rotation.phase}: ${rotation.stalledReason}`).not.toBeNull()
    const versions = await engine.versions(key.id)
    const primary = versions.filter((version) => version.primary)
    expect(primary).toHaveLength(1)
    expect(leaked).not.toContain(primary[0]?.version)
    const session = await engine.deps.world.sessions.open(
      (await engine.ledger.read((db) => db.connections.get(connection))) ?? fail(),
    )
    const object = { type, ref: key.ref, keyId: key.id, keyName: name }
    for (const version of versions) {
      const isLeaked = leaked.includes(version.version)
      if (isLeaked) expect(['compromised', 'destroyed']).toContain(version.state)
      for (const providerVersion of version.providerVersions) {
        const state = await session.stateOf(object, providerVersion, {
          signal: AbortSignal.timeout(10_000),
        })
        if (isLeaked) expect(state, `version ${version.version}`).not.toBe('enabled')
        else if (version.primary && providerVersion === version.providerVersions.at(-1))
          expect(state, `version ${version.version}`).toBe('enabled')
      }
    }
  })
})

const breachesOf = async (key: Key) => {
  const { ledger, timers, keyring, clock, deps } = engine
  const { sessions, types: known } = deps.world
  const check = { ledger, timers, keyring, types: known, clock, sessions }
  return (await checkKey(check, key)).breaches
}

const fail = (): never => {
  throw new Error('there is no connection')
}
