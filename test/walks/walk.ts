// One walk: a policy over one to three keys of a type, what happens to them, and the end, when the faults are over and people
// mend what is left. Then every rotation has ended, and what is on record is what was done.

import fc from 'fast-check'
import type { AuditAction } from '#domain/audit.ts'
import type { Json, JsonObject } from '#domain/json.ts'
import type { PolicySpec } from '#domain/policy.ts'
import type { AuditFilter } from '#domain/ports.ts'
import { isOpen } from '#domain/rotation-machine.ts'
import { revealText } from '#domain/secret.ts'
import { admin, person } from '#test/support/engine.ts'
import { acknowledges, allowed, anyFault, type Command, type Real, thaws } from './commands.ts'
import type { Fault } from './faults.ts'
import { type Ground, hourMs } from './ground.ts'
import { type Model, type ModelKey, openOnes } from './model.ts'

export interface Scenery {
  readonly type: 'local.secret' | 'shelf.value' | 'shelf.slot' | 'shelf.pass' | 'shelf.ring'
  readonly keys: 1 | 2 | 3
  readonly when: 'manual' | 'cron' | 'age'
  readonly retire: 'keep' | 'disable' | 'destroy'
  readonly soak: '0s' | '20s'
  readonly publish: boolean
  readonly unusedFor: '0s' | '10s'
  readonly overlap: '0s' | '10s' | '3m'
  readonly asks: 'nobody' | 'hold' | 'rollback'
  readonly approvals: 0 | 1
  readonly together: 1 | 2
  readonly byGroup: boolean
  /** Of the host whose clock is wrong. */
  readonly skew: 1 | -1
  /** What waits for the first calls. */
  readonly faults: readonly Fault[]
}

export const scenery: fc.Arbitrary<Scenery> = fc.record({
  type: fc.constantFrom('local.secret', 'shelf.value', 'shelf.slot', 'shelf.pass', 'shelf.ring'),
  keys: fc.constantFrom(1, 1, 1, 1, 1, 1, 2, 2, 3),
  when: fc.constantFrom('manual', 'manual', 'cron', 'age'),
  retire: fc.constantFrom('keep', 'disable', 'destroy'),
  soak: fc.constantFrom('0s', '20s', '20s'),
  publish: fc.boolean(),
  unusedFor: fc.constantFrom('0s', '10s'),
  overlap: fc.constantFrom('0s', '0s', '10s', '10s', '3m'),
  asks: fc.constantFrom('nobody', 'nobody', 'nobody', 'hold', 'rollback'),
  approvals: fc.constantFrom(0, 0, 0, 1),
  together: fc.constantFrom(1, 2),
  byGroup: fc.boolean(),
  skew: fc.constantFrom(1, -1),
  faults: fc.array(anyFault, { maxLength: 8, size: 'max' }),
})

const specOf = (name: string, of: Scenery): Partial<PolicySpec> => {
  const { type, retire, soak, overlap, publish, unusedFor, asks, approvals } = of
  return {
    selector: { matchLabels: { set: name } },
    ...(of.when === 'cron' ? { schedule: { cron: '*/2 * * * *', timezone: 'Europe/Paris' } } : {}),
    ...(of.when === 'age' ? { maxAge: '3m' } : {}),
    retire: type === 'shelf.slot' && retire === 'destroy' ? 'disable' : retire,
    soak,
    acceptGap: true,
    retry: { attempts: 3, initial: '1s', max: '2s' },
    overlap: { min: overlap, ...(type === 'shelf.ring' ? {} : { unusedFor }) },
    approval: { required: approvals },
    concurrency: { max: of.together, ...(of.byGroup ? { groupBy: 'app' } : {}) },
    ...(asks === 'nobody'
      ? {}
      : {
          consumers: {
            matchLabels: { uses: name },
            acknowledgement: { required: 'all', timeout: '30s', onTimeout: asks },
          },
        }),
    ...(publish && type !== 'shelf.ring'
      ? {
          publish: [
            {
              name: 'copy',
              connection: 'shelf',
              type: 'shelf.value',
              ref: { path: `copy-${name}` },
            },
          ],
        }
      : {}),
  }
}

let count = 0

export const stroll = async (
  ground: Ground,
  of: Scenery,
  commands: Iterable<Command>,
): Promise<void> =>
  walk(ground, of, async (model, real) => {
    await fc.asyncModelRun(() => ({ model, real }), commands)
  })

