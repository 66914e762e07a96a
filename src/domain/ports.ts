// What the house needs from the outside: storage, clock, ids, sealing, the doorbell. Each comment is the contract.

import type { Drift, Standing } from './drift.ts'
import type { ComplianceGroup, GroupCompliance, KeyCompliance } from './compliance.ts'
import type { Actor } from './actor.ts'
import type { AuditAction, AuditBody, AuditEvent, Receipt } from './audit.ts'
import type { ApiKey, Connection, Consumer, Freeze, Policy, Sink } from './connection.ts'
import type {
  Incident,
  IncidentApproval,
  IncidentKey,
  IncidentKeyState,
  IncidentMode,
  IncidentNote,
  IncidentPreview,
  IncidentState,
  VersionEvidence,
} from './incident.ts'
import type { Json, JsonObject } from './json.ts'
import type { Floors } from './floor.ts'
import type { Issuers } from './issuer.ts'
import type { BrowserSession, SeenBrowserSession } from './browser-session.ts'
import type { BreakGlass, FrozenSink } from './break-glass.ts'
import type { Confirmation } from './by-hand.ts'
import type { Fingerprint, Fingerprints } from './fingerprint.ts'
import type { Key, Version } from './key.ts'
import type { HouseProcess, Kek } from './kek.ts'
import type { Labels } from './names.ts'
import type { Pepper, PepperName, PepperUses, PepperWord } from './pepper.ts'
import type { ListedPlan, Plan, PlanApproval, PlanState } from './plan.ts'
import type { Playbook, PlaybookOutline, StepTick } from './playbook.ts'
import type { PolicySpec } from './policy.ts'
import type { Session } from './provider.ts'
import type { Finding, FindingState, Installation, MarkedEvent, Recovery } from './recovery.ts'
import type {
  Acknowledgement,
  Approval,
  Intent,
  Progress,
  Rotation,
  RotationTimer,
  WaitingFor,
} from './rotation.ts'
import type { Phase } from './rotation-machine.ts'
import type { Secret } from './secret.ts'

export interface Clock {
  now(): Date
  /** Aborts `ms` from now, on the monotonic clock. */
  deadline(ms: number): AbortSignal
  /** Resolves after `ms` on the monotonic clock, or when the signal aborts. For spacing repeated uses within one call, not for waiting. */
  pause(ms: number, signal?: AbortSignal): Promise<void>
}

export interface Ids {
  /** UUID version 7: sorts by time. */
  next(): string
  random(bytes: number): Uint8Array
  /** Uniform in [0, 1): jitter of retries only. */
  fraction(): number
}

/** SHA-256, hex, of the RFC 8785 form of a value. */
export type HashJson = (value: Json) => string

/** Envelope encryption: one data key a row, wrapped by the key-encryption key that is named in the row. */
export interface SealedBox {
  readonly kekId: string
  readonly wrappedKey: Uint8Array
  /** nonce ‖ ciphertext ‖ tag */
  readonly ciphertext: Uint8Array
}
export interface Keyring {
  /** `context` is authenticated: a box opens only under the context that it was sealed for. */
  seal(material: Secret<string> | Secret<Uint8Array>, context: string): SealedBox
  /** Throws when the KEK is another, the context differs or a bit changed. */
  open(box: SealedBox, context: string): Secret<Uint8Array>
  /** The number of the pepper that makes fingerprints. */
  readonly pepper: number
  /** To be stored: HMAC(pepper, SHA-256(material)) under the pepper of this moment. */
  fingerprint(material: Secret<string> | Secret<Uint8Array>): Fingerprint
  /** The same, of material that only its SHA-256 is known of. */
  fingerprintOf(digest: Uint8Array): Fingerprint
  /** To look it up. */
  fingerprints(material: Secret<string> | Secret<Uint8Array>): Fingerprints
  fingerprintsOf(digest: Uint8Array): Fingerprints
  /** Whether it was made of this material, with whichever pepper. Throws `service.unavailable` where that is in no file here. */
  isFingerprintOf(fingerprint: Fingerprint, material: Secret<string> | Secret<Uint8Array>): boolean
  /** Throws `service.unavailable` where one of these peppers is neither retired nor in the file here: what is looked up might be
   *  known by it. */
  mustKnow(peppers: readonly number[]): void
  /** Signs cursors and the like: HMAC-SHA-256 under a key derived for `purpose`. */
  mac(purpose: string, text: string): Uint8Array
  /** What `mac` gives, and what it gave, or gives in another process, under the other KEKs that are accepted. */
  macs(purpose: string, text: string): readonly [Uint8Array, ...Uint8Array[]]
}

/** What the database says of the KEKs. */
export interface KekWord {
  /** Null: nothing yet. */
  readonly seals: string | null
  readonly retired: readonly string[]
}

/** The KEKs of a process. */
export interface KekRing {
  /** Fingerprint of the one that seals, as it is named in every sealed row. */
  readonly kekId: string
  /** Of those in the file when it was read last: what a start with it would have. */
  readonly fileKekIds: readonly string[]
  /** Reads the file again. Throws where it cannot be read; what was known stays known. */
  reread(): void
  /** Obeys what the database says. Throws where the one that is to seal is not in the file. */
  obey(word: KekWord): void
}

/** The peppers of a process. */
export interface PepperRing {
  /** Makes new fingerprints. */
  readonly making: PepperName
  /** Those in the file when it was read last: what a start with it would have. */
  readonly inFile: readonly PepperName[]
  /** Reads the file again. Throws where it cannot be read; what was known stays known. */
  reread(): void
  /** Obeys what the database says. Throws where one that is in use is not in the file, or another under its number. */
  obey(word: PepperWord): void
}

/** The file of this host with the peppers of the installation. */
export interface PepperFile {
  readonly path: string
  /** In the order of the file; none where there is no file. */
  peppers(): readonly PepperName[]
  /** A new pepper behind the others. On the disk when it resolves. */
  add(number: number): Promise<PepperName>
  /** False where it is not there, or alone. */
  remove(pepper: PepperName): Promise<boolean>
}

/** The file of this host with the KEKs of the installation. */
export interface KekFile {
  readonly path: string
  /** Fingerprints, in the order of the file; none where there is no file. */
  ids(): readonly string[]
  /** A new KEK behind the others. On the disk when it resolves. */
  add(): Promise<string>
  /** False where it is not there, or alone. */
  remove(id: string): Promise<boolean>
}

/** Keyset paging: `after` is the sort key of the last item of the page before. */
export interface Page {
  readonly limit: number
  readonly after: string | null
}
export interface Paged<T> {
  readonly items: readonly T[]
  /** Null on the last page. */
  readonly next: string | null
}

