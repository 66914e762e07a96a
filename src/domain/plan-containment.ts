// What an incident would do to one key, told before anybody does it: which of its versions, how each is ended, whether that comes
// back, what proof can be had, and what serves afterwards. Pure: drawn from the declarations of types (domain/provider.ts) and
// from what is known here; no provider is asked. The executed set is what this says, or nothing (I11).
//
// The truth that it must tell: rotating a KMS or transit key revokes nothing; some systems know only the whole key; a store hands
// a value out no more, and whoever has it keeps it; caches go on for a while; one place is emptied only by the next value.

import type { ByHand } from './by-hand.ts'
import { formatDuration } from './duration.ts'
import type {
  ContainedKey,
  ContainedVersion,
  Containment,
  IncidentMode,
  IncidentSelector,
} from './incident.ts'
import type { JsonObject } from './json.ts'
import type { Key, Version, VersionState } from './key.ts'
import type { ResolvedPolicy } from './policy.ts'
import { halfStepsOf, halfWarnings } from './pair-halves.ts'
import { type KeyType, type TypeTraits, typeFor } from './provider.ts'
import type { Rotation } from './rotation.ts'

export interface ContainmentFacts {
  readonly mode: IncidentMode
  /** By a token to break glass with: what does not come back is not destroyed. */
  readonly breakGlass: boolean
  readonly key: Key
  readonly type: KeyType
  readonly connection: {
    readonly settings: JsonObject
    readonly revision: number
    /** A hash of where its requests go. */
    readonly address: string
  }
  /** All of the key. */
  readonly versions: readonly Version[]
  /** The numbers of those that are contained. */
  readonly chosen: ReadonlySet<number>
  readonly openRotation: Pick<Rotation, 'id' | 'toVersion'> | null
  /** With every floor of the key obeyed. */
  readonly policy: ResolvedPolicy
  readonly policyRevision: number | null
  /** The connections that log in with it. */
  readonly losesAccess: readonly string[]
}

const living: readonly VersionState[] = ['active', 'suspended', 'deactivated']

/** Those of the key that the incident means: named ones, else all that its provider may accept still; of what is new and not proven
 *  only what is named, or lies in a span. `refused`: compromised ones that were tried and refused already.
 *
 *  Of a pair, one half of which may be in somebody's hands still, the other one too: it is used in the same places, and whoever is
 *  woken should not have to know that there are two. */
export const versionsMeant = (
  selector: IncidentSelector,
  key: Pick<Key, 'name'>,
  versions: readonly Version[],
  refused: (version: Version) => boolean,
  slot: TypeTraits['slot'],
): ReadonlySet<number> => {
  const meant = selectedOf(selector, key, versions, refused)
  if (slot !== 'pair' || selector.pairs === 'meant') return meant
  const mayBeKnown = versions.some(
    ({ version, state }) => meant.has(version) && state !== 'destroyed',
  )
  const whole = mayBeKnown ? versions.filter((version) => isAccepted(version, refused)) : []
  return new Set([...meant, ...whole.map(({ version }) => version)])
}

/** Perhaps, as far as is known here. */
const isAccepted = (version: Version, refused: (version: Version) => boolean): boolean =>
  version.state === 'compromised' ? !refused(version) : living.includes(version.state)

const selectedOf = (
  selector: IncidentSelector,
  key: Pick<Key, 'name'>,
  versions: readonly Version[],
  refused: (version: Version) => boolean,
): ReadonlySet<number> => {
  const named = selector.versions?.filter((one) => one.key === key.name)
  const spans = selector.createdAfter !== undefined || selector.createdBefore !== undefined
  const from = new Date(selector.createdAfter ?? 0)
  const to = selector.createdBefore === undefined ? null : new Date(selector.createdBefore)
  const meant = versions.filter((version) => {
    if (version.createdAt < from || (to !== null && version.createdAt >= to)) return false
    if (named !== undefined) return named.some((one) => one.version === version.version)
    return isAccepted(version, refused) || (spans && version.state === 'preActivation')
  })
  return new Set(meant.map(({ version }) => version))
}

