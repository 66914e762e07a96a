// What people and consumers said about a rotation.

import type { Confirmation } from '#domain/by-hand.ts'
import { asFingerprint, bytesOfFingerprint } from '#domain/fingerprint.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Approval } from '#domain/rotation.ts'
import type { Db } from '../database.ts'
import type { Approval as ApprovalRow, Confirmation as Row } from '../generated/client.ts'
import { isUuid, word } from './translate.ts'

export const approvalReads = (db: Db): Reads['approvals'] => ({
  of: async (rotationId) => {
    if (!isUuid(rotationId)) return []
    const rows = await db.approval.findMany({
      where: { rotationId },
      orderBy: [{ at: 'asc' }, { id: 'asc' }],
    })
    return rows.map(toApproval)
  },
})

export const toApproval = (row: ApprovalRow): Approval => ({
  rotationId: row.rotationId,
  kind: word(row.kind),
  gate: word(row.gate),
  phase: word(row.phase),
  passageAt: row.passageAt,
  principalId: row.principalId,
  principalName: row.principalName,
  approver: row.approver,
  reason: row.reason,
  at: row.at,
})

export const approvalWrites = (db: Db): Tx['writeApproval'] => ({
  insert: async (row) => {
    await db.approval.createMany({ data: [row], skipDuplicates: true })
  },
})

export const confirmationReads = (db: Db): Reads['confirmations'] => ({
  get: async (operationId) => {
    const row = await db.confirmation.findUnique({ where: { operationId } })
    return row && toConfirmation(row)
  },
  ofKey: async (keyId) => {
    const rows = await db.confirmation.findMany({
      where: { keyId },
      orderBy: [{ at: 'asc' }, { operationId: 'asc' }],
    })
    return rows.map(toConfirmation)
  },
})

const toConfirmation = (row: Row): Confirmation => ({
  ...row,
  effect: word(row.effect),
  became: word(row.became),
  fingerprint: row.fingerprint && asFingerprint(row.fingerprint),
})

export const confirmationWrites = (db: Db): Tx['writeConfirmation'] => ({
  insert: async ({ fingerprint, ...row }) => {
    const bytes = fingerprint && bytesOfFingerprint(fingerprint)
    const { count } = await db.confirmation.createMany({
      data: [{ ...row, fingerprint: bytes }],
      skipDuplicates: true,
    })
    return count === 1
  },
})

export const acknowledgementReads = (db: Db): Reads['acknowledgements'] => ({
  of: (keyId, version) =>
    db.acknowledgement.findMany({
      where: { keyId, version },
      orderBy: [{ at: 'asc' }, { consumer: 'asc' }],
    }),
  ofKey: (keyId) =>
    db.acknowledgement.findMany({
      where: { keyId },
      orderBy: [{ at: 'desc' }, { consumer: 'asc' }],
      take: 200,
    }),
})

export const acknowledgementWrites = (db: Db): Tx['writeAcknowledgement'] => ({
  insert: async (row) => {
    const { count } = await db.acknowledgement.createMany({ data: [row], skipDuplicates: true })
    return count === 1
  },
})
