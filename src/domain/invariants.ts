// What must be so of a key at every moment, as far as its records, and its provider where it was asked, can tell. Each line
// is one invariant of the machine; it answers with sentences that say how it is broken, none when it holds.
//
// Not here, since no record shows them afterwards: that an effect had its intent before it was sent (only a witness at the
// provider sees the order; I9 here proves the records), that a plan wrote nothing (I14), that no secret was told (I18).

import type { IncidentKey, IncidentMode, IncidentState, VersionEvidence } from './incident.ts'
import { heldByNobody, openAtRest, refusedAndOn } from './incident-invariants.ts'
import type { Key, Version } from './key.ts'
import type { StoredEvent } from './ports.ts'
import type { Described, TypeTraits } from './provider.ts'
import { effects, type Acknowledgement, type Approval, type Intent } from './rotation.ts'
import { differentPeople, type Makers } from './person.ts'
import type { Rotation, RotationTimer } from './rotation.ts'
import { isOpen, mayGo, type Phase, phases } from './rotation-machine.ts'

/** A rotation with all that is on record of it. */
export interface RotationFacts {
  readonly rotation: Rotation
  readonly timer: RotationTimer | null
  /** In the order in which they began. */
  readonly intents: readonly Intent[]
  readonly approvals: readonly Approval[]
  /** Of the tokens of those who said so. */
  readonly makers: Makers
  /** Of the new version. */
  readonly acknowledgements: readonly Acknowledgement[]
  /** Oldest first. */
  readonly events: readonly StoredEvent[]
  /** There are later ones that were not read. */
  readonly truncated: boolean
}

export interface KeyFacts {
  readonly key: Key
  readonly traits: TypeTraits
  readonly versions: readonly Version[]
  /** Newest first; the last few. */
  readonly rotations: readonly RotationFacts[]
  /** What became of sealed material, by version; a version without any is not here. */
  readonly sealed: ReadonlyMap<number, 'opens' | 'gone' | 'shut' | 'another value'>
  /** Null: the provider was not asked. */
  readonly provider: Witness | null
  /** Rotations that hold places beside those of this key, where it has one; `max` is the largest that any of them allows. */
  readonly group: { readonly running: number; readonly max: number } | null
  /** Executions of incidents that are not closed. */
  readonly incidents: readonly IncidentFacts[]
  /** Versions that some incident, closed or not, says to be refused. */
  readonly refused: ReadonlySet<number>
  /** The database's clock. */
  readonly now: Date
}

/** A key in an incident, as it was executed, and what was done by it. */
export interface IncidentFacts {
  readonly key: IncidentKey & {
    readonly mode: IncidentMode
    readonly incidentState: IncidentState
  }
  readonly versions: readonly VersionEvidence[]
  readonly intents: readonly Intent[]
}

export interface Witness {
  readonly versions: Described['versions']
  /** Provider versions that were written beside Rekey and hold the primary's very value. */
  readonly carriers: readonly string[]
}

export type Invariant = keyof typeof invariants

export interface Breach {
  readonly invariant: Invariant
  readonly key: string
  readonly sentence: string
}

export const breachesOf = (facts: KeyFacts): readonly Breach[] =>
  Object.entries(invariants).flatMap(([invariant, holds]) =>
    holds(facts).map((sentence) => ({
      invariant: invariant as Invariant,
      key: facts.key.name,
      sentence,
    })),
  )

const served = (facts: KeyFacts): readonly string[] => {
  const { versions, traits, provider } = facts
  const primary = primaryOf(facts)
  const gap = traits.slot === 'single' && openOf(facts) !== undefined
  if (!primary)
    return gap || contained(facts) || versions.every(({ activatedAt }) => activatedAt === null)
      ? []
      : ['it was active once, and no version is handed out']
  const carrier = primary.providerVersions.at(-1)
  if (carrier === undefined) return [`version ${primary.version} has no version at the provider`]
  if (!provider || gap) return []
  const at = provider.versions.find(({ id }) => id === carrier)
  return at?.state === 'enabled'
    ? []
    : [`version ${primary.version} is handed out, and is ${at?.state ?? 'gone'} at the provider`]
}

/** By an incident, as it was previewed. */
const contained = ({ versions, incidents }: KeyFacts): boolean => {
  const last = versions
    .filter(({ activatedAt }) => activatedAt !== null)
    .toSorted((a, b) => Number(a.activatedAt) - Number(b.activatedAt))
    .at(-1)
  return last?.compromisedAt !== null || incidents.length > 0
}

