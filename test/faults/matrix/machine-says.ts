// What the machine says, as data: which steps a rotation takes, in which order, where each of them can be cut, how it ends
// and what is then at the provider. Written from the design's table of phases and from what a type declares; the code under
// test is not asked (no phase list, no undo list of src/ is read here), so that the two can be held against each other.

import type { TypeTraits } from '#domain/provider.ts'
import type { Effect } from '#domain/rotation.ts'
import type { Phase } from '#domain/rotation-machine.ts'
import { type Death, type Point, type SeenStep, titleOf } from '#test/support/dying-worker.ts'

/** A key under a policy, as far as the machine depends on it. */
export interface Shape {
  readonly type: string
  readonly traits: Pick<TypeTraits, 'slot' | 'staging' | 'undo' | 'suspend'>
  /** The provider makes the material and shows it once: whoever loses the answer has lost it. */
  readonly shownOnce: boolean
  /** Somebody who names no version gets the newest one, or the one under the pointer. */
  readonly pointed: boolean
  readonly retire: 'keep' | 'disable' | 'destroy'
  readonly approval: boolean
  /** Publish targets in order, and whether each holds something before. */
  readonly targets: readonly { readonly name: string; readonly held: boolean }[]
  /** A consumer that is told, and whose acknowledgement is asked for. */
  readonly consumer: boolean
}

export const points = {
  beforeIntent: 'before the intent',
  afterIntent: 'after the intent',
  lost: 'request lost',
  applied: 'applied, answer lost',
  afterAnswer: 'after the answer',
  afterOutcome: 'after the outcome',
} as const satisfies Record<Point, string>
export const allPoints = Object.keys(points) as readonly Point[]

/** Why a point does not exist in a step, or null where it does. */
export const noPoint = ({ effect, looked }: Step, point: Point): string | null => {
  if (point === 'afterAnswer' || point === 'afterOutcome') return null
  if (looked) return 'it was sent in the phase that was left: here the provider is only asked'
  return effect === null
    ? 'the step writes nothing at a provider: there is no intent and no request'
    : null
}

export const pointsOf = (step: Step): readonly Point[] =>
  allPoints.filter((point) => noPoint(step, point) === null)

export interface Step extends SeenStep {
  /** For people, where phase and effect do not tell. */
  readonly name: string | null
}

type Bare = readonly [Phase, Effect | null, ('looked' | { readonly name: string })?]
const numbered = (steps: readonly Bare[]): readonly Step[] =>
  steps.map(([phase, effect, more], at) => ({
    phase,
    effect,
    looked: more === 'looked',
    name: typeof more === 'object' ? more.name : null,
    n: steps.slice(0, at + 1).filter(([p, e]) => p === phase && e === effect).length,
  }))

/** From the first to the last step of a rotation that nothing disturbs. */
export const forward = (shape: Shape): readonly Step[] => {
  const { traits, retire, targets } = shape
  const begin: readonly Bare[] = [
    ['planned', null],
    ...(shape.approval ? [['awaitingApproval', null] as const] : []),
    ['preflight', null],
    ['minting', 'mint'],
    ['verifying', null],
    ...targets.map(() => ['distributing', 'distribute'] as const),
    ...(targets.length > 0 ? [['distributing', null] as const] : []),
    ['promoting', traits.staging === 'native' ? 'promote' : null],
  ]
  // The provider keeps its old material: nothing ends, but the last look is a step of its own.
  if (traits.slot === 'internal') return numbered([...begin, ['promoting', null]])
  // The mint took the place of old: nothing overlaps.
  if (traits.slot === 'single') return numbered([...begin, ['retiring', null]])
  const overlap: readonly Bare[] = [
    ...(shape.consumer ? [['overlapping', 'notify'] as const] : []),
    ['overlapping', null],
  ]
  if (!traits.suspend || retire === 'keep')
    return numbered([
      ...begin,
      ...overlap,
      ...(retire === 'keep' ? [] : [['retiring', 'retire'] as const]),
      ['retiring', null],
    ])
  return numbered([
    ...begin,
    ...overlap,
    ['suspending', 'suspend'],
    ['soaking', null],
    // `disable`: it is off already.
    ...(retire === 'destroy' ? [['retiring', 'retire'] as const] : []),
    ['retiring', null],
  ])
}

