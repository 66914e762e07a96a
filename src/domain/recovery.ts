// A database that goes back in time. Providers do not go back with it: what it says of them may be yesterday's, and an effect
// that it asks for may have happened long ago. So before anything is written to a provider, each process compares what it
// remembers outside of the database (the high-water mark) with what the database says, and where they disagree Rekey is in
// recovery mode: it reads, reconciles and reports, and writes nothing to any provider until an admin accepts what it found.

import type { JsonObject } from './json.ts'
import type { Version } from './key.ts'
import type { ProviderVersion } from './provider.ts'
import type { Rotation } from './rotation.ts'
import type { Phase } from './rotation-machine.ts'

/** What a database says of itself: one row, made at the first start. */
export interface Installation {
  readonly id: string
  /** Another one after each restore that was accepted. */
  readonly incarnation: string
  /** The PostgreSQL cluster and database that it was last in. */
  readonly cluster: string
  /** Fingerprint of the pepper that new fingerprints are made with. */
  readonly pepperId: string
  /** Set by `rekey restore`, cleared when that is accepted. */
  readonly restoredFrom: RestoredFrom | null
  readonly createdAt: Date
  readonly updatedAt: Date
}

export interface RestoredFrom {
  /** When the backup was taken. */
  readonly takenAt: string
  readonly restoredAt: string
}

/** What a process remembers outside of the database: events of the log that were committed, newest first. */
export interface HighWater {
  readonly installation: string
  readonly incarnation: string
  readonly cluster: string
  readonly events: readonly MarkedEvent[]
}
export interface MarkedEvent {
  readonly id: string
  /** Hex. */
  readonly leafHash: string
  /** RFC 3339. */
  readonly at: string
}

export const recoveryReasons = ['regress', 'otherCluster', 'otherInstallation', 'restored'] as const
export type RecoveryReason = (typeof recoveryReasons)[number]

export interface Recovery {
  readonly id: string
  readonly reason: RecoveryReason
  /** A sentence for people. */
  readonly detail: string
  readonly evidence: JsonObject
  readonly incarnation: string
  /** The incarnation that its acceptance began. */
  readonly ledTo: string | null
  readonly beganAt: Date
  readonly reconciledAt: Date | null
  readonly endedAt: Date | null
  readonly endedBy: string | null
}

export interface Suspicion {
  readonly reason: RecoveryReason
  readonly detail: string
  readonly evidence: JsonObject
}

/** Whether the database is another, or an earlier one, than the one that was known. Null: nothing speaks for it. */
export const suspect = (at: {
  readonly mark: HighWater | null
  readonly row: Installation | null
  /** Where the database is now. */
  readonly cluster: string
  /** Whether the mark's events are in the log, with the very same hashes. */
  readonly markIsThere: boolean
  /** Whether a restore was accepted that ended the mark's incarnation. */
  readonly markWasSuperseded: boolean
  /** The last event of the log. */
  readonly last: { readonly at: Date } | null
}): Suspicion | null => {
  const { mark, row, cluster } = at
  const seen = mark?.events[0] ?? null
  const evidence = {
    seen: seen && { ...seen },
    lastEventAt: at.last?.at.toISOString() ?? null,
    cluster: { was: row?.cluster ?? mark?.cluster ?? null, is: cluster },
    restoredFrom: row?.restoredFrom ? { ...row.restoredFrom } : null,
  }
  const until = at.last ? `ends at ${at.last.at.toISOString()}` : 'is empty'
  if (mark && !row) {
    return {
      reason: 'regress',
      detail: `the log of this database ${until}, and this process has seen events until ${seen?.at ?? 'an unknown time'}`,
      evidence,
    }
  }
  if (!row) return null
  if (mark && mark.installation !== row.id) {
    return {
      reason: 'otherInstallation',
      detail: `this is the database of installation ${row.id}, and the data directory belongs to ${mark.installation}`,
      evidence,
    }
  }
  if (mark && !at.markIsThere && !at.markWasSuperseded) {
    return {
      reason: 'regress',
      detail: `the log of this database ${until}, and this process has seen events, until ${seen?.at ?? 'an unknown time'}, that are not in it`,
      evidence,
    }
  }
  if (row.restoredFrom) {
    return {
      reason: 'restored',
      detail: `the database was restored from the backup of ${row.restoredFrom.takenAt}`,
      evidence,
    }
  }
  if (row.cluster !== cluster) {
    return {
      reason: 'otherCluster',
      detail: `the database was in cluster ${row.cluster} and is in ${cluster} now`,
      evidence,
    }
  }
  return null
}