const destroyedLast = (facts: KeyFacts): readonly string[] =>
  facts.rotations.flatMap(({ rotation }) => {
    const from = versionAt(facts, rotation.fromVersion)
    if (from?.state !== 'destroyed' || !retired(rotation)) return []
    const { plan } = rotation
    const to = versionAt(facts, rotation.toVersion)
    const found: string[] = []
    if (from.primary) found.push(`version ${from.version} is destroyed and handed out`)
    if (!plan.retireOnly && (!to?.verifiedAt || !rotation.promotedAt))
      found.push(`version ${from.version} is destroyed, and nothing proven took its place`)
    if (plan.phases.includes('soaking')) {
      const soaked =
        (from.deactivatedAt?.getTime() ?? 0) - (from.suspendedAt?.getTime() ?? Infinity)
      if (!(soaked >= plan.policy.soakMs))
        found.push(`version ${from.version} is destroyed without having been off for its soak`)
    }
    return found
  })

const onePrimary = ({ versions }: KeyFacts): readonly string[] => {
  const primaries = versions.filter(({ primary }) => primary)
  return [
    ...(primaries.length > 1 ? [`${primaries.length} versions are primary`] : []),
    ...primaries
      .filter(({ state }) => state !== 'active')
      .map(({ version, state }) => `version ${version} is primary and ${state}`),
    ...primaries
      .filter(({ rotationId, verifiedAt }) => rotationId !== null && verifiedAt === null)
      .map(({ version }) => `version ${version} is primary and was never verified`),
  ]
}

const oneRotation = ({ rotations }: KeyFacts): readonly string[] => {
  const open = rotations.filter(({ rotation }) => isOpen(rotation.phase))
  return open.length > 1 ? [`${open.length} rotations of it are open`] : []
}

/** At rest the provider's versions are ours. What it had before the first rotation on record is nobody's business. */
const asOurs = (facts: KeyFacts): readonly string[] => {
  const { versions, rotations, provider, traits } = facts
  const destroyed = versions
    .filter(({ state }) => state === 'destroyed')
    .flatMap(({ version, providerVersions }) =>
      enabledOf(provider, providerVersions).map(
        (id) => `version ${version} is destroyed, and ${id} is enabled at the provider`,
      ),
    )
  const last = rotations[0]?.rotation
  if (last === undefined || isOpen(last.phase)) return destroyed
  const left = versions.flatMap((version) => leftBehind(facts, version))
  if (!provider || traits.slot === 'internal') return [...destroyed, ...left]
  const before = rotations.at(-1)?.rotation.preImage['enabledBefore']
  const known = new Set([
    ...versions.flatMap(({ providerVersions }) => providerVersions),
    ...provider.carriers,
    ...(Array.isArray(before) ? before : provider.versions.map(({ id }) => id)),
  ])
  const strange = provider.versions
    .filter(({ id, state }) => state === 'enabled' && !known.has(id))
    .map(({ id }) => `${id} is enabled at the provider, and is none of its versions`)
  return [...destroyed, ...left, ...strange, ...elsewhere(facts, provider)]
}

/** A version that its rotation made and neither used nor removed, or one that is off here and on there. */
const leftBehind = (facts: KeyFacts, version: Version): readonly string[] => {
  const { rotations, provider, traits } = facts
  const maker = rotations.find(({ rotation }) => rotation.id === version.rotationId)?.rotation
  if (version.state === 'preActivation')
    return maker && maker.phase !== 'abandoned'
      ? [`version ${version.version} was made, and its ${maker.phase} rotation left it`]
      : []
  const ender = rotations.find(
    ({ rotation }) => rotation.fromVersion === version.version && rotation.phase === 'completed',
  )?.rotation
  if (version.state === 'active' && !version.primary && ender)
    return [`version ${version.version} was replaced, and is active still`]
  const off =
    version.state === 'deactivated' &&
    ender !== undefined &&
    ender.plan.policy.retire !== 'keep' &&
    (traits.slot === 'multi' || traits.slot === 'pair')
  return off
    ? enabledOf(provider, version.providerVersions).map(
        (id) => `version ${version.version} is deactivated, and ${id} is enabled at the provider`,
      )
    : []
}