/** What a use case may read. Inside `commit` it sees the transaction's own writes. */
export interface Reads {
  readonly connections: {
    get(name: string): Promise<Connection | null>
    list(page: Page): Promise<Paged<Connection>>
    /** Names of keys, sinks and publish targets that use it. */
    usedBy(name: string): Promise<readonly string[]>
    /** Those whose credential is the value of this key. */
    withCredentialOf(key: string): Promise<readonly Connection[]>
  }
  readonly keys: {
    byName(name: string): Promise<Key | null>
    byId(id: string): Promise<Key | null>
    byIds(ids: readonly string[]): Promise<readonly Key[]>
    byObject(objectId: string): Promise<Key | null>
    /** Those of the objects that a key manages. */
    managed(objectIds: readonly string[]): Promise<readonly string[]>
    /** Not deleted ones. */
    count(): Promise<number>
    /** Not deleted ones, by name. */
    list(filter: KeyFilter, page: Page): Promise<Paged<Key>>
    /** The policies that hold for keys with all of these labels, with how many each; null: none holds. */
    policiesOf(
      labels: Labels,
    ): Promise<readonly { readonly policy: string | null; readonly keys: number }[]>
    /** Not deleted ones that an incident means, by name; at most `limit`. */
    chosen(choice: KeyChoice, limit: number): Promise<readonly Key[]>
    /** All keys that a policy could select, in batches by id: `after` is the id of the last one seen. */
    batch(
      filter: { readonly connection?: string; readonly type?: string },
      page: Page,
    ): Promise<Paged<Key>>
  }
  readonly versions: {
    of(keyId: string): Promise<readonly Version[]>
    /** Of all of the keys. */
    ofKeys(keyIds: readonly string[]): Promise<readonly Version[]>
    get(keyId: string, version: number): Promise<Version | null>
    primary(keyId: string): Promise<Version | null>
    /** Those of the key that have one of the numbers. */
    some(keyId: string, numbers: readonly number[]): Promise<readonly Version[]>
    primaries(keyIds: readonly string[]): Promise<readonly Version[]>
    /** Those that hold this very material, by whichever pepper they are known. Throws `service.unavailable` where one that is in
     *  use is not in the file here. */
    holding(material: Secret<string> | Secret<Uint8Array>): Promise<readonly Version[]>
    /** The same, of material that only its SHA-256 is known of. */
    holdingDigest(digest: Uint8Array): Promise<readonly Version[]>
  }
  readonly policies: {
    get(name: string): Promise<Policy | null>
    list(page: Page): Promise<Paged<Policy>>
    all(): Promise<readonly Policy[]>
    revision(name: string, revision: number): Promise<Policy | null>
    revisions(name: string, page: Page): Promise<Paged<Policy>>
  }
  readonly plans: {
    get(id: string): Promise<Plan | null>
    /** Newest first. */
    list(state: PlanState | null, page: Page): Promise<Paged<ListedPlan>>
    approvalsOf(planIds: readonly string[]): Promise<readonly PlanApproval[]>
    /** Oldest first. */
    approvals(planId: string): Promise<readonly PlanApproval[]>
  }
  readonly consumers: {
    get(name: string): Promise<Consumer | null>
    list(page: Page): Promise<Paged<Consumer>>
    all(): Promise<readonly Consumer[]>
  }
  readonly playbooks: {
    get(name: string): Promise<Playbook | null>
    list(page: Page): Promise<Paged<Playbook>>
    outlines(): Promise<readonly PlaybookOutline[]>
    /** Those whose review is overdue, which nobody was told of. */
    unreviewed(now: Date, limit: number): Promise<readonly Playbook[]>
    /** Those whose review is overdue, the longest first. */
    overdue(now: Date, limit: number): Promise<readonly Playbook[]>
  }
  readonly sinks: {
    get(name: string): Promise<Sink | null>
    list(page: Page): Promise<Paged<Sink>>
    all(): Promise<readonly Sink[]>
  }
  readonly freeze: { get(): Promise<Freeze | null> }
  readonly floors: { get(): Promise<Floors> }
  readonly issuers: { get(): Promise<Issuers> }
  readonly apiKeys: {
    byHash(hash: Uint8Array): Promise<ApiKey | null>
    byId(id: string): Promise<ApiKey | null>
    list(page: Page): Promise<Paged<ApiKey>>
    /** By the id of a token, who made it: of those among the principals that are tokens, and of all that they come from; which of
     *  these tokens let nobody in any more, since they were deleted or have ended; and of principals whose sessions an admin has
     *  ended, when. */
    makers(principals: readonly string[]): Promise<{
      readonly makers: ReadonlyMap<string, string>
      readonly over: ReadonlySet<string>
      readonly takenBack: ReadonlyMap<string, Date>
    }>
    /** When each was last used, as far as that was written down yet. */
    lastUses(ids: readonly string[]): Promise<ReadonlyMap<string, Date>>
  }
  readonly browserSessions: {
    byHash(hash: Uint8Array): Promise<SeenBrowserSession | null>
    /** Those that live. */
    list(now: Date, page: Page): Promise<Paged<SeenBrowserSession>>
  }
  readonly breakGlass: {
    get(apiKey: string): Promise<BreakGlass | null>
    getMany(apiKeys: readonly string[]): Promise<readonly BreakGlass[]>
    /** Those whose first use was after that. */
    usedSince(moment: Date): Promise<readonly BreakGlass[]>
  }
  readonly rotations: {
    get(id: string): Promise<Rotation | null>
    situation(id: string): Promise<Situation | null>
    /** Newest first. */
    list(filter: RotationFilter, page: Page): Promise<Paged<Rotation>>
    openOf(keyId: string): Promise<Rotation | null>
    openOfKeys(keyIds: readonly string[]): Promise<readonly Rotation[]>
    /** Ids of those of the keys whose last two rotations were both rolled back or abandoned (retirements, and those that were
     *  cancelled, do not count): only a person starts the next. */
    brokenTwice(keyIds: readonly string[]): Promise<readonly string[]>
    /** Ids of those of the keys that had a rotation for the occurrence beside them. */
    answered(
      occurrences: readonly { readonly keyId: string; readonly occurrence: string }[],
    ): Promise<readonly string[]>
    group(groupId: string): Promise<GroupPlaces>
    /** Open ones of a group that wait in `planned`, oldest first. */
    waitingInGroup(groupId: string, count: number): Promise<readonly string[]>
  }
  /** Whatever may keep a rotation from writing at a provider, at one moment of the database's clock. */
  readonly holds: { of(rotation: Pick<Rotation, 'keyId' | 'policy'>): Promise<Holds> }
  readonly timers: { get(rotationId: string): Promise<RotationTimer | null> }
  readonly intents: {
    of(rotationId: string): Promise<readonly Intent[]>
    get(operationId: string): Promise<Intent | null>
    /** Of a key's creation (no rotation yet). */
    ofCreation(keyId: string): Promise<readonly Intent[]>
    ofIncident(incidentId: string, keyIds: readonly string[]): Promise<readonly Intent[]>
    /** What may switch a version of these keys on and is not known to be over: of rotations, and of restorations. */
    switchingOn(
      keyIds: readonly string[],
    ): Promise<readonly Pick<Intent, 'keyId' | 'sentNotAfter'>[]>
  }
  readonly approvals: { of(rotationId: string): Promise<readonly Approval[]> }
  readonly confirmations: {
    get(operationId: string): Promise<Confirmation | null>
    /** In the order in which they were said. */
    ofKey(keyId: string): Promise<readonly Confirmation[]>
  }
  readonly acknowledgements: {
    of(keyId: string, version: number): Promise<readonly Acknowledgement[]>
    /** Of all versions, newest first; the last 200. */
    ofKey(keyId: string): Promise<readonly Acknowledgement[]>
  }
  readonly sealed: {
    /** Opened by the keyring under the context that it was stored with; null when it was erased. */
    open(id: string): Promise<Secret<Uint8Array> | null>
  }
  readonly incidents: {
    get(id: string): Promise<Incident | null>
    /** Newest first; null: in any state. */
    list(states: readonly IncidentState[] | null, page: Page): Promise<Paged<Incident>>
    /** The last one, with all its keys. */
    preview(id: string): Promise<IncidentPreview | null>
    /** Of the execution, the most dangerous first; null: in any state. */
    keys(
      id: string,
      states: readonly IncidentKeyState[] | null,
      page: Page,
    ): Promise<Paged<IncidentKey>>
    keysOf(id: string, keyIds: readonly string[]): Promise<readonly IncidentKey[]>
    versionsOf(id: string, keyIds: readonly string[]): Promise<readonly VersionEvidence[]>
    /** In executions of incidents that are not closed. */
    openOfKeys(keyIds: readonly string[]): Promise<readonly OpenIncidentKey[]>
    /** Not contained, not proven, not replaced or not restored: the most dangerous ones first, and how many there are. */
    troubled(
      id: string,
      limit: number,
    ): Promise<{ readonly keys: readonly IncidentKey[]; readonly count: number }>
    /** Those of the keys' versions that were tried and refused in some incident. */
    refused(
      keyIds: readonly string[],
    ): Promise<readonly { readonly keyId: string; readonly version: number }[]>
    /** An incident under way that works on keys of the connection. */
    executingAt(connection: string): Promise<string | null>
    /** Of the connections whose keys are not at rest, those with the most of them. */
    waiting(
      id: string,
      limit: number,
    ): Promise<
      readonly {
        readonly connection: string
        readonly keys: number
        /** Since when nothing was heard of the one that waits longest. */
        readonly since: Date | null
      }[]
    >
    /** How many keys are in each state. */
    counts(id: string): Promise<Readonly<Partial<Record<IncidentKeyState, number>>>>
    /** How many keys got no replacement, or were not restored. */
    failures(id: string): Promise<{ readonly replacements: number; readonly restorations: number }>
    /** Those that execute, and of which nothing is due or under way. */
    atRest(): Promise<readonly Incident[]>
    /** Oldest first, of all previews. */
    approvals(id: string): Promise<readonly IncidentApproval[]>
    /** Oldest first. */
    notes(id: string): Promise<readonly IncidentNote[]>
    /** What was said of the steps of its playbook, oldest first. */
    ticks(id: string): Promise<readonly StepTick[]>
  }
  readonly schedule: {
    get(keyId: string): Promise<KeySchedule | null>
    getMany(keyIds: readonly string[]): Promise<readonly KeySchedule[]>
    between(from: Date, to: Date, page: Page): Promise<Paged<KeySchedule>>
  }
  readonly recovery: {
    installation(): Promise<Installation | null>
    /** The one that is open. */
    open(): Promise<Recovery | null>
    /** Whether an accepted recovery began in this incarnation: it is history, and known to be. */
    ended(incarnation: string): Promise<boolean>
    finding(recoveryId: string, keyId: string): Promise<Finding | null>
    /** Of keys that are not deleted, by the key's name. */
    findings(
      recoveryId: string,
      filter: { readonly state?: FindingState; readonly scope?: KeyFilter['scope'] },
      page: Page,
    ): Promise<Paged<Finding & { readonly key: string }>>
    /** How many keys that are not deleted are in each state; those without a finding count as pending. */
    counts(recoveryId: string): Promise<Readonly<Record<FindingState, number>>>
    /** Keys that are not deleted and have no answer yet, or none since `before`. */
    unanswered(recoveryId: string, before: Date, limit: number): Promise<readonly Key[]>
  }
  readonly keks: {
    /** All that ever sealed, the oldest first. */
    list(): Promise<readonly Kek[]>
  }
  readonly peppers: {
    /** All that ever made fingerprints, by number. */
    list(): Promise<readonly Pepper[]>
    /** What is still known by it, and matters. */
    uses(number: number): Promise<PepperUses>
  }
  readonly drift: {
    /** Of keys that were looked at, or are to be. */
    getMany(keyIds: readonly string[]): Promise<readonly Drift[]>
  }
  readonly compliance: {
    /** By name; those without one last. */
    groups(
      filter: KeyFilter,
      group: ComplianceGroup,
      now: Date,
    ): Promise<readonly GroupCompliance[]>
    keys(filter: KeyFilter, now: Date, page: Page): Promise<Paged<KeyCompliance>>
  }
  readonly audit: {
    list(filter: AuditFilter, page: Page): Promise<Paged<StoredEvent>>
    get(id: string): Promise<StoredEvent | null>
    /** What went through Rekey with a key since a moment: values read, operations done. */
    uses(key: Pick<Key, 'id' | 'name'>, since: Date): Promise<KeyUses>
    /** Events of one rotation or incident in the order of their stream, after the one with this id; oldest first. Of these
     *  actions only, where some are given. */
    after(
      correlationId: string,
      eventId: string | null,
      limit: number,
      actions?: readonly AuditAction[],
    ): Promise<readonly StoredEvent[]>
  }
}

