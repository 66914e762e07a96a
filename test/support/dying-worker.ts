// A worker that dies at one moment of its work, named by the step and by the place in it. It dies as a process does: what
// it was about to commit is rolled back, what it waits for never returns, and its lease stays behind.
//
// The seams are the ports that the engine is built from: the ledger (before and after each of its commits; what a commit
// is, its audit events say) and the sessions (before and after each write at a provider). src/ has no flag for it.

import type { LedgerEvent, Ledger } from '#domain/ports.ts'
import type { Call, Session } from '#domain/provider.ts'
import { type Effect, effects } from '#domain/rotation.ts'
import { type Phase, phases } from '#domain/rotation-machine.ts'
import type { EngineDeps } from '#usecases/rotation-engine.ts'
import type { Engine } from './engine.ts'
import { forever } from './faults.ts'

export type Point =
  | 'beforeIntent'
  | 'afterIntent'
  | 'lost'
  | 'applied'
  | 'afterAnswer'
  | 'afterOutcome'

/** A step as its commits tell it: an effect with its intent and its outcome, an effect whose outcome was found out, a move. */
export interface SeenStep {
  readonly phase: Phase
  readonly effect: Effect | null
  /** The outcome of what was sent before, by somebody else or in another phase. */
  readonly looked: boolean
  /** Tells those of one phase and effect apart: 1 for the first. */
  readonly n: number
}

export const titleOf = ({ phase, effect, looked, n }: SeenStep): string =>
  `${phase}${effect === null ? '' : ` ${looked ? 'found ' : ''}${effect}`}${n > 1 ? ` ${n}` : ''}`

export interface Death {
  /** `titleOf` the step. */
  readonly step: string
  readonly point: Point
}

export interface DyingWorker {
  readonly advance: (rotationId: string) => Promise<void>
  /** Resolves when it is dead. */
  readonly died: Promise<void>
  /** The steps that it has finished. */
  readonly steps: readonly string[]
}