const elsewhere = (facts: KeyFacts, { versions, carriers }: Witness): readonly string[] => {
  const current = versions.find((version) => version.current)
  const primary = primaryOf(facts)
  if (!current || !primary) return []
  return primary.providerVersions.includes(current.id) || carriers.includes(current.id)
    ? []
    : [`readers get ${current.id}, which is not version ${primary.version}`]
}

const recoverable = ({ versions, sealed }: KeyFacts): readonly string[] =>
  versions.flatMap(({ version, state }) => {
    const what = sealed.get(version)
    const needed = state === 'preActivation' || state === 'active' || state === 'suspended'
    return !needed || what === undefined || what === 'opens'
      ? []
      : [`the sealed material of version ${version} (${state}) is ${what}`]
  })

/** No record of an epoch after one of the next. */
const epochs = ({ rotations }: KeyFacts): readonly string[] =>
  rotations.flatMap(({ rotation, events }) => {
    const found: string[] = []
    let epoch = 0
    for (const { body } of events) {
      const told = numberIn(body.after, 'epoch')
      if (told === undefined) continue
      if (told < epoch)
        found.push(`rotation ${rotation.id}: ${body.action} of epoch ${told} after ${epoch}`)
      epoch = Math.max(epoch, told)
    }
    if (rotation.epoch < epoch)
      found.push(`rotation ${rotation.id} is of epoch ${rotation.epoch}, and was of ${epoch}`)
    return found
  })

/** How the last rotation ended is how the key is, unless its versions were taken over by hand since. */
const asItEnded = (facts: KeyFacts): readonly string[] => {
  const rotation = facts.rotations[0]?.rotation
  const primary = primaryOf(facts)
  if (!rotation?.endedAt || !primary || rotation.plan.retireOnly) return []
  const since = (primary.activatedAt?.getTime() ?? 0) > rotation.endedAt.getTime()
  const { phase, fromVersion, toVersion } = rotation
  const wanted = phase === 'completed' ? toVersion : phase === 'rolledBack' ? fromVersion : null
  if (since || wanted === null) return []
  const found =
    primary.version === wanted
      ? []
      : [`rotation ${rotation.id} is ${phase}, and version ${primary.version} is handed out`]
  const to = versionAt(facts, toVersion)
  const gone = !to || to.state === 'destroyed' || to.state === 'compromised'
  return phase !== 'rolledBack' || gone
    ? found
    : [...found, `rotation ${rotation.id} is rolledBack, and version ${to.version} is ${to.state}`]
}

/** Every intent was told before its outcome, which is told once; and the phases are those that the events tell of. */
const told = ({ rotations }: KeyFacts): readonly string[] =>
  rotations.flatMap(({ rotation, intents, events, truncated }) => {
    // The log of its beginning was archived, or that of its end not read.
    if (truncated || events[0]?.body.action !== 'rotation.planned') return []
    return [
      ...intents.flatMap((intent) => toldOf(intent, events)),
      ...untold(events, intents),
      ...pathOf(rotation, events),
    ]
  })

const toldOf = (intent: Intent, events: readonly StoredEvent[]): readonly string[] => {
  const at = events.findIndex(({ body }) => body.id === intent.eventId)
  if (events[at]?.body.outcome !== 'intent')
    return [`${intent.operationId} has no intent in the log`]
  const after = events.filter(({ body }) => body.causationId === intent.eventId)
  const finals = after.filter(({ body }) => body.outcome !== 'unknown')
  const found: string[] = []
  if (after.some((event) => events.indexOf(event) < at))
    found.push(`${intent.operationId} has an outcome before its intent`)
  if (finals.length !== (intent.closed ? 1 : 0))
    found.push(`${intent.operationId} has ${finals.length} final outcomes`)
  return found
}

const untold = (events: readonly StoredEvent[], intents: readonly Intent[]): readonly string[] => {
  const known = new Set(intents.map(({ eventId }) => eventId))
  const actions: ReadonlySet<string> = new Set(Object.values(effects))
  return events
    .filter(({ body }) => actions.has(body.action))
    .filter(
      ({ body }) => !known.has(body.outcome === 'intent' ? body.id : (body.causationId ?? '')),
    )
    .map(({ body }) => `${body.action} (${body.outcome}) belongs to no intent`)
}