/** Uses by who, how and of which version, the last used first. */
export interface KeyUses {
  readonly items: readonly KeyUse[]
  /** From when on they were looked at: later than was asked for where there are too many; then not `complete`. */
  readonly since: Date
  readonly complete: boolean
}

export interface KeyUse {
  readonly actor: string
  readonly consumer: string | null
  readonly operation: string
  readonly version: number
  readonly uses: number
  readonly firstAt: Date
  readonly lastAt: Date
}

export interface Holds {
  readonly now: Date
  /** The open one. */
  readonly recovery: Pick<Recovery, 'beganAt' | 'detail'> | null
  readonly freeze: Pick<Freeze, 'until' | 'reason' | 'selector'> | null
  /** Of the key. */
  readonly labels: Readonly<Record<string, string>>
  /** Of the policy as it is now; null: there is none, or it was deleted. */
  readonly spec: PolicySpec | null
}

/** What is written with a move of a rotation. */
export interface AlsoMoved {
  /** The owner's, renewed; nothing is written where it is not the owner's any more. */
  readonly lease?: { readonly owner: string; readonly ttlMs: number }
  /** The first of those that wait for a place in its group is due now. */
  readonly wakesGroup?: boolean
  /** So is its key in executions of incidents that wait for a rotation, or for what one had under way. */
  readonly wakesIncident?: boolean
}

