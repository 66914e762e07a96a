// Two that want the same at the same moment, interleaved statement by statement, also inside of transactions, in orders that
// fast-check draws and shrinks: two workers over one rotation of which one is stopped past its lease, two planners, a person
// and a worker, an edit and a start. Afterwards the faults are mended as in any walk, and all is as it must be
// (test/walks/walk.ts).
//
// `npm run races` takes 200 of each; REKEY_TEST_RACES says another number. A failure prints the order that led to it.

import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { noPrecondition } from '#domain/precondition.ts'
import { providers } from '#providers/registry.ts'
import { makeEgress } from '#runtime/egress.ts'
import { admin } from '#test/support/engine.ts'
import { allowed, type Real } from '#test/walks/commands.ts'
import { type Ground, openGround } from '#test/walks/ground.ts'
import type { Model } from '#test/walks/model.ts'
import { makeTurns } from '#test/walks/turns.ts'
import { type Scenery, walk } from '#test/walks/walk.ts'
import { putPolicy } from '#usecases/put-policy.ts'
import { makeStartRotation } from '#usecases/start-rotation.ts'
import { makeRollback } from '#usecases/steer-rotation.ts'

const races = Number(process.env['REKEY_TEST_RACES'] ?? 3)
const seed = process.env['REKEY_TEST_SEED']

let ground: Ground
beforeAll(async () => {
  ground = await openGround()
})
afterAll(() => ground.close())

const plain: Scenery = {
  type: 'shelf.value',
  keys: 1,
  when: 'manual',
  retire: 'destroy',
  soak: '0s',
  publish: false,
  unusedFor: '0s',
  overlap: '0s',
  asks: 'nobody',
  approvals: 0,
  together: 1,
  byGroup: false,
  skew: 1,
  faults: [],
}

type Turns = ReturnType<typeof makeTurns>

const race = (
  of: Partial<Scenery>,
  types: readonly [Scenery['type'], ...Scenery['type'][]],
  happens: (turns: Turns, model: Model, real: Real) => Promise<void>,
): Promise<void> =>
  fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.constantFrom(...types), (scheduler, type) =>
      walk(ground, { ...plain, ...of, type }, (model, real) =>
        happens(makeTurns(scheduler), model, real),
      ),
    ),
    { numRuns: races, ...(seed === undefined ? {} : { seed: Number(seed) }) },
  )

const onlyRotation = (model: Model): string => model.rotations[0]?.id ?? ''

const timeout = 3_600_000

test(
  'two workers over one rotation, one of them past its lease: one effect, told once',
  { timeout },
  () =>
    race({}, ['shelf.value', 'shelf.pass'], async (turns, model) => {
      const id = onlyRotation(model)
      const [a, b] = ['a', 'b'].map((who) => ground.spawn(turns.seam(who)))
      const leaseEnds = turns.alone('the lease ends', () => ground.wait(25_000))
      const again = async (): Promise<void> => {
        for (let n = 0; n < 3; n++) {
          await turns.turn('b is rung')
          await b?.advance(id)
        }
      }
      await turns.race(a?.advance(id) ?? Promise.resolve(), leaseEnds, again())
    }),
)

test('two planners: an occurrence becomes one rotation', { timeout }, async () => {
  await race({ when: 'cron', keys: 2, together: 2 }, ['local.secret'], async (turns, model) => {
    await ground.wait(121_000)
    const planners = ['a', 'b'].map((who) => ground.spawn(turns.seam(who)))
    await turns.race(...planners.map((planner) => planner.plan()))
    await ground.look()
    expect(model.rotations.map(({ key }) => key).toSorted()).toEqual(
      model.keys.map(({ name }) => name),
    )
  })
})

test(
  'a rollback beside a worker: the rotation is undone or done, and never half',
  { timeout },
  () =>
    race({}, ['shelf.value', 'shelf.pass', 'local.secret'], async (turns, model) => {
      const id = onlyRotation(model)
      const worker = ground.spawn(turns.seam('a'))
      const person = turns.seam('ada')
      const rollback = makeRollback({ ledger: person.ledger(ground.engine.ledger) })
      const says = async (): Promise<void> => {
        // Before anything is made there is nothing to roll back: it is said again.
        for (let n = 0; n < 4; n++)
          if (await allowed(rollback(admin, id, { reason: 'a race' }))) return
      }
      await turns.race(worker.advance(id), says())
    }),
)

test('an edit of a policy beside a start: a plan is of one revision', { timeout }, async () => {
  await race({ when: 'cron' }, ['local.secret'], async (turns, model, { policy }) => {
    const { engine } = ground
    const [ada, ben] = ['ada', 'ben'].map((who) => turns.seam(who).ledger(engine.ledger))
    const [key] = model.keys
    if (!ada || !ben || !key) return
    const { ids, hashJson, clock } = engine
    const { types } = engine.deps.world
    const start = makeStartRotation({ ledger: ada, ids, types, hashJson })
    const put = putPolicy({
      ledger: ben,
      providers: new Map([...providers, ground.shelf.provider].map((one) => [one.id, one])),
      egress: makeEgress({ allow: [] }),
      clock,
    })
    const manual = { manual: true, ...policy }
    const spec = { ...manual, soak: '1m', retire: 'disable' as const }
    await turns.race(
      allowed(start(admin, { key: key.name, reason: 'a race' })),
      allowed(
        put(admin, {
          name: model.name,
          body: { name: model.name, spec },
          precondition: noPrecondition,
        }),
      ),
    )
    await ground.look()
    const rotation = await engine.rotation(onlyRotation(model))
    const { soakMs, retire } = rotation.plan.policy
    expect([rotation.policyRevision, soakMs, retire]).toEqual(
      rotation.policyRevision === 1 ? [1, 0, 'destroy'] : [2, 60_000, 'disable'],
    )
  })
})
