// What a key is at its provider, where that is not what it is here. Found by looking once in a while, for ever
// (usecases/compare-keys.ts), in the words of a recovery, which asks the same question at one moment (recovery.ts).

import type { Json, JsonObject } from './json.ts'
import type { Key, Version } from './key.ts'
import { mostNamed, reconcile, settledMs, type Told } from './recovery.ts'

/** What an answer may be. */
export const driftAnswers = ['equal', 'adopt', 'orphan', 'lost'] as const
type Answer = (typeof driftAnswers)[number]

/** What is shown, counted and filtered by: whatever is not as it should be. */
export const driftStates = ['adopt', 'orphan', 'lost', 'unreachable'] as const
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

export const isDrifted = (state: Drift['state']): state is Exclude<DriftState, 'unreachable'> =>
  state === 'adopt' || state === 'orphan' || state === 'lost'

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
    help: 'rekey doctor says what is missing of its connection.',
  }
}

export const concernsPrimary = ({ state, facts }: Pick<Drift, 'state' | 'facts'>): boolean =>
  state === 'lost' || (state === 'adopt' && facts['successor'] !== undefined)

const helpOf = ({ state, facts }: Pick<Drift, 'state' | 'facts'>, key: string): string => {
  if (state === 'lost')
    return 'Bring it back at the provider. Where it is gone for good, delete the key and register what is there now.'
  if (state === 'orphan')
    return `If nobody needs it: remove it at the provider, or adopt it (POST /v1/keys/${key}/versions), and a rotation retires it behind its gates.`
  return facts['successor'] === undefined
    ? 'Bring the version into the state that is known here, at the provider.'
    : 'Put the former value back at the provider. To keep the present one, delete the key and register it again: that version is then version 1.'
}

/**
 * What was at the provider when the key was registered is no news, nor is what came in the minutes after it: the two clocks
 * differ. What `current` names is looked at whatever its age. `carriers`: versions beside ours that hold the very value of
 * the primary, so that readers of any of them get what they should.
 */
export const compare = (
  key: Pick<Key, 'createdAt' | 'observe'>,
  ours: readonly Version[],
  told: Told & { readonly carriers: readonly string[]; readonly facts: JsonObject },
): Comparison => {
  const newsFrom = new Date(key.createdAt.getTime() + settledMs)
  const verdict = reconcile(withCarriers(ours, told), told, newsFrom)
  const { state, detail } = verdict
  const facts = bounded(verdict.facts)
  if (state === 'equal' && told.carriers.length > 0) {
    const beside = `Somebody wrote beside Rekey: ${told.carriers.join(', ')} holds the same value, and the next rotation takes it along.`
    return { state, detail: beside, facts }
  }
  if (state !== 'adopt' && state !== 'orphan' && state !== 'lost')
    return { state: 'equal', detail, facts }
  const byItself = rotatesByItself(told.facts)
  if (state !== 'adopt' || facts['successor'] === undefined) return { state, detail, facts }
  if (key.observe === 'native')
    return { state: 'equal', detail: `${detail} The provider rotates it by itself.`, facts }
  return byItself === null
    ? { state, detail, facts }
    : { state, detail: `${detail} ${byItself}`, facts: { ...facts, rotatesByItself: true } }
}

/** A recovery takes over all that it found; here a person is told, and rows and events stay small. */
const bounded = ({ unknown, changed, ...facts }: JsonObject): JsonObject => ({
  ...facts,
  ...firstOf('unknown', unknown),
  ...firstOf('changed', changed),
})

const firstOf = (name: string, all: Json | undefined): JsonObject => {
  if (!Array.isArray(all)) return {}
  const more = all.length - mostNamed
  return { [name]: all.slice(0, mostNamed), ...(more > 0 ? { [`${name}More`]: more } : {}) }
}

/** The newest carrier is what serves, where the provider serves one of them. */
const withCarriers = (
  ours: readonly Version[],
  { versions, carriers }: Told & { readonly carriers: readonly string[] },
): readonly Version[] => {
  const current = versions?.find((version) => version.current)?.id
  const last = current !== undefined && carriers.includes(current) ? [current] : []
  const others = carriers.filter((id) => id !== current)
  return carriers.length === 0
    ? ours
    : ours.map((version) =>
        version.primary
          ? { ...version, providerVersions: [...others, ...version.providerVersions, ...last] }
          : version,
      )
}

const rotatesByItself = ({ autoRotateSeconds }: JsonObject): string | null =>
  typeof autoRotateSeconds === 'number' && autoRotateSeconds > 0
    ? `The provider is set to rotate it by itself every ${autoRotateSeconds} s: switch that off, or leave the rotation to it with observe: native.`
    : null