/** A rotation with all that a step of it is decided by, at one moment of the database's clock. */
export interface Situation {
  readonly rotation: Rotation
  readonly at: Date
  readonly observedMs: number
  readonly timer: RotationTimer | null
  /** In the order in which they began. */
  readonly intents: readonly Intent[]
  /** The rotation's: old and new. */
  readonly versions: readonly Version[]
  readonly connection: Connection | null
  readonly approvals: readonly Approval[]
  /** Whether any consumer is told of new versions. */
  readonly reloads: boolean
  /** Of the key, in executions of incidents that are not closed. */
  readonly incidents: readonly OpenIncidentKey[]
  readonly holds: Holds
}

export interface OpenIncidentKey extends IncidentKey {
  readonly mode: IncidentMode
  readonly incidentState: IncidentState
}

/** The rotations of a group. */
export interface GroupPlaces {
  /** Open beyond `planned` and `awaitingApproval`. */
  readonly running: number
  /** Of these, in preflight: they may begin to mint at any moment. */
  readonly preparing: number
  /** Of these, the first few that stalled: they keep their places until a person has looked at them. */
  readonly stalled: readonly Rotation[]
  /** When the last one began to mint. */
  readonly lastStartedAt: Date | null
}

export interface KeyFilter {
  readonly connection?: string
  readonly type?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly policy?: string
  readonly overdue?: boolean
  /** Those that differ from their provider, or whose provider gives no answer. */
  readonly drifted?: boolean
  /** The owner set of a file apply. */
  readonly managedBy?: string
  /** Limits of the actor's scope, applied in the query so that pages are full. */
  readonly scope?: {
    readonly matchLabels?: Readonly<Record<string, string>>
    readonly connections?: readonly string[]
  } | null
}
/** All that is given must hold. */
export interface KeyChoice {
  readonly names?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly connections?: readonly string[]
  readonly providers?: readonly string[]
  readonly owner?: string
  readonly environment?: string
  readonly policy?: string
  /** Those that name the consumer, those that it names, and those of policies that select it. */
  readonly usedBy?: {
    readonly consumer: string
    readonly keys: readonly string[]
    readonly policies: readonly string[]
  }
  /** With a version that was made in the span; its end is not in it. */
  readonly madeFrom?: Date
  readonly madeTo?: Date
  readonly scope: KeyFilter['scope']
}
export interface RotationFilter {
  readonly keyId?: string
  readonly policy?: string
  readonly phase?: readonly Phase[]
  readonly trigger?: string
  readonly scope?: KeyFilter['scope']
}
export interface AuditFilter {
  readonly key?: string
  readonly rotation?: string
  readonly actor?: string
  readonly action?: string
  readonly outcome?: string
  readonly correlationId?: string
  readonly from?: Date
  readonly to?: Date
}
export interface StoredEvent {
  readonly body: AuditBody
  readonly receipt: Receipt
  readonly recordedAt: Date
}

/** When a key is due next, as the planner computed it; recomputed when the policy, the key or its activation changes. */
export interface KeySchedule {
  readonly keyId: string
  readonly dueAt: Date | null
  readonly occurrence: string | null
  readonly nominal: Date | null
  readonly trigger: 'schedule' | 'maxAge' | null
  /** The last occurrence that led to a rotation, was coalesced or skipped. */
  readonly lastOccurrence: string | null
  /** Set once, when the key passed its maxAge; cleared by a rotation. */
  readonly overdueSince: Date | null
  /** When it will pass its maxAge. */
  readonly overdueAt: Date | null
  /** Why the planner does not rotate it, where more than its time is missing. */
  readonly obstacle: Obstacle | null
}

/**
 * unreadable   when it is due cannot be computed: tried again at `dueAt`, later and later
 * impossible   an occurrence could not become a rotation; the next one is tried
 * undone       its last two rotations were undone: only a person starts the next
 */
export interface Obstacle {
  readonly kind: 'unreadable' | 'impossible' | 'undone'
  /** A clause for people. */
  readonly reason: string
  /** RFC 3339. */
  readonly since: string
  /** How often the planner has met it; 0: it has not been told yet. */
  readonly tries: number
}

