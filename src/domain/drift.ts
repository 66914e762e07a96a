// What a key is at its provider, where that is not what it is here. Found by looking once in a while, for ever
// (usecases/compare-keys.ts), in the words of a recovery, which asks the same question at one moment (recovery.ts).

import type { JsonObject } from './json.ts'

/** What a look may find, each with what it means and whether it is told: whoever owns the key gets a message, and its end is
 *  one too. A right is taken from a connection, and would be as many messages as it has keys: it is shown, counted and paged. */
export const findings = {
  lost: { told: true, about: 'what serves is gone' },
  adopt: { told: true, about: 'another version serves, or one is in another state' },
  orphan: { told: true, about: 'there are versions that nobody is handed' },
  automatic: { told: true, about: 'the provider is set to rotate it by itself' },
  expiring: { told: true, about: 'what serves ends there before it is rotated here' },
  denied: { told: false, about: 'the connection may no longer rotate it' },
} as const satisfies Readonly<Record<string, { readonly told: boolean; readonly about: string }>>
export type FoundState = keyof typeof findings
const foundStates = Object.keys(findings) as readonly FoundState[]

/** What an answer may be. */
export const driftAnswers = ['equal', ...foundStates] as const
type Answer = (typeof driftAnswers)[number]

/** What is shown, counted and filtered by: whatever is not as it should be. */
export const driftStates = [...foundStates, 'unreachable'] as const
export type DriftState = (typeof driftStates)[number]

export interface Comparison {
  readonly state: Answer
  /** A sentence. */
  readonly detail: string
  readonly facts: JsonObject
}

/** What is known of one key, on the database's clock. */
export interface Drift extends Omit<Comparison, 'state'> {
  readonly keyId: string
  /** Of the last look that had an answer; `pending`: there was none, or the key has rotated since. */
  readonly state: Answer | 'pending'
  readonly since: Date | null
  readonly lookedAt: Date | null
  /** The provider has given no answer since; what was found before stands. */
  readonly silent: { readonly since: Date; readonly why: string } | null
}

export type Standing = Pick<Drift, 'state' | 'detail' | 'facts'>

/** Of a key that rotates: what was found before it may be what the rotation mends, and stands no longer. */
export const leftToRotation: Standing = {
  state: 'pending',
  detail: 'It rotates, and is compared again when the rotation has ended.',
  facts: {},
}

export interface ShownDrift {
  readonly state: DriftState
  readonly detail: string
  readonly facts: JsonObject
  /** Whether it is about the version that is handed out. */
  readonly primary: boolean
  readonly since: Date
  readonly lookedAt: Date | null
  /** What helps. */
  readonly help: string
}

export const isDrifted = (state: Drift['state']): state is FoundState =>
  Object.hasOwn(findings, state)

/** Whether a message says so. */
export const isTold = (state: Drift['state']): boolean => isDrifted(state) && findings[state].told

/** Also what is said of a failure of which nothing more may be told. */
export const notAsked = 'The provider could not be asked'

/** Null where key and provider agree, or nobody has looked yet. */
export const shownDrift = (drift: Drift, key: string): ShownDrift | null => {
  const { state, detail, facts, since, lookedAt, silent } = drift
  if (isDrifted(state) && since !== null) {
    const primary = concernsPrimary({ state, facts })
    return { state, detail, facts, primary, since, lookedAt, help: helpOf({ state, facts }, key) }
  }
  if (silent === null) return null
  return {
    state: 'unreachable',
    detail: silent.why.startsWith(notAsked)
      ? silent.why
      : `${notAsked}: ${silent.why.replace(/\.$/, '')}.`,
    facts: {},
    primary: false,
    since: silent.since,
    lookedAt,
    help: missingRight,
  }
}

export const concernsPrimary = ({ state, facts }: Pick<Drift, 'state' | 'facts'>): boolean =>
  state === 'lost' ||
  state === 'expiring' ||
  (state === 'adopt' && facts['successor'] !== undefined)

const missingRight = 'rekey doctor says what is missing of its connection.'

const helpOf = (
  { state, facts }: { readonly state: FoundState; readonly facts: JsonObject },
  key: string,
): string => {
  switch (state) {
    case 'lost':
      return 'Bring it back at the provider. Where it is gone for good, delete the key and register what is there now.'
    case 'orphan':
      return `If nobody needs it: remove it at the provider, or let a rotation retire it behind its gates, with rekey adopt key/${key} VERSION.`
    case 'automatic':
      return 'Switch it off at the provider, or leave the rotation to it with observe: native on the key. Two that rotate one key take each other for strangers.'
    case 'expiring':
      return `Rotate it before (rekey rotate key/${key}), or take the end off at the provider.`
    case 'denied':
      return missingRight
    case 'adopt':
      return facts['successor'] === undefined
        ? 'Bring the version into the state that is known here, at the provider.'
        : 'Put the former value back at the provider. To keep the present one, delete the key and register it again: that version is then version 1.'
  }
}