export const planContainment = (given: ContainmentFacts): ContainedKey => {
  const facts = { ...given, type: typeFor(given.type, given.key.ref) }
  const { key, policy, openRotation } = facts
  const next = replacementOf(facts)
  const versions = facts.versions
    .filter(({ version }) => facts.chosen.has(version))
    .map((version) => containmentOf(facts, version))
  const halves = halfStepsOf(facts, versions, next)
  return {
    keyId: key.id,
    key: key.name,
    type: key.type,
    connection: key.connection,
    objectId: key.objectId,
    versions,
    ...next,
    openRotation: openRotation?.id ?? null,
    ...(halves === null ? {} : { halves }),
    losesAccess: facts.losesAccess.toSorted(),
    approvals: policy.emergency.approvals,
    basis: {
      key: key.revision,
      connection: facts.connection.revision,
      address: facts.connection.address,
      policy:
        key.policy === null || facts.policyRevision === null
          ? null
          : { name: key.policy, revision: facts.policyRevision },
    },
    warnings: [
      ...warningsOf(facts, versions, next.replacement),
      ...(halves === null ? [] : halfWarnings(facts.mode, halves, versions)),
    ],
  }
}

const replaces = (mode: IncidentMode): boolean => mode === 'rotateFast' || mode === 'revokeFirst'

type Means = Pick<ContainedVersion, 'containment' | 'reversible'> & { readonly why: string | null }

const containmentOf = (facts: ContainmentFacts, version: Version): ContainedVersion => {
  const means = meansOf(facts, version)
  const { expect, why } = proofOf(facts, version, means.containment)
  return {
    version: version.version,
    state: version.state,
    primary: version.primary,
    providerVersions: version.providerVersions,
    containment: means.containment,
    reversible: means.reversible,
    expect,
    why: [means.why, why].filter((text) => text !== null).join(' ') || null,
  }
}

const back = (containment: Containment, why: string | null = null): Means => ({
  containment,
  reversible: true,
  why,
})
const none = (why: string): Means => ({ containment: 'none', reversible: false, why })

const meansOf = (facts: ContainmentFacts, version: Version): Means => {
  const { traits, byHand, incident } = facts.type
  if (version.state === 'destroyed') return none('It is destroyed already.')
  if (version.providerVersions.length === 0) return none('Its provider never had it.')
  if (traits.revokes === 'none') return none('Its provider revokes nothing.')
  switch (incident?.endedBy) {
    case 'nobody':
      return none('Its provider can switch off neither this version nor the key.')
    case 'key':
      return back('switchOffKey', 'The whole key is switched off, with all of its versions.')
    case 'mint':
      return byReplacement(facts, version)
    case undefined:
      break
  }
  if (incident?.currentStays && version.primary) return byReplacement(facts, version)
  if (traits.suspend)
    return byHand ? back('byHand', asked(facts, byHand, 'suspend')) : back('suspend')
  if (traits.slot === 'single' && (!isInPlace(facts, version) || replaces(facts.mode)))
    return byReplacement(facts, version)
  return destruction(facts)
}

/** What readers get is ended by the next value; an older one was ended by this one. */
const byReplacement = (facts: ContainmentFacts, version: Version): Means => {
  const { mode } = facts
  if (!isInPlace(facts, version)) return none('Another value has taken its place already.')
  const overwrote = version.primary ? '' : ' It has overwritten the one before it already.'
  return replaces(mode)
    ? { containment: 'replace', reversible: false, why: `Only the next value ends it.${overwrote}` }
    : none(`Only the next value ends it, and the mode ${mode} makes none.`)
}

/** What is in the one place: what is handed out, or what a rotation has written over that and not handed out yet. */
const isInPlace = ({ type, versions }: ContainmentFacts, version: Version): boolean =>
  version.primary ||
  (type.traits.slot === 'single' &&
    version.state === 'preActivation' &&
    versions.every((other) => other.version <= version.version))

const destruction = (facts: ContainmentFacts): Means => {
  const { mode, breakGlass, type } = facts
  if (mode === 'disable')
    return none('It cannot be switched off for a while, only destroyed: choose another mode.')
  if (breakGlass)
    return none('It can only be destroyed, which a token to break glass with may not.')
  const why = 'It is destroyed: it cannot be switched off for a while.'
  return type.byHand
    ? {
        containment: 'byHand',
        reversible: false,
        why: `${why} ${asked(facts, type.byHand, 'retire')}`,
      }
    : { containment: 'destroy', reversible: false, why }
}

const asked = (
  { key }: ContainmentFacts,
  { steps }: ByHand,
  effect: 'suspend' | 'retire',
): string => `By hand: ${steps(key.ref, effect).join('; ')}.`.replace('..', '.')