/** Writers. `false` from an update means that the row was not in the expected state: nothing was written. */
export interface Tx extends Reads {
  /** Waits for and holds a named lock until the transaction ends. */
  lock(name: string): Promise<void>
  /** Waits for these keys and holds them until the transaction ends. Whoever begins a rotation, ends a key or writes its
   *  schedule holds the key first, and reads only then what it decides by. Under the lock `policies`, where both are taken. */
  holdKeys(ids: readonly string[]): Promise<void>
  /** The database's clock (`app.now()`): one moment for the whole transaction, and a new one after a wait for a lock. */
  now(): Promise<Date>
  /** What `Timers.observe` would say at that moment, without counting. */
  observed(): Promise<number>
  /** Runs `work` and undoes all that it wrote; its locks go with it. Where it throws, the transaction is over. */
  rehearse<T>(work: () => Promise<T>): Promise<T>
  /** To be stored: see `Keyring`. */
  fingerprint(material: Secret<string> | Secret<Uint8Array>): Fingerprint
  fingerprintOf(digest: Uint8Array): Fingerprint
  isFingerprintOf(fingerprint: Fingerprint, material: Secret<string> | Secret<Uint8Array>): boolean
  readonly writeConnection: {
    /** With an external id that was never used before. */
    insert(row: Omit<Connection, 'externalId'>): Promise<Connection>
    update(row: Connection, expectedRevision: number): Promise<boolean>
    delete(name: string, expectedRevision: number): Promise<boolean>
  }
  readonly writeKey: {
    insert(row: Key): Promise<void>
    update(row: Key, expectedRevision: number): Promise<boolean>
    /** Policy assignment alone; does not change the revision that ETags show. */
    assignPolicy(
      keyIds: readonly string[],
      policy: string | null,
      selectedAt: Date | null,
    ): Promise<void>
  }
  readonly writeVersion: {
    insert(row: Version): Promise<void>
    /** Compares the state; edges and the one primary are checked by the database too. */
    update(row: Version, expectedState: Version['state']): Promise<boolean>
    /** All of the key, as they stay until this is committed. */
    hold(keyId: string): Promise<readonly Version[]>
    /** Handed out no more, by an incident: compromised, unless destroyed; or suspended, if active. */
    contain(
      rows: readonly {
        readonly keyId: string
        readonly version: number
        readonly state: 'suspended' | 'compromised'
      }[],
    ): Promise<void>
    /** The sealed material of contained ones is gone, but for what another incident that is not closed has still to try. */
    erase(
      rows: readonly {
        readonly keyId: string
        readonly version: number
        /** It can be read at its provider, or could. */
        readonly known: boolean
      }[],
    ): Promise<void>
  }
  readonly writePolicy: {
    /** Inserts or replaces, and keeps the revision's text. `expectedRevision` null: must not exist. */
    put(row: Policy, expectedRevision: number | null): Promise<boolean>
    delete(name: string, expectedRevision: number): Promise<boolean>
  }
  readonly writePlan: {
    insert(row: Plan): Promise<void>
    /** Only while nobody did. */
    apply(id: string, applied: { readonly at: Date; readonly by: string }): Promise<boolean>
    /** Nothing is left to do: its documents are dropped. */
    finish(id: string, at: Date): Promise<boolean>
    approve(row: PlanApproval): Promise<void>
    /** Deletes those that were made before and never applied. */
    purge(before: Date): Promise<void>
  }
  readonly writeConsumer: {
    put(row: Consumer, expectedRevision: number | null): Promise<boolean>
    delete(name: string, expectedRevision: number): Promise<boolean>
  }
  readonly writePlaybook: {
    put(row: Playbook, expectedRevision: number | null): Promise<boolean>
    delete(name: string, expectedRevision: number): Promise<boolean>
  }
  readonly writeSink: {
    put(row: Sink, expectedRevision: number | null): Promise<boolean>
    delete(name: string, expectedRevision: number): Promise<boolean>
  }
  readonly writeFreeze: {
    put(row: Freeze, expectedRevision: number | null): Promise<boolean>
    delete(expectedRevision: number): Promise<boolean>
  }
  readonly writeFloors: {
    put(row: Omit<Floors, 'revision'>, expectedRevision: number): Promise<boolean>
  }
  readonly writeIssuers: {
    put(row: Omit<Issuers, 'revision'>, expectedRevision: number): Promise<boolean>
  }
  readonly writeApiKey: {
    insert(row: ApiKey): Promise<void>
    delete(id: string, at: Date): Promise<boolean>
  }
  readonly writeBrowserSession: {
    /** False where its login gave a session before. */
    insert(row: BrowserSession): Promise<boolean>
    end(id: string, at: Date): Promise<boolean>
    /** All of a principal; how many. */
    endOf(principal: Pick<BrowserSession, 'issuer' | 'subject'>, at: Date): Promise<number>
    /** What the principal has agreed to until then counts no more. */
    takeBack(principal: string, at: Date): Promise<void>
    /** All that came by no client of these. */
    endAllBut(
      clients: readonly Pick<BrowserSession, 'issuer' | 'clientId'>[],
      at: Date,
    ): Promise<number>
    /** Deletes those that have been over for long. */
    purge(now: Date): Promise<void>
  }
  readonly writeBreakGlass: {
    insert(apiKey: string, sinks: readonly FrozenSink[]): Promise<void>
    /** False where it was done before; so with the others. */
    approve(
      apiKey: string,
      approval: { readonly at: Date; readonly by: string; readonly byName: string },
    ): Promise<boolean>
    /** Its hour begins, and its frozen sinks are told of what this transaction and those after it say in the log. */
    use(apiKey: string, use: { readonly at: Date; readonly from: string }): Promise<boolean>
    bind(apiKey: string, incidentId: string): Promise<boolean>
  }
  readonly writeRotation: {
    insert(row: Rotation): Promise<void>
    /** `UPDATE … WHERE id AND phase AND epoch`, as they were before. What is the same in both stays as it is by now: whoever takes
     *  over writes over nothing that its holder has recorded since. Into another phase it takes along neither progress nor what it
     *  waited for. */
    move(
      row: Rotation,
      before: Pick<Rotation, 'phase' | 'epoch'> & Partial<Rotation>,
      also?: AlsoMoved,
    ): Promise<boolean>
  }
  readonly writeIntent: {
    insert(row: Intent): Promise<void>
    insertMany(rows: readonly Intent[]): Promise<void>
    /** Those that are not closed; the operation ids of what was settled. */
    settleMany(rows: readonly Intent[]): Promise<readonly string[]>
    /** Only while it is not closed. */
    settle(row: Intent): Promise<boolean>
  }
  readonly writeApproval: {
    /** Whether the principal's word of before still counts was asked (usecases/another-person.ts). */
    insert(row: Approval): Promise<void>
  }
  readonly writeConfirmation: {
    /** False when somebody said so already. */
    insert(row: Confirmation): Promise<boolean>
  }
  readonly writeAcknowledgement: {
    insert(row: Acknowledgement): Promise<boolean>
  }
  readonly writeIncident: {
    insert(row: Incident): Promise<void>
    /** Compares state and revision. */
    update(
      row: Incident,
      expected: { readonly state: IncidentState; readonly revision: number },
    ): Promise<boolean>
    /** In the place of the one before. */
    putPreview(id: string, preview: IncidentPreview): Promise<void>
    /** The set of an execution, each key due at once. */
    insertKeys(keys: readonly IncidentKey[], versions: readonly VersionEvidence[]): Promise<void>
    putKeys(rows: readonly IncidentKey[]): Promise<void>
    putVersions(rows: readonly VersionEvidence[]): Promise<void>
    /** Those of the leases that are still their owners', held until the transaction ends. */
    hold(leases: readonly IncidentLease[]): Promise<readonly IncidentLease[]>
    /** Gives leases back. */
    release(leases: readonly (IncidentLease & IncidentTimerPatch)[]): Promise<void>
    /** Due at once, whoever is at it: that one writes nothing more. */
    seize(id: string, keyIds: readonly string[]): Promise<void>
    approve(row: IncidentApproval): Promise<void>
    note(row: IncidentNote): Promise<void>
    tick(row: StepTick): Promise<void>
  }
  readonly writeSealed: {
    /** Seals and stores; returns the id. */
    insert(material: Secret<string> | Secret<Uint8Array>, purpose: string): Promise<string>
    erase(id: string): Promise<void>
  }
  readonly writeSchedule: {
    put(row: KeySchedule): Promise<void>
    putMany(rows: readonly KeySchedule[]): Promise<void>
    delete(keyId: string): Promise<void>
    /** Holds up to `limit` keys that are due by the parameter and that nobody else holds; their ids. One of each policy in turn,
     *  each policy's oldest first. Their rows are to be read after that: what made them due may have been done by whoever
     *  held them last. */
    holdDue(now: Date, limit: number): Promise<readonly string[]>
    /** The same for those past `overdueAt` and not told yet. */
    holdOverdue(now: Date, limit: number): Promise<readonly string[]>
  }
  readonly writeTimer: {
    /** Creates or changes; absent members keep their value. */
    set(rotationId: string, patch: TimerPatch): Promise<void>
  }
  readonly writeDrift: {
    /** What is told. `since` is now where the state is another than before. */
    put(keyId: string, found: Standing, nextMs: number): Promise<void>
  }
  readonly writeRecovery: {
    /** The installation's own row: made where there is none, else replaced. */
    identify(row: Installation): Promise<void>
    /** False when one is open already. */
    insert(row: Recovery): Promise<boolean>
    /** Only while it is open. */
    update(row: Recovery): Promise<boolean>
    putFinding(row: Finding): Promise<void>
  }
  readonly writeKek: {
    /** It seals from now on, and the one before is replaced. False where it is retired, or active already. */
    activate(id: string, at: Date): Promise<boolean>
    /** False where it was said before, or it is not replaced. */
    rewrapped(id: string, at: Date): Promise<boolean>
    /** No row is sealed under it from then on. False while there is one, and where it is not replaced. */
    retire(id: string, at: Date): Promise<boolean>
  }
  readonly writePepper: {
    /** It makes fingerprints from now on, and the one before is replaced. False where its number was ever used. */
    activate(pepper: PepperName, at: Date): Promise<boolean>
    /** Makes fingerprints of it anew, of the next versions after `after` whose material is here; those that others are changing
     *  are left out, and those that are named by their value, which the next look at them renews with their name. */
    renew(number: number, after: VersionPlace | null, limit: number): Promise<RenewStep>
    /** False where it was said before, or it is not replaced. */
    renewed(number: number, at: Date): Promise<boolean>
    /** Drops fingerprints of what has ended, at most so many; how many there were. */
    forget(number: number, limit: number): Promise<number>
    /** No fingerprint is made with it from then on. False while one matters, and where it is not replaced. */
    retire(number: number, at: Date): Promise<boolean>
  }
  readonly writeIdempotency: {
    /** Says in the effect's own transaction that the request has had its effect. False: the claim expired and is another's. */
    markEffective(claim: IdempotencyClaim): Promise<boolean>
  }
}

