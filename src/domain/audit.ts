// What the audit log says. One line an action; `target` kinds and outcomes are closed lists.
// Bodies are built from named fields only (never `...input`), so that nothing slips in that was not meant to be told.

import type { Json } from './json.ts'

/** Every action there is, and the kind of thing that it is about. */
export const auditActions = {
  'installation.started': 'installation',
  'installation.migrated': 'installation',
  'installation.identified': 'installation',
  'installation.backedUp': 'installation',
  'installation.restored': 'installation',
  'kek.registered': 'kek',
  'kek.activated': 'kek',
  'kek.rewrapped': 'kek',
  'kek.retired': 'kek',
  'pepper.registered': 'pepper',
  'pepper.activated': 'pepper',
  'pepper.renewed': 'pepper',
  'pepper.forgotten': 'pepper',
  'pepper.retired': 'pepper',
  'recovery.began': 'installation',
  'recovery.reconciled': 'installation',
  'recovery.accepted': 'installation',
  'apiKey.created': 'apiKey',
  'apiKey.deleted': 'apiKey',
  'apiKey.approved': 'apiKey',
  'breakGlass.used': 'apiKey',
  'breakGlass.bound': 'apiKey',
  'apiKey.reset': 'apiKey',
  'session.begun': 'session',
  'session.ended': 'session',
  'session.revoked': 'session',
  'connection.put': 'connection',
  'connection.deleted': 'connection',
  'connection.checked': 'connection',
  'connection.inventoried': 'connection',
  'key.registered': 'key',
  'key.put': 'key',
  'key.deleted': 'key',
  'key.policyChanged': 'key',
  'key.overdue': 'key',
  'key.drifted': 'key',
  'key.driftEnded': 'key',
  'key.rotatedNatively': 'key',
  'key.notRotating': 'key',
  'key.rescheduled': 'key',
  'key.versionAdopted': 'key',
  'key.fingerprintsRenewed': 'key',
  'key.valueRead': 'key',
  'key.used': 'key',
  'key.objectCreated': 'key',
  'policy.put': 'policy',
  'policy.deleted': 'policy',
  'policy.overlapping': 'policy',
  'plan.created': 'plan',
  'plan.approved': 'plan',
  'plan.applied': 'plan',
  'plan.finished': 'plan',
  'consumer.put': 'consumer',
  'consumer.deleted': 'consumer',
  'playbook.put': 'playbook',
  'playbook.deleted': 'playbook',
  'playbook.reviewed': 'playbook',
  'playbook.reviewOverdue': 'playbook',
  'sink.put': 'sink',
  'sink.deleted': 'sink',
  'sink.tested': 'sink',
  'sink.disabled': 'sink',
  'sink.replayed': 'sink',
  'freeze.put': 'freeze',
  'freeze.deleted': 'freeze',
  'floors.put': 'floors',
  'issuers.put': 'issuers',
  'rotation.planned': 'rotation',
  'rotation.coalesced': 'key',
  'rotation.occurrenceSkipped': 'key',
  'rotation.approved': 'rotation',
  'rotation.acknowledged': 'rotation',
  'rotation.stepAsked': 'rotation',
  'rotation.stepConfirmed': 'rotation',
  'rotation.overridden': 'rotation',
  'rotation.advanced': 'rotation',
  'rotation.promoted': 'rotation',
  'rotation.takenOver': 'rotation',
  'rotation.stalled': 'rotation',
  'rotation.resumed': 'rotation',
  'rotation.rollingBack': 'rotation',
  'rotation.completed': 'rotation',
  'rotation.cancelled': 'rotation',
  'rotation.rolledBack': 'rotation',
  'rotation.abandoned': 'rotation',
  'rotation.ackMissing': 'rotation',
  'incident.opened': 'incident',
  'incident.changed': 'incident',
  'incident.previewed': 'incident',
  'incident.approved': 'incident',
  'incident.executed': 'incident',
  'incident.keyAdvanced': 'key',
  'incident.keyFailed': 'key',
  'incident.contained': 'incident',
  'incident.partly': 'incident',
  'incident.restoring': 'incident',
  'incident.noted': 'incident',
  'incident.stepTicked': 'incident',
  'incident.stepConfirmed': 'incident',
  'incident.reviewed': 'incident',
  'incident.closed': 'incident',
  'effect.create': 'object',
  'effect.mint': 'object',
  'effect.distribute': 'object',
  'effect.promote': 'object',
  'effect.suspend': 'object',
  'effect.reinstate': 'object',
  'effect.retire': 'object',
  'effect.removeNew': 'object',
  'effect.restoreTarget': 'object',
  'effect.swapBack': 'object',
  'effect.notify': 'consumer',
  'request.denied': 'request',
  'request.invalid': 'request',
  'request.rehearsed': 'request',
  'audit.read': 'audit',
  'audit.writerEnrolled': 'audit',
} as const satisfies Record<string, string>

export type AuditAction = keyof typeof auditActions

export const auditOutcomes = ['intent', 'succeeded', 'failed', 'denied', 'unknown'] as const
export type AuditOutcome = (typeof auditOutcomes)[number]

/** What a use case says; the ledger adds id, time, actor, request, and the place in the stream. */
export interface AuditEvent {
  readonly action: AuditAction
  readonly target: { readonly id: string; readonly name: string }
  readonly outcome: AuditOutcome
  readonly reason?: string
  readonly ticket?: string
  /** The rotation or incident that this belongs to. It is also the stream in which events are numbered without a gap. */
  readonly correlationId?: string
  /** The event that caused this one: for an outcome, its intent. */
  readonly causationId?: string
  readonly before?: Json
  readonly after?: Json
  readonly provider?: { readonly operationId: string; readonly requestId?: string }
}

/** The body as it is signed and hashed, in RFC 8785 form. */
export interface AuditBody {
  readonly id: string
  readonly at: string
  readonly actor: {
    readonly type: string
    readonly id: string
    readonly name: string
    readonly roles: readonly string[]
  }
  readonly action: AuditAction
  readonly target: { readonly kind: string; readonly id: string; readonly name: string }
  readonly outcome: AuditOutcome
  readonly reason: string | null
  readonly ticket: string | null
  readonly requestId: string | null
  readonly traceId: string | null
  readonly correlationId: string | null
  readonly causationId: string | null
  readonly stream: {
    readonly id: string
    readonly seq: number
    readonly prev: string | null
  } | null
  readonly before: Json
  readonly after: Json
  readonly provider: { readonly operationId: string; readonly requestId: string | null } | null
}

/** Proof that a record was promised: kept by the caller, checked later against the log. Hashes in hex, signature in base64. */
export interface Receipt {
  readonly eventId: string
  readonly leafHash: string
  readonly writerKid: string
  readonly writerSig: string
}
