// The two halves of a pair in an emergency: what is done to each, and in which order. The preview shows it, the hash holds it, and
// the worker goes by it.
//
//   disable, revokeOnly   both are switched off and tried, at once
//   revokeFirst           the same; then one half gets the new password
//   rotateFast            the half that is handed out goes on; the other one is ended first, since the new password is put on it;
//                         then the one that was handed out is ended
//
// The password that a half had is gone for good only once the next one is set over it: until then the half is off.

import type { ContainedKey, ContainedVersion, HalfStep, IncidentMode } from './incident.ts'
import type { Key, Version } from './key.ts'
import type { KeyType } from './provider.ts'
import type { Rotation } from './rotation.ts'

interface PairFacts {
  readonly mode: IncidentMode
  readonly key: Pick<Key, 'ref'>
  readonly type: Pick<KeyType, 'halves'>
  readonly versions: readonly Version[]
  readonly chosen: ReadonlySet<number>
  readonly openRotation: Pick<Rotation, 'toVersion'> | null
}

type Next = Pick<ContainedKey, 'replacement' | 'replacementVersion'>

/** Null: it is no pair. */
export const halfStepsOf = (
  facts: PairFacts,
  contained: readonly ContainedVersion[],
  next: Next,
): readonly HalfStep[] | null => {
  const { mode, type, key } = facts
  if (!type.halves) return null
  const both = type.halves.of(key.ref)
  const ended = contained.filter(({ containment }) => containment !== 'none')
  const on = (half: string, first: boolean): readonly number[] =>
    ended
      .filter((one) => halfOf(facts, one) === half && isFirst(mode, next, one) === first)
      .map(({ version }) => version)
  const contain = (first: boolean): readonly Undated[] =>
    both
      .map((half): Undated => ({ half, does: 'contain', versions: on(half, first) }))
      .filter(({ versions }) => versions.length > 0)
  const groups = [contain(true), served(facts, next), contain(false)]
  const steps = groups
    .filter((group) => group.length > 0)
    .flatMap((group, n) => group.map((one): HalfStep => ({ ...one, step: n + 1 })))
  const rest = both
    .filter((half) => steps.every((step) => step.half !== half))
    .map((half): HalfStep => ({ half, does: 'nothing', step: null, versions: [] }))
  return [...steps, ...rest]
}

type Undated = Omit<HalfStep, 'step'>

const halfOf = (
  { type, key }: Pick<PairFacts, 'type' | 'key'>,
  { providerVersions }: Pick<Version, 'providerVersions'>,
): string | null => {
  const last = providerVersions.at(-1)
  return last === undefined ? null : (type.halves?.holding(key.ref, last) ?? null)
}

/** Before anything else serves. */
const isFirst = (
  mode: IncidentMode,
  { replacement }: Next,
  { primary }: Pick<ContainedVersion, 'primary'>,
): boolean => mode !== 'rotateFast' || replacement === 'none' || !primary

/** The half that serves afterwards. */
const served = (
  facts: PairFacts,
  { replacement, replacementVersion }: Next,
): readonly Undated[] => {
  const found = facts.versions.find(({ version }) => version === replacementVersion)
  if (found) {
    const half = halfOf(facts, found)
    return half === null ? [] : [{ half, does: 'serve', versions: [found.version] }]
  }
  if (replacement !== 'new') return []
  const half = nextHalf(facts)
  return half === null ? [] : [{ half, does: 'replace', versions: [] }]
}

/** As the mint has it: what a rotation that is under way has made, else the standby; with none in use the first one. */
const nextHalf = (facts: PairFacts): string | null => {
  const { mode, key, type, versions, chosen, openRotation } = facts
  const [first, second] = type.halves?.of(key.ref) ?? []
  const made = versions.find(({ version }) => version === openRotation?.toVersion)
  if (made && !chosen.has(made.version)) return halfOf(facts, made)
  const primary = versions.find((version) => version.primary)
  // With `revokeFirst` it is handed out no more by then.
  const inUse = primary && mode === 'rotateFast' ? halfOf(facts, primary) : null
  return (inUse === first ? second : first) ?? null
}

/** Whether it is ended before something else serves, with `rotateFast`. */
export const isBeforeNew = (
  { halves = [] }: Pick<ContainedKey, 'halves'>,
  version: number,
): boolean => {
  const serves = halves.find(({ does }) => does === 'replace' || does === 'serve')?.step ?? 0
  return halves.some(
    ({ does, step, versions }) =>
      does === 'contain' && versions.includes(version) && step !== null && step < serves,
  )
}

/** The half that a version is of; null: its key is no pair. */
export const halfOfVersion = (
  { halves = [] }: Pick<ContainedKey, 'halves'>,
  version: number,
): string | null =>
  halves.find(({ does, versions }) => does === 'contain' && versions.includes(version))?.half ??
  null

export const halfWarnings = (
  mode: IncidentMode,
  halves: readonly HalfStep[],
  contained: readonly ContainedVersion[],
): readonly string[] => {
  const inUse = contained.filter(
    ({ version, state, primary }) =>
      state === 'active' && !primary && isBeforeNew({ halves }, version),
  )
  const cutOff = halves.filter(
    ({ does, versions }) =>
      mode === 'rotateFast' &&
      does === 'contain' &&
      inUse.some(({ version }) => versions.includes(version)),
  )
  const untouched = halves.filter(({ does }) => does === 'nothing')
  return [
    ...cutOff.map(
      ({ half }) =>
        `Whoever still uses ${half} is cut off before there is a new password: it is put on ${half}.`,
    ),
    ...untouched.map(
      ({ half }) =>
        `Nothing is done to ${half}, the other half: what is meant has no version on it. Whoever may know a password of it that others set: adopt it first, and preview again.`,
    ),
  ]
}

const doneTo = {
  contain: (of: string) => `${of} is switched off, and tried`,
  replace: () => 'gets the new password, which is handed out',
  serve: (of: string) => `${of} serves`,
  nothing: () => 'nothing is done to it',
} as const satisfies Record<HalfStep['does'], (versions: string) => string>

/** `1. app_b: version 2 is switched off, and tried` */
export const halfText = ({ half, does, step, versions }: HalfStep): string => {
  const of = versions.map((version) => `version ${version}`).join(', ')
  return `${step === null ? '–' : `${step}.`} ${half}: ${doneTo[does](of)}`
}
