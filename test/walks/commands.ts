// The commands of a walk: time and workers, people, faults, and what others do at the provider. Each says by the model
// whether it means anything now, does it, and checks what must follow at once; the rest is seen by the next sweep.

import fc from 'fast-check'
import { RekeyError } from '#domain/errors.ts'
import { noPrecondition } from '#domain/precondition.ts'
import type { PolicySpec } from '#domain/policy.ts'
import { admin, person } from '#test/support/engine.ts'
import { deleteKey } from '#usecases/delete-key.ts'
import { deletePolicy } from '#usecases/delete-policy.ts'
import { previewRotation } from '#usecases/preview-rotation.ts'
import { makeStartRotation } from '#usecases/start-rotation.ts'
import { type Fault, faultKinds, processFaults, readMethods, writeMethods } from './faults.ts'
import { type Ground, hourMs } from './ground.ts'
import { type Model, openOf, openOnes, type Seen } from './model.ts'

export interface Real {
  readonly ground: Ground
  /** The policy as it is written now. */
  policy: Partial<PolicySpec>
}
export type Command = fc.AsyncCommand<Model, Real>

const command = (
  said: string,
  check: (model: Model) => boolean,
  run: (model: Model, real: Real) => Promise<void>,
): Command => ({
  check,
  run: async (model, real) => {
    await run(model, real)
    real.ground.throwBreaches()
  },
  toString: () => said,
})

const always = (): boolean => true
const because = { reason: 'a walk' }
const ben = person('ben', 'approver')
const cleo = person('cleo', 'operator')

/** Whether it was done; a rule may refuse it, nothing else. */
export const allowed = async (deed: Promise<unknown>): Promise<boolean> => {
  try {
    await deed
    return true
  } catch (error) {
    if (error instanceof RekeyError && error.status < 500) return false
    throw error
  }
}

const sweeps = fc
  .record({
    ms: fc.constantFrom(0, 1_000, 5_000, 5_000, 5_000, 21_000, 61_000),
    slot: fc.constantFrom(0, 0, 1, 2),
  })
  .map(({ ms, slot }) =>
    command(`sweep(${slot} after ${ms / 1_000} s)`, always, async (_model, { ground }) => {
      await ground.wait(ms)
      await ground.sweep(slot)
    }),
  )

const jump = fc.constant(
  // In the middle of a request a jump of the database's clock takes away what leases and deadlines rest on.
  command(
    'jump(1 h)',
    ({ stopped }) => stopped === 0,
    (_model, { ground }) => ground.jump(hourMs),
  ),
)

const goOn = fc.constant(
  command(
    'goOn',
    ({ stopped }) => stopped > 0,
    (_model, { ground }) => ground.goOn(),
  ),
)

const restart = fc
  .nat(2)
  .map((slot) => command(`restart(${slot})`, always, (_model, { ground }) => ground.restart(slot)))

export const anyFault: fc.Arbitrary<Fault> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      method: fc.constantFrom(...writeMethods),
      kind: fc.constantFrom(...faultKinds),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      method: fc.constantFrom(...readMethods),
      kind: fc.constantFrom(...faultKinds),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      method: fc.constant('commit' as const),
      kind: fc.constantFrom(...processFaults),
    }),
  },
)

const fault = anyFault.map((what) =>
  command(`fault(${what.method} ${what.kind})`, always, async (_model, { ground }) => {
    ground.armed.push(what)
  }),
)

const withKey = (
  said: string,
  run: (model: Model, real: Real, n: number) => Promise<void>,
): fc.Arbitrary<Command> =>
  fc.nat(2).map((n) =>
    command(
      `${said}(${n})`,
      ({ keys }) => keys[n]?.deleted === false,
      (model, real) => run(model, real, n),
    ),
  )

const rotate = withKey('rotate', async (model, { ground }, n) => {
  const key = model.keys[n]
  if (!key) return
  const open = openOf(model, key.name)
  const done = await allowed(ground.engine.start(admin, { key: key.name, ...because }))
  if (done !== !open)
    throw new Error(
      `a rotation of ${key.name} was ${done ? 'begun' : 'refused'} beside ${open?.id}`,
    )
  await ground.look()
})