/** Where a rotation stands when it is turned round. */
export interface Start {
  readonly step: Step
  /** `before`: nothing of the step has happened. `lost`, `applied`: its intent is open, its effect is not there or is. */
  readonly half: 'before' | 'lost' | 'applied'
}
export const startTitle = ({ step, half }: Start): string =>
  `${titleOf(step)}${half === 'before' ? '' : half === 'lost' ? ', request lost' : ', applied'}`

/** What the design's column "undo" says of the phases. */
const undoOf: Readonly<Record<Phase, 'cancel' | 'steps' | 'late'>> = {
  planned: 'cancel',
  awaitingApproval: 'cancel',
  preflight: 'cancel',
  minting: 'steps',
  verifying: 'steps',
  distributing: 'steps',
  promoting: 'steps',
  overlapping: 'steps',
  suspending: 'steps',
  soaking: 'steps',
  retiring: 'late',
  completed: 'late',
  rollingBack: 'late',
  rolledBack: 'late',
  cancelled: 'late',
  abandoned: 'late',
  stalled: 'late',
}

/** Every state in which a rotation of the shape can be, by steps: the first in it, and each effect half done. */
export const states = (shape: Shape): readonly Start[] =>
  forward(shape).flatMap((step) =>
    step.effect === null
      ? [{ step, half: 'before' as const }]
      : (['before', 'lost', 'applied'] as const).map((half) => ({ step, half })),
  )

/** The death that leaves a rotation at `start`; null: it has not begun. */
export const deathAt = (shape: Shape, { step, half }: Start): Death | null => {
  if (half !== 'before') return { step: titleOf(step), point: half }
  const all = forward(shape)
  const before = all[all.findIndex((one) => titleOf(one) === titleOf(step)) - 1]
  return before ? { step: titleOf(before), point: 'afterOutcome' } : null
}

/** How a request to roll back is answered there: by undo, or by the code of the refusal. */
export const answerTo = (
  shape: Shape,
  start: Start,
): 'undo' | 'rotation.wrongPhase' | 'rotation.undoImpossible' | 'rotation.pastPointOfNoReturn' => {
  const column = undoOf[start.step.phase]
  if (column === 'cancel') return 'rotation.wrongPhase'
  if (column === 'late') return 'rotation.pastPointOfNoReturn'
  // Also where a request is under way whose fate nobody knows.
  const mayBeMade = !(start.step.effect === 'mint' && start.half === 'before')
  return shape.traits.undo === 'none' && mayBeMade ? 'rotation.undoImpossible' : 'undo'
}

const doneAt = (shape: Shape, { step, half }: Start): readonly Step[] => {
  const all = forward(shape)
  const at = all.findIndex((one) => titleOf(one) === titleOf(step))
  return all.slice(0, half === 'applied' ? at + 1 : at)
}

/** What has happened of a shape when it is at `start`, once the open intent was found out about. */
const soFar = (shape: Shape, start: Start) => {
  const done = doneAt(shape, start)
  const did = (effect: Effect): number => done.filter((one) => one.effect === effect).length
  // A version whose secret was lost with the answer is removed as soon as it is found: as if it had never been.
  const orphan = shape.shownOnce && start.step.effect === 'mint' && start.half === 'applied'
  const promoted = done.some(({ phase, effect }) =>
    shape.traits.staging === 'native' ? effect === 'promote' : phase === 'promoting',
  )
  return { minted: did('mint') > 0 && !orphan, orphan, written: did('distribute'), promoted }
}

/** Whether a consumer may have got the new version: then it passes the gates before it goes. */
export const mayBeUsed = (shape: Shape, start: Start): boolean => {
  const { minted, written, promoted } = soFar(shape, start)
  const atOnce = shape.traits.staging === 'none' || shape.traits.slot === 'single'
  return minted && (atOnce || written > 0 || promoted)
}

