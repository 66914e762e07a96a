// The machine: what a rotation does, in order, what a crash leaves in each phase, and what undo does from there.
// The engine, the API's enum, the database's edge trigger and the diagram in docs/ all follow this table.
//
// The order is the product: intent before effect, expand before contract, verify before promote, probe before repeat.
// Two facts hold in every phase before `retiring`: the version that served when the rotation began can still be made to
// serve, and nothing that Rekey does not own was touched. No phase ends by timing out into destruction.
//
// planned           Nothing has happened. The plan (policy revision, type's declaration, targets, consumers) is frozen under
//                   a hash. A crash leaves a row that the sweep rings again. Undo: cancel.
// awaitingApproval  The policy asks for people. They approve the plan's hash; nobody approves what they requested.
// preflight         Reads only: reachable, rights, primary works, nobody else's version appeared, undo possible. With
//                   `staging: none` the probe ciphertexts are made here, because minting is handing out.
// minting           The intent (pre-image, sealed new material) is committed, then the provider makes the new version.
//                   Old: primary, used by all. New: may exist. A crash leaves an open intent; whoever takes over probes:
//                   ours → adopt, absent (late enough) → send again, foreign → stalled.
// verifying         New exists, nobody uses it (`staging: none`: readers of the store already get it). It is used for real,
//                   several times over the provider's consistency delay, which is waited for as a due time. A crash repeats
//                   one use at most: uses leave nothing.
// distributing      Each publish target gets the new value; what it held was read and sealed first. A crash leaves some
//                   targets written: each has its own intent, and is probed.
// promoting         The provider's pointer moves (compare-and-swap), then one transaction makes new primary and puts old in
//                   overlap. A crash between the two leaves the pointer moved: the probe says so, the transaction follows.
// overlapping       Both versions are accepted, new is handed out. Acknowledgements and last use are collected.
// suspending        Only after overlap.min, the required acknowledgements and silence: old is switched off, one call brings
//                   it back. A crash leaves it on or off: `stateOf` tells.
// soaking           Old is off. It must be refused when tried. If something breaks, one call switches it on again.
// retiring          Past the point of no return: old is kept, disabled or destroyed as the policy says. Set semantics: a
//                   crash repeats it. Before it is completed the provider is asked once more what it has: a late version of
//                   ours is removed, one of somebody else stalls.
// completed         The provider's versions are ours again.
// rollingBack       Undo, step by step (`undoSteps`), each with its own intent. Those who already moved to the new version
//                   are not cut off: it passes the gates before it is removed.
// stalled           Everything stays as it is and valid; somebody is told. A person says resume, rollback or abandon.
//
// With `slot: single` minting overwrites: old goes to suspended with the outcome of minting and there is no overlap. Where
// nothing can be undone, old material need not be known. What could not be switched off for a while (this, and `suspend: no`)
// is tried once when it has been taken away, before the end.
// With `slot: internal` the provider keeps old material by itself: gates and retirement do not apply.

import type { TypeTraits } from './provider.ts'

interface Row {
  /** Where the machine may go from here; nothing else, and the database refuses it too. */
  readonly to: readonly string[]
  /** What `rollback` does: cancel (nothing was done), steps (see `undoSteps`), none (too late, or nothing to undo). */
  readonly undo: 'cancel' | 'steps' | 'none'
  /** Where a definite failure of the phase's effect leads. */
  readonly failure: 'cancelled' | 'rollingBack' | 'stalled' | null
  /** Whether the phase writes at a provider to go forward: not entered in a freeze, a pause or a blackout. */
  readonly writes: boolean
  readonly open: boolean
}

const waits = { writes: false, open: true } as const
const acts = { writes: true, open: true } as const
const ends = { to: [], undo: 'none', failure: null, writes: false, open: false } as const

export const machine = {
  planned: {
    ...waits,
    to: ['awaitingApproval', 'preflight', 'overlapping', 'cancelled'],
    undo: 'cancel',
    failure: null,
  },
  awaitingApproval: {
    ...waits,
    to: ['preflight', 'overlapping', 'cancelled'],
    undo: 'cancel',
    failure: 'cancelled',
  },
  preflight: {
    ...waits,
    to: ['minting', 'cancelled', 'stalled'],
    undo: 'cancel',
    failure: 'cancelled',
  },
  minting: {
    ...acts,
    to: ['verifying', 'rollingBack', 'stalled'],
    undo: 'steps',
    failure: 'rollingBack',
  },
  verifying: {
    ...waits,
    to: ['distributing', 'promoting', 'rollingBack', 'stalled'],
    undo: 'steps',
    failure: 'rollingBack',
  },
  distributing: {
    ...acts,
    to: ['promoting', 'rollingBack', 'stalled'],
    undo: 'steps',
    failure: 'rollingBack',
  },
  promoting: {
    ...acts,
    to: ['overlapping', 'retiring', 'completed', 'rollingBack', 'stalled'],
    undo: 'steps',
    failure: 'stalled',
  },
  overlapping: {
    ...waits,
    to: ['suspending', 'retiring', 'rollingBack', 'stalled'],
    undo: 'steps',
    failure: 'stalled',
  },
  suspending: {
    ...acts,
    to: ['soaking', 'rollingBack', 'stalled'],
    undo: 'steps',
    failure: 'stalled',
  },
  soaking: {
    ...waits,
    to: ['retiring', 'rollingBack', 'stalled'],
    undo: 'steps',
    failure: 'stalled',
  },
  retiring: { ...acts, to: ['completed', 'stalled'], undo: 'none', failure: 'stalled' },
  rollingBack: { ...acts, to: ['rolledBack', 'stalled'], undo: 'none', failure: 'stalled' },
  stalled: {
    ...waits,
    to: [
      'preflight',
      'minting',
      'verifying',
      'distributing',
      'promoting',
      'overlapping',
      'suspending',
      'retiring',
      'rollingBack',
      'abandoned',
    ],
    undo: 'steps',
    failure: null,
  },
  completed: ends,
  cancelled: ends,
  rolledBack: ends,
  abandoned: ends,
} as const satisfies Record<string, Row>