const proofOf = (
  { type, connection }: ContainmentFacts,
  version: Version,
  containment: Containment,
): Pick<ContainedVersion, 'expect' | 'why'> => {
  const unproven = (why: string) => ({ expect: 'unproven', why }) as const
  if (containment === 'none') return { expect: 'unproven', why: null }
  if (containment === 'byHand')
    return unproven('A person says that it is off, and how that was seen: Rekey does not try it.')
  if (type.incident?.proof === 'asked')
    return unproven('That it is gone is asked, not tried: wrong tries would lock good ones out.')
  if (type.incident?.proof === 'material' && !version.materialKnown)
    return unproven('Its value is not known here: it cannot be tried.')
  const cachedMs = type.incident?.cachedForMs?.(connection.settings) ?? 0
  if (cachedMs === 0) return { expect: 'refused', why: null }
  const why = `Caches may go on accepting it for ${formatDuration(cachedMs)}.`
  return { expect: 'refusedAfter', why }
}

type Next = Pick<ContainedKey, 'replacement' | 'replacementVersion'>

const replacementOf = ({
  mode,
  key,
  type,
  versions,
  chosen,
  openRotation,
}: ContainmentFacts): Next => {
  const nothing: Next = { replacement: 'none', replacementVersion: null }
  const wholeKey = type.incident?.endedBy === 'key'
  const outside = versions.filter(({ version }) => !chosen.has(version))
  const primary = versions.find((version) => version.primary)
  if (primary && !chosen.has(primary.version) && !wholeKey)
    return { replacement: 'existing', replacementVersion: primary.version }
  if (!replaces(mode) || key.observe === 'native' || wholeKey) return nothing
  // Never one that is in the set, and never one that was not used for real.
  const made = outside.find(({ version }) => version === openRotation?.toVersion)
  if (
    made &&
    made.verifiedAt !== null &&
    (made.state === 'preActivation' || made.state === 'active')
  )
    return { replacement: 'openRotation', replacementVersion: made.version }
  const other = outside.findLast(
    ({ state, verifiedAt }) => state === 'active' && verifiedAt !== null,
  )
  return other
    ? { replacement: 'existing', replacementVersion: other.version }
    : { replacement: 'new', replacementVersion: null }
}

export const losesAccessText = (connection: string): string =>
  `The connection ${connection} logs in with it, and loses access.`

const warningsOf = (
  facts: ContainmentFacts,
  contained: readonly ContainedVersion[],
  replacement: ContainedKey['replacement'],
): readonly string[] => {
  const { mode, key, type, policy, losesAccess, openRotation } = facts
  // What readers get now is ended, be it as a part of the key.
  const ends = contained.some(
    ({ primary, containment }) =>
      containment === 'switchOffKey' || (primary && containment !== 'none'),
  )
  const given = (there: boolean, text: string): readonly string[] => (there ? [text] : [])
  const stays = contained.filter(
    ({ containment, state }) => containment === 'none' && state !== 'destroyed',
  )
  return [
    ...losesAccess.map(losesAccessText),
    ...given(
      stays.length > 0,
      `${stays.map(({ version }) => `Version ${version}`).join(', ')} stays as it is: ${stays[0]?.why ?? ''}`,
    ),
    ...given(
      ends && mode === 'revokeFirst' && replacement === 'new',
      'An outage: from the revocation on until its replacement is handed out, nothing serves.',
    ),
    ...given(
      ends && replacement === 'none',
      mode === 'disable'
        ? 'An outage: nothing serves until it is restored.'
        : 'An outage: nothing serves afterwards, until somebody makes another version.',
    ),
    ...given(
      replaces(mode) && key.observe === 'native',
      'Its provider rotates it by itself: Rekey makes no replacement.',
    ),
    ...given(
      replaces(mode) && type.incident?.endedBy === 'key',
      'No replacement is made: a new version would be of the key that is off. It takes another key.',
    ),
    ...given(
      type.traits.authority === 'store',
      'The store hands it out no more. Whoever has the value keeps it, and what accepts it is not asked: end it there too.',
    ),
    ...given(
      policy.publish.length > 0,
      `Its value was also written to ${policy.publish.map(({ name }) => name).join(', ')}: what lies there is replaced only by a new version.`,
    ),
    ...given(
      openRotation !== null,
      `Rotation ${openRotation?.id ?? ''} of it is open, and ${mode === 'disable' ? 'is held' : 'is taken over'}.`,
    ),
    ...(type.incident?.truth ?? []),
  ]
}