/** I14: nothing but its own record. */
const rehearse = withKey('rehearse', async (model, { ground }, n) => {
  const key = model.keys[n]
  if (!key || openOf(model, key.name)) return
  const { engine, witness, shelf } = ground
  const { ledger, ids, hashJson, timers, clock, deps } = engine
  const { types, sessions } = deps.world
  const shelved = () => JSON.stringify(key.path && shelf.rows(key.path))
  const before = [await witness.fingerprintOf(model.keys), shelved()]
  const rehearsing = { ...ledger, commit: ledger.rehearse }
  const start = makeStartRotation({ ledger: rehearsing, ids, types, hashJson })
  const { value } = await start(admin, { key: key.name, ...because })
  await allowed(previewRotation({ ledger, sessions, types, timers, clock }, value))
  const after = [await witness.fingerprintOf(model.keys), shelved()]
  if (before.join() !== after.join()) throw new Error('I14: a dry run left something')
})

/** What people do to an open rotation; what is refused changes nothing. */
const steered = (
  said: string,
  may: (seen: Seen) => boolean,
  run: (model: Model, real: Real, seen: Seen) => Promise<void>,
): fc.Arbitrary<Command> =>
  fc.constant(
    command(
      said,
      (model) => openOnes(model).some(may),
      async (model, real) => {
        const seen = openOnes(model).find(may)
        if (!seen) return
        await run(model, real, seen)
        await real.ground.look()
        for (const key of model.keys) if (key.name === seen.key) await real.ground.check(key)
      },
    ),
  )

const approve = steered(
  'approve',
  ({ phase }) => phase === 'awaitingApproval',
  async (_model, { ground }, { id, planHash }) => {
    const said = { planHash, ...because }
    if (await allowed(ground.engine.steer.approve(admin, id, said)))
      throw new Error('who asked for a rotation approved it')
    await allowed(ground.engine.steer.approve(ben, id, said))
  },
)

const acknowledge = steered(
  'acknowledge',
  ({ to }) => to !== null,
  (model, real, seen) => acknowledges(model, real, seen),
)

export const acknowledges = async (
  model: Model,
  { ground }: Pick<Real, 'ground'>,
  { id, key, phase, from, to }: Seen,
): Promise<void> => {
  const version = phase === 'rollingBack' ? from : to
  if (version === null) return
  const said = { consumer: model.name, version }
  if (await allowed(ground.engine.steer.acknowledge(admin, id, said)))
    model.acknowledged.add(`${key} ${version} ${model.name}`)
}

const override = fc.constantFrom(ben, cleo).chain((who) =>
  steered(
    `override by ${who.name}`,
    ({ phase }) => phase === 'overlapping' || phase === 'suspending' || phase === 'rollingBack',
    async (model, { ground }, { id }) => {
      const gate = (await ground.engine.waitsFor(id))?.gate ?? null
      if (await allowed(ground.engine.steer.override(who, id, because)))
        model.overrides.push({ rotation: id, by: who.id, gate })
    },
  ),
)

/** May be said in some phases; the machine says in which, and the model says what must be refused. */
const says = (
  said: 'rollback' | 'resume' | 'abandon' | 'cancel',
  only: ReadonlySet<string> | null,
): fc.Arbitrary<Command> =>
  steered(
    said,
    () => true,
    async (model, { ground }, { id, key, phase }) => {
      const done = await allowed(ground.engine.steer[said](admin, id, because))
      if (done && only && !only.has(phase)) throw new Error(`${said} was done in ${phase}`)
      if (!done && (await ground.engine.rotation(id)).phase !== phase)
        throw new Error(`${said} was refused in ${phase}, and changed it`)
      for (const one of model.keys)
        if (one.name === key && said === 'abandon' && done) one.abandoned = true
    },
  )

const freeze = fc.constant(
  command(
    'freeze',
    ({ frozenSince }) => frozenSince === null,
    async (model, { ground }) => {
      await ground.engine.freeze('a walk', { matchLabels: { set: model.name } })
      model.frozenSince = await ground.engine.timers.now()
    },
  ),
)
const thaw = fc.constant(
  command(
    'thaw',
    ({ frozenSince }) => frozenSince !== null,
    (model, { ground }) => thaws(model, ground),
  ),
)
export const thaws = async (model: Model, { engine }: Ground): Promise<void> => {
  await engine.thaw()
  model.frozenSince = null
}

const edit = (said: string, change: Partial<PolicySpec>): Command =>
  command(
    said,
    ({ policy }) => policy,
    async (model, real) => {
      const next = { ...real.policy, ...change }
      if (!(await allowed(real.ground.engine.policy(model.name, next)))) return
      real.policy = next
      const held = next.enabled === false || next.pause !== undefined
      model.pausedSince = held
        ? (model.pausedSince ?? (await real.ground.engine.timers.now()))
        : null
    },
  )
