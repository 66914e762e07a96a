// Records of one key, made by hand: what is on record of a rotation that went well, from version 1 to version 2.

import type { AuditBody } from '#domain/audit.ts'
import type { KeyFacts, RotationFacts } from '#domain/invariants.ts'
import type { Key, Version } from '#domain/key.ts'
import { defaultPolicy } from '#domain/policy.ts'
import type { StoredEvent } from '#domain/ports.ts'
import type { TypeTraits } from '#domain/provider.ts'
import type { Approval, Intent, Rotation, RotationPlan } from '#domain/rotation.ts'
import type { Phase } from '#domain/rotation-machine.ts'

export const at = (seconds: number): Date => new Date(seconds * 1_000)

const traits: TypeTraits = {
  slot: 'multi',
  staging: 'native',
  undo: 'pointer',
  authority: 'self',
  revokes: 'version',
  suspend: true,
  exactlyOnce: 'cas',
  attribution: 'exact',
  usage: null,
  lateEffectMs: 0,
  consistency: { delayMs: 0, confirmations: 1 },
  limits: {},
  deliver: true,
  material: 'ours',
  publishTarget: false,
  publishable: true,
  verifies: ['roundTrip'],
  operations: [],
}

const key: Key = {
  id: 'k1',
  name: 'orders',
  connection: 'c1',
  type: 'local.secret',
  ref: {},
  objectId: 'orders',
  purpose: 'orders',
  owner: 'payments',
  environment: 'prod',
  labels: {},
  consumers: [],
  usableBy: [],
  observe: null,
  generate: null,
  policy: null,
  policySelectedAt: null,
  managedBy: null,
  revision: 1,
  createdAt: at(0),
  updatedAt: at(0),
  deletedAt: null,
}

const adopted: Version = {
  keyId: key.id,
  version: 1,
  state: 'destroyed',
  primary: false,
  providerVersions: ['p1'],
  materialKnown: true,
  fingerprint: null,
  sealedId: null,
  rotationId: null,
  verifiedAt: null,
  createdAt: at(0),
  activatedAt: at(0),
  suspendedAt: at(200),
  deactivatedAt: at(300),
  compromisedAt: null,
  destroyedAt: at(301),
}
const minted: Version = {
  ...adopted,
  version: 2,
  state: 'active',
  primary: true,
  providerVersions: ['p2'],
  rotationId: 'r1',
  verifiedAt: at(50),
  activatedAt: at(100),
  suspendedAt: null,
  deactivatedAt: null,
  destroyedAt: null,
}

const plan: RotationPlan = {
  key: { id: key.id, name: key.name, connection: key.connection, type: key.type, ref: {} },
  traits,
  policy: {
    ...defaultPolicy,
    soakMs: 100_000,
    retire: 'destroy',
    consumers: {
      matchLabels: null,
      acknowledgement: { required: 'all', timeoutMs: 3_600_000, onTimeout: 'hold' },
    },
  },
  raised: [],
  objectId: key.objectId,
  phases: [
    'planned',
    'preflight',
    'minting',
    'verifying',
    'promoting',
    'overlapping',
    'suspending',
    'soaking',
    'retiring',
    'completed',
  ],
  publish: [],
  consumers: ['app', 'batch'],
  generate: {},
  requester: { id: 'p', name: 'p' },
  group: { id: 'g', max: 5, spacingMs: 0 },
  nominal: null,
  retireOnly: false,
}

const rotation: Rotation = {
  id: 'r1',
  keyId: key.id,
  keyName: key.name,
  policy: null,
  policyRevision: null,
  plan,
  planHash: 'h',
  phase: 'completed',
  epoch: 2,
  trigger: 'manual',
  reason: 'a test',
  occurrence: null,
  fromVersion: 1,
  toVersion: 2,
  preImage: { enabledBefore: ['p1'] },
  stalledIn: null,
  stalledReason: null,
  undo: null,
  phaseObservedMs: 0,
  phaseEnteredAt: at(310),
  passageAt: at(310),
  promotedAt: at(100),
  createdAt: at(10),
  endedAt: at(310),
}

export const intent = (
  id: string,
  effect: Intent['effect'],
  more: Partial<Intent> = {},
): Intent => ({
  operationId: `op-${id}`,
  rotationId: rotation.id,
  incidentId: null,
  keyId: key.id,
  phase: effect,
  target: 'p1',
  attempt: 1,
  effect,
  preImage: {},
  sealedId: null,
  sentNotAfter: at(250),
  outcome: 'succeeded',
  closed: true,
  result: null,
  detail: null,
  eventId: id,
  startedAt: at(200),
  endedAt: at(200),
  ...more,
})

