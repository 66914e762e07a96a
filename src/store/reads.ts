// All tables behind the two views that the rest of the house has of them.

import type { Ids, Keyring, Reads, Tx } from '#domain/ports.ts'
import type { Tracer } from '#domain/telemetry.ts'
import type { Db } from './database.ts'
import { markEffective } from './idempotency.ts'
import type { Heads } from './stream-heads.ts'
import { apiKeyReads, apiKeyWrites } from './tables/api-keys.ts'
import {
  acknowledgementReads,
  acknowledgementWrites,
  approvalReads,
  approvalWrites,
  confirmationReads,
  confirmationWrites,
} from './tables/approvals.ts'
import { auditReads } from './tables/audit-events.ts'
import { breakGlassReads, breakGlassWrites } from './tables/break-glass.ts'
import { browserSessionReads, browserSessionWrites } from './tables/browser-sessions.ts'
import { complianceReads } from './tables/compliance.ts'
import { connectionReads, connectionWrites } from './tables/connections.ts'
import { consumerReads, consumerWrites } from './tables/consumers.ts'
import { driftReads, driftWrites } from './tables/drift.ts'
import { floorReads, floorWrites } from './tables/floors.ts'
import { freezeReads, freezeWrites } from './tables/freeze.ts'
import { holdReads } from './tables/holds.ts'
import { incidentReads, incidentWrites } from './tables/incidents.ts'
import { intentReads, intentWrites } from './tables/intents.ts'
import { kekReads, kekWrites } from './tables/keks.ts'
import { issuerReads, issuerWrites } from './tables/issuers.ts'
import { keyReads, keyWrites } from './tables/keys.ts'
import { type Moment, observedNow } from './tables/moment.ts'
import { pepperReads, pepperWrites } from './tables/peppers.ts'
import { planReads, planWrites } from './tables/plans.ts'
import { playbookReads, playbookWrites } from './tables/playbooks.ts'
import { policyReads, policyWrites } from './tables/policies.ts'
import { timerReads, timerWrites } from './tables/rotation-timers.ts'
import { recoveryReads, recoveryWrites } from './tables/recovery.ts'
import { rotationReads, rotationWrites } from './tables/rotations.ts'
import { scheduleReads, scheduleWrites } from './tables/schedules.ts'
import { sealedReads, sealedWrites } from './tables/sealed.ts'
import { sinkReads, sinkWrites } from './tables/sinks.ts'
import { situationOf } from './tables/situations.ts'
import { versionReads, versionWrites } from './tables/versions.ts'

export const makeReads = (db: Db, keyring: Keyring): Reads => ({
  connections: connectionReads(db),
  keys: keyReads(db),
  versions: versionReads(db, keyring),
  policies: policyReads(db),
  plans: planReads(db),
  consumers: consumerReads(db),
  playbooks: playbookReads(db),
  sinks: sinkReads(db),
  freeze: freezeReads(db),
  floors: floorReads(db),
  issuers: issuerReads(db),
  apiKeys: apiKeyReads(db),
  browserSessions: browserSessionReads(db),
  breakGlass: breakGlassReads(db),
  rotations: { ...rotationReads(db), situation: situationOf(db) },
  holds: holdReads(db),
  timers: timerReads(db),
  intents: intentReads(db),
  approvals: approvalReads(db),
  confirmations: confirmationReads(db),
  acknowledgements: acknowledgementReads(db),
  sealed: sealedReads(db, keyring),
  incidents: incidentReads(db),
  schedule: scheduleReads(db),
  recovery: recoveryReads(db),
  keks: kekReads(db),
  peppers: pepperReads(db),
  drift: driftReads(db),
  compliance: complianceReads(db),
  audit: auditReads(db),
})

interface TxDeps {
  readonly keyring: Keyring
  readonly ids: Ids
  readonly trace: Pick<Tracer, 'current'>
}

/** `alarm`: an emergency has something to do once this is committed. */
export const makeTx = (
  db: Db,
  { keyring, ids, trace }: TxDeps,
  heads: Heads,
  alarm: () => void,
): Tx => {
  let moment: Promise<Moment> | null = null
  const now = () => (moment ??= momentOf(db))
  return {
    ...makeReads(db, keyring),
    holds: holdReads(db, (at) => {
      moment ??= Promise.resolve(at)
    }),
    lock: async (name) => {
      await db.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${name}, 0))`
      moment = null
    },
    holdKeys: async (keyIds) => {
      // In the order of their ids, or two who hold many would wait for each other. The rows, not advisory locks: there may be
      // 100,000, and references to a key (a new version, a new rotation) need not wait.
      await db.$executeRaw`SELECT FROM app.key WHERE id = ANY (${[...keyIds]}::uuid[]) ORDER BY id FOR NO KEY UPDATE`
      moment = null
    },
    now: async () => (await now()).at,
    observed: async () => (await now()).observedMs,
    rehearse: async (work) => {
      await db.$executeRaw`SAVEPOINT rehearsal`
      const value = await work()
      await db.$executeRaw`ROLLBACK TO SAVEPOINT rehearsal`
      heads.clear()
      return value
    },
    fingerprint: (material) => keyring.fingerprint(material),
    fingerprintOf: (digest) => keyring.fingerprintOf(digest),
    isFingerprintOf: (fingerprint, material) => keyring.isFingerprintOf(fingerprint, material),
    writeConnection: connectionWrites(db),
    writeKey: keyWrites(db),
    writeVersion: versionWrites(db),
    writePolicy: policyWrites(db),
    writePlan: planWrites(db),
    writeConsumer: consumerWrites(db),
    writePlaybook: playbookWrites(db),
    writeSink: sinkWrites(db),
    writeFreeze: freezeWrites(db),
    writeFloors: floorWrites(db),
    writeIssuers: issuerWrites(db),
    writeApiKey: apiKeyWrites(db),
    writeBrowserSession: browserSessionWrites(db),
    writeBreakGlass: breakGlassWrites(db),
    writeRotation: rotationWrites(db, trace, heads),
    writeIntent: intentWrites(db),
    writeApproval: approvalWrites(db),
    writeConfirmation: confirmationWrites(db),
    writeAcknowledgement: acknowledgementWrites(db),
    writeIncident: incidentWrites(db, alarm),
    writeSealed: sealedWrites(db, keyring, ids),
    writeSchedule: scheduleWrites(db),
    writeTimer: timerWrites(db),
    writeRecovery: recoveryWrites(db),
    writeDrift: driftWrites(db),
    writeKek: kekWrites(db),
    writePepper: pepperWrites(db, keyring),
    writeIdempotency: { markEffective: (claim) => markEffective(db, claim) },
  }
}

const momentOf = async (db: Db): Promise<Moment> => {
  const rows = await db.$queryRaw<{ readonly at: Date; readonly observed: bigint }[]>`
    SELECT app.now() AS at, ${observedNow} AS observed FROM app.observed_clock`
  const [row] = rows
  if (row === undefined) throw new Error('the observed clock is gone')
  return { at: row.at, observedMs: Number(row.observed) }
}

export const databaseNow = async (db: Db): Promise<Date> => {
  const rows = await db.$queryRaw<{ readonly now: Date }[]>`SELECT app.now() AS now`
  const now = rows[0]?.now
  if (now === undefined) throw new Error('the database told no time')
  return now
}