export type Phase = keyof typeof machine
/** Phases in which a worker has something to do or to wait for. */
export type OpenPhase = {
  [P in Phase]: (typeof machine)[P]['open'] extends true ? P : never
}[Phase]
export const phases = Object.keys(machine) as readonly Phase[]
export const isOpen = (phase: Phase): phase is OpenPhase => machine[phase].open
export const openPhases: readonly OpenPhase[] = phases.filter(isOpen)

// Every arrow points at a declared phase, or this does not compile.
type Arrow = (typeof machine)[Phase]['to'][number]
true satisfies Arrow extends Phase ? true : never

export const mayGo = (from: Phase, to: Phase): boolean =>
  (machine[from].to as readonly string[]).includes(to)

/** What of a plan decides its phases. */
export interface Shape {
  readonly traits: Pick<TypeTraits, 'slot' | 'suspend' | 'staging' | 'undo'>
  readonly retire: 'keep' | 'disable' | 'destroy'
  readonly approvals: number
  readonly publishes: boolean
  /** False for a key that has no version to replace. */
  readonly hasOld: boolean
  /** A foreign version was adopted and is only to be retired. */
  readonly retireOnly: boolean
}

/** An adopted version passes the gates also where a new one would not meet an old one. */
const justRetired: readonly Phase[] = ['overlapping', 'retiring', 'completed']

/** The phases that a rotation of this shape goes through, in order. */
export const phasesOf = (shape: Shape): readonly Phase[] => {
  const { slot, suspend } = shape.traits
  const ending: readonly Phase[] =
    slot === 'internal' || !shape.hasOld
      ? ['completed']
      : slot === 'single'
        ? ['retiring', 'completed']
        : suspend && shape.retire !== 'keep'
          ? ['overlapping', 'suspending', 'soaking', 'retiring', 'completed']
          : ['overlapping', 'retiring', 'completed']
  const begin: readonly Phase[] =
    shape.approvals > 0 ? ['planned', 'awaitingApproval'] : ['planned']
  if (shape.retireOnly) return [...begin, ...(ending[0] === 'overlapping' ? ending : justRetired)]
  return [
    ...begin,
    'preflight',
    'minting',
    'verifying',
    ...(shape.publishes ? (['distributing'] as const) : []),
    'promoting',
    ...ending,
  ]
}

/** The phase after `phase` in this rotation's own list. */
export const nextPhase = (list: readonly Phase[], phase: Phase): Phase => {
  const next = list[list.indexOf(phase) + 1]
  if (next === undefined) throw new RangeError(`no phase after ${phase}`)
  return next
}

/** Undo steps, in order. Each is skipped when there is nothing to undo (nothing minted, no targets written). */
export type UndoStepName = 'reinstateOld' | 'swapBack' | 'restoreTargets' | 'gateNew' | 'removeNew'

/**
 * What undo does from `phase`. `impossible`: the provider cannot (409 `rotation.undoImpossible`); `late`: past the point of
 * no return; `cancel`: nothing was done yet. `minted`: whether a new version exists or may exist at the provider.
 */
export const undoSteps = (
  phase: Phase,
  traits: Pick<TypeTraits, 'slot' | 'staging' | 'undo'>,
  minted: boolean,
): readonly UndoStepName[] | 'cancel' | 'impossible' | 'late' => {
  const row: Row = machine[phase]
  if (row.undo === 'cancel') return 'cancel'
  if (row.undo === 'none') return 'late'
  if (traits.undo === 'none' && minted) return 'impossible'
  // Where minting is handing out, readers already have the new value: the old one is made current before anything else.
  // Whoever may have got the new value, from the type itself or from a publish target, passes the gates before it goes.
  const handedOut = traits.staging === 'none' || traits.slot === 'single'
  switch (phase) {
    case 'minting':
    case 'verifying':
      return handedOut ? ['swapBack', 'gateNew', 'removeNew'] : ['removeNew']
    case 'distributing':
      return [
        ...(handedOut ? (['swapBack'] as const) : []),
        'restoreTargets',
        'gateNew',
        'removeNew',
      ]
    case 'promoting':
    case 'overlapping':
      return ['swapBack', 'restoreTargets', 'gateNew', 'removeNew']
    case 'suspending':
    case 'soaking':
      return ['reinstateOld', 'swapBack', 'restoreTargets', 'gateNew', 'removeNew']
    default:
      return 'late'
  }
}

/** Where `resume` leads from the phase that stalled: a soak starts over with the switching off, which is checked again. */
export const resumeInto = (stalledIn: Phase): Phase =>
  stalledIn === 'soaking' ? 'suspending' : stalledIn