export const findingStates = [
  'pending',
  'equal',
  'adopt',
  'orphan',
  'lost',
  'unreachable',
  'adopted',
] as const
export type FindingState = (typeof findingStates)[number]

export interface Finding {
  readonly recoveryId: string
  readonly keyId: string
  readonly state: FindingState
  readonly detail: string
  readonly facts: JsonObject
  /** The rotation that the recovery stalled. */
  readonly rotationId: string | null
  readonly lookedAt: Date | null
}

export type Verdict = Pick<Finding, 'state' | 'detail' | 'facts'>

/** What a provider told of an object; `versions` is null where it does not exist. */
export interface Told {
  readonly versions: readonly ProviderVersion[] | null
  /** The value of the version that serves here is another than ours: the object was made anew. */
  readonly replaced: boolean
  /** Why that could not be seen, where the provider refuses to say; a sentence of ours. */
  readonly unseen?: string | null
}

/** Clocks of providers and databases differ, and what was under way when the log ended was made a little later. */
const marginMs = 5 * 60_000
/** From so long after a moment on a version is surely younger than it: the margin of `reconcile`, once for each clock. */
export const settledMs = 2 * marginMs

/**
 * One key, as we know it and as its provider tells it. `logEndsAt`: strangers that are older were there when the log ended,
 * and are no news.
 *
 *   equal    what is known here is so
 *   adopt    the provider has moved on: another version is current, or ours are in other states
 *   orphan   the provider has versions that are not known here, and nobody is served by them
 *   lost     what serves here is gone at the provider
 */
export const reconcile = (
  ours: readonly Version[],
  { versions: there, replaced, unseen }: Told,
  logEndsAt: Date | null,
): Verdict => {
  const primary = ours.find((version) => version.primary) ?? null
  const carrier = primary?.providerVersions.at(-1) ?? null
  if (there === null) {
    return primary === null
      ? { state: 'equal', detail: 'There is no object, and no version is known.', facts: {} }
      : { state: 'lost', detail: 'The object does not exist at the provider.', facts: { carrier } }
  }
  const known = new Set(ours.flatMap((version) => version.providerVersions))
  const strangers = there.filter(({ id, state }) => !known.has(id) && state !== 'destroyed')
  const since = (logEndsAt?.getTime() ?? 0) - marginMs
  const news = strangers.filter(({ createdAt }) => !createdAt || createdAt.getTime() > since)
  const current = there.find((version) => version.current) ?? null
  const serving = there.find((version) => version.id === carrier) ?? null
  const facts = {
    carrier,
    carrierState: serving?.state ?? null,
    current: current?.id ?? null,
    unknown: news.map(({ id, state }) => ({ id, state })),
    changed: changedOf(ours, there),
  }
  const successor = successorOf(news, current, serving, known, carrier)
  if (successor) {
    return {
      state: 'adopt',
      detail:
        primary === null
          ? `The object has version ${successor.id}, and none is known here.`
          : `The provider serves version ${successor.id}; here it is ${carrier}.`,
      facts: { ...facts, successor: successor.id },
    }
  }
  if (primary !== null && serving?.state !== 'enabled') {
    return {
      state: 'lost',
      detail: `Version ${carrier}, which serves here, is ${serving?.state ?? 'gone'} at the provider, and no other stands in for it.`,
      facts,
    }
  }
  if (replaced) {
    return {
      state: 'lost',
      detail: `Version ${carrier} holds another value than ours: the object was made anew.`,
      facts,
    }
  }
  if (news.length > 0) {
    return {
      state: 'orphan',
      detail: `The provider has ${list(news)}, not known here and not served.`,
      facts,
    }
  }
  if (facts.changed.length > 0) {
    return {
      state: 'adopt',
      detail: `Versions are in other states than known here: ${some(facts.changed.map(({ id, state }) => `${id} is ${state}`))}.`,
      facts,
    }
  }
  const detail = unseen
    ? `The versions are as known here; whether the value is could not be compared: ${unseen.replace(/\.$/, '')}.`
    : 'What is known here is so at the provider.'
  return { state: 'equal', detail, facts }
}

