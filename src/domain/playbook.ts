// What people do in an emergency, written down while nobody is in a hurry. Nothing here runs by itself: an incident takes a copy
// of the steps, and people tick them off. One that nobody has looked at for too long is worse than none, so each has a date by
// which somebody else than its author must have read it.

import type { ManagedBy } from './connection.ts'
import { parseDuration } from './duration.ts'
import type { IncidentMode } from './incident.ts'
import { type Labels, matchesLabels } from './names.ts'
import type { PlaybookSpec, PlaybookStep } from './playbook-schema.ts'

interface Person {
  readonly id: string
  readonly name: string
}

export interface Playbook {
  readonly name: string
  readonly labels: Labels
  readonly spec: PlaybookSpec
  readonly managedBy: ManagedBy
  /** Of the present revision: somebody else reviews it. */
  readonly author: Person
  readonly review: {
    readonly at: Date
    readonly by: Person
    readonly revision: number
    readonly text: string
  } | null
  readonly reviewDueAt: Date
  /** Since when the review is overdue, once that was told. */
  readonly overdueSince: Date | null
  readonly revision: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** What is read of all of them: their steps may be long. */
export type PlaybookOutline = Pick<Playbook, 'name' | 'labels' | 'managedBy'> &
  Pick<PlaybookSpec, 'appliesTo'>

/** From the last review on; before the first, from its making on. A change is no review. */
export const reviewDueAt = ({
  spec,
  review,
  createdAt,
}: Pick<Playbook, 'spec' | 'review' | 'createdAt'>): Date =>
  new Date((review?.at ?? createdAt).getTime() + parseDuration(spec.reviewEvery))

/** Whether it is meant for such an incident. One that says nothing of it is meant for those who name it. */
export const appliesTo = (
  { appliesTo: wanted }: Pick<PlaybookSpec, 'appliesTo'>,
  mode: IncidentMode,
  keys: readonly { readonly type: string; readonly labels: Labels }[],
): boolean =>
  wanted !== undefined &&
  (wanted.modes?.includes(mode) ?? true) &&
  keys.some(
    ({ type, labels }) =>
      (wanted.types?.includes(type) ?? true) && matchesLabels(wanted.matchLabels ?? {}, labels),
  )

/** A copy of its steps, as an incident took it. */
export interface TakenPlaybook {
  readonly name: string
  readonly revision: number
  readonly title: string
  readonly owner: string
  /** RFC 3339. */
  readonly at: string
  readonly by: Person
  /** Whether nobody had looked at it in time, when it was taken. */
  readonly reviewOverdue: boolean
  /** Whether this very revision was read by another than its author: a review in time may be of the one before. */
  readonly revisionReviewed?: boolean
  readonly steps: readonly PlaybookStep[]
}

export const tickOutcomes = ['done', 'notDone'] as const

/** What somebody said of a step. The last word on a step counts; the others stay. */
export interface StepTick {
  readonly id: string
  readonly incidentId: string
  /** From 1 on. */
  readonly step: number
  readonly outcome: (typeof tickOutcomes)[number]
  readonly note: string | null
  readonly principalId: string
  readonly principalName: string
  readonly at: Date
}

export interface TakenStep extends PlaybookStep {
  readonly step: number
  readonly state: 'open' | (typeof tickOutcomes)[number]
  readonly dueAt: Date | null
  /** Done after its time, or not done and its time is over. */
  readonly late: boolean
  readonly tick: StepTick | null
}

export const takenSteps = (
  { at, steps }: Pick<TakenPlaybook, 'at' | 'steps'>,
  ticks: readonly StepTick[],
  now: Date,
): readonly TakenStep[] =>
  steps.map((said, i) => {
    const tick = ticks.findLast(({ step }) => step === i + 1) ?? null
    const dueAt =
      said.within === undefined
        ? null
        : new Date(new Date(at).getTime() + parseDuration(said.within))
    const until = tick?.outcome === 'done' ? tick.at : now
    return {
      ...said,
      step: i + 1,
      state: tick?.outcome ?? 'open',
      dueAt,
      late: dueAt !== null && until > dueAt,
      tick,
    }
  })