const pathOf = (rotation: Rotation, events: readonly StoredEvent[]): readonly string[] => {
  const found: string[] = []
  let at: Phase = 'planned'
  for (const { body } of events) {
    const [from, to] = [phaseIn(body.before), phaseIn(body.after)]
    if (from === undefined || to === undefined) continue
    if (from !== at) found.push(`rotation ${rotation.id} went on from ${from}, and was ${at}`)
    if (from !== to && !mayGo(from, to))
      found.push(`rotation ${rotation.id} went from ${from} to ${to}`)
    at = to
  }
  return at === rotation.phase
    ? found
    : [...found, `rotation ${rotation.id} is ${rotation.phase}, and the log says ${at}`]
}

/** An old version was taken away only after those who were asked had acknowledged the new one, or two people said so. */
const acknowledged = ({ rotations }: KeyFacts): readonly string[] =>
  rotations.flatMap(({ rotation, intents, approvals, makers, acknowledgements }) => {
    const { plan } = rotation
    const asked = plan.policy.consumers.acknowledgement
    const off = intents.find(
      ({ effect, outcome }) =>
        (effect === 'suspend' || effect === 'retire') && outcome === 'succeeded',
    )
    if (!asked || !off || plan.consumers.length === 0 || rotation.toVersion === null) return []
    const said = new Set(
      acknowledgements.filter(({ at }) => at <= off.startedAt).map(({ consumer }) => consumer),
    )
    const missing = plan.consumers.filter((consumer) => !said.has(consumer))
    const enough =
      missing.length === 0 || (asked.required === 'any' && missing.length < plan.consumers.length)
    const people = differentPeople(
      makers,
      approvals.filter(
        ({ kind, gate, at }) =>
          kind === 'override' && gate === 'acknowledgement' && at <= off.startedAt,
      ),
    )
    return enough || people.length >= 2
      ? []
      : [`rotation ${rotation.id} switched off the old version without ${missing.join(', ')}`]
  })

/** What was compromised stays so; and an incident has done what was previewed, to that and to nothing else. */
const compromisedForEver = (facts: KeyFacts): readonly string[] => [
  ...refusedAndOn(facts),
  ...facts.versions
    .filter(({ compromisedAt }) => compromisedAt !== null)
    .filter(({ state, primary }) => primary || (state !== 'compromised' && state !== 'destroyed'))
    .map(
      ({ version, state, primary }) =>
        `version ${version} was compromised, and is ${primary ? 'handed out' : state}`,
    ),
  ...facts.incidents.flatMap((incident) => asPreviewed(incident, facts.versions)),
]

const asPreviewed = (
  { key, versions: evidence, intents }: IncidentFacts,
  versions: readonly Version[],
): readonly string[] => {
  const of = `incident ${key.incidentId}`
  const planned = key.plan.versions
  const numbers = (all: readonly { readonly version: number }[]): string =>
    all
      .map(({ version }) => version)
      .toSorted((a, b) => a - b)
      .join(', ') || 'none'
  // What carries the value of such a version is part of it, also where it was written once more since.
  const carriers = versions
    .filter(({ version }) => planned.some((one) => one.version === version))
    .flatMap(({ providerVersions }) => providerVersions)
  const shown = planned.flatMap(({ providerVersions }) => providerVersions)
  const targets = new Set([...shown, ...carriers])
  const changes = evidence.flatMap(({ version, containment }) => {
    const plan = planned.find((one) => one.version === version)
    return plan && plan.containment !== containment
      ? [`${of} contains version ${version} by ${containment}, and showed ${plan.containment}`]
      : []
  })
  const strange = intents
    .filter(({ target }) => !targets.has(target ?? ''))
    .map(({ operationId, target }) => `${operationId} touches ${target}, which was not previewed`)
  const alive = evidence.flatMap(({ version, state }) => {
    const now = versions.find((one) => one.version === version)
    const off = state === 'refused' || state === 'refusedAfter'
    return off && key.mode !== 'disable' && now?.compromisedAt === null && now.state !== 'destroyed'
      ? [`${of} says that version ${version} is refused, and it is ${now.state}`]
      : []
  })
  const same = numbers(evidence) === numbers(planned)
  return [
    ...(same
      ? []
      : [`${of} works on versions ${numbers(evidence)}, and showed ${numbers(planned)}`]),
    ...changes,
    ...strange,
    ...alive,
  ]
}

const oncePerOccurrence = ({ rotations }: KeyFacts): readonly string[] => {
  const named = rotations.flatMap(({ rotation }) => rotation.occurrence ?? [])
  return named
    .filter((occurrence, n) => named.indexOf(occurrence) !== n)
    .map((occurrence) => `the occurrence ${occurrence} has more than one rotation`)
}