/** The version that took our primary's place, where one did. */
const successorOf = (
  strangers: readonly ProviderVersion[],
  current: ProviderVersion | null,
  serving: ProviderVersion | null,
  known: ReadonlySet<string>,
  carrier: string | null,
): ProviderVersion | null => {
  if (current !== null && current.id !== carrier && current.state === 'enabled')
    return !known.has(current.id) || serving?.state !== 'enabled' ? current : null
  if (current !== null || serving?.state === 'enabled') return null
  // Without a pointer: ours is off, and exactly one that we do not know is on.
  const enabled = strangers.filter(({ state }) => state === 'enabled')
  return enabled.length === 1 ? (enabled[0] ?? null) : null
}

/** Versions that are not primary and whose state at the provider is not the one that is known here. */
const changedOf = (
  ours: readonly Version[],
  there: readonly ProviderVersion[],
): readonly { readonly version: number; readonly id: string; readonly state: string }[] =>
  ours.flatMap((version) => {
    const id = version.providerVersions.at(-1)
    if (id === undefined || version.primary || version.state === 'preActivation') return []
    const state = there.find((one) => one.id === id)?.state ?? 'destroyed'
    return statesOf[version.state].includes(state) ? [] : [{ version: version.version, id, state }]
  })

/** What a version in a state may be at the provider; a deactivated one is as `retire`, or the provider's own limits, left it. */
const statesOf: Readonly<Record<Version['state'], readonly ProviderVersion['state'][]>> = {
  preActivation: ['enabled', 'disabled', 'destroyed'],
  active: ['enabled'],
  suspended: ['disabled'],
  deactivated: ['enabled', 'disabled', 'destroyed'],
  compromised: ['enabled', 'disabled', 'destroyed'],
  destroyed: ['destroyed'],
}

/** Whether all that differs is what an open rotation does by itself, so that it can go on from there as after a crash. */
export const explains = (
  verdict: Verdict,
  by: {
    readonly rotation: Pick<Rotation, 'phase' | 'stalledIn' | 'fromVersion' | 'toVersion' | 'plan'>
    /** Whether an intent to mint is open. */
    readonly minting: boolean
    /** The provider's versions that it has made. */
    readonly made: readonly string[]
  },
): boolean => {
  if (verdict.state !== 'adopt' && verdict.state !== 'orphan') return false
  const { unknown, changed, successor } = verdict.facts as unknown as {
    readonly unknown: readonly { readonly id: string }[]
    readonly changed: readonly { readonly version: number; readonly state: string }[]
    readonly successor?: string
  }
  const { rotation, minting, made } = by
  const phase = rotation.stalledIn ?? rotation.phase
  // With one open intent one version may have been made, and what was minted may already be served.
  const mintedOne = minting && unknown.length === 1
  if (unknown.length > 0 && !mintedOne) return false
  if (successor !== undefined && !made.includes(successor) && !mintedOne) return false
  const { phases } = rotation.plan
  const passes = (of: Phase): boolean => phases.indexOf(of) >= phases.indexOf(phase)
  return changed.every(({ version, state }) => {
    if (version !== rotation.fromVersion && version !== rotation.toVersion) return false
    if (phase === 'rollingBack') return true
    return state === 'destroyed'
      ? phase === 'retiring'
      : passes('suspending') || phase === 'soaking'
  })
}

/** For a key whose provider stores in Rekey's own database: it went back with it, and only what is outside remembers more. */
export const wentBack = (
  verdict: Verdict,
  recovery: Pick<Recovery, 'reason' | 'evidence'>,
): Verdict => {
  if (verdict.state !== 'equal' || recovery.reason === 'otherCluster') return verdict
  const { lastEventAt, seen } = recovery.evidence as {
    readonly lastEventAt?: string | null
    readonly seen?: { readonly at: string } | null
  }
  const until = seen ? ` and until ${seen.at}` : ''
  return {
    state: 'lost',
    detail: `Its material is kept in this database and went back with it: what was made after ${lastEventAt ?? 'the backup'}${until}, if anything was, is lost.`,
    facts: { ...verdict.facts, wentBack: true },
  }
}

const list = (versions: readonly ProviderVersion[]): string =>
  `version${versions.length === 1 ? '' : 's'} ${some(versions.map(({ id }) => id))}`

/** Providers keep thousands of versions. */
export const mostNamed = 20
const some = (names: readonly string[]): string => {
  const more = names.length - mostNamed
  return `${names.slice(0, mostNamed).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
