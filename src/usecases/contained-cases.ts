// A key of an emergency as the worker that has it sees it. Read for all that were claimed at once; from then on only the holder
// of the lease writes any of it, so that what a worker has in hand is what is in the database.

import type { Connection } from '#domain/connection.ts'
import { keyStateOf } from '#domain/contain-key.ts'
import type { ContainedVersion, Incident, IncidentKey, VersionEvidence } from '#domain/incident.ts'
import type { Key, Version } from '#domain/key.ts'
import type { ClaimedKey, Clock, Ledger } from '#domain/ports.ts'
import { type KeyType, type ObjectAddress, typeFor } from '#domain/provider.ts'
import type { Intent } from '#domain/rotation.ts'
import type { Step } from './record-containment.ts'

export interface Case {
  readonly lease: ClaimedKey
  /** How far the database's clock is ahead of this process's. */
  readonly aheadMs: number
  readonly incident: Incident
  readonly key: IncidentKey
  readonly evidence: readonly VersionEvidence[]
  /** All of the key. */
  readonly versions: readonly Version[]
  /** Of the incident, in the order in which they began. */
  readonly intents: readonly Intent[]
  readonly object: ObjectAddress
  readonly connection: Connection
  readonly type: KeyType
}

/** Without those that have lost their connection or type. */
export const loadCases = async (
  ledger: Pick<Ledger, 'read'>,
  types: ReadonlyMap<string, KeyType>,
  leases: readonly ClaimedKey[],
  /** When they were claimed, by the clock of this process. */
  claimedAt: Date,
): Promise<readonly Case[]> =>
  ledger.read(async (db) => {
    const keyIds = leases.map(({ keyId }) => keyId)
    const connections = await Promise.all(
      [...new Set(leases.map(({ connection }) => connection))].map((name) =>
        db.connections.get(name),
      ),
    )
    const byName = new Map(connections.flatMap((row) => (row ? [[row.name, row] as const] : [])))
    const keys = new Map((await db.keys.byIds(keyIds)).map((key) => [key.id, key]))
    const versions = grouped(await db.versions.ofKeys(keyIds))
    const cases: Case[] = []
    for (const [incidentId, mine] of Map.groupBy(leases, (lease) => lease.incidentId)) {
      const ids = mine.map(({ keyId }) => keyId)
      // oxlint-disable-next-line no-await-in-loop -- one incident, hardly ever two
      const [incident, rows, evidence, intents] = await Promise.all([
        db.incidents.get(incidentId),
        db.incidents.keysOf(incidentId, ids),
        db.incidents.versionsOf(incidentId, ids),
        db.intents.ofIncident(incidentId, ids),
      ])
      const rowOf = new Map(rows.map((row) => [row.keyId, row]))
      const [evidenceOf, intentsOf] = [grouped(evidence), grouped(intents)]
      for (const lease of mine) {
        const row = rowOf.get(lease.keyId)
        const key = keys.get(lease.keyId)
        const connection = byName.get(lease.connection)
        const type = row && types.get(row.plan.type)
        if (!incident || !row || !key || !connection || !type) continue
        cases.push({
          lease,
          aheadMs: lease.claimedAt.getTime() - claimedAt.getTime(),
          incident,
          key: row,
          evidence: evidenceOf.get(lease.keyId) ?? [],
          versions: versions.get(lease.keyId) ?? [],
          intents: intentsOf.get(lease.keyId) ?? [],
          object: addressOf(key),
          connection,
          type: typeFor(type, key.ref),
        })
      }
    }
    return cases
  })

const addressOf = ({ id, name, type, ref }: Key): ObjectAddress => ({
  type,
  ref,
  keyId: id,
  keyName: name,
})

const grouped = <T extends { readonly keyId: string }>(
  rows: readonly T[],
): ReadonlyMap<string, readonly T[]> => Map.groupBy(rows, (row) => row.keyId)

/** By the database's clock, which all that is written goes by. */
export const timeAt = ({ aheadMs }: Pick<Case, 'aheadMs'>, clock: Pick<Clock, 'now'>): number =>
  clock.now().getTime() + aheadMs

/** As it is once the step is written. */
export const afterStep = (
  found: Case,
  { key, evidence = [], begun = [], ended = [] }: Omit<Step, 'events'>,
): Case => ({
  ...found,
  key,
  evidence: found.evidence.map(
    (one) => evidence.find(({ version }) => version === one.version) ?? one,
  ),
  intents: [
    ...found.intents.map(
      (one) => ended.find(({ operationId }) => operationId === one.operationId) ?? one,
    ),
    ...begun,
  ],
})

/** What nobody will try again has no use for its material: refused for good, and never to be restored. */
export const provenOf = (
  { incident, versions, type }: Case,
  evidence: readonly VersionEvidence[],
): NonNullable<Step['proven']> => {
  if (incident.mode === 'disable') return []
  const sealed = new Set(
    versions.flatMap(({ version, sealedId }) => (sealedId === null ? [] : [version])),
  )
  return evidence
    .filter(({ version }) => sealed.has(version))
    .filter(
      ({ state, provenAt }) =>
        provenAt !== null && (state === 'refused' || state === 'refusedAfter'),
    )
    .map(({ version }) => ({ version, known: type.traits.authority === 'store' }))
}

/** The key's row with this evidence of its versions. */
export const keyWith = (
  { key, evidence }: Pick<Case, 'key' | 'evidence'>,
  changed: readonly VersionEvidence[],
  at: Date,
  more: Partial<IncidentKey> = {},
): IncidentKey => {
  const all = evidence.map((one) => changed.find(({ version }) => version === one.version) ?? one)
  const next = { ...key, ...more }
  return { ...next, state: keyStateOf(all, next), updatedAt: at }
}

/** As it was shown, with whatever carries its value by now: what was under way may have written it once more. */
export const plannedOf = (
  { key, versions }: Pick<Case, 'key' | 'versions'>,
  version: number,
): ContainedVersion => {
  const planned = key.plan.versions.find((one) => one.version === version)
  if (!planned) throw new RangeError(`version ${version} was not previewed`)
  const now = versions.find((one) => one.version === version)?.providerVersions ?? []
  return { ...planned, providerVersions: [...new Set([...planned.providerVersions, ...now])] }
}
