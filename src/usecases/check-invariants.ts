// Looks whether what must be so of a key is so (domain/invariants.ts), in our records and, where sessions are given, at its
// provider. It only reads, and never opens a door: material is unsealed to see that it can be, and forgotten.
//
// The engine goes on meanwhile. Records are therefore read twice, before and after the provider was asked; a key that moved
// between them is looked at again, and told as `busy` when it never holds still.

import { inScope, type Actor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import {
  breachesOf,
  type Breach,
  type IncidentFacts,
  type KeyFacts,
  type RotationFacts,
  type Witness,
} from '#domain/invariants.ts'
import type { Key, Version } from '#domain/key.ts'
import type {
  Clock,
  Keyring,
  Page,
  Paged,
  Reads,
  Sessions,
  StoredEvent,
  Ledger,
  Timers,
} from '#domain/ports.ts'
import { type KeyType, ProviderError } from '#domain/provider.ts'
import { isOpen, openPhases } from '#domain/rotation-machine.ts'
import type { Rotation } from '#domain/rotation.ts'
import { askForCarriers } from './ask-provider.ts'
import { callMs } from './prove-version.ts'
import { addressOf } from './registration.ts'

export interface CheckInvariantsDeps {
  readonly ledger: Pick<Ledger, 'read'>
  readonly timers: Pick<Timers, 'now'>
  readonly keyring: Pick<Keyring, 'isFingerprintOf'>
  readonly types: ReadonlyMap<string, KeyType>
  readonly clock: Clock
  /** Without them only the records are looked at. */
  readonly sessions?: Pick<Sessions, 'open'>
  /** Of a rotation; 5,000 where not said. */
  readonly mostEvents?: number
}

export interface KeyCheck {
  readonly key: string
  readonly breaches: readonly Breach[]
  /** Why nothing, or not everything, could be said of it. */
  readonly unknown: string | null
}

/** Rotations of a key that are looked at, the newest ones. */
const lastRotations = 20
const mostEventsUnlessSaid = 5_000
const looks = 4
const betweenLooksMs = 250

/** From then on a page ends where it is: whoever asked gets what was found, and asks on. */
const mostMsOfPage = 15_000
/** A provider that kept a look waiting for so long, and did not answer, is not asked again on the page. */
const silentMs = 5_000

/** One page of the keys of an installation, by id; of those in the scope. It may be shorter than its limit, and not the last. */
export const makeCheckInvariants =
  (deps: CheckInvariantsDeps) =>
  async (page: Page, actor: Pick<Actor, 'scope'> = { scope: null }): Promise<Paged<KeyCheck>> => {
    const { items, next } = await deps.ledger.read((db) => db.keys.batch({}, page))
    const began = deps.clock.now().getTime()
    const silent = new Set<string>()
    const checks: KeyCheck[] = []
    for (const key of items) {
      const from = deps.clock.now().getTime()
      if (from - began >= mostMsOfPage) return { items: checks, next: before(items, key) }
      if (!inScope(actor, key)) continue
      // oxlint-disable-next-line no-await-in-loop -- a provider's rate limit is not ours to spend
      const check = await checkKey(silent.has(key.connection) ? unasked(deps) : deps, key)
      checks.push(check)
      if (check.unknown !== null && deps.clock.now().getTime() - from >= silentMs)
        silent.add(key.connection)
    }
    return { items: checks, next }
  }

const before = (items: readonly Key[], key: Key): string | null =>
  items[items.indexOf(key) - 1]?.id ?? null

const unasked = (deps: CheckInvariantsDeps): CheckInvariantsDeps => ({
  ...deps,
  sessions: {
    open: () =>
      Promise.reject(new ProviderError('transient', 'none', 'it kept silent a moment ago')),
  },
})

export const checkKey = async (deps: CheckInvariantsDeps, key: Key): Promise<KeyCheck> => {
  const { facts, unknown } = await lookAtKey(deps, key)
  return { key: key.name, breaches: facts ? breachesOf(facts) : [], unknown }
}

/** All that the check goes by; null where there was none that holds together. */
export const lookAtKey = async (
  deps: CheckInvariantsDeps,
  key: Key,
): Promise<{ readonly facts: KeyFacts | null; readonly unknown: string | null }> => {
  const type = deps.types.get(key.type)
  if (!type) return { facts: null, unknown: `there is no type ${key.type} any more` }
  for (let look = 0; look < looks; look++) {
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    const before = await recordsOf(deps, key)
    // oxlint-disable-next-line no-await-in-loop -- see above
    const { witness, unknown } = await ask(deps, key, before)
    // oxlint-disable-next-line no-await-in-loop -- see above
    const after = await recordsOf(deps, key)
    if (still(before) === still(after)) {
      const facts = { key, traits: type.traits, ...after, provider: witness }
      return { facts, unknown: unknown ?? unread(facts) }
    }
    // oxlint-disable-next-line no-await-in-loop -- see above
    await deps.clock.pause(betweenLooksMs)
  }
  return { facts: null, unknown: 'busy: it changed at every look' }
}

const unread = ({ rotations }: Pick<KeyFacts, 'rotations'>): string | null => {
  const long = rotations.find(({ truncated }) => truncated)
  return long ? `the log of rotation ${long.rotation.id} is too long to be compared` : null
}

type Records = Omit<KeyFacts, 'key' | 'traits' | 'provider'> & {
  readonly connection: Connection | null
}

/** What two looks must agree on: time goes on, and leases are renewed, without anything having happened. */
const still = ({ versions, rotations, incidents, connection }: Records): string =>
  JSON.stringify([
    versions,
    connection,
    incidents,
    rotations.map(({ timer: _timer, ...rest }) => rest),
  ])

const recordsOf = async (deps: CheckInvariantsDeps, key: Key): Promise<Records> => {
  const now = await deps.timers.now()
  return deps.ledger.read(async (db) => {
    const versions = await db.versions.of(key.id)
    const { items } = await db.rotations.list(
      { keyId: key.id },
      { limit: lastRotations, after: null },
    )
    const rotations: RotationFacts[] = []
    // Not by their ids: those carry the clock of the host that made them, which may be wrong.
    for (const rotation of items.toSorted((a, b) => Number(b.createdAt) - Number(a.createdAt))) {
      // oxlint-disable-next-line no-await-in-loop -- one connection
      rotations.push(await factsOf(db, rotation, deps.mostEvents ?? mostEventsUnlessSaid))
    }
    return {
      now,
      connection: await db.connections.get(key.connection),
      versions,
      rotations,
      sealed: await sealedOf(db, deps.keyring, versions),
      group: await groupOf(db, items),
      incidents: await incidentsOf(db, key.id),
      refused: new Set((await db.incidents.refused([key.id])).map(({ version }) => version)),
    }
  })
}

const incidentsOf = async (db: Reads, keyId: string): Promise<KeyFacts['incidents']> => {
  const found: IncidentFacts[] = []
  for (const key of await db.incidents.openOfKeys([keyId])) {
    found.push({
      key,
      // oxlint-disable-next-line no-await-in-loop -- one connection
      versions: await db.incidents.versionsOf(key.incidentId, [keyId]),
      // oxlint-disable-next-line no-await-in-loop -- see above
      intents: await db.intents.ofIncident(key.incidentId, [keyId]),
    })
  }
  return found
}

const factsOf = async (db: Reads, rotation: Rotation, most: number): Promise<RotationFacts> => ({
  rotation,
  timer: await db.timers.get(rotation.id),
  intents: await db.intents.of(rotation.id),
  ...(await saidOf(db, rotation.id)),
  acknowledgements:
    rotation.toVersion === null
      ? []
      : await db.acknowledgements.of(rotation.keyId, rotation.toVersion),
  ...(await eventsOf(db, rotation.id, most)),
})

const saidOf = async (
  db: Reads,
  rotationId: string,
): Promise<Pick<RotationFacts, 'approvals' | 'makers'>> => {
  const approvals = await db.approvals.of(rotationId)
  const { makers } = await db.apiKeys.makers(approvals.map(({ principalId }) => principalId))
  return { approvals, makers }
}

const eventsOf = async (
  db: Reads,
  rotationId: string,
  most: number,
): Promise<Pick<RotationFacts, 'events' | 'truncated'>> => {
  const events: StoredEvent[] = []
  for (let last: string | null = null; events.length <= most;) {
    // One more than is kept, to know whether there is more.
    const limit: number = Math.min(1_000, most + 1 - events.length)
    // oxlint-disable-next-line no-await-in-loop -- page after page
    const more: readonly StoredEvent[] = await db.audit.after(rotationId, last, limit)
    events.push(...more)
    last = more.at(-1)?.body.id ?? null
    if (more.length < limit) break
  }
  return { events: events.slice(0, most), truncated: events.length > most }
}

const sealedOf = async (
  db: Reads,
  keyring: Pick<Keyring, 'isFingerprintOf'>,
  versions: readonly Version[],
): Promise<KeyFacts['sealed']> => {
  const found = new Map<number, 'opens' | 'gone' | 'shut' | 'another value'>()
  for (const { version, sealedId, fingerprint } of versions) {
    if (sealedId === null) continue
    try {
      // oxlint-disable-next-line no-await-in-loop -- one connection
      const material = await db.sealed.open(sealedId)
      const same = material && fingerprint && keyring.isFingerprintOf(fingerprint, material)
      found.set(
        version,
        material === null ? 'gone' : same || !fingerprint ? 'opens' : 'another value',
      )
    } catch {
      // Sealed with a key that this installation no longer has, or changed since.
      found.set(version, 'shut')
    }
  }
  return found
}

/** Only where more are under way than the open rotation's own plan allows are the others asked what theirs allow. */
const groupOf = async (db: Reads, rotations: readonly Rotation[]): Promise<KeyFacts['group']> => {
  const open = rotations.find(({ phase }) => isOpen(phase))
  if (!open) return null
  const { id, max } = open.plan.group
  const { running } = await db.rotations.group(id)
  if (running <= max || open.policy === null) return { running, max }
  const phase = openPhases.filter((one) => one !== 'planned' && one !== 'awaitingApproval')
  const { items } = await db.rotations.list(
    { policy: open.policy, phase },
    { limit: 200, after: null },
  )
  const others = items.filter(({ plan }) => plan.group.id === id).map(({ plan }) => plan.group.max)
  return { running, max: Math.max(max, ...others) }
}

const ask = async (
  { sessions, clock }: CheckInvariantsDeps,
  key: Key,
  { connection, versions }: Records,
): Promise<{ readonly witness: Witness | null; readonly unknown: string | null }> => {
  if (!sessions) return { witness: null, unknown: null }
  if (!connection) return { witness: null, unknown: 'its connection does not exist' }
  const object = addressOf(key)
  try {
    const session = await sessions.open(connection)
    const described = await session.describe(object, { signal: clock.deadline(callMs) })
    const of = { ours: versions, versions: described.versions }
    const carriers = await askForCarriers({ clock }, session, object, of)
    return { witness: { versions: described.versions, carriers }, unknown: null }
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound')
      return { witness: { versions: [], carriers: [] }, unknown: null }
    // Whatever else a library threw may carry what was sent: it is not passed on.
    const why =
      error instanceof ProviderError || error instanceof RekeyError ? `: ${error.message}` : ''
    return { witness: null, unknown: `the provider could not be asked${why}` }
  }
}
