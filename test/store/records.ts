// Records as a test wants them: valid, with what matters to it put over the rest.

import { systemActor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import type {
  ContainedKey,
  Incident,
  IncidentKey,
  IncidentPreview,
  VersionEvidence,
} from '#domain/incident.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Plan } from '#domain/plan.ts'
import type { LedgerEvent, Outcome, Tx } from '#domain/ports.ts'
import type { Intent, Rotation } from '#domain/rotation.ts'
import type { TestDatabase } from '#test/support/db.ts'

export const someone = systemActor('system', 'test')

export const event = (more: Partial<LedgerEvent> = {}): LedgerEvent => ({
  action: 'key.put',
  target: { id: 'k', name: 'k' },
  outcome: 'succeeded',
  ...more,
})

const at = new Date('2026-11-01T00:00:00.000Z')

export const connectionNamed = (name: string, more: Partial<Connection> = {}): Connection => ({
  name,
  provider: 'local',
  settings: {},
  credential: { from: 'none' },
  grants: [],
  labels: {},
  managedBy: null,
  externalId: '01890000-0000-4000-8000-000000000000',
  revision: 1,
  createdAt: at,
  updatedAt: at,
  ...more,
})

export const keyNamed = (id: string, name: string, more: Partial<Key> = {}): Key => ({
  id,
  name,
  connection: 'vault',
  type: 'local.secret',
  ref: {},
  objectId: `local:${name}`,
  purpose: 'test',
  owner: 'team',
  environment: 'test',
  labels: {},
  consumers: [],
  usableBy: [],
  observe: null,
  generate: null,
  policy: null,
  policySelectedAt: null,
  managedBy: null,
  revision: 1,
  createdAt: at,
  updatedAt: at,
  deletedAt: null,
  ...more,
})

export const versionOf = (
  keyId: string,
  version: number,
  more: Partial<Version> = {},
): Version => ({
  keyId,
  version,
  state: 'preActivation',
  primary: false,
  providerVersions: [],
  materialKnown: false,
  fingerprint: null,
  sealedId: null,
  rotationId: null,
  verifiedAt: null,
  createdAt: at,
  activatedAt: null,
  suspendedAt: null,
  deactivatedAt: null,
  compromisedAt: null,
  destroyedAt: null,
  ...more,
})

/** The store keeps plans as they are; their shape is the domain's business. */
const plan = (group: string): Rotation['plan'] =>
  ({ group: { id: group, max: 5, spacingMs: 0 }, publish: [] }) as unknown as Rotation['plan']

export const rotationOf = (
  id: string,
  key: Pick<Key, 'id' | 'name'>,
  more: Partial<Rotation> = {},
  group = 'g',
): Rotation => ({
  id,
  keyId: key.id,
  keyName: key.name,
  policy: null,
  policyRevision: null,
  plan: plan(group),
  planHash: 'h',
  phase: 'planned',
  epoch: 0,
  trigger: 'manual',
  reason: 'a test',
  occurrence: null,
  fromVersion: null,
  toVersion: null,
  preImage: {},
  stalledIn: null,
  stalledReason: null,
  undo: null,
  phaseObservedMs: 0,
  phaseEnteredAt: at,
  passageAt: at,
  promotedAt: null,
  createdAt: at,
  endedAt: null,
  ...more,
})

export const intentOf = (rotation: Rotation, more: Partial<Intent> = {}): Intent => ({
  operationId: `${rotation.id}:minting:1`,
  rotationId: rotation.id,
  incidentId: null,
  keyId: rotation.keyId,
  phase: 'minting',
  target: null,
  attempt: 1,
  effect: 'mint',
  preImage: {},
  sealedId: null,
  sentNotAfter: at,
  outcome: null,
  closed: false,
  result: null,
  detail: null,
  eventId: rotation.id,
  startedAt: at,
  endedAt: null,
  ...more,
})

export const planOf = (id: string, more: Partial<Plan> = {}): Plan => ({
  id,
  hash: 'h',
  owner: 'payments',
  prune: false,
  allow: [],
  documents: [],
  items: [],
  needs: [],
  approvals: [],
  scope: null,
  author: { id: 'a', name: 'a' },
  createdAt: at,
  appliedAt: null,
  appliedBy: null,
  finishedAt: null,
  ...more,
})

export const incidentOf = (id: string, more: Partial<Incident> = {}): Incident => ({
  id,
  title: 'a leak',
  severity: 'high',
  mode: 'revokeFirst',
  reason: 'a test',
  selector: { owner: 'team' },
  state: 'draft',
  revision: 1,
  openedBy: { id: 'a', name: 'a' },
  commander: null,
  breakGlass: null,
  playbook: null,
  preview: null,
  execution: null,
  settledAt: null,
  closed: null,
  review: null,
  createdAt: at,
  updatedAt: at,
  ...more,
})

/** By one person, who needs nobody's word. */
export const previewedIncident = (
  id: string,
  {
    mode,
    selector,
    by,
    now,
  }: Pick<Incident, 'mode' | 'selector'> & {
    readonly by: Incident['openedBy']
    readonly now: Date
  },
  { hash, at: drawnAt, expiresAt, keys }: IncidentPreview,
): Incident =>
  incidentOf(id, {
    mode,
    selector,
    state: 'previewed',
    openedBy: by,
    preview: {
      hash,
      at: drawnAt.toISOString(),
      expiresAt: expiresAt.toISOString(),
      by,
      approvalsNeeded: 0,
      keys: keys.length,
    },
    createdAt: now,
    updatedAt: now,
  })

export const containedKey = (
  key: Pick<Key, 'id' | 'name' | 'type' | 'connection' | 'objectId'>,
  version: number,
  more: Partial<ContainedKey> = {},
): ContainedKey => ({
  keyId: key.id,
  key: key.name,
  type: key.type,
  connection: key.connection,
  objectId: key.objectId,
  versions: [
    {
      version,
      state: 'active',
      primary: true,
      providerVersions: [String(version)],
      containment: 'suspend',
      reversible: true,
      expect: 'refused',
      why: null,
    },
  ],
  replacement: 'none',
  replacementVersion: null,
  openRotation: null,
  losesAccess: [],
  approvals: 1,
  basis: { key: 1, connection: 1, address: '', policy: null },
  warnings: [],
  ...more,
})

export const incidentKeyOf = (
  incident: Pick<Incident, 'id'>,
  plan: ContainedKey,
  more: Partial<IncidentKey> = {},
): IncidentKey => ({
  incidentId: incident.id,
  keyId: plan.keyId,
  key: plan.key,
  connection: plan.connection,
  position: 0,
  plan,
  state: 'pending',
  replacement: null,
  rotationId: null,
  restoration: null,
  lateUntil: null,
  detail: null,
  updatedAt: at,
  ...more,
})

export const evidenceOf = (
  key: Pick<IncidentKey, 'incidentId' | 'keyId'>,
  version: number,
  more: Partial<VersionEvidence> = {},
): VersionEvidence => ({
  incidentId: key.incidentId,
  keyId: key.keyId,
  version,
  containment: 'suspend',
  state: 'pending',
  requestedAt: null,
  effectiveAt: null,
  provenAt: null,
  operation: null,
  code: null,
  refusedAfter: null,
  detail: null,
  operationId: null,
  auditEventId: null,
  ...more,
})

/** Writes with one event. */
export const write = async <T>(
  db: Pick<TestDatabase, 'ledger'>,
  work: (tx: Tx) => Promise<T>,
  more: Partial<LedgerEvent> = {},
): Promise<T> => {
  const { value } = await db.ledger.commit(someone, async (tx): Promise<Outcome<T>> => ({
    value: await work(tx),
    audit: [event(more)],
  }))
  return value
}

/** A key with a rotation, both committed. */
export const openRotation = async (
  db: TestDatabase,
  name: string,
  more: Partial<Rotation> = {},
): Promise<{ readonly key: Key; readonly rotation: Rotation }> => {
  const key = keyNamed(db.ids.next(), name)
  const rotation = rotationOf(db.ids.next(), key, more)
  await write(db, async (tx) => {
    await tx.writeKey.insert(key)
    await tx.writeRotation.insert(rotation)
  })
  return { key, rotation }
}