const edits = fc.constantFrom(
  edit('edit(enabled: false)', { enabled: false }),
  edit('edit(enabled: true)', { enabled: true }),
  edit('edit(enabled: true)', { enabled: true }),
  edit('edit(retire: disable)', { retire: 'disable' }),
  edit('edit(retire: keep)', { retire: 'keep' }),
  edit('edit(soak: 1m)', { soak: '1m' }),
  edit('edit(overlap: 1m)', { overlap: { min: '1m' } }),
  edit('edit(schedule: hourly)', { schedule: { cron: '0 * * * *', timezone: 'Europe/Paris' } }),
)

const forgetPolicy = fc.constant(
  command(
    'deletePolicy',
    ({ policy }) => policy,
    async (model, { ground }) => {
      const { ledger } = ground.engine
      const remove = deletePolicy({ ledger })
      const named = { name: model.name, precondition: noPrecondition }
      if (await allowed(remove(admin, named))) model.policy = false
    },
  ),
)

/** Refused while a rotation is open; the provider is not touched. */
const forgetKey = withKey('deleteKey', async (model, { ground }, n) => {
  const key = model.keys[n]
  if (!key) return
  const shelved = () => JSON.stringify(key.path && ground.shelf.rows(key.path))
  const before = shelved()
  const remove = deleteKey({ ledger: ground.engine.ledger })
  const done = await allowed(remove(admin, { name: key.name, precondition: noPrecondition }))
  if (done && openOf(model, key.name))
    throw new Error(`${key.name} was deleted beside its open rotation`)
  if (before !== shelved()) throw new Error('to delete a key changed something at its provider')
  key.deleted = done
})

const onShelf = (
  said: string,
  types: readonly string[],
  run: (model: Model, real: Real, n: number, path: string) => Promise<void>,
): fc.Arbitrary<Command> =>
  withKey(said, async (model, real, n) => {
    const key = model.keys[n]
    if (!key?.path || !types.includes(key.type)) return
    await run(model, real, n, key.path)
  })

/** A consumer that still uses the version that was handed out first. */
const use = onShelf('use', ['shelf.value', 'shelf.pass'], async (_model, { ground }, _n, path) => {
  const now = ground.engine.clock.now()
  for (const row of ground.shelf.rows(path).slice(0, -1)) row.lastUsed = now
})

const foreign = onShelf(
  'foreign',
  ['shelf.value', 'shelf.pass', 'shelf.ring'],
  async (model, { ground }, n, path) => {
    const value = `somebody's value ${model.foreign.length}`
    const { id } = ground.shelf.put(path, value)
    model.foreign.push({ path, id, value })
    for (const [m, key] of model.keys.entries()) if (m === n) key.tampered = true
  },
)

const behind = fc.constantFrom('disabled', 'destroyed').chain((state) =>
  onShelf(
    `${state} behind Rekey's back`,
    ['shelf.value', 'shelf.pass', 'shelf.slot'],
    async (model, { ground }, n, path) => {
      const row = ground.shelf.rows(path).findLast(({ operationId }) => operationId !== null)
      if (row && row.state !== 'destroyed') row.state = state
      for (const [m, key] of model.keys.entries()) if (m === n) key.tampered = true
    },
  ),
)

const before = new Set(['planned', 'awaitingApproval', 'preflight'])
const weighted: readonly (readonly [number, fc.Arbitrary<Command>])[] = [
  [26, sweeps],
  [12, fault],
  [4, rotate],
  [4, goOn],
  [3, acknowledge],
  [3, approve],
  [3, override],
  [3, says('rollback', null)],
  [3, says('resume', new Set(['stalled']))],
  [1, says('abandon', new Set(['stalled']))],
  [1, says('cancel', before)],
  [2, restart],
  [2, freeze],
  [3, thaw],
  [3, edits],
  [1, jump],
  [1, rehearse],
  [1, forgetPolicy],
  [1, forgetKey],
  [2, use],
  [1, foreign],
  [1, behind],
]

export const commandsOf = (most: number, replayPath: string | undefined) =>
  fc.commands([fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary })))], {
    maxCommands: most,
    size: 'max',
    ...(replayPath === undefined ? {} : { replayPath }),
  })
