// Every change of state passes the ledger: here it is counted, what it says of rotations is measured, and it is a span.
// Only what was committed counts; a transaction that is run again counts once.

import { RekeyError } from '#domain/errors.ts'
import type { Ledger, Outcome, Tx } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'
import { isOpen, type Phase } from '#domain/rotation-machine.ts'
import { inSpan, type Span, type Telemetry } from '#domain/telemetry.ts'

/** A rotation as it is now, and what it was before. */
export interface Move {
  readonly rotation: Rotation
  readonly before: Phase
  readonly takenOver: boolean
}

export interface ObserveLedgerOptions extends Telemetry {
  /** For the log. */
  readonly onMove: (move: Move) => void
}

export const observeLedger = (ledger: Ledger, options: ObserveLedgerOptions): Ledger => {
  const { meter, tracer } = options
  const counted = async <T>(name: string, work: (span: Span) => Promise<T>): Promise<T> => {
    try {
      const value = await inSpan(tracer, { name, kind: 'internal' }, work, errorType)
      meter.add('rekey_audit_commits_total', { outcome: 'committed' })
      return value
    } catch (error) {
      meter.add('rekey_audit_commits_total', { outcome: outcomeOf(error) })
      throw error
    }
  }
  return {
    read: ledger.read,
    commit: async (actor, work) => {
      const seen: Seen = { moves: [], outcome: null }
      const committed = await counted('ledger.commit', async (span) => {
        const done = await ledger.commit(actor, watched(seen, work, options))
        span.set({ 'rekey.audit.actions': seen.outcome?.audit.map(({ action }) => action) ?? [] })
        return done
      })
      for (const { action, outcome } of seen.outcome?.audit ?? [])
        meter.add('rekey_audit_events_total', { action, outcome })
      for (const move of seen.moves) tell(move, options)
      return committed
    },
    rehearse: async (actor, work) => {
      const rehearsed = await counted('ledger.rehearse', () => ledger.rehearse(actor, work))
      meter.add('rekey_audit_events_total', { action: 'request.rehearsed', outcome: 'succeeded' })
      return rehearsed
    },
    note: async (actor, event) => {
      const receipt = await counted('ledger.note', () => ledger.note(actor, event))
      meter.add('rekey_audit_events_total', { action: event.action, outcome: event.outcome })
      return receipt
    },
  }
}

interface Seen {
  moves: Move[]
  outcome: Outcome<unknown> | null
}

/** The same work, watched while it writes rotations; it may run several times, and the last one counts. */
const watched =
  <T>(seen: Seen, work: (tx: Tx) => Promise<Outcome<T>>, { tracer }: Telemetry) =>
  async (tx: Tx): Promise<Outcome<T>> => {
    seen.moves = []
    const { writeRotation } = tx
    const outcome = await work({
      ...tx,
      writeRotation: {
        // The row keeps where its trace goes on. One that no request asked for begins a trace of its own.
        insert: async (rotation) => {
          const span = tracer.begin({
            name: 'rotation.open',
            kind: 'internal',
            attributes: {
              'rekey.rotation.id': rotation.id,
              'rekey.key.type': rotation.plan.key.type,
            },
          })
          await span.run(() => writeRotation.insert(rotation)).finally(() => span.end())
        },
        move: async (rotation, before, also) => {
          const moved = await writeRotation.move(rotation, before, also)
          if (moved) {
            const takenOver = rotation.epoch > before.epoch
            seen.moves.push({ rotation, before: before.phase, takenOver })
          }
          return moved
        },
      },
    })
    seen.outcome = outcome
    return outcome
  }

const tell = (move: Move, { meter, onMove }: ObserveLedgerOptions): void => {
  const { rotation, before, takenOver } = move
  const { type } = rotation.plan.key
  if (takenOver) meter.add('rekey_rotation_takeovers_total', {})
  if (rotation.phase !== before) {
    if (rotation.phase === 'stalled')
      meter.add('rekey_rotation_stalls_total', { type, phase: before })
    if (!isOpen(rotation.phase) && rotation.endedAt !== null) {
      const outcome = rotation.phase
      const tookMs = rotation.endedAt.getTime() - rotation.createdAt.getTime()
      meter.add('rekey_rotations_ended_total', { type, trigger: rotation.trigger, outcome })
      meter.observe(
        'rekey_rotation_duration_seconds',
        { type, outcome },
        Math.max(0, tookMs / 1000),
      )
    }
  }
  onMove(move)
}

/** Whoever runs a transaction may end it with an error of a class of their own; what nobody throws on purpose is a fault. */
const outcomeOf = (error: unknown): string => {
  if (error instanceof RekeyError)
    return error.code === 'audit.unavailable' ? 'unavailable' : 'refused'
  if (!(error instanceof Error) || error.constructor === Error) return 'failed'
  return /^(?:(?:Type|Range|Reference|Syntax)Error$|Prisma|DriverAdapter)/.test(error.name)
    ? 'failed'
    : 'refused'
}

/** Its code, or its class: a message may hold what somebody sent. */
const errorType = (error: unknown): string =>
  error instanceof RekeyError ? error.code : error instanceof Error ? error.name : typeof error
