// Effects that people carry out, where there is no API: what they are asked to do, and what they say of it afterwards.
// The intent is the order, the confirmation is the reply, and the probe reads it (docs/adr/0017-steps-by-hand.md).

import type { Fingerprint } from './fingerprint.ts'
import type { JsonObject } from './json.ts'

/** What each effect leaves of the version that it is about. */
const outcomes = {
  mint: ['enabled'],
  promote: ['current'],
  swapBack: ['current'],
  suspend: ['disabled'],
  reinstate: ['enabled'],
  retire: ['disabled', 'destroyed'],
  removeNew: ['destroyed'],
} as const
export type HandEffect = keyof typeof outcomes
export type Became = (typeof outcomes)[HandEffect][number]

export const isHandEffect = (effect: string): effect is HandEffect =>
  Object.hasOwn(outcomes, effect)

/** Declared by a type whose effects people carry out. */
export interface ByHand {
  /** The lines of the checklist for an effect. */
  readonly steps: (ref: JsonObject, effect: HandEffect) => readonly string[]
  /** How long after it was asked for a step is to be done at the latest. */
  readonly withinMs: (ref: JsonObject) => number
}

/** One effect, as a person is asked for it. */
export interface HandStep {
  /** Rekey's own sentence: it names the versions. */
  readonly asks: string
  readonly steps: readonly string[]
  readonly withinMs: number
}

/** What a person said of a step; once. */
export interface Confirmation {
  readonly operationId: string
  readonly keyId: string
  readonly effect: HandEffect
  /** False: it was not done, and `evidence` says why. */
  readonly done: boolean
  /** The provider version that the step was about, and what it is since, where it was done. */
  readonly version: string
  readonly became: Became
  /** Of the new value, as the ledger makes it; the person's client sends the value's SHA-256 and nothing else. */
  readonly fingerprint: Fingerprint | null
  readonly evidence: string | null
  readonly principalId: string
  readonly principalName: string
  readonly at: Date
}

/** What the intent of such an effect is about, from its own record. The new version is named by the intent that asked for it. */
export const subjectOf = (intent: {
  readonly operationId: string
  readonly effect: HandEffect
  readonly target: string | null
  readonly preImage: JsonObject
}): Pick<Confirmation, 'version' | 'became'> => {
  const { operationId, effect, target, preImage } = intent
  const named = effect === 'mint' ? operationId : (target ?? preImage['to'])
  const became = outcomes[effect].find(
    (outcome) => outcomes[effect].length === 1 || outcome === preImage['wanted'],
  )
  if (typeof named !== 'string' || became === undefined) {
    throw new RangeError(`the intent ${operationId} does not say what it is about`)
  }
  return { version: named, became }
}