export const makeDyingWorker = (
  engine: Pick<Engine, 'worker' | 'deps'>,
  instance: string,
  death: Death | null,
  /** After every commit, while the worker stands still. */
  afterCommit: () => Promise<void> = async () => undefined,
): DyingWorker => {
  let die = (): void => undefined
  const died = new Promise<void>((resolve) => {
    die = resolve
  })
  const steps: string[] = []
  const counts = new Map<string, number>()
  let underWay: SeenStep | null = null
  const diesAt = (step: SeenStep | null, point: Point): boolean =>
    step !== null && death !== null && death.point === point && titleOf(step) === death.step
  const hang = (): Promise<never> => {
    die()
    return forever()
  }

  const stepOf = ({ kind, phase, effect }: Told): SeenStep => {
    const sent = underWay
    if (kind === 'outcome' && sent?.phase === phase && sent.effect === effect) return sent
    const n = (counts.get(`${phase} ${effect}`) ?? 0) + 1
    return { phase, effect, looked: kind === 'outcome', n }
  }
  const count = (told: Told, step: SeenStep): void => {
    if (step !== underWay) counts.set(`${step.phase} ${step.effect}`, step.n)
    underWay = told.kind === 'intent' ? step : null
    if (told.kind !== 'intent') steps.push(titleOf(step))
  }

  const { ledger, world, clock } = engine.deps
  const commit: Ledger['commit'] = async (actor, work) => {
    let told: readonly Told[] = []
    try {
      const done = await ledger.commit(actor, async (tx) => {
        const outcome = await work(tx)
        told = toldBy(outcome.audit)
        for (const one of told) {
          const point = one.kind === 'intent' ? 'beforeIntent' : 'afterAnswer'
          if (diesAt(stepOf(one), point)) throw new Died()
          // What comes after it in the same commit is not to be.
          if (one !== told.at(-1) && diesAt(stepOf(one), 'afterOutcome')) throw new Apart()
        }
        return outcome
      })
      let step: SeenStep | null = null
      for (const one of told) {
        step = stepOf(one)
        count(one, step)
      }
      await afterCommit()
      const point = told.at(-1)?.kind === 'intent' ? 'afterIntent' : 'afterOutcome'
      return diesAt(step, point) ? await hang() : done
    } catch (error) {
      if (error instanceof Died) return hang()
      throw error
    }
  }

  const written = async <T>(call: Call | undefined, real: () => Promise<T>): Promise<T> => {
    // Not of an effect: a read, or the removal of what was found.
    if (call?.operationId === undefined) return real()
    if (diesAt(underWay, 'lost')) return hang()
    try {
      const answer = await real()
      return diesAt(underWay, 'applied') ? await hang() : answer
    } catch (error) {
      // Also where the peer has nothing to do.
      if (diesAt(underWay, 'applied')) return hang()
      throw error
    }
  }
  const mortal = (session: Session): Session => ({
    ...session,
    create: (order, call) => written(call, () => session.create(order, call)),
    mint: (order, call) => written(call, () => session.mint(order, call)),
    promote: (order, call) => written(call, () => session.promote(order, call)),
    suspend: (at, id, call) => written(call, () => session.suspend(at, id, call)),
    reinstate: (at, id, call) => written(call, () => session.reinstate(at, id, call)),
    retire: (at, id, how, call) => written(call, () => session.retire(at, id, how, call)),
  })
  const sessions = {
    ...world.sessions,
    open: async (connection: Parameters<typeof world.sessions.open>[0]) =>
      mortal(await world.sessions.open(connection)),
  }
  const send: EngineDeps['world']['send'] = (...args) =>
    written({ signal: new AbortController().signal, operationId: 'a webhook' }, () =>
      world.send(...args),
    )

  return {
    advance: engine.worker(instance, {
      ledger: { ...ledger, commit },
      world: { ...world, sessions, send },
      // What is to be lost is lost by hand: on a busy machine a deadline that is real would lose more.
      clock: { ...clock, deadline: () => new AbortController().signal },
    }),
    died,
    steps,
  }
}

/** Rolls back what it was about to commit. */
class Died extends Error {}

/** The same, of a transition and what was to be written with it: the transition is written alone then. */
class Apart extends Error {}

/** A ledger that has each transition of a rotation written alone, for those who want to see it in every phase. */
export const oneAtATime = (ledger: Ledger): Ledger => ({
  ...ledger,
  commit: (actor, work) =>
    ledger.commit(actor, async (tx) => {
      const outcome = await work(tx)
      if (toldBy(outcome.audit).length > 1) throw new Apart()
      return outcome
    }),
})

interface Told {
  readonly kind: 'intent' | 'outcome' | 'move'
  readonly phase: Phase
  readonly effect: Effect | null
}

const effectOf: ReadonlyMap<string, Effect> = new Map(
  Object.entries(effects).map(([effect, action]) => [action, effect as Effect]),
)

/** What a commit is: transitions, and an effect at last. Nothing where it is none of a step (a lease taken over, a reply that
 *  did not come). The transition that an outcome leads to is part of it. */
const toldBy = (audit: readonly LedgerEvent[]): readonly Told[] => {
  const moves: Told[] = []
  for (const event of audit) {
    const effect = effectOf.get(event.action)
    const phase = phaseIn(event.after)
    const before = phaseIn(event.before)
    if (effect !== undefined && phase !== null) {
      if (event.outcome === 'unknown') return moves
      return [...moves, { kind: event.outcome === 'intent' ? 'intent' : 'outcome', phase, effect }]
    }
    if (before && phase && event.action !== 'rotation.takenOver')
      moves.push({ kind: 'move', phase: before, effect: null })
  }
  return moves
}

const phaseIn = (value: unknown): Phase | null => {
  const found: unknown = value instanceof Object ? Reflect.get(value, 'phase') : null
  return phases.find((phase) => phase === found) ?? null
}