/** The steps of undo, the finding out about an open intent first. Each ends with a move of its own; so does the whole. */
export const backward = (shape: Shape, start: Start): readonly Step[] => {
  const { traits } = shape
  const { phase } = start.step
  const { minted, written, promoted } = soFar(shape, start)
  const back = (effect: Effect): Bare => ['rollingBack', effect]
  const done = (name: string): Bare => ['rollingBack', null, { name }]
  const off = phase === 'suspending' || phase === 'soaking'
  // Where minting is handing out it begins with the swap back.
  const atOnce = traits.staging === 'none' || traits.slot === 'single'
  const early = phase === 'minting' || phase === 'verifying'
  const beforePromoting = early || phase === 'distributing'
  const handedOut = atOnce || !beforePromoting
  const moves =
    minted &&
    (traits.undo === 'rollForward' ? handedOut : traits.undo === 'pointer' ? promoted : false)
  const open = start.half === 'before' ? null : start.step.effect
  return numbered([
    ...(open === null ? [] : [['rollingBack', open, 'looked'] as const]),
    // One call brings it back; it is sent also where it was not seen to go.
    ...(off ? [back('reinstate'), done('old is on')] : []),
    ...(handedOut ? [...(moves ? [back('swapBack')] : []), done('old serves')] : []),
    ...(early
      ? []
      : [
          ...Array.from({ length: written }, () => back('restoreTarget')),
          done('targets are restored'),
        ]),
    // Those who may have moved are waited for.
    ...(handedOut || !early ? [done('the gates are open')] : []),
    ...(minted ? [back('removeNew')] : []),
    done('new is gone'),
    done('rolled back'),
  ])
}

export interface End {
  readonly phase: Phase
  /** Of the key, oldest first. */
  readonly versions: readonly string[]
  /** Of the provider, oldest first. */
  readonly peer: readonly string[]
  /** How often each effect was applied at the peer, in the whole. */
  readonly applied: Readonly<Record<string, number>>
}

/** A worker died in `step` of the way forward, or nowhere; another went on. */
export const endForward = (shape: Shape, death: Death | null): End => {
  const { traits, retire } = shape
  const cut = (effect: Effect): boolean =>
    (death?.point === 'applied' || death?.point === 'afterAnswer') &&
    forward(shape).some((step) => titleOf(step) === death.step && step.effect === effect)
  const orphan = shape.shownOnce && cut('mint')
  const ended = retire === 'destroy' && traits.slot !== 'single' ? 'destroyed' : 'deactivated'
  const off = { keep: 'enabled', disable: 'disabled', destroy: 'destroyed' }[retire]
  const old = traits.slot === 'single' ? [] : [traits.slot === 'internal' ? 'enabled' : off]
  const applied: Record<string, number> = {}
  for (const { effect } of forward(shape))
    if (effect !== null) applied[effect] = (applied[effect] ?? 0) + 1
  // A webhook cannot be probed: it is told again. What was shown once is removed and made anew.
  if (cut('notify')) applied['notify'] = (applied['notify'] ?? 0) + 1
  if (orphan) Object.assign(applied, { mint: 2, discard: 1 })
  return {
    phase: 'completed',
    versions: [traits.slot === 'internal' ? 'deactivated' : ended, 'active primary'],
    peer: [...old, ...(orphan ? ['destroyed'] : []), current(shape)],
    applied,
  }
}

/** The rotation was turned round at `start`; a worker died in `step` of undo, or nowhere; another went on. */
export const endBackward = (shape: Shape, start: Start, death: Death | null): End => {
  const { traits } = shape
  const { minted, orphan } = soFar(shape, start)
  const all = backward(shape, start)
  const applied: Record<string, number> = {}
  for (const { effect, looked } of [...doneAt(shape, start), ...all])
    if (effect !== null && !looked) applied[effect] = (applied[effect] ?? 0) + 1
  if (orphan) applied['discard'] = 1
  // Sent where nothing was off, and lost: it is found met, and is not sent again.
  const neverOff = start.step.phase === 'suspending' && start.half !== 'applied'
  const unsent = death?.point === 'afterIntent' || death?.point === 'lost'
  if (neverOff && unsent && death.step === 'rollingBack reinstate') delete applied['reinstate']
  // What was in the one place went with the old value's return: there is nothing left to remove.
  if (traits.slot === 'single') delete applied['removeNew']
  const rolled = all.some(({ effect }) => effect === 'swapBack') && traits.undo === 'rollForward'
  const again = rolled ? [current(shape)] : []
  // With one place what was in it is gone with each write.
  const peer =
    traits.slot === 'single'
      ? [current(shape)]
      : [
          rolled || !shape.pointed ? 'enabled' : current(shape),
          ...(minted || orphan ? ['destroyed'] : []),
          ...again,
        ]
  return {
    phase: 'rolledBack',
    versions: ['active primary', ...(minted ? ['destroyed'] : [])],
    peer,
    applied,
  }
}

const current = ({ pointed }: Shape): string => `enabled${pointed ? ' current' : ''}`