export interface TimerPatch {
  readonly dueAt?: Date | null
  /** Due at once, by the database's clock. */
  readonly dueNow?: true
  /** With whom it takes turns (`Timers.due`). */
  readonly lane?: string
  readonly progress?: Progress | null
  readonly waitingFor?: WaitingFor | null
}

/** What `work` must return: at least one audit event, or it does not compile. */
export interface Outcome<T> {
  readonly value: T
  readonly audit: readonly [LedgerEvent, ...LedgerEvent[]]
  /** Rotations to ring for once the transaction is committed. */
  readonly wake?: readonly string[]
}
/** An event, with an id chosen before where another record must name it. */
export type LedgerEvent = AuditEvent & { readonly id?: string }

export interface Committed<T> {
  readonly value: T
  readonly receipts: readonly [Receipt, ...Receipt[]]
}

/** The only writer. State change and audit events go in one transaction; the database refuses one without the other.
 *  `work` may run again (serialization failure, deadlock): it has no effect but through `tx`.
 *  Throws RekeyError `audit.unavailable` when the database does not take it. */
export interface Ledger {
  commit<T>(actor: Actor, work: (tx: Tx) => Promise<Outcome<T>>): Promise<Committed<T>>
  /** Runs `work`, rolls it back, and records only that it was rehearsed: the dry run of any write. */
  rehearse<T>(actor: Actor, work: (tx: Tx) => Promise<Outcome<T>>): Promise<Committed<T>>
  /** An audit event without a change of state: denied, invalid, read. */
  note(actor: Actor, event: LedgerEvent): Promise<Receipt>
  read<T>(work: (db: Reads) => Promise<T>): Promise<T>
}

/** One request, as its caller names it. */
export interface IdempotencySlot {
  readonly principal: string
  readonly method: string
  readonly path: string
  readonly key: string
}
/** The right to run it, until the claim expires; `claimedAt` tells it from a later claim. */
export interface IdempotencyClaim extends IdempotencySlot {
  readonly claimedAt: Date
}
/** A reply as it was sent. */
export interface StoredReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}
export type Begun =
  | { readonly state: 'begun'; readonly claim: IdempotencyClaim }
  | { readonly state: 'replay'; readonly reply: StoredReply }
  /** The key was used for another request. */
  | { readonly state: 'mismatch' }
  | { readonly state: 'running' }
  /** It is done, and the reply held a secret. */
  | { readonly state: 'secret' }
  /** It had its effect, and whoever ran it died before the reply was kept. */
  | { readonly state: 'lost' }

/** Of one connection: who tries which credential, and which was refused (`Logins`, which waits while it is `busy`). */
export interface LoginBook {
  claim(credential: Secret<string>): Promise<'try' | 'tryAfterDeath' | 'refused' | 'busy'>
  ended(credential: Secret<string>, how: 'accepted' | 'refused'): Promise<void>
}

