// One key as its provider tells it, compared with what it is here: the question of a recovery (recovery.ts), asked of a key at
// rest, and then what only daily life knows. One finding a key, the worst first: what readers get, then versions of nobody,
// then what will keep the next rotation from being made, or from being in time.

import type { Comparison } from './drift.ts'
import { formatDuration } from './duration.ts'
import type { Json, JsonObject } from './json.ts'
import type { Key, Version } from './key.ts'
import type { ProviderVersion } from './provider.ts'
import { mostNamed, reconcile, settledMs, type Told, type Verdict } from './recovery.ts'

export interface ToldOfKey extends Told {
  /** Versions beside ours that hold the very value of the primary, so that readers of any of them get what they should. */
  readonly carriers: readonly string[]
  readonly facts: JsonObject
  /** What the connection may not do and a rotation needs. */
  readonly missingRights: readonly string[]
}

export interface KeyHere {
  readonly key: Pick<Key, 'createdAt' | 'observe' | 'policy'>
  readonly versions: readonly Version[]
  /** When it is rotated next; null: nobody has planned it. */
  readonly nextRotationAt: Date | null
}

/**
 * What was at the provider when the key was registered is no news, nor is what came in the minutes after it: the two clocks
 * differ. What `current` names is looked at whatever its age. For a key without an open rotation.
 */
export const compare = (here: KeyHere, told: ToldOfKey): Comparison => {
  const newsFrom = new Date(here.key.createdAt.getTime() + settledMs)
  const ours = withCarriers(here.versions, told)
  const verdict = reconcile(ours, told, newsFrom)
  const first = withLeftovers(ours, told, ofVersions({ ...here, versions: ours }, told, verdict))
  const { state, detail, facts } =
    first.state === 'equal' ? (ofNextRotation(here, told) ?? first) : first
  return { state, detail, facts: bounded(facts) }
}

const ofVersions = ({ key, versions }: KeyHere, told: ToldOfKey, verdict: Verdict): Comparison => {
  const { detail, facts } = verdict
  const state = stateOf(verdict)
  const pointed = state === 'equal' || state === 'orphan' ? elsewhere(versions, told) : null
  if (pointed) return { ...pointed, facts: { ...facts, ...pointed.facts } }
  if (state === 'equal') {
    if (told.carriers.length === 0) return { state, detail, facts }
    const beside = `Somebody wrote beside Rekey: ${told.carriers.join(', ')} holds the same value, and the next rotation takes it along.`
    return { state, detail: beside, facts }
  }
  if (state === 'adopt' && facts['successor'] !== undefined) {
    if (key.observe === 'native')
      return { state: 'equal', detail: `${detail} The provider rotates it by itself.`, facts }
    const byItself = rotatesByItself(told.facts)
    if (byItself !== null)
      return { state, detail: `${detail} ${byItself}`, facts: { ...facts, rotatesByItself: true } }
  }
  const everyMs = state === 'lost' ? null : cadenceOf(versions, told.versions ?? [])
  if (everyMs === null) return { state, detail, facts }
  const about = `Somebody makes one about every ${formatDuration(everyMs)}: another tool rotates it too.`
  return { state, detail: `${detail} ${about}`, facts: { ...facts, everySeconds: everyMs / 1_000 } }
}

const stateOf = ({ state }: Verdict): Comparison['state'] =>
  state === 'adopt' || state === 'orphan' || state === 'lost' ? state : 'equal'

/** The pointer of a key at rest is on the version that it hands out. A recovery leaves another one to the rotation that was
 *  under way; nobody is under way here. */
const elsewhere = (
  ours: readonly Version[],
  { versions }: Pick<ToldOfKey, 'versions'>,
): Pick<Comparison, 'detail' | 'facts' | 'state'> | null => {
  const current = versions?.find((version) => version.current)
  const primary = ours.find((version) => version.primary)
  if (!current || !primary || primary.providerVersions.includes(current.id)) return null
  const carrier = primary.providerVersions.at(-1) ?? null
  if (current.state !== 'enabled') {
    const detail = `Whoever reads it at the provider gets version ${current.id}, which is ${current.state}; here it is ${carrier}.`
    return { state: 'lost', detail, facts: { currentState: current.state } }
  }
  const known = ours.find((version) => version.providerVersions.includes(current.id))
  if (!known) return null
  return {
    state: 'adopt',
    detail: `The provider serves version ${current.id}, which is version ${known.version} of the key and ${known.state} here; here it is ${carrier}.`,
    facts: { successor: current.id },
  }
}