export const event = (body: Partial<AuditBody>): StoredEvent => ({
  body: {
    id: `e-${body.action}`,
    at: at(0).toISOString(),
    actor: { type: 'worker', id: 'worker:w', name: 'w', roles: [] },
    action: 'rotation.advanced',
    target: { kind: 'rotation', id: rotation.id, name: rotation.id },
    outcome: 'succeeded',
    reason: null,
    ticket: null,
    requestId: null,
    traceId: null,
    correlationId: rotation.id,
    causationId: null,
    stream: null,
    before: null,
    after: null,
    provider: null,
    ...body,
  },
  receipt: { eventId: '', leafHash: '', writerKid: '', writerSig: '' },
  recordedAt: at(0),
})

export const step = (from: Phase, to: Phase, epoch: number): StoredEvent =>
  event({ before: { phase: from }, after: { phase: to, epoch } })

const mint = intent('mint', 'mint', { startedAt: at(20), target: null })
const suspend = intent('suspend', 'suspend')
const retire = intent('retire', 'retire', { startedAt: at(300) })

/** An effect's two events. */
export const effectEvents = ({ eventId, effect }: Intent): readonly StoredEvent[] => [
  event({ id: eventId, action: `effect.${effect}`, outcome: 'intent' }),
  event({ id: `${eventId}-after`, action: `effect.${effect}`, causationId: eventId }),
]

const facts: RotationFacts = {
  rotation,
  timer: null,
  intents: [mint, suspend, retire],
  approvals: [],
  makers: new Map(),
  acknowledgements: ['app', 'batch'].map((consumer) => ({
    keyId: key.id,
    consumer,
    version: 2,
    rotationId: rotation.id,
    evidence: null,
    principalId: consumer,
    at: at(200),
  })),
  events: [
    event({ action: 'rotation.planned', after: { phase: 'planned', epoch: 0 } }),
    step('planned', 'preflight', 0),
    step('preflight', 'minting', 0),
    ...effectEvents(mint),
    step('minting', 'verifying', 0),
    step('verifying', 'promoting', 1),
    step('promoting', 'overlapping', 1),
    step('overlapping', 'suspending', 1),
    ...effectEvents(suspend),
    step('suspending', 'soaking', 2),
    step('soaking', 'retiring', 2),
    ...effectEvents(retire),
    step('retiring', 'completed', 2),
  ],
  truncated: false,
}

export const completed: KeyFacts = {
  key,
  traits,
  versions: [adopted, minted],
  rotations: [facts],
  sealed: new Map([[2, 'opens']]),
  provider: {
    carriers: [],
    versions: [
      { id: 'p1', state: 'destroyed', current: false },
      { id: 'p2', state: 'enabled', current: true },
    ],
  },
  group: null,
  incidents: [],
  refused: new Set(),
  now: at(400),
}

/** The same while both versions are accepted, and looked at again in a minute. */
export const overlapping: KeyFacts = {
  ...completed,
  versions: [
    { ...adopted, state: 'active', suspendedAt: null, deactivatedAt: null, destroyedAt: null },
    minted,
  ],
  rotations: [
    {
      ...facts,
      rotation: { ...rotation, phase: 'overlapping', endedAt: null },
      timer: {
        rotationId: rotation.id,
        dueAt: at(460),
        leaseOwner: null,
        leaseUntil: null,
        progress: null,
        waitingFor: null,
      },
      intents: [mint],
      events: facts.events.slice(0, 8),
    },
  ],
  provider: {
    carriers: [],
    versions: [
      { id: 'p1', state: 'enabled', current: false },
      { id: 'p2', state: 'enabled', current: true },
    ],
  },
}

export const withVersion = (of: KeyFacts, number: number, change: Partial<Version>): KeyFacts => ({
  ...of,
  versions: of.versions.map((one) => (one.version === number ? { ...one, ...change } : one)),
})

export const withRotation = (
  of: KeyFacts,
  change: Partial<Rotation>,
  beside: Partial<RotationFacts> = {},
): KeyFacts => ({
  ...of,
  rotations: of.rotations.map((one) => ({
    ...one,
    ...beside,
    rotation: { ...one.rotation, ...change },
  })),
})

export const withPlan = (of: KeyFacts, change: Partial<RotationPlan>): KeyFacts => ({
  ...of,
  rotations: of.rotations.map((one) => ({
    ...one,
    rotation: { ...one.rotation, plan: { ...one.rotation.plan, ...change } },
  })),
})

export const withPolicy = (of: KeyFacts, change: Partial<RotationPlan['policy']>): KeyFacts =>
  withPlan(of, { policy: { ...plan.policy, ...change } })

/** Tells nothing of what was told in the log. */
export const unread: Partial<RotationFacts> = { truncated: true }

export const override = (principalId: string, more: Partial<Approval> = {}): Approval => ({
  rotationId: rotation.id,
  kind: 'override',
  gate: 'acknowledgement',
  phase: 'overlapping',
  passageAt: at(100),
  principalId,
  principalName: principalId,
  approver: true,
  reason: 'they are gone',
  at: at(200),
  ...more,
})