/** Arranges, lets happen what happens, mends what is left, and looks whether all is as it must be. */
export const walk = async (
  ground: Ground,
  of: Scenery,
  happens: (model: Model, real: Real) => Promise<void>,
): Promise<void> => {
  const name = `walk-${++count}`
  const model = modelOf(name, of)
  const real: Real = { ground, policy: specOf(name, of) }
  try {
    await arrange(model, real, of)
    await happens(model, real)
    await mend(model, real)
    await checkEnd(ground, model)
  } finally {
    if (model.frozenSince) await thaws(model, ground)
    await ground.end()
  }
}

const modelOf = (name: string, of: Scenery): Model => ({
  name,
  keys: Array.from({ length: of.keys }, (_, n) => ({
    name: `${name}-${n}`,
    id: '',
    type: of.type,
    path: of.type === 'local.secret' ? null : `${name}-${n}`,
    deleted: false,
    tampered: false,
    abandoned: false,
  })),
  rotations: [],
  frozenSince: null,
  pausedSince: null,
  policy: true,
  acknowledged: new Set(),
  overrides: [],
  stopped: 0,
  jumps: [],
  foreign: [],
})

const arrange = async (model: Model, { ground, policy }: Real, of: Scenery): Promise<void> => {
  const { engine, shelf } = ground
  ground.begin(model, of.skew * hourMs)
  // Every walk begins at the beginning of a minute, so that the same one meets the same occurrences.
  await engine.clock.advance(60_000 - (engine.clock.now().getTime() % 60_000))
  for (const [n, key] of model.keys.entries()) {
    const place =
      key.path === null ? {} : { connection: 'shelf', type: of.type, ref: { path: key.path } }
    const labels = { set: model.name, app: n === 0 ? 'a' : 'b' }
    // oxlint-disable-next-line no-await-in-loop -- one database
    key.id = (await engine.key(key.name, { ...place, labels })).id
  }
  await engine.consumer(model.name, { uses: model.name })
  shelf.put(`copy-${model.name}`, 'before')
  await engine.policy(model.name, policy)
  const [first] = model.keys
  if (of.when === 'manual' && first) await engine.rotate(first.name)
  await ground.look()
  ground.armed.push(...of.faults)
}

/** The faults are over, and people mend what is left: everything ends (I16). */
const mend = async (model: Model, { ground, policy }: Real): Promise<void> => {
  const { engine } = ground
  ground.armed.length = 0
  while (ground.stopped.length > 0) await ground.goOn()
  if (model.frozenSince) await thaws(model, ground)
  if (model.policy && model.pausedSince) {
    await engine.policy(model.name, { ...policy, enabled: true })
    model.pausedSince = null
  }
  const resumed = new Map<string, number>()
  for (let n = 0; n < 150; n++) {
    const { now } = await ground.look()
    const open = openOnes(model)
    if (open.length === 0) return
    for (const seen of open) {
      if (seen.phase === 'stalled') {
        const times = (resumed.get(seen.id) ?? 0) + 1
        resumed.set(seen.id, times)
        const key = model.keys.find((one) => one.name === seen.key)
        // What somebody took away comes back by nobody's word.
        if (times > 3 && key?.tampered) {
          await engine.steer.abandon(admin, seen.id, { reason: 'it was tampered with' })
          key.abandoned = true
        } else await engine.steer.resume(admin, seen.id, { reason: 'mended' })
      }
      if (seen.phase === 'awaitingApproval')
        await allowed(
          engine.steer.approve(person('ben', 'approver'), seen.id, { planHash: seen.planHash }),
        )
      if (seen.phase === 'overlapping' || seen.phase === 'rollingBack')
        await acknowledges(model, { ground }, seen)
    }
    const next = Math.min(...open.flatMap(({ due, lease }) => (lease ?? due)?.getTime() ?? []))
    const inMs = Number.isFinite(next) ? next - now.getTime() : 0
    // At first at the moment when something is due; then for as long as three keys wait for each other.
    await ground.wait(Math.min(Math.max(inMs, n < 20 ? 1_000 : 30_000), 60_000))
    await ground.sweep(0, 'begin nothing')
  }
  const left = await Promise.all(
    openOnes(model).map(async ({ id, phase, key }) => {
      const { stalledReason } = await engine.rotation(id)
      return `${id} of ${key} is ${phase}${stalledReason === null ? '' : ` (${stalledReason})`}`
    }),
  )
  throw new Error(`I16: people mend for hours, and ${left.join(', ')}`)
}