/** Replies of requests with an Idempotency-Key, kept for a day. Not guarded: no audit. All on the database's clock. */
export interface Idempotency {
  /** Claims the slot under the first hash, or tells what became of one that was claimed under any. A claim whose holder died expires after `idempotencyLeaseMs`. */
  begin(slot: IdempotencySlot, requestHashes: readonly [string, ...string[]]): Promise<Begun>
  /** Keeps the reply; null: it holds a secret and is not kept. */
  finish(claim: IdempotencyClaim, status: number, reply: StoredReply | null): Promise<void>
  /** Frees the slot of a request that was refused before it had any effect; else nothing. True: freed. */
  release(claim: IdempotencyClaim): Promise<boolean>
  /** Deletes what has expired, at most `limit`. Returns how many. */
  purge(limit: number): Promise<number>
}

/** Of a login that has come back from its issuer: whether nobody has come back with it before; from then on somebody has. */
export type SpendLogin = (id: string, until: Date) => Promise<boolean>

/** When tokens, or sessions of browsers, were last used. Not guarded, no audit. */
export interface LastUses {
  /** Of several processes that tell, the latest time stays. */
  tell(uses: ReadonlyMap<string, Date>): Promise<void>
}

/** Leases, due times and the observed clock: not guarded, no audit. All on the database's clock. */
export interface Timers {
  /** Puts off a key that cannot be planned, unless its due time has changed meanwhile. */
  postpone(
    key: { readonly keyId: string; readonly dueAt: Date },
    until: { readonly dueAt: Date; readonly obstacle: Obstacle },
  ): Promise<void>
  now(): Promise<Date>
  /** Takes the lease for `ttlMs` when it is free, expired or ours; a new holder's claim clears the due time. Null: somebody
   *  holds it. `takeover`: it had expired in another's hands. `epoch`: of the rotation, as the lease was given. An owner is one
   *  run, not a process: see advance-rotation.ts. */
  claim(
    rotationId: string,
    owner: string,
    ttlMs: number,
  ): Promise<{
    readonly takeover: boolean
    readonly until: Date
    readonly epoch: number
  } | null>
  /** Renews all leases of the owners that have not expired. Returns how many. */
  heartbeat(owners: readonly string[], ttlMs: number): Promise<number>
  /** Lets our lease expire now, in our hands: whoever claims it next takes over. */
  expire(rotationId: string, owner: string): Promise<void>
  /** The same for every lease of a process that is known to be dead: its runs can neither send nor write any more. */
  expireOf(instance: string): Promise<void>
  /** Gives the lease back, if it is still ours, and sets what is given; an earlier due time that was set meanwhile stays. */
  release(rotationId: string, owner: string, patch: TimerPatch): Promise<void>
  /** Rotations that are due and not leased, and those whose holder let its lease expire: these first, and of the others one of
   *  each lane in turn, each lane's oldest first. */
  due(limit: number): Promise<readonly string[]>
  /** Milliseconds that were observed to pass, in steps of at most a minute: a jumping clock or a downtime adds one step at most. */
  observe(): Promise<number>
}

/** A key in an execution, as one worker has it. */
export interface IncidentLease {
  readonly incidentId: string
  readonly keyId: string
  readonly owner: string
}
export interface IncidentTimerPatch {
  /** From now; null: nothing is due. Something that became due meanwhile stays due. */
  readonly afterMs: number | null
  /** What is done before what. */
  readonly stage: number
  readonly tries: number
}

/** Leases of the keys of incidents. Not guarded, no audit. All on the database's clock. */
export interface IncidentTimers {
  /** Whether anything is due, now or later, or under way, or an incident is to be brought to rest. */
  busy(): Promise<boolean>
  /** Takes up to `limit` keys that are due, or were let expire: by stage, then one of each connection in turn, and of each the
   *  most dangerous first, at most `perLane` of one. An owner is one claim, not a process. */
  claim(
    owner: string,
    ask: {
      readonly limit: number
      readonly perLane: number
      /** Connections that are not asked for any. */
      readonly without: readonly string[]
      readonly ttlMs: number
    },
  ): Promise<readonly ClaimedKey[]>
  /** Renews the leases that have not expired. */
  heartbeat(owners: readonly string[], ttlMs: number): Promise<void>
  /** Without a transaction: nothing has happened. */
  release(leases: readonly (IncidentLease & IncidentTimerPatch)[]): Promise<void>
}
export interface ClaimedKey extends IncidentLease {
  readonly connection: string
  readonly stage: number
  readonly tries: number
  readonly claimedAt: Date
}

/** What is asked of the database without a transaction: where it is, and how far its log goes. Not guarded: no audit. */
export interface Whereabouts {
  /** Cluster and database: another one after a restore into a new server or a new database. */
  cluster(): Promise<string>
  /** The last committed event. */
  lastEvent(): Promise<{
    readonly id: string
    readonly leafHash: string
    readonly at: Date
  } | null>
  /** All of them, with these very hashes. */
  hasEvents(events: readonly Pick<MarkedEvent, 'id' | 'leafHash'>[]): Promise<boolean>
  putFinding(row: Finding): Promise<void>
}

/** Who serves. Not guarded: it decides nothing but when a KEK may change. All on the database's clock. */
export interface Processes {
  tell(process: HouseProcess): Promise<void>
  leave(instance: string): Promise<void>
  living(withinMs: number): Promise<readonly HouseProcess[]>
}

/** Sealing anew. Not guarded, as sealing is not: who begins and ends it tells. */
export interface Rewrap {
  readonly tables: readonly string[]
  /** How many rows are under each KEK. */
  rows(): Promise<ReadonlyMap<string, number>>
  /** The next rows of a table under this KEK, after `after`, at most `limit`; those that others are changing are left out. */
  step(table: string, kekId: string, after: string | null, limit: number): Promise<RewrapStep>
}
export interface VersionPlace {
  readonly keyId: string
  readonly version: number
}
export interface RenewStep {
  /** Null: there were none. */
  readonly after: VersionPlace | null
  readonly done: number
  /** Versions whose material is another than what their fingerprint was made of, or does not open. */
  readonly other: readonly VersionPlace[]
}

export interface RewrapStep {
  /** Null: there were none. */
  readonly after: string | null
  readonly done: number
  /** Rows that do not open. */
  readonly damaged: readonly string[]
}

export interface Refusal {
  readonly times: number
  readonly why: string
  readonly mayTry: boolean
}