/** What was switched off or removed is a version of the key, or a creation of ours that had been given up. */
const onlyOwn = ({ rotations, versions }: KeyFacts): readonly string[] => {
  const ours = new Set(versions.flatMap(({ providerVersions }) => providerVersions))
  return rotations.flatMap(({ intents }) => {
    const late = intents.some(({ effect, outcome }) => effect === 'mint' && outcome === 'failed')
    return intents
      .filter(({ effect }) => ['suspend', 'reinstate', 'retire', 'removeNew'].includes(effect))
      .filter(({ effect, target }) => !ours.has(target ?? '') && !(late && effect === 'removeNew'))
      .map(
        ({ operationId, target }) => `${operationId} touches ${target}, which is not its version`,
      )
  })
}

/** Longer than any wait between two looks, with the time that a busy installation is late. */
const lostMs = 15 * 60_000
const waitsForPeople: ReadonlySet<string> = new Set(['person', 'approval'])

/** An open rotation waits for a person who was told, or somebody looks at it again. */
const goesOn = (facts: KeyFacts): readonly string[] => [
  ...openAtRest(facts),
  ...heldByNobody(facts),
  ...openGoOn(facts),
]

const openGoOn = ({ rotations, now }: KeyFacts): readonly string[] =>
  rotations.flatMap(({ rotation, timer }) => {
    const { id, phase } = rotation
    if (!isOpen(phase)) return []
    if (phase === 'stalled' && (!rotation.stalledReason || !rotation.stalledIn))
      return [`rotation ${id} is stalled and does not say why`]
    const held = timer?.leaseUntil && timer.leaseUntil.getTime() > now.getTime() - lostMs
    if (held) return []
    if (!timer?.dueAt)
      return waitsForPeople.has(timer?.waitingFor?.gate ?? '')
        ? []
        : [`rotation ${id} (${phase}) is open and nobody will look at it`]
    return timer.dueAt.getTime() < now.getTime() - lostMs
      ? [`rotation ${id} (${phase}) is due since ${timer.dueAt.toISOString()} and no worker came`]
      : []
  })

/** A group keeps to its places, and a pair has two. */
const placesHeld = ({ group, traits, versions }: KeyFacts): readonly string[] => {
  const live = versions.filter(({ state }) => liveStates.has(state)).length
  return [
    ...(group && group.running > group.max
      ? [`${group.running} rotations of its group are under way, and ${group.max} may be`]
      : []),
    ...(traits.slot === 'pair' && live > 2
      ? [`${live} versions are live, and a pair has two`]
      : []),
  ]
}
const liveStates: ReadonlySet<string> = new Set(['preActivation', 'active', 'suspended'])

const invariants = {
  I1: served,
  I2: destroyedLast,
  I3: onePrimary,
  I4: oneRotation,
  I5: asOurs,
  I6: recoverable,
  I7: epochs,
  I8: asItEnded,
  I9: told,
  I10: acknowledged,
  I11: compromisedForEver,
  I12: oncePerOccurrence,
  I15: onlyOwn,
  I16: goesOn,
  I17: placesHeld,
} as const satisfies Record<string, (facts: KeyFacts) => readonly string[]>

export const invariantNames = Object.keys(invariants) as readonly Invariant[]

const primaryOf = ({ versions }: KeyFacts): Version | undefined =>
  versions.find(({ primary }) => primary)

const openOf = ({ rotations }: KeyFacts): Rotation | undefined =>
  rotations.find(({ rotation }) => isOpen(rotation.phase))?.rotation

const versionAt = ({ versions }: KeyFacts, number: number | null): Version | undefined =>
  versions.find(({ version }) => version === number)

/** It came as far as the end of its old version. */
const retired = ({ phase, stalledIn }: Rotation): boolean =>
  phase === 'retiring' || phase === 'completed' || stalledIn === 'retiring'

const enabledOf = (provider: Witness | null, ids: readonly string[]): readonly string[] =>
  ids.filter((id) => provider?.versions.some((at) => at.id === id && at.state === 'enabled'))

const fieldIn = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null
    ? Object.entries(value).find(([k]) => k === name)?.[1]
    : undefined

const numberIn = (value: unknown, name: string): number | undefined => {
  const found = fieldIn(value, name)
  return typeof found === 'number' ? found : undefined
}

const phaseIn = (value: unknown): Phase | undefined => {
  const found = fieldIn(value, 'phase')
  return phases.find((phase) => phase === found)
}