/** What a rotation made and, given up, left behind: ours, and handed out to nobody. */
const withLeftovers = (
  ours: readonly Version[],
  { versions }: Pick<ToldOfKey, 'versions'>,
  found: Comparison,
): Comparison => {
  if (found.state !== 'equal' && found.state !== 'orphan') return found
  const there = new Set(versions?.filter((one) => one.state !== 'destroyed').map(({ id }) => id))
  const left = ours
    .filter(({ state }) => state === 'preActivation')
    .flatMap((version) => version.providerVersions.filter((id) => there.has(id)))
  if (left.length === 0) return found
  const detail = `The provider has version ${left.join(', ')}, which a rotation made and was given up: nobody is handed it.`
  return {
    state: 'orphan',
    detail: found.state === 'orphan' ? `${found.detail} ${detail}` : detail,
    facts: { ...found.facts, ours: left },
  }
}

const ofNextRotation = (here: KeyHere, told: ToldOfKey): Comparison | null => {
  const { key } = here
  if (key.observe === 'native') return null
  const { missingRights } = told
  if (missingRights.length > 0 && key.policy !== null) {
    const detail = `The connection may no longer rotate it: ${missingRights.slice(0, mostNamed).join('; ')}.`
    return { state: 'denied', detail, facts: { missing: missingRights } }
  }
  const byItself = rotatesByItself(told.facts)
  if (byItself !== null)
    return { state: 'automatic', detail: byItself, facts: { rotatesByItself: true } }
  return expiring(here, told)
}

/** Whoever reads it gets nothing from then on. */
const expiring = (
  { versions, nextRotationAt }: KeyHere,
  { versions: there }: ToldOfKey,
): Comparison | null => {
  const primary = versions.find((version) => version.primary)
  const serving =
    there?.find((version) => version.current) ??
    there?.find((version) => version.id === primary?.providerVersions.at(-1))
  const endsAt = serving?.expiresAt
  if (!serving || !endsAt || (nextRotationAt !== null && nextRotationAt < endsAt)) return null
  const next =
    nextRotationAt === null
      ? 'no rotation is planned'
      : `its next rotation is due at ${nextRotationAt.toISOString()}`
  return {
    state: 'expiring',
    detail: `Version ${serving.id}, which serves, ends at the provider at ${endsAt.toISOString()}, and ${next}.`,
    facts: {
      endsAt: endsAt.toISOString(),
      nextRotationAt: nextRotationAt?.toISOString() ?? null,
    },
  }
}

/** A recovery takes over all that it found; here a person is told, and rows and events stay small. */
const bounded = (facts: JsonObject): JsonObject => {
  const named = ['unknown', 'changed', 'ours', 'missing'] as const
  return { ...facts, ...Object.assign({}, ...named.map((name) => firstOf(name, facts[name]))) }
}

const firstOf = (name: string, all: Json | undefined): JsonObject => {
  if (!Array.isArray(all)) return {}
  const more = all.length - mostNamed
  return { [name]: all.slice(0, mostNamed), ...(more > 0 ? { [`${name}More`]: more } : {}) }
}

/** The newest carrier is what serves, where the provider serves one of them. */
const withCarriers = (
  ours: readonly Version[],
  { versions, carriers }: ToldOfKey,
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

const fewest = 4
const hourMs = 3_600_000

/** How long it is between versions that somebody else made, where it is always about as long; rounded to hours. */
const cadenceOf = (ours: readonly Version[], there: readonly ProviderVersion[]): number | null => {
  const known = new Set(ours.flatMap((version) => version.providerVersions))
  const times = there
    .flatMap(({ id, createdAt }) => (createdAt && !known.has(id) ? [createdAt.getTime()] : []))
    .toSorted((a, b) => a - b)
    .slice(-10)
  if (times.length < fewest) return null
  const steps = times
    .slice(1)
    .map((at, n) => at - (times[n] ?? at))
    .toSorted((a, b) => a - b)
  const middle = steps[Math.floor(steps.length / 2)] ?? 0
  const regular = steps.every((step) => step >= middle * 0.8 && step <= middle * 1.2)
  return regular && middle >= hourMs / 2 ? Math.round(middle / hourMs) * hourMs || hourMs : null
}