const checkEnd = async (ground: Ground, model: Model): Promise<void> => {
  const { engine, witness, shelf } = ground
  let told = await witness.texts(model.keys)
  for (const key of model.keys) await ground.check(key, true)
  for (const { id, key: name, phase } of model.rotations) {
    const key = model.keys.find((one) => one.name === name)
    if (isOpen(phase)) ground.breach(`I16: ${id} is ${phase}`)
    if (phase === 'abandoned' && !key?.abandoned) ground.breach(`nobody abandoned ${id}`)
    const open = (await engine.intents(id)).filter(({ closed }) => !closed)
    if (phase !== 'abandoned' && open.length > 0)
      ground.breach(`${open.map(({ operationId }) => operationId).join()} is open at the end`)
    const events = await engine.events(id)
    told += JSON.stringify(events)
    const moves = events.flatMap(({ body }) => {
      const [was, is] = [phaseIn(body.before), phaseIn(body.after)]
      return was !== null && is !== null && was !== is ? [`${was} → ${is}`] : []
    })
    const seen = await witness.transitions(id)
    if (seen.join() !== moves.join())
      ground.breach(`I9: ${id} went ${seen.join()}, and the log says ${moves.join()}`)
  }
  for (const sentence of await witness.schedules(model.keys)) ground.breach(sentence)
  for (const key of model.keys) await overdueOnce(ground, key, model.name)
  for (const { path, id, value } of model.foreign) {
    const row = shelf.row(path, id)
    if (row.state !== 'enabled' || row.value !== value)
      ground.breach(`I15: ${path} ${id} was touched`)
  }
  for (const secret of await secretsOf(ground, model))
    if (told.includes(secret)) ground.breach('I18: a secret was written down')
  ground.throwBreaches()
}

/** I13: told once, and again only where a new version was handed out meanwhile and taken back, or the policy was switched off
 *  meanwhile and on again. A version that was handed out while its rotation was being turned round is told by the effect alone. */
const overdueOnce = async (
  { engine, breach }: Ground,
  key: ModelKey,
  policy: string,
): Promise<void> => {
  const told = async (filter: AuditFilter) => {
    const { items } = await engine.ledger.read((db) =>
      db.audit.list(filter, { limit: 200, after: null }),
    )
    return items.toSorted((a, b) => Number(a.recordedAt) - Number(b.recordedAt))
  }
  const ofKey = (action: AuditAction) => told({ key: key.name, action })
  const ends = [
    ...(await ofKey('rotation.promoted')),
    ...(await ofKey('effect.promote')).filter(({ body }) => body.outcome === 'succeeded'),
    ...(await told({ action: 'policy.put' })).filter(
      ({ body }) => body.target.name === policy && saysDisabled(body.after),
    ),
  ]
  const last = new Map<string, Date>()
  for (const { body, recordedAt } of await ofKey('key.overdue')) {
    const since = JSON.stringify(body.after)
    const before = last.get(since)
    if (before && !ends.some((one) => one.recordedAt > before && one.recordedAt < recordedAt))
      breach(`I13: ${key.name} was told overdue twice: ${since}`)
    last.set(since, recordedAt)
  }
}

const saysDisabled = (policy: Json): boolean =>
  fieldOf(fieldOf(policy, 'spec'), 'enabled') === false

const phaseIn = (value: Json): string | null => {
  const phase = fieldOf(value, 'phase')
  return typeof phase === 'string' ? phase : null
}

const fieldOf = (value: Json, name: string): Json =>
  typeof value === 'object' && value !== null && name in value
    ? ((value as JsonObject)[name] ?? null)
    : null

/** Of every version that there still is. */
const secretsOf = async ({ engine, shelf }: Ground, model: Model): Promise<readonly string[]> => {
  const found = [...model.keys.flatMap(({ path }) => path ?? []), `copy-${model.name}`]
    .flatMap((path) => shelf.rows(path))
    .map(({ value }) => value)
    .filter((value) => value !== 'before')
  for (const key of model.keys) {
    if (key.path !== null || key.deleted) continue
    for (const { sealedId } of await engine.versions(key.id)) {
      const material =
        sealedId === null ? null : await engine.ledger.read((db) => db.sealed.open(sealedId))
      if (material) found.push(revealText(material))
    }
  }
  return found
}