/** When each key is compared with its provider. Not guarded: it decides nothing. All on the database's clock. */
export interface Looks {
  /** A step of a walk through all keys, by id: of the next `limit` after `after` those that are new begin, spread over
   *  `spreadMs` by their ids, and those that are deleted end. Returns the last of them; null: there are no more. */
  enrol(after: string | null, limit: number, spreadMs: number): Promise<string | null>
  /** Takes up to `limit` keys that are due, the one that has been due longest first, for `forMs`; no two callers get the same
   *  one. Whoever dies with it leaves it due again after that. */
  claim(limit: number, forMs: number): Promise<readonly string[]>
  /** Nobody looks any more: nothing is known of any key. */
  forget(): Promise<void>
  /** What is no news; silence is over. */
  put(keyId: string, found: Standing, nextMs: number): Promise<void>
  /** No answer; what was found before stands. */
  silent(keyId: string, why: string, nextMs: number): Promise<void>
  putOff(keyId: string, nextMs: number): Promise<void>
  /** Whether the connection's login was refused the last time; a new revision of it was not yet. Of all who ask, one `mayTry`
   *  at a time: if it dies, another may after `forMs`. */
  refusal(connection: Pick<Connection, 'name' | 'revision'>, forMs: number): Promise<Refusal | null>
  /** `times`: of the refusal that was known when it was tried, else 0. Of those who were refused at once one counts. */
  refused(
    connection: Pick<Connection, 'name' | 'revision'>,
    of: Pick<Refusal, 'times' | 'why'> & { readonly waitMs: number },
  ): Promise<void>
  /** The login succeeded. */
  accepted(connection: Pick<Connection, 'name' | 'revision'>): Promise<void>
}

/** The doorbell. Losing a ring costs a second (the sweep), a duplicate costs nothing; it never throws. */
export interface Bell {
  ring(rotationIds: readonly string[]): Promise<void>
  /** Keys of an emergency are due. Heard in this process, if it has a worker; all others ask once a second. */
  alarm?(): void
}

/** Opens sessions of connections: resolves the credential, applies egress rules, keeps one session a connection and revision. */
export interface Sessions {
  open(connection: Connection): Promise<Session>
  /** Of an open one: takes a place for the next request where one is near; else says how long it is until then, and why.
   *  Whoever has work for later asks before it begins: within a call, requests wait for their places by themselves. */
  enter(connection: Connection): Promise<NoRoom | null>
  /** Closes what is kept for a connection, after a change. */
  forget(name: string): Promise<void>
  close(): Promise<void>
}

export interface NoRoom {
  readonly afterMs: number
  /** A clause for people. */
  readonly why: string
}

/** The lines of the connections' requests, over all processes. Not guarded: they say when a request is sent, and not which. All
 *  on the database's clock. */
export interface Paces {
  /** Takes `count` places in a row where the first is no further than `withinMs` away. `limit`: requests a second that the
   *  connection may send; null: none is known but what its provider said. */
  take(
    connection: string,
    ask: { readonly limit: number | null; readonly count: number; readonly withinMs: number },
  ): Promise<Turn>
  /** The provider said "too many": half as many from now on, doubled with every minute, and nothing before `holdMs`. */
  slow(
    connection: string,
    told: { readonly limit: number | null; readonly holdMs: number },
  ): Promise<void>
}

export type Turn =
  /** There is no limit at this moment. */
  | { readonly kind: 'free' }
  /** `nowMs`: the database's clock, as `afterMs` counts from it. */
  | {
      readonly kind: 'places'
      readonly nowMs: number
      readonly afterMs: number
      readonly everyMs: number
    }
  /** How far the first place is, and how many there are a second. */
  | { readonly kind: 'full'; readonly afterMs: number; readonly rate: number }

/** One message to a sink. Its id is the same over all tries: receivers drop what they have seen. */
export interface SinkMessage {
  readonly id: string
  /** `rekey.stalled` and the like. */
  readonly type: string
  readonly timestamp: string
  readonly data: JsonObject
}

/** What came back. `refused`: Rekey itself would not connect (egress rules), and nothing was sent. */
export type SinkAnswer =
  | {
      readonly kind: 'answered'
      readonly status: number
      /** What Retry-After asks for; null where it says nothing. */
      readonly retryAfterMs: number | null
      /** The first characters of the answer's text, without control characters. Never stored. */
      readonly text: string
    }
  | { readonly kind: 'failed'; readonly refused: boolean; readonly why: string }

/** Sends once, never throws, and takes at most 15 seconds. `secret` is the text `whsec_…`. */
export type SendToSink = (
  sink: Pick<Sink, 'url'>,
  secret: Secret<Uint8Array>,
  message: SinkMessage,
) => Promise<SinkAnswer>

/** What each sink is still to be told. The audit events are the messages; here is only how far each sink was told, which
 *  deliveries are open, and when each is tried next, on the database's clock. Not guarded: it decides nothing. */
export interface Outbox {
  /** Turns what follows the sink's cursor into deliveries of the events that `choose` picks, and moves the cursor, at once
   *  or not at all. A sink that was not seen before begins with the transaction that wrote it. Returns how many events
   *  were passed: 0 when there is nothing new. */
  advance(
    sink: string,
    actions: readonly AuditAction[],
    choose: (events: readonly AuditBody[]) => Promise<readonly string[]>,
  ): Promise<number>
  /** Takes the delivery that is due first for `leaseMs` and counts the try. Whoever dies with it leaves it due again after
   *  that: it is sent twice rather than never. */
  claim(sink: string, leaseMs: number): Promise<Delivery | null>
  delivered(delivery: Delivery): Promise<void>
  /** Tried again after `retryMs`; null: a dead letter. Nothing happens when the lease was lost to another. */
  failed(delivery: Delivery, told: DeliveryFailure, retryMs: number | null): Promise<void>
  /** Nothing of this sink is tried before `ms` from now, what happens until then included: it asked for silence. */
  hold(sink: Pick<Sink, 'name' | 'url'>, ms: number): Promise<void>
  /** All open deliveries of the sink become dead letters. */
  bury(sink: string, error: string): Promise<number>
  /** Oldest first. */
  deadLetters(sink: string, page: Page): Promise<Paged<DeadLetter>>
  /** Dead letters become due at once, with their tries counted anew; null: all of them. Returns how many. */
  replay(sink: string, eventIds: readonly string[] | null): Promise<number>
  /** Removes what belongs to sinks that no longer exist, and delivered ones of more than 30 days. */
  tidy(): Promise<void>
}

export interface Delivery {
  readonly sink: string
  readonly eventId: string
  /** Tries, this one included. */
  readonly attempts: number
}
export interface DeliveryFailure {
  readonly status: number | null
  readonly error: string
}
export interface DeadLetter {
  readonly eventId: string
  readonly attempts: number
  readonly lastStatus: number | null
  readonly lastError: string | null
  readonly createdAt: Date
  readonly failedAt: Date
}
